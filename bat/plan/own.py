"""What specifications say of code of one's own: which files it is, by their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bat import extensions
from bat.config import Data, Dataset, Network, OwnData, OwnRun, Trainer
from bat.extensions import (
    ATTACK_GIVEN,
    ATTACK_NEEDED,
    NETWORK_GIVEN,
    NETWORK_NEEDED,
    OBJECTIVE_GIVEN,
    TRAINER_GIVEN,
    TRAINER_NEEDED,
)

NONE: Mapping = MappingProxyType({})


def network(architecture: str, networks: Mapping[str, Network]) -> dict:
    """``{"network": record}`` of a network of one's own; empty for a built-in.

    Raises
    ------
    BatError
        If its code is missing, or seen not to take what it will be called with.
    """
    own = networks.get(architecture)
    if own is None:
        return {}
    code = extensions.record(own.network, own.settings, NETWORK_GIVEN, NETWORK_NEEDED)
    return {"network": code | ({"head": own.head} if own.head else {})}


def trainer(own: Trainer) -> dict:
    """``{"trainer": record}`` of a training of one's own; raises as `network`."""
    return {"trainer": extensions.record(own.train, own.settings, TRAINER_GIVEN, TRAINER_NEEDED)}


def objective(run: OwnRun) -> dict:
    """``{"code": record}`` of a method of one's own; raises as `network`."""
    return {"code": extensions.record(run.objective, run.settings, OBJECTIVE_GIVEN)}


def data(own: Data) -> dict:
    """``{"code": record}`` of a data source of one's own, else empty; raises as `network`."""
    if not isinstance(own, OwnData):
        return {}
    return {"code": extensions.record(own.load, own.settings, ())}


def attacks(dataset: Dataset) -> dict[str, dict]:
    """The attacks of one's own as an evaluation's specification has them; raises as `network`."""
    evaluation = dataset.evaluation
    eps = dataset.adversary.eps if evaluation.eps is None else evaluation.eps
    return {
        name: {
            "eps": eps,
            "code": extensions.record(of.attack, of.settings, ATTACK_GIVEN, ATTACK_NEEDED),
        }
        for name, of in evaluation.attacks.items()
    }


def code(dataset: Dataset) -> dict[str, dict]:
    """All code of one's own that a data set's jobs will run, by what it is for.

    Raises
    ------
    BatError
        As `network` raises it.
    """
    found = {
        f"network {name}": network(name, dataset.networks)["network"] for name in dataset.networks
    }
    if isinstance(dataset.data, OwnData):
        found["data.source"] = data(dataset.data)["code"]
    if dataset.scores.trainer is not None:
        found["scores.trainer"] = trainer(dataset.scores.trainer)["trainer"]
    found |= {
        f"run {name}": objective(run)["code"]
        for name, run in dataset.runs.items()
        if isinstance(run, OwnRun)
    }
    found |= {f"attack {name}": of["code"] for name, of in attacks(dataset).items()}
    return found

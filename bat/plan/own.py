"""What specifications say of code of one's own: which files it is, by their bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bat import extensions
from bat.config import Config, Data, Dataset, Network, OwnAttack, OwnData, OwnRun, Trainer
from bat.errors import BatError
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


def attack(of: OwnAttack, eps: float) -> dict:
    """An attack of one's own as an evaluation's specification has it; raises as `network`."""
    code = extensions.record(of.attack, of.settings, ATTACK_GIVEN, ATTACK_NEEDED)
    return {"eps": eps, "code": code}


def attacks(dataset: Dataset) -> dict[str, dict]:
    """All of a data set's attacks of one's own; raises as `network`."""
    evaluation = dataset.evaluation
    eps = dataset.adversary.eps if evaluation.eps is None else evaluation.eps
    return {name: attack(of, eps) for name, of in evaluation.attacks.items()}


def code(dataset: Dataset) -> dict[str, dict]:
    """All code of one's own that a data set's jobs will run, by what it is for.

    Raises
    ------
    BatError
        As `network` raises it.
    """
    return {what: recorded() for what, (_, recorded) in _records(dataset).items()}


def code_problems(config: Config) -> list[str]:
    """What is wrong with code of one's own, as `network` would raise it, a line for each."""
    problems = []
    for name, dataset in config.datasets.items():
        for key, recorded in _records(dataset).values():
            try:
                recorded()
            except BatError as error:
                problems.append(f"datasets.{name}.{key}: {error}")
    return problems


def _records(dataset: Dataset) -> dict[str, tuple[str, Callable[[], dict]]]:
    """By what code is for: its key, and what makes its record."""
    networks, own_data = dataset.networks, dataset.data
    found: dict[str, tuple[str, Callable[[], dict]]] = {
        f"network {name}": (
            f"networks.{name}",
            lambda name=name: network(name, networks)["network"],
        )
        for name in networks
    }
    if isinstance(own_data, OwnData):
        found["data.source"] = ("data.source", lambda: data(own_data)["code"])
    if (own_trainer := dataset.scores.trainer) is not None:
        found["scores.trainer"] = ("scores.trainer", lambda: trainer(own_trainer)["trainer"])
    found |= {
        f"run {name}": (f"runs.{name}.method", lambda run=run: objective(run)["code"])
        for name, run in dataset.runs.items()
        if isinstance(run, OwnRun)
    }
    return found | {
        f"attack {name}": (f"evaluation.attacks.{name}", lambda of=of: attack(of, 0.0)["code"])
        for name, of in dataset.evaluation.attacks.items()
    }

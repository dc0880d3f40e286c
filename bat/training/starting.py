"""The model that a run begins with: weights drawn by its seed, or of a checkpoint."""

from __future__ import annotations

from pathlib import Path

from bat import files
from bat.checkpoints import start_from
from bat.checkpoints.formats import checkpoint_digest
from bat.data import PreparedData
from bat.errors import ArtifactError, BatError
from bat.models import Classifier, build_for
from bat.streams import torch_seed


def start_of(spec: dict, given: Path | None) -> tuple[Path | None, dict[str, str]]:
    """Where the weights lie that a run starts from, and what stands for them in its inputs.

    Parameters
    ----------
    spec : dict
    given : path, optional
        The model of the run that it starts from, where it is a run.

    Returns
    -------
    path, digests
        None and nothing where it starts from drawn weights; nothing for a file,
        which the specification holds by its bytes.

    Raises
    ------
    BatError
        If the file is missing, or not that of the specification.
    """
    start = spec.get("start_from")
    if start is None:
        return None, {}
    if "run" in start:
        if given is None:
            raise BatError(
                f"the run {spec['run']} starts from the run {start['run']}, and its model is not "
                "given; name its best.pt with --start"
            )
        return given, {"start": checkpoint_digest(given)}
    path = Path(start["file"])
    if not path.is_file():
        raise ArtifactError(f"{path}: is no file, and the run {spec['run']} starts from it")
    if files.sha256_of(path) != start["sha256"]:
        raise ArtifactError(
            f"{path}: is another file than when the run {spec['run']} was asked for; start the "
            "workflow again, which trains from what it holds now"
        )
    return path, {}


def first_model(prepared: PreparedData, spec: dict, start: Path | None) -> Classifier:
    """The model before its first step, on the CPU.

    Parameters
    ----------
    prepared : PreparedData
    spec : dict
    start : path, optional
        From `start_of`.
    """
    network = spec.get("network")
    seed = torch_seed(spec["seed"], 0, "init")
    model = build_for(spec["architecture"], prepared.info, network=network, seed=seed)
    if start is not None:
        start_from(start, model, spec["architecture"], prepared, network)
    return model

"""Trained models from files, ours and anyone's, with the images that they expect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bat.attacks.evaluation import correctness
from bat.checkpoints.formats import is_ours, printable, read_checkpoint
from bat.checkpoints.state_dicts import load_weights
from bat.data import PreparedData
from bat.devices import Runtime
from bat.errors import ArtifactError
from bat.models import Classifier, build_for
from bat.progress import log

TRIED = 500  # training samples that tell whether a model expects normalized images
DECIDED = 3.0  # standard errors between two accuracies that differ
BATCH = 250


def load_model(
    checkpoint: Path,
    architecture: str,
    prepared: PreparedData,
    device: Runtime,
    *,
    normalize: bool | None = True,
    key: str | None = None,
    network: dict | None = None,
) -> Classifier:
    """A trained model on the device, in eval mode.

    Parameters
    ----------
    checkpoint : path
        A file of ours, or anyone's with a state dict of the architecture.
    architecture : str
    prepared : PreparedData
        The data set whose images it will see.
    device : Runtime
    normalize : bool, optional
        Whether the model was trained on images normalized by the data set's
        channel statistics. With None, and where neither the file says nor the
        file is a run of ours, both are tried on training samples.
    key : str, optional
        Where in the file the weights are, if they could be several.
    network : dict, optional
        The code of a network of one's own, as its specification records it. What the file
        says of its code is compared, and never run.

    Returns
    -------
    Classifier
        Its ``mean`` and ``std`` are those that were decided on.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, holds what only foreign code can read, no or several
        sets of weights that fit, values that cannot be, or speaks of another
        architecture, other classes or another normalization than asked for.
    """
    info, path = prepared.info, Path(checkpoint)
    names, channels = info["class_names"], info["shape"][0]
    content = read_checkpoint(path)
    stated, of_run = statements(path, content, architecture, prepared)
    if network is not None:
        check_code(path, stated.get("network"), network, of_run)
        if stated:  # of our trainings, where it took images as they are
            normalize = None
    model = build_for(architecture, {**info, "mean": None, "std": None}, network=network)
    statistics = load_weights(
        model, path, content, f"{architecture} with {len(names)} classes", key=key
    )
    if statistics is None and stated.get("normalization", "") is None:
        statistics = [0.0] * channels, [1.0] * channels
    if statistics is not None:
        _check_asked(path, statistics, normalize)
    elif normalize is None and is_ours(path):
        normalize = True
    if statistics is None and normalize:
        statistics = info["mean"], info["std"]
    if statistics is not None:
        model.set_normalization(*statistics)
    model = device.place(model).eval()
    if statistics is None and normalize is None:
        _try_both(path, model, prepared, device)
    return model


def statements(
    path: Path, content: Any, architecture: str, prepared: PreparedData
) -> tuple[dict, bool]:
    """What a file of ours says beside the weights; refused where it is of another model.

    Parameters
    ----------
    path : path
        For messages, and for whose run it is.
    content : any
        From `read_checkpoint`.
    architecture : str
    prepared : PreparedData

    Returns
    -------
    stated : dict
        Empty for anyone's file.
    of_run : bool
        Whether it lies where the runs of this data set are.

    Raises
    ------
    ArtifactError
        If architecture or class names are others, or a run's data are.
    """
    info = prepared.info
    names = info["class_names"]
    stated = content if _is_ours(content) else {}
    for what, theirs, ours in (
        ("architecture", stated.get("architecture", architecture), architecture),
        ("class names", stated.get("class_names", names), names),
    ):
        if theirs != ours:
            raise ArtifactError(
                f"{path}: a model with the {what} {printable(theirs)}, asked for with "
                f"{printable(ours)}; name the architecture and the data set it was trained with"
            )
    of_run = is_ours(path) and path.resolve().parents[4] == prepared.folder.resolve().parent
    if of_run and stated.get("fingerprint", info["fingerprint"]) != info["fingerprint"]:
        raise ArtifactError(
            f"{path}: a model that was trained on other data than the run's (fingerprint "
            f"{printable(stated['fingerprint'])}, and that in use is {info['fingerprint']}); run "
            "the workflow, which trains it again"
        )
    return stated, of_run


def check_code(path: Path, stated: Any, network: dict, of_run: bool) -> None:
    """Refuse a run's model of other code than that in use; say it of anyone's.

    Of other settings, with which the weights may mean something else, it is said.
    """
    if not isinstance(stated, dict):
        return
    if all(stated.get(part) == network.get(part) for part in ("sha256", "imports", "package")):
        if stated.get("settings") != network.get("settings"):
            log.warning(
                "%s: a model of %s with the settings %s, and those in use are %s; its weights are "
                "taken where they fit",
                *(path, network["code"], printable(stated.get("settings")), network["settings"]),
            )
        return
    said = (
        f"{path}: a model of other code (sha256 {printable(stated.get('sha256'))}) than "
        f"{network['code']} is now ({network['sha256']})"
    )
    if of_run:
        raise ArtifactError(f"{said}; run the workflow, which trains it again")
    log.warning("%s; its weights are taken where they fit", said)


def _is_ours(content: Any) -> bool:
    return isinstance(content, dict) and content.keys() >= {"format_version", "state_dict"}


def _check_asked(path: Path, statistics: tuple[list, list], normalize: bool | None) -> None:
    mean, std = statistics
    plain = not any(mean) and all(value == 1 for value in std)
    if normalize is not None and normalize == plain:
        raise ArtifactError(
            f"{path}: says that its images are {_described(statistics)}, and "
            f"--{'' if normalize else 'no-'}normalize says otherwise; leave the option (normalize: "
            "of an external model) out, and the file's own word is used"
        )
    log.info("%s: images %s, as the file says", path, _described(statistics))


def _described(statistics: tuple[list, list]) -> str:
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in statistics)
    if not any(statistics[0]) and all(value == 1 for value in statistics[1]):
        return "not normalized"
    return f"normalized by mean ({mean}) and standard deviation ({std})"


def _try_both(path: Path, model: Classifier, prepared: PreparedData, device: Runtime) -> None:
    """Leave the model with the normalization under which it is right more often, and say it."""
    info, n = prepared.info, prepared.info["n_train"]
    index = np.unique(np.linspace(0, n - 1, min(n, TRIED)).astype(int))
    images, labels = prepared.train_images[index], np.asarray(prepared.train_labels)[index]
    channels = info["shape"][0]
    ways = {
        "--no-normalize": ([0.0] * channels, [1.0] * channels),
        "--normalize": (info["mean"], info["std"]),
    }
    right = {}
    for option, statistics in ways.items():
        model.set_normalization(*statistics)
        device.place(model)
        right[option] = correctness(model, images, labels, batch_size=BATCH)
    plain, normalized = right.values()
    only = [int((a & ~b).sum()) for a, b in ((plain, normalized), (normalized, plain))]
    # McNemar's test: under one accuracy, which of the two is right alone is a fair coin
    decided = abs(only[0] - only[1]) > DECIDED * np.sqrt(max(sum(only), 1))
    chosen = "--normalize" if decided and only[1] > only[0] else "--no-normalize"
    model.set_normalization(*ways[chosen])
    device.place(model)
    log.warning(
        "%s: does not say whether its images were normalized. Of %d training samples it has %.3f "
        "right as they are (--no-normalize) and %.3f normalized by the data set's channel "
        "statistics (--normalize)%s: going on with %s. State which it is with that option, or "
        "normalize: under the external model",
        path,
        len(index),
        plain.mean(),
        normalized.mean(),
        "" if decided else ", which does not decide it",
        chosen,
    )

"""Penultimate features of a trained model, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import bat
from bat import files
from bat.attacks import at_least_float32, eval_mode, full_precision
from bat.checkpoints import load_model
from bat.checkpoints.formats import checkpoint_digest
from bat.data import PreparedData, as_float
from bat.devices import Runtime
from bat.errors import BatError
from bat.files import column
from bat.models import Classifier
from bat.progress import progress
from bat.studies import representation
from bat.validation import read_checked

BATCH = 500


def penultimate_features(
    model: Classifier, images: np.ndarray, *, report: Callable[[int], object] | None = None
) -> np.ndarray:
    """The features that the last layer of a model sees, in eval mode.

    Parameters
    ----------
    model : Classifier
    images : ndarray of uint8, shape (n, channels, height, width)
    report : callable, optional
        Called with the number of images done.

    Returns
    -------
    ndarray of float32, shape (n, dim)
    """
    device, parts = next(model.parameters()).device, []
    with full_precision(), eval_mode(model), torch.no_grad():
        for first in range(0, len(images), BATCH):
            batch = np.array(images[first : first + BATCH])
            x = as_float(torch.from_numpy(batch).to(device))
            parts.append(at_least_float32(model.features(x)).cpu())
            if report is not None:
                report(first + len(batch))
    return torch.cat(parts).numpy()


def represent_checkpoint(
    checkpoint: Path,
    groups: Path,
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    device: Runtime,
    command: str,
) -> dict:
    """Measure the features of the typical samples under a run's model; write JSON.

    Parameters
    ----------
    checkpoint : path
        A state dict of the run.
    groups : path
        Folder of the typical and atypical groups.
    prepared : PreparedData
    spec : dict
        The run's specification.
    out : path
    device : Runtime
    command : str

    Returns
    -------
    dict
        What was written: the measures of `bat.studies.representation.MEASURES`, each
        with ``..._se``, and what they were taken from.

    Raises
    ------
    ArtifactError
        If the checkpoint is damaged, or of another architecture or class count.
    BatError
        If the typical groups are too small to measure anything on.
    """
    info, architecture = prepared.info, spec["architecture"]
    made_of = {"data": info["fingerprint"], "checkpoint": checkpoint_digest(checkpoint)}
    index = {}
    for split in ("train", "test"):
        index[split], made_of[f"{split} groups"] = _typical(groups, split, prepared, spec)
    done = representation.made_already(out, spec, made_of)
    if done is not None:
        return done
    model = load_model(checkpoint, architecture, prepared, device, network=spec.get("network"))
    title = f"{spec['dataset']} {architecture} {spec['run']} seed {spec['seed']} features"
    features, labels = {}, {}
    with progress(title, sum(map(len, index.values()))) as bar:
        for split, rows in index.items():
            done = sum(map(len, features.values()))
            features[split] = penultimate_features(
                model,
                getattr(prepared, f"{split}_images")[rows],
                report=lambda n, done=done: bar.update(done + n),
            )
            labels[split] = np.asarray(getattr(prepared, f"{split}_labels"))[rows]
    directed = features["test"].any(axis=1)
    similarity = representation.class_similarity(
        features["test"][directed], labels["test"][directed]
    )
    probe = representation.linear_probe(
        features["train"], labels["train"], features["test"], labels["test"]
    )
    content = {
        "kind": representation.KIND,
        "fingerprint": info["fingerprint"],
        "recipe": spec,
        "n_train": len(index["train"]),
        "n_test": len(index["test"]),
        "n_undirected": int((~directed).sum()),
        "dim": features["test"].shape[1],
        **{name: estimate.value for name, estimate in similarity.items()},
        **{f"{name}_se": estimate.se for name, estimate in similarity.items()},
        **{f"probe_{name}": value for name, value in probe._asdict().items()},
        "identity": files.place_of(out) | {"dataset": spec["dataset"]},
        "inputs": made_of,
        "package_version": bat.__version__,
        "command": command,
    }
    files.write_json(out, files.signed(content))
    return content


def _typical(
    groups: Path, split: str, prepared: PreparedData, spec: dict
) -> tuple[np.ndarray, str]:
    """The typical samples of a split, and what stands for their group."""
    path = groups / f"{split}.parquet"
    table, _ = read_checked(path, "groups", prepared)
    index = np.flatnonzero(column(table, "typical"))
    if len(index) == 0:
        raise BatError(
            f"the typical {split} group of {spec['dataset']} is empty ({path}); change the "
            "thresholds in groups, or raise scores.trials"
        )
    return index, files.columns_digest(table.select(["typical"]))

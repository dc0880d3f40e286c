"""Trainings on the whole training set that are watched, for the scores of single trainings."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from bat import files
from bat.data import DeviceData, PreparedData, to_device
from bat.devices import Runtime
from bat.errors import ArtifactError, MisplacedError
from bat.progress import log, progress
from bat.reading import lies_there
from bat.scores.proxies import OF_HALVES, PASSES
from bat.training.dynamics import Dynamics
from bat.training.halves import forget_halves
from bat.training.loop import Training
from bat.training.plain import fresh_model, plain_training
from bat.validation import read_checked

WHOLE = 0
"""In place of a trial's number: the whole training set takes part."""


def record_course(
    out: Path,
    prepared: PreparedData,
    spec: dict,
    seed: int,
    *,
    device: Runtime,
    command: str,
) -> None:
    """Train one model and write what was seen of each sample after every epoch.

    A file that is there, of the same recipe and with all that is to be observed,
    stays as it is.

    Parameters
    ----------
    out : path
        ``.../proxies/{architecture}-seed{seed}.parquet``.
    prepared : PreparedData
    spec : dict
        The stage ``courses`` of `bat.plan.specifications.all_specifications`.
    seed : int
        Of the initial parameters, the order and the augmentation.
    device : Runtime
    command : str
        For the metadata.

    Raises
    ------
    DivergedError
        If a loss or a weight is not finite.
    """
    recipe, title = spec["recipe"], f"{out.parent.parent.name} {out.stem}"
    files.remove_leftovers(out.parent)
    if _is_there(out, prepared, spec, seed):
        log.info("%s: there already", title)
        out.touch()
        return
    data = to_device(prepared, device.device)
    watched = [name for name in spec["observe"] if name not in OF_HALVES]
    training = _training(prepared, data, recipe, watched, seed, device)
    rows, course = _watch(training, title)
    if "second_margin" in spec["observe"]:
        margins, seconds = forget_halves(prepared, data, recipe, seed, device, title)
        course |= {"second_margin": margins}
        rows |= {"second_split_seconds": seconds}
    rows |= {name: [_bytes(values) for values in course[name]] for name in spec["observe"]}
    right = float((course["margin"][-1] > 0).mean()) if "margin" in course else None
    files.write_table(
        out,
        "courses",
        rows,
        fingerprint=prepared.fingerprint,
        recipe=recipe,
        command=command,
        identity={"dataset": spec["dataset"], "architecture": recipe["architecture"], "seed": seed},
        device=device.label(training.precision),
        **({} if right is None else {"accuracies": {"included": right}}),
    )


def _watch(training: Training, title: str) -> tuple[dict[str, list], dict[str, np.ndarray]]:
    """Train to the end; columns of epochs and of what they took, and what was seen."""
    (recorder,) = training.recorders
    epochs, seconds = training.recipe.epochs, []
    steps = epochs * training.steps_per_epoch
    with progress(title, epochs) as bar:

        def say() -> bool:
            done = training.epoch * training.steps_per_epoch + training.step
            bar.update(epochs * done / steps, f"epoch {training.epoch + 1} of {epochs}")
            return False

        for _ in range(epochs):
            start = time.monotonic()
            statistics = training.run_epoch(say)
            passed = time.monotonic() - start
            seconds.append(passed - sum(recorder.seconds[-1].values()))
            bar.advance(f"loss {statistics['loss']:.3f}")
    rows = {"epoch": np.arange(1, epochs + 1), "seconds": seconds}
    rows |= {f"{n}_seconds": [look[n] for look in recorder.seconds] for n in PASSES}
    return rows, recorder.course()


def _training(
    prepared: PreparedData,
    data: DeviceData,
    recipe: dict,
    observe: Collection[str],
    seed: int,
    device: Runtime,
) -> Training:
    n = len(data.train_labels)
    return plain_training(
        fresh_model(prepared, recipe, device, seed=seed, trial=WHOLE, stream="course"),
        data,
        torch.arange(n, device=device.device),
        recipe,
        device,
        seed=seed,
        trial=WHOLE,
        recorders=[Dynamics(n, observe=observe, seed=seed)],
    )


def _bytes(values: np.ndarray) -> bytes | None:
    """A sample each in float32; nothing of an epoch in which it was not observed."""
    return None if np.isnan(values).all() else values.astype(np.float32).tobytes()


def _is_there(path: Path, prepared: PreparedData, spec: dict, seed: int) -> bool:
    if not lies_there(path):
        return False
    try:
        table, about = read_checked(path, "courses", prepared)
    except MisplacedError:
        raise
    except ArtifactError as error:
        log.warning("not used, it is trained again: %s", error)
        return False
    observed = {name for name in spec["observe"] if table.column(name).null_count < table.num_rows}
    same = about["recipe"] == spec["recipe"] and about["identity"]["seed"] == seed
    return same and observed == set(spec["observe"])

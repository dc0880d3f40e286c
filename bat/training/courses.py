"""Trainings on the whole training set that are watched, for the scores of single trainings."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from bat import config, files
from bat.data import DeviceData, PreparedData, to_device
from bat.devices import Runtime
from bat.errors import ArtifactError, MisplacedError
from bat.models import build_for
from bat.objectives import ERM
from bat.progress import log, progress
from bat.scores.proxies import PASSES
from bat.streams import torch_seed
from bat.training.dynamics import Dynamics
from bat.training.loop import Training
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
    training = _training(prepared, data, recipe, spec["observe"], seed, device)
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
    course = recorder.course()
    rows = {"epoch": np.arange(1, epochs + 1), "seconds": seconds}
    rows |= {f"{n}_seconds": [look[n] for look in recorder.seconds] for n in PASSES}
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


def _training(
    prepared: PreparedData,
    data: DeviceData,
    recipe: dict,
    observe: Collection[str],
    seed: int,
    device: Runtime,
) -> Training:
    model = build_for(
        recipe["architecture"],
        prepared.info,
        network=recipe.get("network"),
        seed=torch_seed(seed, WHOLE, "course"),
    )
    model = device.place(model)
    n = len(data.train_labels)
    return Training(
        model,
        ERM(),
        data,
        torch.arange(n, device=device.device),
        config.SubsetTraining.model_validate(recipe["training"]),
        seed=seed,
        trial=WHOLE,
        device=device,
        forward=torch.compile(model) if device.compile else model,
        recorders=[Dynamics(n, observe=observe, seed=seed)],
    )


def _bytes(values: np.ndarray) -> bytes | None:
    """A sample each in float32; nothing of an epoch in which it was not observed."""
    return None if np.isnan(values).all() else values.astype(np.float32).tobytes()


def _is_there(path: Path, prepared: PreparedData, spec: dict, seed: int) -> bool:
    if not path.exists():
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

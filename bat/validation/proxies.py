"""Rules of what was seen in single trainings, and of the scores made of it."""

from __future__ import annotations

import numpy as np

from bat.data import PreparedData
from bat.errors import REMAKE, ArtifactError
from bat.scores.proxies import KEPT, PASSES, PROXIES
from bat.validation.rows import Rows


def check_courses(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Epochs from 1 up, times, and of each observation a finite number for every sample."""
    rows.every(rows["epoch"] == np.arange(1, rows.table.num_rows + 1), "epoch counts from 1 up")
    of_halves = ["second_split_seconds"] if rows.known("second_split_seconds") else []
    for name in ("seconds", *(f"{one}_seconds" for one in PASSES), *of_halves):
        rows.every((rows[name] >= 0) & np.isfinite(rows[name]), f"{name} are 0 or more")
    if prepared is None:
        return
    n = prepared.info["n_train"]
    for name in KEPT:
        for epoch, content in enumerate(rows.table.column(name).to_pylist(), 1):
            if content is None:
                continue
            if len(content) != 4 * n:
                raise ArtifactError(
                    f"{rows.path}: {name} of epoch {epoch} has {len(content)} bytes, expected "
                    f"{4 * n}: a number of 4 bytes for each training sample; {REMAKE}"
                )
            if not np.isfinite(np.frombuffer(content, np.float32)).all():
                raise ArtifactError(
                    f"{rows.path}: {name} of epoch {epoch} holds values that are not finite; "
                    f"{REMAKE}"
                )


def check_proxies(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """A number for every sample and score, standard errors of 0 or more."""
    rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
    _finite(rows)
    for name in PROXIES:
        if rows.known(f"{name}_se"):
            se = rows[f"{name}_se"]
            rows.every((se >= 0) & np.isfinite(se), f"{name}_se is 0 or more")


def check_by_seed(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """All samples of one seed after those of the other."""
    seeds = metadata["recipe"].get("seeds", [])
    n = rows.table.num_rows // max(len(seeds), 1)
    rows.every(rows["seed"] == np.repeat(seeds, n), f"seed is one after the other of {seeds}")
    rows.every(rows["index"] == np.tile(np.arange(n), len(seeds)), "index counts from 0 up")
    _finite(rows)


def _finite(rows: Rows) -> None:
    for name in PROXIES:
        if rows.known(name):
            rows.every(np.isfinite(rows[name]), f"{name} is a finite number")

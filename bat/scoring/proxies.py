"""Scores of single trainings, from what was seen in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from bat import files
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.files.digests import combined
from bat.scores.proxies import (
    KEPT,
    OF_HALVES,
    PROXIES,
    Course,
    early_epoch,
    passes_of,
    proxy_scores,
)
from bat.validation import read_checked


def write_proxies(
    courses: Sequence[Path], prepared: PreparedData, spec: dict, out: Path, *, command: str
) -> None:
    """Write ``scores/proxies.parquet`` and ``proxies/by_seed.parquet``.

    Parameters
    ----------
    courses : sequence of path
        One for each seed, from `bat.training.courses.record_course`.
    prepared : PreparedData
    spec : dict
        The stage ``proxies`` of `bat.plan.specifications.all_specifications`.
    out : path
        The results folder of the data set.
    command : str
        For the metadata.

    Raises
    ------
    ArtifactError
        If a course is damaged, of another recipe, seed or data set, or lacks what a
        score is made of.
    """
    tables, seeds = {}, spec["seeds"]
    for path in map(Path, courses):
        table, about = read_checked(path, "courses", prepared)
        if about["recipe"] != spec["recipe"]:
            raise ArtifactError(
                f"{path}: trained with another recipe than the configured one; run the workflow, "
                "which trains it again"
            )
        # without what was added later, so that courses of before keep their digest
        later = (*OF_HALVES, "second_split_seconds")
        absent = [name for name in later if table.column(name).null_count == len(table)]
        tables[about["identity"]["seed"]] = table.drop_columns(absent)
    if sorted(tables) != sorted(seeds) or len(courses) != len(seeds):
        raise ArtifactError(
            f"the courses are of the seeds {sorted(tables)}, expected one of each of {seeds}"
        )
    n, names, labels = prepared.info["n_train"], spec["names"], np.asarray(prepared.train_labels)
    found = [proxy_scores(course_of(tables[seed], n), names) for seed in seeds]
    by_seed = {name: np.stack([scores[name] for scores in found]) for name in names}
    about = {
        "fingerprint": prepared.fingerprint,
        "dataset": spec["dataset"],
        "recipe": spec["recipe"] | {"seeds": list(seeds)},
        "identity": {"dataset": spec["dataset"]},
        "inputs": {
            "courses": combined({str(s): files.columns_digest(tables[s]) for s in seeds}),
        },
        "cost": {name: _cost(name, list(tables.values())) for name in names},
        "command": command,
    }
    columns = {"index": np.arange(n), "label": labels}
    for name, values in by_seed.items():
        columns[name] = values.mean(axis=0)
        if len(seeds) > 1:
            columns[f"{name}_se"] = values.std(axis=0, ddof=1) / np.sqrt(len(seeds))
    columns_by_seed = {"seed": np.repeat(seeds, n), "index": np.tile(np.arange(n), len(seeds))}
    columns_by_seed |= {name: values.ravel() for name, values in by_seed.items()}
    place = out / "proxies" / "by_seed.parquet"
    files.write_table(place, "proxies_by_seed", columns_by_seed, **about)
    files.write_table(out / "scores" / "proxies.parquet", "proxies", columns, **about)


def course_of(table: pa.Table, n: int) -> Course:
    """What a file of the kind ``courses`` holds, float32 of shape (n_epochs, n) by observation."""
    course = {}
    for name in (name for name in KEPT if name in table.column_names):
        rows = table.column(name).to_pylist()
        if any(row is not None for row in rows):
            unseen = np.full(n, np.nan, np.float32)
            course[name] = np.stack(
                [unseen if row is None else np.frombuffer(row, np.float32) for row in rows]
            )
    return course


def _cost(name: str, tables: Sequence[pa.Table]) -> float:
    """What a score of one seed takes, in trainings: the epochs that it needs, and its passes, or
    trainings of its own.

    What else was observed in the same trainings is not counted.
    """
    proxy, shares = PROXIES[name], []
    for table in tables:
        seconds = files.column(table, "seconds")
        if proxy.needs in OF_HALVES:
            shares.append(files.column(table, "second_split_seconds").sum() / seconds.sum())
            continue
        looks = sum(files.column(table, f"{one}_seconds") for one in passes_of(proxy.needs))
        epochs = early_epoch(len(seconds)) + 1 if proxy.early else len(seconds)
        looked = looks[epochs - 1] if proxy.early else looks.sum()
        shares.append((seconds[:epochs].sum() + looked) / seconds.sum())
    return float(np.mean(shares))

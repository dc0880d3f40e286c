"""Rules of ``influence.parquet``, and of ``test.parquet``."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa

from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.scores.significance import LEVEL
from bat.statistics import above
from bat.validation.rows import ROUNDING, Rows


def check_influence(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Pairs in order, each once, above ``keep_above``; numbers of chance that fit the rows."""
    train, test, influence = (rows[n] for n in ("train_index", "test_index", "influence"))
    rows.every((train >= 0) & (test >= 0), "train_index and test_index are 0 or more")
    key = (train.astype(np.int64) << 32) + test
    rows.every(
        np.append(True, np.diff(key) > 0)[: len(key)],
        "pairs are sorted by train_index, then test_index, each pair once",
    )
    keep_above = metadata.get("influence", {}).get("keep_above")
    if keep_above is None:
        raise ArtifactError(f"{rows.path}: the metadata do not say above what pairs are kept")
    kept = influence > np.float32(keep_above)
    if rows.known("q_margin"):
        rows.within("q_margin", 0, 1)
        kept |= rows["q_margin"] <= np.float32(LEVEL)
        for name in ("influence_margin", "influence_margin_se"):
            rows.every(np.isfinite(rows[name]), f"{name} is a number")
        rows.every(rows["influence_margin_se"] >= 0, "influence_margin_se is 0 or more")
    rule = f"influence is above keep_above, {keep_above:g}, or the pair stands by its margins"
    rows.every(kept, rule)
    rows.within("influence", -1, 1)
    if rows.known("influence_se"):
        se = rows["influence_se"]
        rows.every((se > 0) & (se <= 1), "influence_se is above 0, and at most 1")
    if rows.known("q"):
        rows.within("q", 0, 1)
    _check_chance(rows, metadata)
    if prepared is not None:
        labels = np.asarray(prepared.train_labels), np.asarray(prepared.test_labels)
        check_pairs(rows, metadata, *labels)


def _check_chance(rows: Rows, metadata: dict) -> None:
    """What the metadata say of chance: ascending thresholds, and counts of these rows."""
    chance = metadata.get("chance", {})
    if not chance:
        return
    columns = [chance.get(name) for name in ("thresholds", "observed", "expected")]
    numbers = [x for values in columns if isinstance(values, list) for x in values]
    numbers += [chance.get(name) for name in ("candidates", "level", "standing")]
    numbers.append(chance.get("standing_margin", 0))
    known = len({len(values) if isinstance(values, list) else -1 for values in columns}) == 1
    if not known or not all(isinstance(x, int | float) and 0 <= x < math.inf for x in numbers):
        raise ArtifactError(
            f"{rows.path}: chance is {chance!r}; expected numbers of candidates, level and "
            "standing, and equally many of thresholds, observed and expected"
        )
    influence = rows["influence"]
    for threshold, observed, _ in zip(*columns, strict=True):
        found = np.count_nonzero(above(influence, threshold))
        if found != observed:
            raise ArtifactError(
                f"{rows.path}: the metadata state {observed} pairs above {threshold:g}, and the "
                f"rows give {found}"
            )


def check_pairs(rows: Rows, metadata: dict, train_labels, test_labels) -> None:
    """Pairs of samples that the data set has, of one class where only such were estimated."""
    train, test = rows["train_index"], rows["test_index"]
    rows.every(train < len(train_labels), f"train_index is below {len(train_labels)}")
    rows.every(test < len(test_labels), f"test_index is below {len(test_labels)}")
    if metadata["influence"].get("pairs") == "same_class":
        rows.every(
            train_labels[train] == test_labels[test], "the samples of a pair share their class"
        )


def check_test(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Accuracies that are shares of the trials, and the largest influence on each test sample."""
    rows.index_and_label(None if prepared is None else np.asarray(prepared.test_labels))
    if rows.known("accuracy"):
        rows.within("accuracy", 0, 1)
        trials = metadata["recipe"].get("trials")
        if trials and "matched" not in metadata:
            right = rows["accuracy"] * trials
            rows.every(np.abs(right - np.rint(right)) < 1e-6, "accuracy is a share of the trials")
        stated = metadata.get("accuracies", {}).get("test")
        mean = rows["accuracy"].mean()
        if stated is not None and "matched" not in metadata and abs(stated - mean) > ROUNDING:
            raise ArtifactError(
                f"{rows.path}: the metadata state a mean accuracy test of {stated}, and the rows "
                f"give {mean}"
            )
    best, index = rows["max_influence"], rows["max_influence_train_index"]
    none = np.isnan(best)
    rows.every(none | (np.abs(best) <= 1), "max_influence lies in [-1, 1]")
    rows.every((index == -1) == none, "max_influence_train_index is -1 where there is none")
    rows.every(index >= -1, "max_influence_train_index is 0 or more, or -1")


def check_maxima(folder: Path, pairs: Rows, keep_above: float, n_train: int, test: pa.Table):
    """``max_influence`` is the largest kept pair's where one is kept, and not above otherwise."""
    rows = Rows(folder / "test.parquet", test)
    best, index = rows["max_influence"], rows["max_influence_train_index"]
    largest = np.full(test.num_rows, -np.inf)
    above_it = pairs["influence"] > np.float32(keep_above)  # others stand by their margins
    np.maximum.at(largest, pairs["test_index"][above_it], pairs["influence"][above_it])
    kept = np.isfinite(largest)
    rows.every(~kept | (best == largest), "max_influence is that of the test sample's kept pairs")
    rows.every(
        kept | np.isnan(best) | (best <= np.float32(keep_above)),
        f"max_influence is at most keep_above, {keep_above:g}, where no pair is kept",
    )
    rows.every(index < n_train, f"max_influence_train_index is below {n_train}")
    at_best = pairs["influence"] == largest[pairs["test_index"]]
    lowest = np.full(test.num_rows, n_train)
    np.minimum.at(lowest, pairs["test_index"][at_best], pairs["train_index"][at_best])
    rows.every(
        ~kept | (index == lowest), "max_influence_train_index is the lowest sample that has it"
    )

"""Rules of a shard of trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bat import files
from bat.data import PreparedData
from bat.errors import REMAKE, ArtifactError, MisplacedError
from bat.files.bits import unpack
from bat.scores.subsets import subset
from bat.validation.rows import ROUNDING, Rows


def check_trials(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Trials in order, each on the subset of its number, with accuracies that its bits give."""
    trial, recipe = rows["trial"], metadata["recipe"]
    rows.every(trial >= 0, "trial is 0 or more")
    said = files.place_of(rows.path)
    if "first" in said and {*trial.tolist()} != {*range(said["first"], said["last"] + 1)}:
        raise MisplacedError(
            f"{rows.path}: holds the trials {_some(trial)}, and its name says {said['first']} to "
            f"{said['last']}: a file was put in another's place. Put the right one back, or remove "
            "it and run the command again that made it"
        )
    rows.every(
        np.append(True, np.diff(trial) > 0)[: len(trial)], "trials are sorted, each number once"
    )
    rows.every(rows["seed"] == recipe["seed"], f"seed is the recipe's, {recipe['seed']}")
    for name in ("included_accuracy", "excluded_accuracy", "test_accuracy"):
        rows.within(name, 0, 1)
    rows.every((rows["seconds"] >= 0) & np.isfinite(rows["seconds"]), "seconds are 0 or more")
    for name in ("included", "train_correct", "test_correct", "device"):
        _ = rows[name]  # no nulls
    if prepared is None:
        return
    n, n_test, path = prepared.info["n_train"], prepared.info["n_test"], rows.path
    if "probabilities" in rows.table.column_names:
        size = 2 * n * len(prepared.info["class_names"])  # float16
        found = set(pc.unique(pc.binary_length(rows.table["probabilities"])).to_pylist())
        if strange := found - {size, None}:
            raise ArtifactError(
                f"{path}: class probabilities of {min(strange)} bytes, expected {size}: one number "
                "of 2 bytes for each training sample and class"
            )
    read = [name for name in rows.table.column_names if name != "probabilities"]
    for row in rows.table.select(read).to_pylist():
        number = row["trial"]
        try:
            included, train, test = (
                unpack(row["included"], n),
                unpack(row["train_correct"], n),
                unpack(row["test_correct"], n_test),
            )
        except ValueError as error:
            raise ArtifactError(f"{path}: trial {number}: {error}") from None
        if (included != subset(recipe["seed"], number, n, recipe["subset_ratio"])).any():
            raise ArtifactError(
                f"{path}: trial {number} was not trained on the subset of its seed and number"
            )
        _check_margins(path, row, {"train": train, "test": test})
        for name, mask in (
            ("included", train[included]),
            ("excluded", train[~included]),
            ("test", test),
        ):
            if abs(row[f"{name}_accuracy"] - mask.mean()) > ROUNDING:
                raise ArtifactError(
                    f"{path}: trial {number} states {name}_accuracy {row[f'{name}_accuracy']}, and "
                    f"its predictions give {mask.mean()}"
                )


def holding(row: pa.Table) -> tuple[bool, bool]:
    """Whether a trial's row has class probabilities, and margins: the larger holds more."""
    return row["probabilities"][0].is_valid, row["train_margin"][0].is_valid


def _check_margins(path: Path, row: dict, correct: dict[str, np.ndarray]) -> None:
    """Margins of both splits or of none: finite, and of the sign that the bits say."""
    kept = {split: row.get(f"{split}_margin") for split in correct}
    if all(content is None for content in kept.values()):
        return
    where = f"{path}: trial {row['trial']}"
    for split, right in correct.items():
        size = 2 * len(right)  # float16
        if kept[split] is None or len(kept[split]) != size:
            found = "no" if kept[split] is None else len(kept[split])
            raise ArtifactError(
                f"{where}: {split}_margin has {found} bytes, expected {size}: a number of 2 bytes "
                f"for each {split} sample, of both splits or of neither; {REMAKE}"
            )
        margin = np.frombuffer(kept[split], np.float16)
        wrong = ~np.isfinite(margin) | np.where(right, margin < 0, margin > 0)
        if wrong.any():
            at = int(wrong.argmax())
            raise ArtifactError(
                f"{where}: the {split}_margin of {wrong.sum()} samples is not finite, or not of "
                f"the sign that {split}_correct says (sample {at}: {margin[at]:g}, "
                f"{'right' if right[at] else 'wrong'}); {REMAKE}"
            )


def _some(trial: np.ndarray) -> str:
    return f"{trial.min()} to {trial.max()} ({len(trial)})" if len(trial) else "of no number"

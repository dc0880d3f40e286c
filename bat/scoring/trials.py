"""Trial shards of one architecture, read and checked as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from bat.data import PreparedData
from bat.errors import ArtifactError, DamagedError
from bat.files.bits import unpack
from bat.progress import log
from bat.validation import read_checked

MARGINS = ["train_margin", "test_margin"]


@dataclass(frozen=True)
class ShardTrials:
    """What all trials of one architecture say, one row per trial, by trial number.

    Attributes
    ----------
    included, train_correct : ndarray of bool, shape (n_trials, n_train)
    test_correct : ndarray of bool, shape (n_trials, n_test)
    accuracies : dict of str to float
        Means over trials: ``included``, ``excluded``, ``test``.
    recipe : dict
        What the trials share, with the number of ``trials``.
    probabilities : ndarray of float16, shape (n_members, n_train, n_classes), or None
    train_margin, test_margin : ndarray of float16, shapes (n_trials, n_train), (n_trials, n_test)
        None where they were not asked for, or some trial has none.
    """

    included: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray
    accuracies: dict[str, float]
    recipe: dict
    probabilities: np.ndarray | None = None
    train_margin: np.ndarray | None = None
    test_margin: np.ndarray | None = None

    @classmethod
    def of(cls, included, train_correct, test_correct, *, recipe: dict, **margins) -> ShardTrials:
        """Trials from arrays, with the mean accuracies that they give."""
        shares = {
            "included": (train_correct & included).sum(axis=1) / included.sum(axis=1),
            "excluded": (train_correct & ~included).sum(axis=1) / (~included).sum(axis=1),
            "test": test_correct.mean(axis=1),
        }
        accuracies = {name: float(np.mean(values)) for name, values in shares.items()}
        recipe = recipe | {"trials": len(included)}
        return cls(included, train_correct, test_correct, accuracies, recipe, **margins)

    def digest(self) -> str:
        """What stands for the trials in the ``inputs`` of what is made of them."""
        digest = hashlib.sha256()
        for mask in (self.included, self.train_correct, self.test_correct):
            digest.update(f"{mask.shape}\n".encode())
            digest.update(np.packbits(mask))
        return digest.hexdigest()


def read_trials(
    shards: Sequence[Path],
    prepared: PreparedData,
    n_trials: int | Literal["auto"],
    *,
    recipe: dict,
    members: int = 0,
    probabilities: np.ndarray | None = None,
    margins: bool = False,
) -> ShardTrials:
    """Read the shards of one architecture.

    A damaged shard is set aside under the name ``*.damaged``, so that the next
    run of the workflow trains its trials again.

    Parameters
    ----------
    shards : sequence of path
    prepared : PreparedData
    n_trials : int or 'auto'
        Trials 0 to ``n_trials - 1`` are wanted, each exactly once; 'auto' wants all that the
        shards hold, from 0 without a gap.
    recipe : dict
        The recipe that every shard must have.
    members : int
        Read the class probabilities of the first so many trials, and only these
        trials.
    probabilities : ndarray of float16, shape (members, n_train, n_classes), optional
        Gets these, one trial at a time, so that several ensembles share an array.
    margins : bool
        Read the margins too, where all of the trials have them.

    Raises
    ------
    ArtifactError
        If a shard is damaged, missing, of another recipe or data set, or if
        trials are missing or double.
    """
    n_train, n_test = prepared.info["n_train"], prepared.info["n_test"]
    if members and probabilities is None:
        shape = (members, n_train, len(prepared.info["class_names"]))
        probabilities = np.empty(shape, np.float16)
    rows: dict[int, dict] = {}
    for path in shards:
        without = [] if members else ["probabilities"]
        without += [] if margins else MARGINS
        for row in _read_shard(Path(path), prepared, recipe, without):
            trial = row["trial"]
            if trial in rows:
                raise ArtifactError(f"{path}: trial {trial} is also in another shard")
            content = row.pop("probabilities", None)
            if trial < members:
                _place(content, probabilities, trial, recipe, members)
                _check_probabilities(path, prepared, row, probabilities[trial])
            rows[trial] = row
    wanted = range(members or (len(rows) if n_trials == "auto" else n_trials))
    missing = [trial for trial in wanted if trial not in rows]
    if missing:
        raise ArtifactError(
            f"trials {missing[:5]}{'...' if len(missing) > 5 else ''} are in none of the "
            f"{len(shards)} shards; {len(wanted)} trials are needed"
        )
    chosen = [rows[trial] for trial in wanted]
    return ShardTrials(
        included=np.stack([unpack(row["included"], n_train) for row in chosen]),
        train_correct=np.stack([unpack(row["train_correct"], n_train) for row in chosen]),
        test_correct=np.stack([unpack(row["test_correct"], n_test) for row in chosen]),
        accuracies={
            name: float(np.mean([row[f"{name}_accuracy"] for row in chosen]))
            for name in ("included", "excluded", "test")
        },
        recipe=recipe | {"trials": len(chosen)},
        probabilities=probabilities,
        **(_margins(chosen) if margins else {}),
    )


def _margins(rows: list[dict]) -> dict[str, np.ndarray]:
    """Margins by split, where every trial has them."""
    lacking = sum(row["test_margin"] is None for row in rows)
    if lacking:
        if lacking < len(rows):
            log.warning(
                "%d of %d trials have no margins, so those of the others are not used",
                *(lacking, len(rows)),
            )
        return {}
    return {
        name: np.stack([np.frombuffer(row.pop(name), np.float16) for row in rows])
        for name in MARGINS
    }


def _place(
    content: pa.Scalar, probabilities: np.ndarray, trial: int, recipe: dict, members: int
) -> None:
    """Copy one trial's class probabilities from its row's buffer to their place."""
    if not content.is_valid:
        raise ArtifactError(
            f"the shards of {recipe['architecture']} hold no class probabilities for some of "
            f"the first {members} trials; run the workflow, which trains these again"
        )
    place = probabilities[trial]
    place[...] = np.frombuffer(content.as_buffer(), np.float16).reshape(place.shape)


def _check_probabilities(
    path: Path, prepared: PreparedData, row: dict, probabilities: np.ndarray
) -> None:
    """Refuse class probabilities that are not those of the trial's own predictions."""
    correct = unpack(row["train_correct"], prepared.info["n_train"])
    top = probabilities.max(axis=1)
    alone = (probabilities == top[:, None]).sum(axis=1) == 1  # float16 makes ties of float32
    right = probabilities.argmax(axis=1) == np.asarray(prepared.train_labels)
    if not np.isfinite(top).all() or (alone & (right != correct)).any():
        raise ArtifactError(
            f"{path}: the class probabilities of trial {row['trial']} are not finite, or another "
            "trial's; remove the shard and run the workflow, which trains its trials again"
        )


def _read_shard(
    path: Path, prepared: PreparedData, recipe: dict, without: Sequence[str]
) -> Iterator[dict]:
    """The rows of a shard, their class probabilities where they lie in memory."""
    try:
        table, metadata = read_checked(path, "trials", prepared, without=without)
    except DamagedError as error:
        aside = path.with_name(path.name + ".damaged")
        path.replace(aside)
        raise ArtifactError(
            f"{path}: damaged, and set aside as {aside.name}. Run the same command once more: "
            "its trials are trained again"
        ) from error
    if metadata["recipe"] != recipe:
        raise ArtifactError(
            f"{path}: trained with another recipe than the configured one; run the workflow, "
            "which trains its trials again"
        )
    contents = None if "probabilities" in without else table["probabilities"]
    if contents is not None:
        table = table.drop_columns("probabilities")
    for at, row in enumerate(table.to_pylist()):
        yield row if contents is None else row | {"probabilities": contents[at]}

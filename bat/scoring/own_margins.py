"""Margins of trials of one's own: rows of NaN stand for trials that have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from bat.errors import ArtifactError
from bat.scores import InfluenceScores, MemorizationScores, estimates
from bat.scores.margin_influence import LEAST_TRIALS, MarginPairs
from bat.scores.margins import memorization_from_margins
from bat.scores.standing import standing_pairs


def stacked(rows: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Margins of trials, one row each, or None where no trial has any.

    Parameters
    ----------
    rows : sequence of ndarray of float16, shape (n,), or None

    Returns
    -------
    ndarray of float16, shape (n_trials, n), or None
    """
    known = [row for row in rows if row is not None]
    if not known:
        return None
    none = np.full(len(known[0]), np.nan, np.float16)
    return np.stack([none if row is None else row for row in rows])


def unstacked(margins: np.ndarray | None, n_trials: int) -> list[np.ndarray | None]:
    """The rows that `stacked` joins."""
    if margins is None:
        return [None] * n_trials
    return [None if np.isnan(row[0]) else row for row in margins]


def joined(
    rows: Sequence[np.ndarray | None], again: np.ndarray, number: np.ndarray, name: str
) -> np.ndarray | None:
    """Margins of trials that may be there twice: those that some row has.

    Parameters
    ----------
    rows : sequence of ndarray of float16, shape (n,), or None
    again : ndarray of int, shape (n_rows,)
        Which of ``number`` each row is of.
    number : ndarray of int, shape (n_trials,)
    name : str
        For the message.

    Raises
    ------
    ArtifactError
        If a trial comes with two contents.
    """
    found: list[np.ndarray | None] = [None] * len(number)
    for row, at in zip(rows, again.tolist(), strict=True):
        if row is None:
            continue
        if found[at] is not None and not np.array_equal(found[at], row):
            raise ArtifactError(
                f"trial {number[at]} is there twice, with another {name}; leave one of the two out"
            )
        found[at] = row
    return stacked(found)


def as_bytes(rows: Sequence[np.ndarray | None]) -> list[bytes | None]:
    """Rows as tables of trials hold them."""
    return [None if row is None else row.tobytes() for row in rows]


def from_bytes(rows: Sequence[bytes | None]) -> np.ndarray | None:
    """Margins of trials from what `as_bytes` gives."""
    return stacked([None if row is None else np.frombuffer(row, np.float16) for row in rows])


def memorization_of(included, correct, margins: np.ndarray | None) -> MemorizationScores:
    """`bat.memorization`, with what margins say where all trials have them."""
    scores = estimates.memorization(included, correct)
    if not _all_known(margins):
        return scores
    found = memorization_from_margins(included, margins)
    names = ("memorization_margin", "memorization_margin_se")
    return replace(scores, **{name: getattr(found, name) for name in names})


def influence_of(
    included, test_correct, test_margins, train_labels, test_labels, **asked
) -> InfluenceScores:
    """`bat.influence`, with what margins say, and the pairs that stand by them."""
    labels = estimates.labels_of_both(train_labels, test_labels)
    if not _all_known(test_margins) or len(included) < LEAST_TRIALS:
        return estimates.influence(included, test_correct, *labels, **asked)
    both = standing_pairs(included, test_correct, test_margins, *labels, **asked)
    names = {f.name for f in fields(MarginPairs)} & {f.name for f in fields(InfluenceScores)}
    columns = {name: getattr(both.margins, name) for name in names}
    columns |= {name: getattr(both, name) for name in ("influence", "influence_se", "q")}
    return replace(both.bits, **columns)


def _all_known(margins: np.ndarray | None) -> bool:
    return margins is not None and not np.isnan(margins[:, 0]).any()

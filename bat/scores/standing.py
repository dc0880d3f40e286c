"""Pairs that stand by bits or by margins, with what both say of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bat.scores._influence import InfluenceScores, influence
from bat.scores.counts import column_sums
from bat.scores.margin_influence import MarginPairs, influence_from_margins
from bat.scores.significance import N_BINS, STEP, p_values
from bat.statistics import score_from_counts, score_standard_error

_CELLS = 2**26  # truth values looked at in one go


@dataclass(frozen=True)
class BothPairs:
    """Pairs kept by their influence, and pairs whose influence shows in the margins.

    ``influence``, ``influence_se`` and ``q`` are as in `InfluenceScores`, of the same
    pairs as in ``margins``, a `MarginPairs`; of pairs that stand by margins alone the
    influence is not above ``keep_above``. ``bits`` are those kept by influence.
    """

    influence: np.ndarray
    influence_se: np.ndarray
    q: np.ndarray
    margins: MarginPairs
    bits: InfluenceScores


def standing_pairs(
    included: np.ndarray,
    test_correct: np.ndarray,
    test_margins: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    pairs: str = "same_class",
    keep_above: float = 0.02,
) -> BothPairs:
    """Find the pairs of `influence`, and those that stand by `influence_from_margins`.

    Parameters
    ----------
    included, test_correct : ndarray of bool
        As for `influence`.
    test_margins : ndarray of float, shape (n_trials, n_test)
        As for `influence_from_margins`.
    train_labels, test_labels : ndarray of int
    pairs, keep_above
        As for `influence`.

    Returns
    -------
    BothPairs
    """
    bits = influence(
        included, test_correct, train_labels, test_labels, pairs=pairs, keep_above=keep_above
    )
    found = influence_from_margins(
        included,
        test_margins,
        train_labels,
        test_labels,
        pairs=pairs,
        keep=(bits.train_index, bits.test_index),
    )
    kept = np.isin(
        _key(found.train_index, found.test_index), _key(bits.train_index, bits.test_index)
    )
    columns = [np.empty(len(kept), np.float32) for _ in range(3)]
    more = _of_pairs(
        included, test_correct, found.train_index[~kept], found.test_index[~kept], bits.q_of_bin
    )
    for into, of_kept, of_more in zip(
        columns, (bits.influence, bits.influence_se, bits.q), more, strict=True
    ):
        into[kept], into[~kept] = of_kept, of_more
    return BothPairs(*columns, found, bits)


def _of_pairs(included, test_correct, train, test, q_of_bin):
    """Influence, standard error and q of single pairs."""
    n, n_included, total = len(included), column_sums(included), column_sums(test_correct)
    right = np.empty(train.size, np.int32)
    step = max(1, _CELLS // n)
    for start in range(0, train.size, step):
        part = slice(start, start + step)
        right[part] = column_sums(included[:, train[part]] & test_correct[:, test[part]])
    n_in, total = n_included[train], total[test]
    counts = (right, total, n_in, n - n_in, np.float32)
    bins = np.minimum(-np.log(p_values(right, total, n_in, n)) / STEP, N_BINS - 1).astype(int)
    return score_from_counts(*counts), score_standard_error(*counts), q_of_bin[bins]


def _key(train, test):
    return (train.astype(np.int64) << 32) + test

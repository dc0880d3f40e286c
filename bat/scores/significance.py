"""What chance alone gives: p-values of scores, and how many pass a threshold without any effect.

Let ``total`` of all trials predict a label rightly, and a training sample be in
``n_included`` of the ``n_trials`` subsets. If the sample has no part in it, the number
``A`` of right predictions among the trials with the sample is hypergeometric,
whatever the models are: Fisher's exact test. All p-values are one-sided, the
chance of ``A`` or more.

The tests are of many pairs at once, so what counts is the share of false ones
among those that are called real: Benjamini and Hochberg (1995), Journal of the
Royal Statistical Society B 57, 289-300. Within one test sample, the p-values of
all its candidates are joined by Simes (1986), Biometrika 73, 751-754.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from bat.errors import BatError
from bat.statistics import above, score_from_counts, score_standard_error

LEVEL = 0.1
"""False discovery rate at which a pair is said to stand."""

MOSTLY_CHANCE = 0.2
"""Share of a group expected by chance above which it is warned of."""

THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Influences above which observed and expected pairs are counted."""

MANY_TRIALS = 2**20
"""Trials above which exact tables are too long, and chance is normal or nothing."""

STEP = 1e-3  # p-values are rounded up to a power of exp(-STEP): by 0.1 % at most
N_BINS = 2**16  # so the least p-value is exp(-65.5), 3e-29
_REACH = 8.5  # standard deviations above the mean to which a tail is tabulated


def upper_tails(
    n_included: int, totals: np.ndarray, n_trials: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tabulate the chance of so many right predictions or more, without any effect.

    Parameters
    ----------
    n_included : int
        Trials with the training sample, of ``n_trials``.
    totals : ndarray of int, shape (n,)
        Right predictions in all trials.
    n_trials : int

    Returns
    -------
    low : ndarray of int64, shape (n,)
        The count of the first column, just below the mean.
    tails : ndarray of float64, shape (n, width)
        Chance of ``low + k`` or more in column k. Counts below ``low`` have a
        chance that is taken as 1, and those beyond the last column at most its.
    """
    totals = np.asarray(totals, np.int64)
    log_factorial = _log_factorials(n_trials)
    mean = n_included * totals / n_trials
    low, top = np.floor(mean).astype(np.int64), np.minimum(n_included, totals)
    spread = np.sqrt(mean * (1 - totals / n_trials) * (1 - n_included / n_trials))
    width = int(np.minimum(top - low, np.ceil(_REACH * spread + 8)).max(initial=0)) + 1
    counts = low[:, None] + np.arange(width)
    inside = counts <= top[:, None]
    counts = np.minimum(counts, top[:, None])
    margins = (
        log_factorial[n_included] + log_factorial[n_trials - n_included] - log_factorial[n_trials]
    )
    margins = margins + (log_factorial[totals] + log_factorial[n_trials - totals])[:, None]
    cells = log_factorial[counts] + log_factorial[n_included - counts]
    cells += log_factorial[totals[:, None] - counts]
    cells += log_factorial[n_trials - n_included - totals[:, None] + counts]
    chance = np.where(inside, np.exp(margins - cells), 0.0)
    # what lies beyond the table, at most: the ratio of neighbours falls
    last = counts[:, -1]
    ratio = (n_included - last) * (totals - last)
    ratio = ratio / ((last + 1) * (n_trials - n_included - totals + last + 1))
    chance[:, -1] /= 1 - np.minimum(ratio, 0.99)
    tails = np.minimum(np.cumsum(chance[:, ::-1], axis=1)[:, ::-1], 1.0)
    tails[:, 0] = 1.0
    return low, np.maximum(tails, tails[:, :1] * math.exp(-STEP * (N_BINS - 1)))


def _log_factorials(n: int) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def least_count(threshold, totals, n_included, n_trials) -> np.ndarray:
    """Return the least count of right predictions whose influence is above a threshold.

    Parameters
    ----------
    threshold : float
        Compared in float32, as influence is.
    totals : ndarray of int, shape (n,)
    n_included, n_trials : int

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    n_excluded = n_trials - n_included
    exact = (threshold + totals / n_excluded) * (n_included * n_excluded / n_trials)
    least = np.floor(exact).astype(np.int64) - 1  # at most 2 below what is sought
    for _ in range(3):
        found = score_from_counts(least, totals, n_included, n_excluded, np.float32)
        least += ~above(found, threshold)
    return least


def chance_above(
    n_included, totals, n_trials: int, threshold: float, significance: float | None = None
) -> np.ndarray:
    """Return the chance of an influence above a threshold where there is none.

    Parameters
    ----------
    n_included : ndarray of int, shape (n,)
        Trials with each training sample.
    totals : ndarray of int, shape (m,)
        Right predictions of each test sample in all trials.
    n_trials : int
    threshold : float
        0 or more.
    significance : float, optional
        The influence has also to exceed so many of its standard errors.

    Returns
    -------
    ndarray of float64, shape (n, m)
    """
    n_included, totals = np.asarray(n_included), np.asarray(totals)
    found = np.empty((n_included.size, totals.size))
    for row, count in enumerate(n_included.tolist()):
        low, tails = upper_tails(count, totals, n_trials)
        found[row] = tail_above(low, tails, count, totals, n_trials, threshold, significance)
    return found


def tail_above(
    low, tails, n_included, totals, n_trials, threshold, significance=None
) -> np.ndarray:
    """`chance_above` of one ``n_included``, from its `upper_tails`."""
    first = least_count(threshold, totals, n_included, n_trials) - low
    if significance is not None:
        counts = low[:, None] + np.arange(tails.shape[1])
        counts = np.minimum(counts, np.minimum(n_included, totals)[:, None])
        cells = counts, totals[:, None], n_included, n_trials - n_included
        passed = score_from_counts(*cells) > significance * score_standard_error(*cells)
        strong = np.where(passed.any(axis=1), passed.argmax(axis=1), tails.shape[1])
        first = np.maximum(first, strong)
    possible = (first < tails.shape[1]) & (low + first <= np.minimum(n_included, totals))
    at = np.clip(first, 0, tails.shape[1] - 1)
    return np.where(possible, tails[np.arange(totals.size), at], 0.0)


def p_values(right, totals, n_included, n_trials: int) -> np.ndarray:
    """Return Fisher's exact p-values of scores, one-sided.

    Parameters
    ----------
    right : ndarray of int, shape (n,)
        Right predictions among the trials with the training sample.
    totals : ndarray of int, shape (n,)
        Right predictions in all trials.
    n_included : ndarray of int, shape (n,)
        Trials with the training sample.
    n_trials : int

    Returns
    -------
    ndarray of float64, shape (n,)
        In (0, 1]; not below 3e-29, and 1 where the score is not above 0.

    Examples
    --------
    >>> p_values(np.array([3, 1]), np.array([3, 3]), np.array([5, 5]), 10)
    array([0.08333333, 1.        ])
    """
    right, totals, n_included = (
        np.asarray(values, np.int64) for values in (right, totals, n_included)
    )
    found = np.empty(right.size)
    order = np.argsort(n_included, kind="stable")
    edges = np.flatnonzero(np.diff(n_included[order], prepend=-1, append=-1))
    for start, stop in itertools.pairwise(edges):
        rows = order[start:stop]
        unique, column = np.unique(totals[rows], return_inverse=True)
        low, tails = upper_tails(int(n_included[rows[0]]), unique, n_trials)
        found[rows] = tails[column, np.clip(right[rows] - low[column], 0, tails.shape[1] - 1)]
    return found


class Candidates:
    """Counts the p-values of all candidate pairs, and what chance gives above thresholds.

    Parameters
    ----------
    n_trials : int
    totals : ndarray of int, shape (n_test,)
        Right predictions of each test sample in all trials.
    thresholds : sequence of float
        Each 0 or more.
    """

    def __init__(self, n_trials: int, totals: np.ndarray, thresholds):
        self.n_trials, self.thresholds = n_trials, tuple(thresholds)
        self.totals, self.column = np.unique(totals, return_inverse=True)
        self.histogram = np.zeros(N_BINS, np.int64)
        self.expected = np.zeros(len(self.thresholds))
        self._tables: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def bins(self, counts: np.ndarray, test: np.ndarray, n_included: int) -> np.ndarray:
        """Return the bins of the p-values of some training samples with equal ``n_included``.

        Parameters
        ----------
        counts : ndarray, shape (n, n_columns)
            Right predictions among the trials with each.
        test : ndarray of int, shape (n_columns,)
            Which test samples.
        n_included : int

        Returns
        -------
        ndarray of uint16, shape (n, n_columns)
        """
        if n_included not in self._tables:
            self._tables[n_included] = self._table(n_included)
        low, bins, tails = self._tables[n_included]
        column, width = self.column[test], bins.shape[1]
        self.expected += len(counts) * tails[:, column].sum(axis=1)
        cells = counts.astype(np.int32)
        cells -= low[column].astype(np.int32)
        np.clip(cells, 0, width - 1, out=cells)
        cells += (column * width).astype(np.int32)
        return bins.ravel().take(cells)

    def add(self, bins: np.ndarray) -> None:
        """Take in the bins of candidate pairs."""
        self.histogram += np.bincount(bins.ravel(), minlength=N_BINS)

    def _table(self, n_included):
        low, tails = upper_tails(n_included, self.totals, self.n_trials)
        bins = np.minimum(-np.log(tails) / STEP, N_BINS - 1).astype(np.uint16)
        chances = [
            tail_above(low, tails, n_included, self.totals, self.n_trials, threshold)
            for threshold in self.thresholds
        ]
        return low, bins, np.array(chances).reshape(len(chances), -1)

    def q_values(self) -> np.ndarray:
        """The q-values of the p-values of each bin, shape (N_BINS,)."""
        return q_of_bins(self.histogram)


def q_of_bins(histogram: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's q of p-values of ``exp(-STEP k)`` in bin k, shape (N_BINS,)."""
    n = histogram.sum()
    as_small = np.cumsum(histogram[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        q = n * np.exp(-STEP * np.arange(N_BINS)) / as_small
    q[histogram == 0] = np.inf
    return np.minimum(np.minimum.accumulate(q), 1.0)


def benjamini_hochberg(p) -> np.ndarray:
    """Return the least false discovery rate at which each hypothesis is rejected.

    Parameters
    ----------
    p : ndarray of float, shape (n,)
        In [0, 1].

    Returns
    -------
    ndarray of float64, shape (n,)
        q-values in [0, 1].

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.5, 0.02, 0.9])).round(3)
    array([0.04 , 0.667, 0.04 , 0.9  ])
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    q = p[order] * p.size / np.arange(1, p.size + 1)
    found = np.empty(p.size)
    found[order] = np.minimum(np.minimum.accumulate(q[::-1])[::-1], 1.0)
    return found


def simes(p, group, n_tests) -> np.ndarray:
    """Join p-values into one for each group: Simes' test that no hypothesis in it is false.

    Parameters
    ----------
    p : ndarray of float, shape (n,)
        In [0, 1]; those that are not given count as 1.
    group : ndarray of int, shape (n,)
        The group of each, from 0 to ``len(n_tests) - 1``.
    n_tests : ndarray of int, shape (n_groups,)
        Hypotheses in each group, given or not.

    Returns
    -------
    ndarray of float64, shape (n_groups,)
        ``min_k n p_(k) / k`` over the sorted p-values of a group, at most 1.

    Examples
    --------
    >>> simes(np.array([0.01, 0.04, 0.5]), np.array([1, 1, 0]), np.array([3, 4])).round(3)
    array([1.  , 0.04])
    """
    p, group, n_tests = np.asarray(p), np.asarray(group), np.asarray(n_tests)
    order = np.lexsort((p, group))
    p, group = p[order], group[order]
    rank = np.arange(p.size) - np.searchsorted(group, group) + 1
    joined = np.ones(n_tests.size)
    np.minimum.at(joined, group, p * n_tests[group] / rank)
    return joined


def trials_for_influence(
    influence: float, accuracy: float, candidates: int, ratio: float, *, level: float = LEVEL
) -> int:
    """Return the trials after which one influence stands among many candidate pairs.

    Parameters
    ----------
    influence : float
        In (0, 1].
    accuracy : float
        Share of all trials that predict the test sample's label, in (0, 1).
    candidates : int
        Pairs that are looked at.
    ratio : float
        Share of the training samples in each subset, in (0, 1).
    level : float
        False discovery rate, as in `benjamini_hochberg`.

    Returns
    -------
    int
        For the first pair; where many pairs stand, each needs less.

    Raises
    ------
    BatError
        If a test sample of that accuracy cannot have that influence.

    Examples
    --------
    >>> trials_for_influence(0.15, 0.8, 1_000_000, 0.7)
    973
    """
    share = accuracy + influence * (1 - ratio)
    variance = accuracy * (1 - accuracy) / (ratio * (1 - ratio))
    if not 0 < influence <= 1 or share > 1 or accuracy < influence * ratio:
        raise BatError(
            f"an influence of {influence:g} is not possible at an accuracy of {accuracy:g} with "
            f"subsets of {ratio:.0%}"
        )

    def stands(trials):
        if trials > MANY_TRIALS:
            tail = math.erfc(influence * math.sqrt(trials / variance / 2)) / 2  # of a normal score
            return tail * candidates <= level
        n_included = round(ratio * trials)
        total = round(accuracy * trials)
        right = math.ceil(n_included * (total + influence * (trials - n_included)) / trials - 1e-9)
        return p_values([right], [total], [n_included], trials)[0] * candidates <= level

    return least_trials(stands, 4)


def least_trials(enough: Callable[[int], bool], start: int) -> int:
    """The least number of trials, from 4, with which something holds that more keep true."""
    low, high = 3, max(start, 4)
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high

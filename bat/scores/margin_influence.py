"""Influence of training samples on the margins of test samples.

That an influence exists shows in the margin with far fewer trials than in bits (see
`bat.scores.margins`); how large it is as a change of accuracy is what
`bat.influence` says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bat.errors import BatError
from bat.scores.counts import as_mask, check_bool
from bat.scores.margins import checked_shape, finite
from bat.scores.significance import LEVEL, N_BINS, STEP, q_of_bins

LEAST_TRIALS = 4


@dataclass(frozen=True)
class MarginPairs:
    """Pairs of training and test samples, of shape (n_pairs,), by train and then test index.

    ``train_index`` and ``test_index`` (int32); ``influence_margin`` (float32), by how
    much the margin of the test sample is larger, on average, in trials with the
    training sample, in units of logits; ``influence_margin_se`` (float32), its
    standard error; ``q_margin`` (float32, in [0, 1]), the least false discovery rate
    at which the pair stands among all candidates (Benjamini and Hochberg).

    ``candidates`` is their number, and ``standing`` that of those with a ``q_margin``
    up to ``level``.
    """

    train_index: np.ndarray
    test_index: np.ndarray
    influence_margin: np.ndarray
    influence_margin_se: np.ndarray
    q_margin: np.ndarray
    candidates: int
    standing: int
    level: float = LEVEL


def influence_from_margins(
    included: np.ndarray,
    margins_test: np.ndarray,
    labels_train: np.ndarray,
    labels_test: np.ndarray,
    *,
    pairs: str = "same_class",
    keep: tuple[np.ndarray, np.ndarray] = (),
    block: int = 2**21,
) -> MarginPairs:
    """Find which training samples raise the margin of which test samples.

    Parameters
    ----------
    included : array-like of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held training sample ``i``; 0 and 1 will do.
    margins_test : array-like of float, shape (n_trials, n_test)
        The margin of trial ``t``'s model on test sample ``j``; see `margins`.
    labels_train, labels_test : array-like of int, shapes (n_train,) and (n_test,)
    pairs : {"same_class", "all"}
        Candidates, as for `bat.influence`.
    keep : tuple of two ndarrays of int, optional
        Train and test index of pairs that are returned whether they stand or not.
    block : int
        Pairs computed at a time, 40 bytes each; it changes no result but for
        rounding.

    Returns
    -------
    MarginPairs
        Those that stand at the level, and those of ``keep``.

    Raises
    ------
    BatError
        If shapes or types are wrong, a margin is not finite, a position of ``keep`` is out
        of range, or fewer than four trials are given.

    Notes
    -----
    Student's two-sample test, one-sided, with one variance for trials with and
    without the sample: the null of a margin is that of a continuous value, where
    that of a bit is one of few counts, and it tells pairs from chance with a fifth
    to a tenth of the trials.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> included = rng.random((60, 20)) < 0.7
    >>> raised = rng.normal(3.0 * included[:, [3, 3, 5]])
    >>> found = influence_from_margins(included, raised, np.zeros(20), np.zeros(3))
    >>> strong = found.q_margin < 0.001
    >>> found.train_index[strong], found.test_index[strong]
    (array([3, 3, 5], dtype=int32), array([0, 1, 2], dtype=int32))
    """
    included, margins_test, *labels = _checked_pairs(
        included, margins_test, labels_train, labels_test
    )
    search = _MarginSearch(included, margins_test)
    classes = _classes(*labels, pairs)
    histogram = np.zeros(N_BINS, np.int64)
    for train, test in classes:
        for rows in _blocks(train, test.size, block):
            bins = search.bins(*search.difference(rows, test)[:2])
            histogram += np.bincount(bins.ravel(), minlength=N_BINS)
    q = q_of_bins(histogram)
    least = search.least_ratio(q)
    wanted = _by_row(keep, included.shape[1], margins_test.shape[1])
    kept = []
    for train, test in classes:
        for rows in _blocks(train, test.size, block):
            difference, error = search.difference(rows, test)
            asked = wanted[rows][:, test].toarray()
            # p-values are what takes long, and nearly all pairs are far from standing
            near = np.nonzero(asked | (difference >= least * error))
            difference, error = difference[near], error[near]
            found = q[search.bins(difference, error)]
            chosen = (found <= LEVEL) | asked[near]
            row, column = (index[chosen] for index in near)
            kept.append((rows[row], test[column], difference[chosen], error[chosen], found[chosen]))
    joined = [np.concatenate(values) for values in zip(*kept, strict=True)] if kept else [[]] * 5
    order = np.lexsort((joined[1], joined[0]))
    types = (np.int32, np.int32, np.float32, np.float32, np.float32)
    columns = [np.asarray(v)[order].astype(t) for v, t in zip(joined, types, strict=True)]
    return MarginPairs(*columns, int(histogram.sum()), int((columns[4] <= LEVEL).sum()))


def student_p(difference, error, n_trials: int) -> np.ndarray:
    """One-sided p-values of influences on margins, of the shape of both; 1 where undefined.

    Parameters
    ----------
    difference, error : ndarray of float
        ``influence_margin`` and ``influence_margin_se``.
    n_trials : int
    """
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        p = stdtr(n_trials - 2, -np.asarray(difference, np.float64) / error)
    return np.nan_to_num(p, copy=False, nan=1.0)


class _MarginSearch:
    """Differences of the margins with and without training samples, block by block."""

    def __init__(self, included, margins):
        self.included, self.n, self.margins = included, len(included), margins
        self.mean = margins.mean(axis=0)
        self.squares = ((margins - self.mean) ** 2).sum(axis=0)

    def difference(self, rows, test):
        """Mean difference and its standard error, each of shape (rows, test)."""
        inside = self.included[:, rows]
        n_in = inside.sum(axis=0)[:, None].astype(np.float64)
        n_out = self.n - n_in
        # sums of float16 values are exact in float64, whatever order the library adds them in
        total = inside.T.astype(np.float64) @ self.margins[:, test]
        total -= n_in * self.mean[test]  # centred: that without is -
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = total / n_in + total / n_out
            between = total**2 * (1 / n_in + 1 / n_out)
            within = np.maximum(self.squares[test] - between, 0) / (self.n - 2)
            return difference, np.sqrt(within * (1 / n_in + 1 / n_out))

    def bins(self, difference, error):
        """The bins of the one-sided p-values."""
        with np.errstate(divide="ignore"):
            bins = -np.log(student_p(difference, error, self.n)) / STEP
        return np.minimum(bins, N_BINS - 1).astype(np.uint16)

    def least_ratio(self, q) -> float:
        """Standard errors below which no difference stands, by the q-values of all bins.

        The last but one point of a grid with steps of 1 % that does not: no rounding leaves a
        pair out.
        """
        grid = np.geomspace(1e-3, 1e15, 4000)
        return grid[q[self.bins(grid, 1.0)] > LEVEL][-2]


def _classes(labels_train, labels_test, pairs):
    """Training and test samples of each class; one class of all for pairs of all."""
    if pairs not in ("same_class", "all"):
        raise BatError(f"pairs is {pairs!r}; expected 'same_class' or 'all'")
    if pairs == "all":
        return [(np.arange(len(labels_train)), np.arange(len(labels_test)))]
    return [
        (np.flatnonzero(labels_train == label), np.flatnonzero(labels_test == label))
        for label in np.intersect1d(labels_train, labels_test)
    ]


def _blocks(train, n_test, block):
    step = max(1, block // max(n_test, 1))
    return (train[start : start + step] for start in range(0, train.size, step))


def _by_row(keep, n_train, n_test):
    """Pairs to keep, as a sparse matrix of booleans."""
    from scipy.sparse import csr_array

    train, test = map(np.asarray, keep if len(keep) else (np.empty(0, int), np.empty(0, int)))
    for name, index, n in (("training", train, n_train), ("test", test, n_test)):
        if index.size and not (index.min() >= 0 and index.max() < n):
            raise BatError(
                f"keep names {name} samples {index.min()} to {index.max()}; expected positions in "
                f"[0, {n})"
            )
    return csr_array((np.ones(len(train), bool), (train, test)), shape=(n_train, n_test))


def _checked_pairs(included, margins, labels_train, labels_test):
    included, margins = as_mask("included", included), np.asarray(margins)
    labels = np.asarray(labels_train), np.asarray(labels_test)
    check_bool("included", included)
    if len(included) < LEAST_TRIALS:
        raise BatError(f"included is of {len(included)} trials; expected four or more")
    sizes = included.shape[1], margins.shape[-1] if margins.ndim else 0
    for name, given, n in zip(("labels_train", "labels_test"), labels, sizes, strict=True):
        if given.shape != (n,):
            raise BatError(f"{name} has shape {given.shape}; expected ({n},)")
    checked_shape(margins, (len(included), len(labels[1])))
    return included, finite(margins), *labels

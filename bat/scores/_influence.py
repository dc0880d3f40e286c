"""Influence of training samples on test samples, equation (2); see `bat.scores._memorization`."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bat.errors import BatError
from bat.scores.counts import check_bool, column_sums, included_counts
from bat.scores.frames import samples_frame
from bat.scores.significance import LEVEL, THRESHOLDS, Candidates, least_count
from bat.statistics import score_from_counts, score_standard_error

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 2**23  # pairs in one block of the product: 32 MB; small blocks lose speed
_TORCH_PAYS = 2e11  # multiplications above which importing torch pays


@dataclass(frozen=True)
class InfluenceScores:
    """The kept pairs, and one value for each test sample.

    Of shape (n_pairs,), sorted by train and then test index: ``train_index`` and
    ``test_index`` (int32), ``influence`` and ``influence_se`` (float32, in [-1, 1]
    and above 0; their rounding, 1e-8, is far below the standard error); ``q``
    (float32, in [0, 1]), the least false discovery rate at which the pair stands
    among all candidates, kept or not: Benjamini and Hochberg's, over the one-sided
    exact p-values of `bat.scores.significance`, each rounded up by 0.1 % at most.

    Of shape (n_test,): ``test_accuracy`` (float64), the share of all trials that
    predict the label; ``max_influence`` (float32), the largest influence of all
    candidate pairs, kept or not, and ``max_influence_train_index`` (int32), the
    lowest training sample that has it. Where there is no candidate these are NaN
    and -1.

    ``chance`` says what no influence at all would give: the number of
    ``candidates``; for each of ``thresholds`` (from ``keep_above`` up) the number
    of pairs ``observed`` above it, and that ``expected`` by chance, exactly, given
    each sample's counts; and the number of pairs ``standing``, of a ``q`` up to
    ``level``. ``q_of_bin`` are the q-values of p-values of any other pairs, by
    `significance.STEP`.

    Of trials with margins, ``influence_margin``, ``influence_margin_se`` and
    ``q_margin`` (float32, of shape (n_pairs,)) are as in
    `bat.scores.margin_influence.MarginPairs`, whose pairs are then among these, and
    None otherwise.
    """

    train_index: np.ndarray
    test_index: np.ndarray
    influence: np.ndarray
    influence_se: np.ndarray
    q: np.ndarray
    test_accuracy: np.ndarray
    max_influence: np.ndarray
    max_influence_train_index: np.ndarray
    chance: dict
    q_of_bin: np.ndarray | None = field(default=None, repr=False)
    influence_margin: np.ndarray | None = None
    influence_margin_se: np.ndarray | None = None
    q_margin: np.ndarray | None = None

    def to_frame(self, labels=None) -> pd.DataFrame:
        """A row for each kept pair, with the ``label`` of the training sample where given."""
        import pandas as pd

        names = ["train_index", "test_index", "influence", "influence_se", "q"]
        if self.q_margin is not None:
            names += ["influence_margin", "influence_margin_se", "q_margin"]
        frame = pd.DataFrame({name: getattr(self, name) for name in names})
        if labels is not None:
            frame.insert(2, "label", np.asarray(labels)[self.train_index])
        return frame

    def test_to_frame(self, labels=None) -> pd.DataFrame:
        """A row for each test sample: ``accuracy``, ``max_influence`` and whose that is."""
        columns = {
            "accuracy": self.test_accuracy,
            "max_influence": self.max_influence,
            "max_influence_train_index": self.max_influence_train_index,
        }
        return samples_frame(columns, labels)


def influence(
    included: np.ndarray,
    test_correct: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    pairs: str = "same_class",
    keep_above: float = 0.02,
    block: int = _BLOCK,
) -> InfluenceScores:
    """Estimate the influence of training samples on test samples.

    Parameters
    ----------
    included : ndarray of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held training sample ``i``.
    test_correct : ndarray of bool, shape (n_trials, n_test)
        Whether trial ``t``'s model predicts the label of test sample ``j``.
    train_labels, test_labels : ndarray of int, shapes (n_train,) and (n_test,)
        Classes.
    pairs : {"same_class", "all"}
        Candidates: pairs of one class, as in the published tables, or all.
    keep_above : float
        Pairs with a larger influence are returned.
    block : int
        Pairs computed at a time, 20 bytes each; it changes no result. Beside it
        the memory needed is that of the masks, of ``included`` once more, and
        of the kept pairs.

    Returns
    -------
    InfluenceScores

    Raises
    ------
    BatError
        If shapes or types are wrong, or a training sample is in every subset or
        in none; the message says how many trials do.

    Notes
    -----
    Equation (2) of the paper. An influence compares as the float32 it is
    returned as, so one equal to ``keep_above`` is not above it.

    Examples
    --------
    >>> included = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=bool)
    >>> test_correct = np.array([[1], [0], [1], [0]], dtype=bool)
    >>> found = influence(included, test_correct, np.array([3, 3]), np.array([3]))
    >>> found.train_index, found.influence
    (array([0], dtype=int32), array([1.], dtype=float32))
    """
    check_bool("included", included)
    check_bool("test_correct", test_correct)
    train_labels, test_labels = np.asarray(train_labels), np.asarray(test_labels)
    if len(test_correct) != len(included):
        raise BatError(f"included has {len(included)} trials but test_correct {len(test_correct)}")
    for name, labels, mask in (
        ("train_labels", train_labels, included),
        ("test_labels", test_labels, test_correct),
    ):
        if labels.shape != mask.shape[1:]:
            raise BatError(f"{name} has shape {labels.shape}; expected {mask.shape[1:]}")
    if pairs not in ("same_class", "all"):
        raise BatError(f"pairs is {pairs!r}; expected 'same_class' or 'all'")
    n_included = included_counts(included)
    if pairs == "all":
        train_labels, test_labels = np.zeros_like(train_labels), np.zeros_like(test_labels)
    return _influence(
        included, test_correct, train_labels, test_labels, n_included, keep_above, block
    )


def _influence(included, correct, train_labels, test_labels, n_included, keep_above, block):
    total = column_sums(correct)
    best = np.full(total.size, np.nan, np.float32)
    best_index = np.full(total.size, -1, np.int32)
    # sorted by n_included, so that a run of rows of the product shares its thresholds
    order = np.lexsort((n_included, train_labels))
    classes = [
        (order[train_labels[order] == label], np.flatnonzero(test_labels == label))
        for label in np.intersect1d(train_labels, test_labels)
    ]
    grid = sorted({float(keep_above), *THRESHOLDS})
    grid = [threshold for threshold in grid if threshold >= max(keep_above, 0)]
    candidates = Candidates(len(included), total, grid)
    product = _product(len(included) * sum(train.size * test.size for train, test in classes))
    by_sample = np.ascontiguousarray(included.T)  # rows of it are fast to gather
    kept = []
    for train, test in classes:
        search = _Search(test, total[test], len(included), keep_above, train.min(), candidates)
        multiply = product(correct[:, test])
        step = max(1, block // test.size)
        for start in range(0, train.size, step):
            rows = train[start : start + step]
            search.block(multiply(by_sample[rows]), rows, n_included[rows])
        best[test], best_index[test] = search.best, search.best_index
        kept += search.kept
    train_index, test_index, values, errors, bins = _join(kept, included.shape[1])
    q_of_bin = candidates.q_values().astype(np.float32)
    q = q_of_bin[bins]
    chance = {
        "candidates": int(candidates.histogram.sum()),
        "thresholds": grid,
        "observed": [int((values > np.float32(threshold)).sum()) for threshold in grid],
        "expected": candidates.expected.tolist(),
        "level": LEVEL,
        "standing": int((q <= LEVEL).sum()),
    }
    return InfluenceScores(
        train_index,
        test_index,
        values,
        errors,
        q,
        test_accuracy=total / len(included),
        max_influence=best,
        max_influence_train_index=best_index,
        chance=chance,
        q_of_bin=q_of_bin,
    )


def _product(work):
    """Choose how to count common trials: exact either way, the faster for so much work.

    The int8 product of torch is several times as fast as a float32 one where
    the processor has AVX-512, but importing torch takes two seconds. Counts are
    exact in float32 below 2^24 trials.
    """
    if work > _TORCH_PAYS or "torch" in sys.modules:
        try:
            import torch
        except ImportError:
            return _float32_product
        if hasattr(torch, "_int_mm") and "AVX512" in torch.backends.cpu.get_cpu_capability():
            return _int8_product
    return _float32_product


def _float32_product(right):
    """Return a function of ``left`` that gives ``left @ right`` for booleans."""
    right = right.astype(np.float32)
    return lambda left: left.astype(np.float32) @ right


def _int8_product(right):
    """Return a function of ``left`` that gives ``left @ right`` for booleans."""
    import torch

    right = torch.from_numpy(right.view(np.int8))
    return lambda left: torch._int_mm(torch.from_numpy(left.view(np.int8)), right).numpy()


class _Search:
    """Finds the kept pairs and the maxima of one class, block by block."""

    def __init__(self, test, total, n_trials, keep_above, first_index, candidates):
        self.test, self.total, self.n_trials = test, total, n_trials
        self.candidates = candidates
        self.keep_above = np.float32(keep_above)
        # predictions that never change have influence 0 from every training sample
        varied = (total > 0) & (total < n_trials)
        self.best = np.where(varied, -2, 0).astype(np.float32)
        self.best_index = np.full(test.size, first_index, np.int32)
        self.varied = varied
        self.kept = []

    def block(self, counts, rows, n_included):
        """Take in the counts of some training samples (rows), sorted by ``n_included``."""
        edges = [0, *(np.flatnonzero(np.diff(n_included)) + 1), len(rows)]
        bins = np.empty(counts.shape, np.uint16)
        for start, stop in itertools.pairwise(edges):
            part, n = slice(start, stop), int(n_included[start])
            bins[part] = self.candidates.bins(counts[part], self.test, n)
            self._run(counts[part], bins[part], rows[part], n)
        self.candidates.add(bins)

    def _run(self, counts, bins, rows, n_included):
        n_excluded = self.n_trials - n_included
        threshold = least_count(self.keep_above, self.total, n_included, self.n_trials)
        threshold = threshold.astype(counts.dtype)
        flat = np.flatnonzero(counts >= threshold)
        origin = np.arange(len(rows) + 1) * self.test.size
        edges = np.searchsorted(flat, origin)  # of each row's kept pairs
        column = flat - np.repeat(origin[:-1], np.diff(edges))
        a, total = counts.ravel()[flat].astype(np.int32), self.total[column]
        values = (
            self.test[column].astype(np.int32),
            score_from_counts(a, total, n_included, n_excluded, np.float32),
            score_standard_error(a, total, n_included, n_excluded, np.float32),
            bins.ravel()[flat],
        )
        self.kept.append((rows, edges, values))
        top = counts.max(axis=0).astype(np.int32)
        top = score_from_counts(top, self.total, n_included, n_excluded, np.float32)
        column = np.flatnonzero((top >= self.best) & self.varied)
        index = rows[counts[:, column].argmax(axis=0)]
        better = (top[column] > self.best[column]) | (index < self.best_index[column])
        column = column[better]
        self.best[column], self.best_index[column] = top[column], index[better]


def _join(kept, n_train):
    """Join the kept pairs in the order of the training samples, emptying ``kept``."""
    lengths = np.zeros(n_train, np.int64)
    for rows, edges, _ in kept:
        lengths[rows] = np.diff(edges)
    ends = np.cumsum(lengths)
    n_pairs = int(ends[-1])
    joined = (
        np.empty(n_pairs, np.int32),
        np.empty(n_pairs, np.float32),
        np.empty(n_pairs, np.float32),
        np.empty(n_pairs, np.uint16),
    )
    while kept:
        rows, edges, values = kept.pop()
        for row, low, high in zip(rows, edges[:-1], edges[1:], strict=True):
            at = slice(ends[row] - (high - low), ends[row])
            for column, value in zip(joined, values, strict=True):
                column[at] = value[low:high]
    return np.repeat(np.arange(n_train, dtype=np.int32), lengths), *joined

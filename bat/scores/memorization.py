"""Memorization and influence of training samples, estimated from random subsets.

Trial ``t`` trains a model on a random subset. With ``n_in`` and ``n_out`` the
numbers of trials with and without training sample ``i``, and ``A`` and ``B`` the
numbers of those that predict a label rightly,

    score = A / n_in - B / n_out

is the influence of ``i`` on a test sample (equation 2 of the paper) when the label
is that test sample's, and the memorization of ``i`` (equation 1) when it is its
own. Leave-one-out is replaced by random subsets as in Feldman and Zhang (2020),
arXiv:2008.03703. All counts are exact integers, so the order of the trials changes
nothing. ``B`` is the number of all right predictions less ``A``: one product of
0/1 matrices, in blocks, gives every pair.

The standard error of a score is that of the difference of two proportions, after
Agresti and Caffo: see `statistics.proportion_variance`. The score itself is the
plain difference.
"""

import itertools
import sys
from dataclasses import dataclass

import numpy as np

from bat.errors import BatError
from bat.scores.significance import LEVEL, THRESHOLDS, Candidates, least_count
from bat.statistics import above, correlation, score_from_counts, score_standard_error
from bat.streams import generator

_BLOCK = 2**23  # pairs in one block of the product: 32 MB; small blocks lose speed
_TORCH_PAYS = 2e11  # multiplications above which importing torch pays


@dataclass(frozen=True)
class MemorizationScores:
    """One value for each training sample, arrays of shape (n_train,).

    ``memorization`` (float64, in [-1, 1], high is atypical) is
    ``accuracy_included - accuracy_excluded`` (float64), the accuracies on the
    sample of the ``n_included`` and ``n_excluded`` (int32) trials with and
    without it; ``memorization_se`` (float64) is its standard error.
    """

    memorization: np.ndarray
    memorization_se: np.ndarray
    n_included: np.ndarray
    n_excluded: np.ndarray
    accuracy_included: np.ndarray
    accuracy_excluded: np.ndarray


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
    ``level``.
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


def memorization(included: np.ndarray, correct: np.ndarray) -> MemorizationScores:
    """Estimate how much each training label is memorized.

    Parameters
    ----------
    included : ndarray of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held sample ``i``.
    correct : ndarray of bool, shape (n_trials, n_train)
        Whether trial ``t``'s model, in eval mode and without augmentation,
        predicts label ``i``.

    Returns
    -------
    MemorizationScores
        1 is a label fitted only when seen.

    Raises
    ------
    BatError
        If shapes or types are wrong, or a sample is in every subset or in none,
        which leaves its score undefined; the message says how many trials do.

    Notes
    -----
    Equation (1) of the paper.

    Examples
    --------
    >>> included = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=bool)
    >>> correct = np.array([[1, 1], [0, 1], [1, 1], [0, 1]], dtype=bool)
    >>> memorization(included, correct).memorization
    array([1., 0.])
    """
    _check_bool("included", included)
    _check_bool("correct", correct)
    if included.shape != correct.shape:
        raise BatError(f"included has shape {included.shape} but correct has {correct.shape}")
    n_in = _included_counts(included)
    return _memorization(included, correct, n_in)


def influence(
    included: np.ndarray,
    correct_test: np.ndarray,
    labels_train: np.ndarray,
    labels_test: np.ndarray,
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
    correct_test : ndarray of bool, shape (n_trials, n_test)
        Whether trial ``t``'s model predicts the label of test sample ``j``.
    labels_train, labels_test : ndarray of int, shapes (n_train,) and (n_test,)
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
    >>> correct_test = np.array([[1], [0], [1], [0]], dtype=bool)
    >>> found = influence(included, correct_test, np.array([3, 3]), np.array([3]))
    >>> found.train_index, found.influence
    (array([0], dtype=int32), array([1.], dtype=float32))
    """
    _check_bool("included", included)
    _check_bool("correct_test", correct_test)
    labels_train, labels_test = np.asarray(labels_train), np.asarray(labels_test)
    if len(correct_test) != len(included):
        raise BatError(f"included has {len(included)} trials but correct_test {len(correct_test)}")
    for name, labels, mask in (
        ("labels_train", labels_train, included),
        ("labels_test", labels_test, correct_test),
    ):
        if labels.shape != mask.shape[1:]:
            raise BatError(f"{name} has shape {labels.shape}; expected {mask.shape[1:]}")
    if pairs not in ("same_class", "all"):
        raise BatError(f"pairs is {pairs!r}; expected 'same_class' or 'all'")
    n_in = _included_counts(included)
    if pairs == "all":
        labels_train, labels_test = np.zeros_like(labels_train), np.zeros_like(labels_test)
    return _influence(included, correct_test, labels_train, labels_test, n_in, keep_above, block)


def convergence(included, correct, *, steps, repeats: int, seed: int) -> list[dict]:
    """Say how reproducible the memorization scores are with fewer trials.

    For each number of trials, random trials are drawn and split into halves,
    and the scores of the halves are compared.

    Parameters
    ----------
    included, correct : ndarray of bool, shape (n_trials, n_train)
        As for `memorization`.
    steps : sequence of int
        Numbers of trials to look at, each in [4, n_trials].
    repeats : int
        Random draws for each, at least 1.
    seed : int
        Of the draws.

    Returns
    -------
    list of dict
        A row for each step: ``n_trials``, ``repeats``; means and standard
        deviations over the repeats of Pearson's (``split_half_correlation``,
        ``..._sd``) and Spearman's (``split_half_spearman``, ``..._sd``)
        correlation of the halves, of ``n_trials // 2`` trials or one more;
        ``se_mean`` and ``se_p95``, mean and 95th percentile over samples of the
        standard error with all ``n_trials``; ``undefined``, the share of samples
        left out of the correlation because a half has them always or never.

    Raises
    ------
    BatError
        If a step is out of range, or ``repeats`` is below 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> included = rng.random((40, 50)) < 0.7
    >>> rows = convergence(included, included, steps=[20, 40], repeats=2, seed=0)
    >>> [row["n_trials"] for row in rows]
    [20, 40]
    """
    _check_bool("included", included)
    _check_bool("correct", correct)
    wrong = [step for step in steps if not 4 <= step <= len(included)]
    if wrong or repeats < 1:
        raise BatError(
            f"steps are {list(steps)} and repeats {repeats}; expected numbers of trials from 4 to "
            f"{len(included)}, and at least one repeat"
        )
    return [_convergence(included, correct, step, repeats, seed) for step in steps]


def influence_convergence(
    included,
    correct,
    correct_test,
    labels_train,
    labels_test,
    *,
    steps,
    seed: int,
    threshold: float = 0.15,
    repeats: int = 3,
    max_test: int = 1000,
) -> list[dict]:
    """Say how many of the strongest pairs are real with fewer trials.

    Parameters
    ----------
    included, correct, correct_test : ndarray of bool
        As for `memorization` and `influence`.
    labels_train, labels_test : ndarray of int
    steps : sequence of int
        Numbers of trials to look at.
    seed : int
        Of the draws of trials and test samples.
    threshold : float
        Of the memorization of the training samples that count, with all trials,
        and of the influence.
    repeats : int
        Random draws of trials for each step.
    max_test : int
        At most so many test samples, drawn at random.

    Returns
    -------
    list of dict
        A row for each step: ``influence_candidates``, the pairs of one class whose
        training sample counts; means over the draws of the pairs with an
        influence above the threshold, ``influence_above``, and of those expected by
        chance, ``influence_by_chance``. NaN where there is no candidate.
    """
    chosen = _lenient(included, correct)[0]
    chosen = np.flatnonzero(above(chosen, threshold))
    test = generator(seed, 0, "influence convergence").permutation(len(labels_test))[:max_test]
    names = ("influence_candidates", "influence_above", "influence_by_chance")
    rows = []
    for step in steps:
        found = []
        for repeat in range(repeats):
            draw = generator(seed, repeat, f"convergence {step}").permutation(len(included))[:step]
            n_in = included[draw][:, chosen].sum(axis=0)
            use = chosen[(n_in > 0) & (n_in < step)]
            if not use.size:
                continue
            pairs = influence(
                included[draw][:, use],
                correct_test[draw][:, test],
                labels_train[use],
                labels_test[test],
                keep_above=threshold,
            )
            chance = pairs.chance
            found.append((chance["candidates"], chance["observed"][0], chance["expected"][0]))
        means = np.mean(found, axis=0) if found else np.full(3, np.nan)
        rows.append(dict(zip(names, means.tolist(), strict=True)))
    return rows


def trials_for_coverage(n: int, ratio: float, *, chance: float = 0.01) -> int:
    """Return the trials after which every score is very likely defined.

    Parameters
    ----------
    n : int
        Number of training samples.
    ratio : float
        Share of them in each subset, in (0, 1).
    chance : float
        Bound on the probability that any sample is in every subset or in none.

    Returns
    -------
    int
        The least ``t`` with ``n (ratio^t + (1 - ratio)^t) < chance``.

    Examples
    --------
    >>> trials_for_coverage(50_000, 0.7)
    44
    """
    trials = 1
    while n * (ratio**trials + (1 - ratio) ** trials) >= chance:
        trials += 1
    return trials


def _check_bool(name, mask):
    if mask.ndim != 2 or mask.dtype != bool or 0 in mask.shape:
        raise BatError(
            f"{name} is {mask.dtype} of shape {mask.shape}; expected booleans of shape "
            "(n_trials, n_samples)"
        )


def _included_counts(included):
    """Return how many subsets hold each sample; refuse those with an undefined score."""
    n_in = _column_sums(included)
    n_trials, n = included.shape
    always, never = np.flatnonzero(n_in == n_trials), np.flatnonzero(n_in == 0)
    if always.size or never.size:
        example = min(*always[:1], *never[:1], n)
        ratio = n_in.mean() / n_trials
        advice = "use subsets that leave some samples out and hold some"
        if 0 < ratio < 1:
            advice = (
                f"with subsets of {ratio:.0%}, {trials_for_coverage(n, ratio)} trials leave less "
                "than a 1 % chance of any such sample"
            )
        raise BatError(
            f"of {n} samples, {always.size} are in every one of the {n_trials} subsets and "
            f"{never.size} in none (for example sample {example}), so their scores are undefined; "
            f"{advice}"
        )
    return n_in


def _column_sums(mask, where=None):
    """Sum booleans over the trials as int32, by bytes: 255 of them cannot overflow."""
    total = np.zeros(mask.shape[1], np.int32)
    for start in range(0, len(mask), 255):
        rows = mask[start : start + 255]
        if where is not None:
            rows = rows & where[start : start + 255]
        total += rows.view(np.uint8).sum(axis=0, dtype=np.uint8)
    return total


def _memorization(included, correct, n_in):
    n_out = len(included) - n_in
    total = _column_sums(correct)
    a = _column_sums(correct, where=included)
    accuracy_in, accuracy_out = a / n_in, (total - a) / n_out
    return MemorizationScores(
        memorization=accuracy_in - accuracy_out,
        memorization_se=score_standard_error(a, total, n_in, n_out),
        n_included=n_in,
        n_excluded=n_out,
        accuracy_included=accuracy_in,
        accuracy_excluded=accuracy_out,
    )


def _influence(included, correct, labels_train, labels_test, n_in, keep_above, block):
    total = _column_sums(correct)
    best = np.full(total.size, np.nan, np.float32)
    best_index = np.full(total.size, -1, np.int32)
    # sorted by n_in, so that a run of rows of the product shares its thresholds
    order = np.lexsort((n_in, labels_train))
    classes = [
        (order[labels_train[order] == label], np.flatnonzero(labels_test == label))
        for label in np.intersect1d(labels_train, labels_test)
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
            search.block(multiply(by_sample[rows]), rows, n_in[rows])
        best[test], best_index[test] = search.best, search.best_index
        kept += search.kept
    train_index, test_index, values, errors, bins = _join(kept, included.shape[1])
    q = candidates.q_values().astype(np.float32)[bins]
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

    def block(self, counts, rows, n_in):
        """Take in the counts of some training samples (rows), which are sorted by ``n_in``."""
        edges = [0, *(np.flatnonzero(np.diff(n_in)) + 1), len(rows)]
        bins = np.empty(counts.shape, np.uint16)
        for start, stop in itertools.pairwise(edges):
            part, n = slice(start, stop), int(n_in[start])
            bins[part] = self.candidates.bins(counts[part], self.test, n)
            self._run(counts[part], bins[part], rows[part], n)
        self.candidates.add(bins)

    def _run(self, counts, bins, rows, n_in):
        n_out = self.n_trials - n_in
        threshold = least_count(self.keep_above, self.total, n_in, self.n_trials)
        threshold = threshold.astype(counts.dtype)
        flat = np.flatnonzero(counts >= threshold)
        origin = np.arange(len(rows) + 1) * self.test.size
        edges = np.searchsorted(flat, origin)  # of each row's kept pairs
        column = flat - np.repeat(origin[:-1], np.diff(edges))
        a, total = counts.ravel()[flat].astype(np.int32), self.total[column]
        values = (
            self.test[column].astype(np.int32),
            score_from_counts(a, total, n_in, n_out, np.float32),
            score_standard_error(a, total, n_in, n_out, np.float32),
            bins.ravel()[flat],
        )
        self.kept.append((rows, edges, values))
        top = counts.max(axis=0).astype(np.int32)
        top = score_from_counts(top, self.total, n_in, n_out, np.float32)
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


def _convergence(included, correct, step, repeats, seed):
    from scipy.stats import rankdata

    columns = ("split_half_correlation", "split_half_spearman", "se_mean", "se_p95", "undefined")
    values = np.empty((repeats, len(columns)))
    for repeat in range(repeats):
        draw = generator(seed, repeat, f"convergence {step}").permutation(len(included))[:step]
        half = step // 2
        halves = [_lenient(included[part], correct[part])[0] for part in (draw[:half], draw[half:])]
        defined = ~np.isnan(halves).any(axis=0)
        first, second = (scores[defined] for scores in halves)
        error = _lenient(included[draw], correct[draw])[1]
        error = error[~np.isnan(error)]
        values[repeat] = (
            correlation(first, second),
            correlation(rankdata(first), rankdata(second)),
            error.mean() if error.size else np.nan,
            np.quantile(error, 0.95) if error.size else np.nan,
            1 - defined.mean(),
        )
    row = {"n_trials": step, "repeats": repeats}
    row |= dict(zip(columns, values.mean(axis=0).tolist(), strict=True))
    for column in (0, 1):
        spread = values[:, column].std(ddof=1) if repeats > 1 else np.nan
        row[f"{columns[column]}_sd"] = float(spread)
    return row


def _lenient(included, correct):
    """Return memorization and its standard error, NaN where undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = _memorization(included, correct, _column_sums(included))
    undefined = np.isnan(scores.memorization)
    return scores.memorization, np.where(undefined, np.nan, scores.memorization_se)

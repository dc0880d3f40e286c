"""What margins are worth in trials: agreement with other trials, and pairs that stand."""

from __future__ import annotations

import numpy as np

from bat.scores._influence import influence
from bat.scores._memorization import where_defined
from bat.scores.ensembles import area_under_roc
from bat.scores.margin_influence import influence_from_margins
from bat.scores.margins import memorization_from_margins
from bat.scores.registry import ATYPICAL_ABOVE
from bat.statistics import above, correlation
from bat.streams import generator

ESTIMATORS = ("bits", "margins")
MEASURES = ("pearson", "spearman", "auc")

_LEAST = 10
"""Samples that need a score for the agreement of two estimates to be known."""


def agreement(
    included,
    correct,
    margins,
    *,
    steps,
    repeats: int,
    seed: int,
) -> list[dict]:
    """Compare memorization from few trials with the plain difference of other trials.

    The trials are split at random. One half gives the reference; of the other, more
    and more trials give an estimate by bits, the plain difference, and one by margins.

    Parameters
    ----------
    included, correct : ndarray of bool, shape (n_trials, n_train)
        As for `memorization`.
    margins : ndarray of float, shape (n_trials, n_train)
        As for `memorization_from_margins`.
    steps : sequence of int
        Numbers of trials, rising; half of each gives the estimates.
    repeats : int
        Random splits.
    seed : int
        Of the splits.

    Returns
    -------
    list of dict
        A row for each step: ``estimate_trials`` (half of it), ``reference_trials``;
        by estimator and measure means over the splits, such as
        ``agreement_bits_pearson``, with ``_low`` and ``_high``, their 2.5 and 97.5
        percentiles; ``margins_worth`` (with both), how many times as many trials of
        bits agree as well, see `worth`. NaN where too few samples have a score.

    Notes
    -----
    Pearson's correlation is divided by the square root of the reference's
    reliability, its correlation with the estimate by bits from as many other
    trials, so that 1 is reached without noise (Spearman, 1904, American Journal of
    Psychology 15); by chance it may lie above. Spearman's correlation is as measured,
    and so is the AUC, of a reference above `ATYPICAL_ABOVE`. Both estimators are
    compared on the samples where both have a score.
    """
    names = [f"agreement_{e}_{m}" for e in ESTIMATORS for m in MEASURES] + ["margins_worth"]
    n_trials = len(included)
    sizes = [step // 2 for step in steps]
    values = np.full((repeats, len(sizes), len(names)), np.nan)
    for repeat in range(repeats):
        draw = generator(seed, repeat, "agreement").permutation(n_trials)
        half = n_trials // 2
        reference = where_defined(included[draw[half:]], correct[draw[half:]])[0]
        reliability = _reliability(included, correct, draw[:half], reference)
        for row, size in enumerate(sizes):
            part = draw[:size]
            estimates = (
                where_defined(included[part], correct[part])[0],
                memorization_from_margins(included[part], margins[part]).memorization_margin,
            )
            values[repeat, row, :-1] = _compared(estimates, reference, reliability)
        values[repeat, :, -1] = worth(sizes, values[repeat, :, 0], values[repeat, :, 3])
    counts = {"reference_trials": n_trials - n_trials // 2}
    return [
        {"estimate_trials": size} | counts | _summary(names, values[:, row])
        for row, size in enumerate(sizes)
    ]


def worth(sizes, bits, margins) -> np.ndarray:
    """How many times as many trials of bits agree as well as those of margins.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of trials, rising.
    bits, margins : ndarray of float, shape (n,)
        Correlations ``r`` with the truth of the estimates from as many trials.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN where the bits do not agree as well with any number of trials looked at.

    Notes
    -----
    ``r^2 / (1 - r^2)`` of bits grows as the number of trials (Spearman and Brown);
    between the numbers it is interpolated on logarithmic axes.

    Examples
    --------
    >>> reliable = np.array([5, 10, 20, 40]) / (np.array([5, 10, 20, 40]) + 10)
    >>> worth([5, 10, 20, 40], reliable[:3] ** 0.5, reliable[1:] ** 0.5)
    array([ 2.,  2., nan])
    """
    sizes, bits, margins = (np.asarray(v, np.float64) for v in (sizes, bits, margins))
    n = len(bits)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_bits, of_margins = (np.log(r**2 / (1 - r**2)) for r in (bits, margins))
    known = np.isfinite(of_bits) & (bits > 0)
    rising = known & (of_bits > np.maximum.accumulate(np.append(-np.inf, of_bits[:-1])))
    if rising.sum() < 2:
        return np.full(n, np.nan)
    trials = np.exp(
        np.interp(of_margins, of_bits[rising], np.log(sizes[:n][rising]), np.nan, np.nan)
    )
    return np.where(margins > 0, np.round(trials / sizes[:n], 12), np.nan)


def discoveries(
    included,
    test_correct,
    test_margins,
    train_labels,
    test_labels,
    *,
    steps,
    seed: int,
    repeats: int = 5,
    max_test: int = 1000,
) -> list[dict]:
    """Count the pairs that stand, by bits and by margins, with fewer trials.

    Parameters
    ----------
    included, test_correct : ndarray of bool
        As for `influence`.
    test_margins : ndarray of float, shape (n_trials, n_test)
        As for `influence_from_margins`.
    train_labels, test_labels : ndarray of int
    steps : sequence of int
        Numbers of trials to look at.
    seed : int
        Of the draws of trials and test samples.
    repeats : int
        Random draws of trials for each step; one, where it is all of them.
    max_test : int
        At most so many test samples, drawn at random.

    Returns
    -------
    list of dict
        A row for each step: ``standing_candidates``, the pairs of one class whose
        training sample is in some subset and not in all; means over the draws of
        those that stand at a false discovery rate of 0.1 among them,
        ``standing_bits`` and ``standing_margins``, with ``_low`` and ``_high``, their
        2.5 and 97.5 percentiles.
    """
    test = generator(seed, 0, "influence convergence").permutation(len(test_labels))[:max_test]
    names = ["standing_candidates", *(f"standing_{name}" for name in ESTIMATORS)]
    rows = []
    for step in steps:
        found = []
        for repeat in range(1 if step == len(included) else repeats):
            draw = generator(seed, repeat, f"convergence {step}").permutation(len(included))[:step]
            n_included = included[draw].sum(axis=0)
            use = np.flatnonzero((n_included > 0) & (n_included < step))
            masks, labels = included[draw][:, use], (train_labels[use], test_labels[test])
            chance = influence(masks, test_correct[draw][:, test], *labels, keep_above=0.0).chance
            pairs = influence_from_margins(masks, test_margins[draw][:, test], *labels)
            found.append((chance["candidates"], chance["standing"], pairs.standing))
        row = _summary(names, np.array(found, np.float64))
        rows.append({name: row[name] for name in row if not name.startswith(f"{names[0]}_")})
    return rows


def _reliability(included, correct, draw, reference):
    """Correlation of the reference with the plain difference of other trials, above 0."""
    other = where_defined(included[draw], correct[draw])[0]
    known = ~np.isnan(other) & ~np.isnan(reference)
    found = correlation(other[known], reference[known]) if known.sum() >= _LEAST else np.nan
    return found if found > 0 else np.nan


def _compared(estimates, reference, reliability):
    """Measures of both estimators, in the order of their names."""
    from scipy.stats import rankdata

    known = ~np.isnan([*estimates, reference]).any(axis=0)
    if known.sum() < _LEAST:
        return [np.nan] * (len(estimates) * len(MEASURES))
    reference = reference[known]
    ranks, found = rankdata(reference), []
    for estimate in estimates:
        own = rankdata(estimate[known])
        found += [
            correlation(estimate[known], reference) / np.sqrt(reliability),
            correlation(own, ranks),
            area_under_roc(own, above(reference, ATYPICAL_ABOVE)),
        ]
    return found


def _summary(names, values):
    """Means over repeats with their 2.5 and 97.5 percentiles; NaN where a repeat has none."""
    low, high = np.quantile(values, (0.025, 0.975), axis=0)
    row = {}
    for name, *numbers in zip(names, values.mean(axis=0), low, high, strict=True):
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), map(float, numbers), strict=True))
    return row

"""How the scores settle with the number of trials."""

import numpy as np

from bat.errors import BatError
from bat.scores._influence import influence
from bat.scores._memorization import where_defined
from bat.scores.counts import check_correct
from bat.scores.registry import ATYPICAL_ABOVE
from bat.statistics import above, correlation
from bat.streams import generator


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
        If shapes or types are wrong, a step is out of range, or ``repeats`` is below 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> included = rng.random((40, 50)) < 0.7
    >>> rows = convergence(included, included, steps=[20, 40], repeats=2, seed=0)
    >>> [row["n_trials"] for row in rows]
    [20, 40]
    """
    check_correct(included, correct)
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
    test_correct,
    train_labels,
    test_labels,
    *,
    steps,
    seed: int,
    threshold: float = ATYPICAL_ABOVE,
    repeats: int = 3,
    max_test: int = 1000,
) -> list[dict]:
    """Say how many of the strongest pairs are real with fewer trials.

    Parameters
    ----------
    included, correct, test_correct : ndarray of bool
        As for `memorization` and `influence`.
    train_labels, test_labels : ndarray of int
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
    chosen = where_defined(included, correct)[0]
    chosen = np.flatnonzero(above(chosen, threshold))
    test = generator(seed, 0, "influence convergence").permutation(len(test_labels))[:max_test]
    names = ("influence_candidates", "influence_above", "influence_by_chance")
    rows = []
    for step in steps:
        found = []
        for repeat in range(repeats):
            draw = generator(seed, repeat, f"convergence {step}").permutation(len(included))[:step]
            n_included = included[draw][:, chosen].sum(axis=0)
            use = chosen[(n_included > 0) & (n_included < step)]
            if not use.size:
                continue
            pairs = influence(
                included[draw][:, use],
                test_correct[draw][:, test],
                train_labels[use],
                test_labels[test],
                keep_above=threshold,
            )
            chance = pairs.chance
            found.append((chance["candidates"], chance["observed"][0], chance["expected"][0]))
        means = np.mean(found, axis=0) if found else np.full(3, np.nan)
        rows.append(dict(zip(names, means.tolist(), strict=True)))
    return rows


def _convergence(included, correct, step, repeats, seed):
    from scipy.stats import rankdata

    columns = ("split_half_correlation", "split_half_spearman", "se_mean", "se_p95", "undefined")
    values = np.empty((repeats, len(columns)))
    for repeat in range(repeats):
        draw = generator(seed, repeat, f"convergence {step}").permutation(len(included))[:step]
        half = step // 2
        halves = [
            where_defined(included[part], correct[part])[0] for part in (draw[:half], draw[half:])
        ]
        defined = ~np.isnan(halves).any(axis=0)
        first, second = (scores[defined] for scores in halves)
        error = where_defined(included[draw], correct[draw])[1]
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

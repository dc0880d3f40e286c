"""What the trials give away of their own training samples: membership inference.

LiRA, the likelihood-ratio attack of Carlini et al. (2022), arXiv:2112.03570: the
margins of models with and without a sample are taken as two Gaussians, and a model's
own margin says how much likelier the one is than the other. Trials are attacked fold by
fold with those of the other folds, so the attacked model is never in the fit, and all that
is compared was attacked with one fit: with each trial left out alone, a margin above the
others leaves a fit below them, and the attack looks worse than a coin where there is
nothing to find.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bat.errors import BatError
from bat.scores.margins import checked_margins, shrinkage

FALSE_POSITIVE_RATES = (0.001, 0.01)
"""At which the share of members that are found is reported."""

FOLDS = 5
"""Trials are attacked a fifth at a time; trial ``t`` is in fold ``t mod 5``."""


@dataclass(frozen=True)
class Attack:
    """How far members are told from non-members.

    ``scores`` (float32, of shape (n_trials, n_train)) are log likelihood ratios, high
    where the sample was in the trial's subset; NaN where fewer than two trials of the
    other folds are with or without it. ``fold`` (int, of shape (n_trials,)) says which
    trials were attacked with one fit. ``sample_auc`` (float64, of shape (n_train,)) is
    the chance that of two trials of a fold, one with the sample and one without, the one
    with it has the higher score.
    """

    scores: np.ndarray
    fold: np.ndarray
    sample_auc: np.ndarray


def membership_attack(included: np.ndarray, margins: np.ndarray) -> Attack:
    """Attack the trials of each fold with those of the others.

    Parameters
    ----------
    included : ndarray of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held sample ``i``.
    margins : ndarray of float, shape (n_trials, n_train)
        The margin of trial ``t``'s model on sample ``i``; see
        `bat.scores.margins.margins`.

    Returns
    -------
    Attack

    Raises
    ------
    BatError
        If shapes or types are wrong, or a margin is NaN.

    Notes
    -----
    Each Gaussian has the sample's own mean. Its variance, from few trials, is shrunk
    towards that of all samples as in `bat.scores.margins`, apart for models with and
    without the sample. The prior of the shrinkage alone is fitted to all trials.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> included = rng.random((60, 200)) < 0.5
    >>> attack = membership_attack(included, rng.normal(3.0 * included))
    >>> round(float(attack.sample_auc.mean()), 1)
    1.0
    """
    if included.ndim != 2 or included.dtype != bool:
        raise BatError(
            f"included is {included.dtype} of shape {included.shape}; expected booleans of shape "
            "(n_trials, n_train)"
        )
    margins = checked_margins(margins, included.shape)
    fold = np.arange(len(included)) % FOLDS
    priors = [_prior(side, margins) for side in (included, ~included)]
    scores = np.empty(included.shape, np.float32)
    for number in range(FOLDS):
        attacked, fit = fold == number, fold != number
        inside, values = included[fit], margins[fit]
        scores[attacked] = _log_density(margins[attacked], inside, values, priors[0])
        scores[attacked] -= _log_density(margins[attacked], ~inside, values, priors[1])
    return Attack(scores, fold, _auc_by_sample(included, scores, fold))


def roc(included: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the receiver operating characteristic of scores, all trials and samples together.

    Parameters
    ----------
    included : ndarray of bool
    scores : ndarray of float, of the same shape
        High is a member; NaN is left out.

    Returns
    -------
    false_positive_rate, true_positive_rate : ndarray of float64
        From (0, 0) to (1, 1), a point for each distinct score.
    """
    known = np.isfinite(scores)
    values, member = scores[known], included[known]
    order = np.argsort(-values, kind="stable")
    values, member = values[order], member[order]
    last = np.append(np.flatnonzero(np.diff(values)), values.size - 1)
    found = np.cumsum(member)[last]
    false = last + 1 - found
    members, others = member.sum(), (~member).sum()
    if not members or not others:
        raise BatError("a ROC needs members and non-members; found only one of them")
    return np.append(0.0, false / others), np.append(0.0, found / members)


def rates(included, scores, fold, levels) -> np.ndarray:
    """Return the share of members that are found at false positive rates.

    Parameters
    ----------
    included, scores : ndarray, shape (n_trials, n_train)
    fold : ndarray of int, shape (n_trials,)
    levels : sequence of float
        False positive rates in (0, 1].

    Returns
    -------
    ndarray of float64, shape (n_levels,)
        In each fold the largest true positive rate at no more false positives than the
        level allows; the mean over the folds.
    """
    found = []
    for number in np.unique(fold):
        fpr, tpr = roc(included[fold == number], scores[fold == number])
        found.append(tpr[np.searchsorted(fpr, levels, side="right") - 1])
    return np.mean(found, axis=0)


def rates_with_intervals(
    attack: Attack,
    included: np.ndarray,
    levels=FALSE_POSITIVE_RATES,
    *,
    repeats: int = 200,
    generator: np.random.Generator,
) -> list[dict]:
    """Return `rates` with their 95 % intervals over trials.

    Parameters
    ----------
    attack : Attack
    included : ndarray of bool, shape (n_trials, n_train)
    levels : sequence of float
    repeats : int
        Bootstrap draws of trials within their folds: they are what another run would
        draw anew.
    generator : numpy.random.Generator

    Returns
    -------
    list of dict
        A row for each level: ``fpr``, ``tpr``, ``low``, ``high``. By chance ``tpr`` is
        ``fpr``.
    """
    folds = [np.flatnonzero(attack.fold == number) for number in np.unique(attack.fold)]
    draws = []
    for _ in range(repeats):
        chosen = np.concatenate([generator.choice(rows, rows.size) for rows in folds])
        draws.append(rates(included[chosen], attack.scores[chosen], attack.fold[chosen], levels))
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    whole = rates(included, attack.scores, attack.fold, levels)
    return [
        {"fpr": float(level), "tpr": float(tpr), "low": float(a), "high": float(b)}
        for level, tpr, a, b in zip(levels, whole, low, high, strict=True)
    ]


def _prior(chosen, margins):
    """Freedom and variance of the prior of a sample's variance among the chosen trials."""
    n = chosen.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(chosen, margins, 0).sum(axis=0) / n
        squares = np.where(chosen, (margins - mean) ** 2, 0).sum(axis=0)
        return shrinkage(squares / (n - 1), n - 1)


def _log_density(attacked, chosen, margins, prior):
    """Log density of attacked margins under the Gaussian of the chosen ones of the fit."""
    freedom, pooled = prior
    n = chosen.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(chosen, margins, 0).sum(axis=0) / n
        squares = np.where(chosen, (margins - mean) ** 2, 0).sum(axis=0)
        variance = np.full(n.shape, pooled)
        if np.isfinite(freedom):
            variance = (freedom * pooled + squares) / (freedom + n - 1)
        variance = variance * (1 + 1 / n)  # of a new margin: the mean is uncertain too
        density = -0.5 * ((attacked - mean) ** 2 / variance + np.log(variance))
    return np.where(n > 1, density, np.nan)


def _auc_by_sample(included, scores, fold):
    """Mann and Whitney's over the pairs within folds, of each column; NaN without a pair."""
    from scipy.stats import rankdata

    won, pairs = np.zeros(included.shape[1]), np.zeros(included.shape[1])
    for number in np.unique(fold):
        member, values = included[fold == number], scores[fold == number]
        known = np.isfinite(values).all(axis=0)
        ranks = rankdata(values[:, known], axis=0)
        n = member[:, known].sum(axis=0)
        won[known] += (ranks * member[:, known]).sum(axis=0) - n * (n + 1) / 2
        pairs[known] += n * (len(member) - n)
    with np.errstate(invalid="ignore"):
        return np.where(pairs > 0, won / pairs, np.nan)

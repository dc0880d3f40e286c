"""What the trials give away of their own training samples: membership inference.

LiRA, the likelihood-ratio attack of Carlini et al. (2022), arXiv:2112.03570: the
margins of models with and without a sample are taken as two Gaussians, and a model's
own margin says how much likelier the one is than the other. Trials are attacked fold by
fold with those of the other folds, so the attacked model is never in the fit, and all that
is compared was attacked with one fit: with each trial left out alone, a margin above the
others leaves a fit below them, and the attack looks worse than a coin where there is
nothing to find. How well members are told in all is in `bat.scores.roc`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bat.scores.margins import checked, finite, moments, shrinkage

FOLDS = 5
"""Trials are attacked a fifth at a time; trial ``t`` is in fold ``t mod 5``."""

_SAMPLES = 2048
"""Samples whose margins are in memory in float64 at a time."""


@dataclass(frozen=True)
class Attack:
    """How far members are told from non-members.

    ``scores`` (float32, of shape (n_trials, n_train)) are log likelihood ratios, high
    where the sample was in the trial's subset; NaN where fewer than two trials of the
    other folds are with or without it. ``fold`` (int, of shape (n_trials,)) says which
    trials were attacked with one fit. ``sample_auc`` (float64, of shape (n_train,), in
    [0, 1]) is the chance that of two trials of a fold, one with the sample and one
    without, the one with it has the higher score: 0.5 gives nothing away.
    ``sample_auc_se`` is its standard error over trials, above 0; both are NaN where no
    fold has such a pair.
    """

    scores: np.ndarray
    fold: np.ndarray
    sample_auc: np.ndarray
    sample_auc_se: np.ndarray


def membership_attack(included: np.ndarray, margins: np.ndarray) -> Attack:
    """Attack the trials of each fold with those of the others.

    Parameters
    ----------
    included : array-like of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held sample ``i``; 0 and 1 will do.
    margins : array-like of float, shape (n_trials, n_train)
        The margin of trial ``t``'s model on sample ``i``; see
        `bat.scores.margins.margins`. float16 will do.

    Returns
    -------
    Attack

    Raises
    ------
    BatError
        If shapes or types are wrong, or a margin is not finite.

    Notes
    -----
    Each Gaussian has the sample's own mean. Its variance, from few trials, is shrunk
    towards that of all samples as in `bat.scores.margins`, apart for models with and
    without the sample, and from the trials of the fit alone.

    The standard error of a sample's AUC is that of DeLong et al. (1988), Biometrics 44:
    the variance of the share of non-members below each member, over the members, and
    of the share of members above each non-member. One 0 and one 1 are added to each of
    the two, as Agresti and Caffo do, since most samples of few trials are told without
    an error, which is not to be certain. The fits are taken as given: in simulation, 1.96
    errors cover 89 % where nothing is given away, and 97 % or more where something is.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> included = rng.random((60, 200)) < 0.5
    >>> attack = membership_attack(included, rng.normal(3.0 * included))
    >>> round(float(attack.sample_auc.mean()), 1)
    1.0
    """
    included, margins = checked(included, margins)
    fold = np.arange(len(included)) % FOLDS
    starts = range(0, included.shape[1], _SAMPLES)
    parts = [slice(start, start + _SAMPLES) for start in starts]
    priors = _priors(included, margins, fold, parts)
    scores = np.empty(included.shape, np.float32)
    area, error = np.empty(included.shape[1]), np.empty(included.shape[1])
    for part in parts:
        inside, values = included[:, part], np.asarray(margins[:, part], np.float64)
        for number in range(FOLDS):
            attacked, fit = fold == number, fold != number
            of_fit = inside[fit], values[fit]
            of_members, of_others = priors[number]
            ratio = _log_density(values[attacked], *of_fit, of_members)
            ratio -= _log_density(values[attacked], ~of_fit[0], of_fit[1], of_others)
            scores[attacked, part] = ratio
        area[part], error[part] = _auc_by_sample(inside, scores[:, part], fold)
    return Attack(scores, fold, area, error)


def _priors(included, margins, fold, parts):
    """Priors of the samples' variances, for each fold from the trials of the others.

    Of models with the sample, and of those without it.
    """
    found = [([], []) for _ in range(FOLDS)]
    for part in parts:
        inside, values = included[:, part], finite(margins[:, part], part.start)
        for number, sides in enumerate(found):
            fit = fold != number
            for side, chosen in zip(sides, (inside[fit], ~inside[fit]), strict=True):
                n, _, squares = moments(values[fit], chosen)
                with np.errstate(divide="ignore", invalid="ignore"):
                    side.append((squares / (n - 1), n - 1))
    return [
        [shrinkage(*map(np.concatenate, zip(*side, strict=True))) for side in sides]
        for sides in found
    ]


def _log_density(attacked, chosen, margins, prior):
    """Log density of attacked margins under the Gaussian of the chosen ones of the fit."""
    freedom, pooled = prior
    n, mean, squares = moments(margins, chosen)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.full(n.shape, pooled)
        if np.isfinite(freedom):
            variance = (freedom * pooled + squares) / (freedom + n - 1)
        variance = variance * (1 + 1 / n)  # of a new margin: the mean is uncertain too
        density = -0.5 * ((attacked - mean) ** 2 / variance + np.log(variance))
    return np.where(n > 1, density, np.nan)


def _auc_by_sample(included, scores, fold):
    """Mann and Whitney's over the pairs within folds, of each column, and its standard error."""
    from scipy.stats import rankdata

    shape = included.shape[1]
    won, pairs = np.zeros(shape), np.zeros(shape)
    sums, counts = np.zeros((2, 2, shape)), np.zeros((2, shape))
    for number in np.unique(fold):
        member, values = included[fold == number], scores[fold == number]
        n_in = member.sum(axis=0)
        n_out = len(member) - n_in
        known = np.isfinite(values).all(axis=0) & (n_in > 0) & (n_out > 0)
        member, values = member[:, known], values[:, known]
        n_in, n_out = n_in[known], n_out[known]
        ranks = rankdata(values, axis=0)
        among = [rankdata(np.where(m, values, np.inf), axis=0) for m in (member, ~member)]
        below = np.where(member, (ranks - among[0]) / n_out, 0)  # share of the non-members
        above = np.where(member, 0, 1 - (ranks - among[1]) / n_in)  # share of the members
        won[known] += below.sum(axis=0) * n_out
        pairs[known] += n_in * n_out
        for side, (share, n) in enumerate(((below, n_in), (above, n_out))):
            sums[side, 0, known] += share.sum(axis=0)
            sums[side, 1, known] += (share**2).sum(axis=0)
            counts[side, known] += n
    more = counts + 2
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (sums[:, 1] + 1) / more - ((sums[:, 0] + 1) / more) ** 2
        error = np.sqrt((variance / counts).sum(axis=0))
        found = won / pairs
    return np.where(pairs > 0, found, np.nan), np.where(pairs > 0, error, np.nan)

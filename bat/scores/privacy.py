"""What the trials give away of their own training samples: membership inference.

LiRA, the likelihood-ratio attack of Carlini et al. (2022), arXiv:2112.03570: the
margins of models with and without a sample are taken as two Gaussians, and a model's
own margin says how much likelier the one is than the other. Every trial is attacked
with the others, so the attacked model is never in the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bat.errors import BatError
from bat.scores.margins import checked_margins, shrinkage

FALSE_POSITIVE_RATES = (0.001, 0.01)
"""At which the share of members that are found is reported."""

_BLOCK = 2**22  # scores computed at a time: 32 MB an array


@dataclass(frozen=True)
class Attack:
    """How far members are told from non-members.

    ``scores`` (float32, of shape (n_trials, n_train)) are log likelihood ratios, high
    where the sample was in the trial's subset; NaN where fewer than two other trials
    are with or without it. ``sample_auc`` (float64, of shape (n_train,)) is the chance
    that of two trials, one with the sample and one without, the one with it has the
    higher score.
    """

    scores: np.ndarray
    sample_auc: np.ndarray


def membership_attack(included: np.ndarray, margins: np.ndarray) -> Attack:
    """Attack every trial with all others.

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
    scores = np.empty(included.shape, np.float32)
    priors = [_prior(included, margins), _prior(~included, margins)]
    step = max(1, _BLOCK // len(included))
    for start in range(0, included.shape[1], step):
        part = slice(start, start + step)
        inside, values = included[:, part], margins[:, part]
        scores[:, part] = _log_density(inside, values, priors[0])
        scores[:, part] -= _log_density(~inside, values, priors[1])
    return Attack(scores, _auc_by_sample(included, scores))


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


def rate_at(fpr: np.ndarray, tpr: np.ndarray, level: float) -> float:
    """The largest true positive rate at a false positive rate of at most ``level``."""
    return float(tpr[np.searchsorted(fpr, level, side="right") - 1])


def rates_with_intervals(
    included: np.ndarray,
    scores: np.ndarray,
    levels=FALSE_POSITIVE_RATES,
    *,
    repeats: int = 200,
    generator: np.random.Generator,
) -> list[dict]:
    """The true positive rate at each false positive rate, and its 95 % interval over trials.

    Parameters
    ----------
    included, scores : ndarray, shape (n_trials, n_train)
    levels : sequence of float
        False positive rates in (0, 1).
    repeats : int
        Bootstrap draws of trials, which are what another run would draw anew.
    generator : numpy.random.Generator

    Returns
    -------
    list of dict
        A row for each level: ``fpr``, ``tpr``, ``low``, ``high``; ``chance`` is ``fpr``.
    """
    whole = roc(included, scores)
    draws = np.empty((repeats, len(levels)))
    for repeat in range(repeats):
        chosen = generator.integers(len(included), size=len(included))
        curve = roc(included[chosen], scores[chosen])
        draws[repeat] = [rate_at(*curve, level) for level in levels]
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return [
        {"fpr": level, "tpr": rate_at(*whole, level), "low": float(a), "high": float(b)}
        for level, a, b in zip(levels, low, high, strict=True)
    ]


def _prior(chosen, margins):
    """Freedom and variance of the prior of a sample's variance among the chosen trials."""
    n = chosen.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(chosen, margins, 0).sum(axis=0) / n
        squares = np.where(chosen, (margins - mean) ** 2, 0).sum(axis=0)
        return shrinkage(squares / (n - 1), n - 1)


def _log_density(chosen, margins, prior):
    """Log density of every margin under the Gaussian of the chosen trials but its own."""
    freedom, pooled = prior
    n = chosen.sum(axis=0) - chosen  # without the attacked trial, shape (n_trials, n)
    own = np.where(chosen, margins, 0)
    centre = own.sum(axis=0) / np.maximum(chosen.sum(axis=0), 1)
    centred = margins - centre  # against cancellation
    inside = np.where(chosen, centred, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (inside.sum(axis=0) - inside) / n
        squares = (inside**2).sum(axis=0) - inside**2 - n * mean**2
        if np.isinf(freedom):
            variance = np.full(n.shape, pooled)
        else:
            variance = (freedom * pooled + np.maximum(squares, 0)) / (freedom + n - 1)
        variance = variance * (1 + 1 / n)  # of a new margin: the mean is uncertain too
        density = -0.5 * ((centred - mean) ** 2 / variance + np.log(variance))
    return np.where(n > 1, density, np.nan)


def _auc_by_sample(included, scores):
    """Mann and Whitney's, of each column; NaN where one side is missing."""
    from scipy.stats import rankdata

    auc = np.full(included.shape[1], np.nan)
    for sample in range(included.shape[1]):
        known = np.isfinite(scores[:, sample])
        member = included[known, sample]
        n = int(member.sum())
        if 0 < n < member.size:
            ranks = rankdata(scores[known, sample])
            auc[sample] = (ranks[member].sum() - n * (n + 1) / 2) / (n * (member.size - n))
    return auc

"""Margins, and memorization estimated from them: what a bit throws away.

The margin of a model on a sample is the logit of its label less the largest other
logit, positive where the prediction is right. Of the models trained without a
sample, a 0/1 bit says on which side of 0 the margin lies; the margin says how far.
With margins taken as Gaussian, as in the likelihood-ratio attack of Carlini et al.
(2022), arXiv:2112.03570, the accuracy without the sample is ``Phi(mean / sd)``, known
from fewer models than by counting.

Few models leave the deviation of each sample uncertain, so it is shrunk towards that
of all samples, by as much as the samples' own deviations say: the empirical Bayes of
Smyth (2004), Statistical Applications in Genetics and Molecular Biology 3. The mean is
shrunk towards what the margins of the models with the sample let expect; see
`bat.scores.margin_prior`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bat.errors import BatError
from bat.scores.counts import as_mask, check_bool
from bat.scores.margin_prior import LEAST_SAMPLES, fit_prior, responsibilities

_SAMPLES = 4096
"""Samples whose margins are in memory in float64 at a time."""


_FARTHEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class MarginScores:
    """One value for each training sample, float64 of shape (n_train,).

    ``memorization_margin`` (in [-1, 1], high is atypical) estimates the same as
    `bat.memorization`;
    ``memorization_margin_se`` is its standard error. ``prior_trials`` (float) says
    how many trials the other samples are worth in a sample's deviation.
    """

    memorization_margin: np.ndarray
    memorization_margin_se: np.ndarray
    prior_trials: float


def margins(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the margin of each sample: the label's logit less the largest other.

    Parameters
    ----------
    logits : ndarray of float, shape (..., n, n_classes)
        Logits or logarithms of probabilities, which give the same.
    labels : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of float, shape (..., n)
        Positive where the label alone is the largest.

    Examples
    --------
    >>> margins(np.array([[2.0, 0.5, -1.0], [0.0, 1.0, 3.0]]), np.array([0, 1]))
    array([ 1.5, -2. ])
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    at = np.broadcast_to(labels[:, None], (*logits.shape[:-1], 1))
    own = np.take_along_axis(logits, at, axis=-1)[..., 0]
    others = np.array(logits)
    np.put_along_axis(others, at, -np.inf, axis=-1)
    return own - others.max(axis=-1)


def half_precision(margins: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Margins in float16, as trials keep them.

    Parameters
    ----------
    margins : ndarray of float, shape (n,)
    correct : ndarray of bool, shape (n,)
        Which predictions are right.

    Returns
    -------
    ndarray of float16, shape (n,)
        Finite; 0 where rounding made a tie that the prediction broke otherwise.

    Examples
    --------
    >>> half_precision(np.array([1.5, 1e9, 1e-9]), np.array([True, True, False]))
    array([1.50e+00, 6.55e+04, 0.00e+00], dtype=float16)
    """
    found = np.clip(margins, -_FARTHEST, _FARTHEST).astype(np.float16)
    found[np.where(correct, found < 0, found > 0)] = 0
    return found


def memorization_from_margins(
    included: np.ndarray, margins: np.ndarray, *, proxy: np.ndarray | None = None
) -> MarginScores:
    """Estimate how much each training label is memorized, from margins.

    Parameters
    ----------
    included : array-like of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held sample ``i``; 0 and 1 will do.
    margins : array-like of float, shape (n_trials, n_train)
        The margin of trial ``t``'s model on sample ``i``, in eval mode and without
        augmentation; float16 will do.
    proxy : ndarray of float, shape (n_train,), optional
        A score of a single training (as of `bat.Dynamics`), of either direction, which
        then takes part in the prior. What it shares with memorization saves trials;
        do not compare the two afterwards.

    Returns
    -------
    MarginScores
        NaN where fewer than two trials are without a sample, or none is with it.

    Raises
    ------
    BatError
        If shapes or types are wrong, or a margin or the proxy is not finite.

    Notes
    -----
    The accuracy with the sample is counted; the variance of its count ``k`` of ``n`` is
    that of ``(k + 2 p) / (n + 2)``, after Agresti and Caffo with the accuracy ``p`` of
    all samples for a half. That without it is ``Phi(z)`` of ``z = mean / sd``, whose
    estimate varies by ``1/n + z^2 / (2 d)`` for ``d`` degrees of freedom of the shrunk
    deviation. With the prior of `fit_prior` it is a mixture of normal densities, and the
    mean and the variance of ``Phi`` of it are known in closed form (Owen's T). With fewer
    samples than a prior takes, ``Phi(z)`` with ``z = mean / (sd sqrt(1 - 1/n))`` takes its
    place, unbiased where the deviation is known (Kolmogorov, 1950).

    Intervals of 1.96 standard errors hold the truth for 95 % of all samples, and of those
    with a high estimate, where margins are Gaussian. Of those with a high *truth* they
    hold it less often while trials are few: the estimate of the unusual sample is drawn
    to what is usual. The mean of the posterior does that by its nature, with the very
    prior known too. Margins of one sample that are skewed or have heavy tails bias the
    estimate however many trials there are; trust the plain difference then.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> included = rng.random((40, 500)) < 0.7
    >>> found = memorization_from_margins(included, rng.normal(np.where(included, 5, 0)))
    >>> round(float(found.memorization_margin.mean()), 2)
    0.5
    """
    included, margins = checked(included, margins)
    proxies = [] if proxy is None else [_checked_proxy(proxy, included.shape[1])]
    n_in, a, without, seen = included.sum(axis=0), [], [], []
    for start in range(0, included.shape[1], _SAMPLES):
        part = slice(start, start + _SAMPLES)
        values = finite(margins[:, part], start)
        a.append(((values > 0) & included[:, part]).sum(axis=0))
        without.append(moments(values, ~included[:, part]))
        seen.append(moments(values, included[:, part])[1])
    a, seen = np.concatenate(a), np.concatenate(seen)
    without = [np.concatenate(part) for part in zip(*without, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy_in = a / n_in
        accuracy_out, variance_out, prior = _accuracy(*without, seen, *proxies)
        variance = _count_variance(a, n_in) + variance_out
    defined = (n_in > 0) & np.isfinite(accuracy_out)
    return MarginScores(
        np.where(defined, accuracy_in - accuracy_out, np.nan),
        np.where(defined, np.sqrt(variance), np.nan),
        prior,
    )


def _checked_proxy(proxy, n):
    proxy = np.asarray(proxy, np.float64)
    if proxy.shape != (n,) or not np.isfinite(proxy).all():
        raise BatError(
            f"proxy has shape {proxy.shape}, or values that are not finite; expected one number "
            f"for each of {n} samples"
        )
    return proxy


def _count_variance(right, n):
    """Variance of shares, each drawn to that of all by two trials."""
    share = (right + 2 * right.sum() / n.sum()) / (n + 2)
    return share * (1 - share) / n


def checked(included, margins) -> tuple[np.ndarray, np.ndarray]:
    """Masks as bool and margins as they are; refuse other values, and other shapes."""
    included, margins = as_mask("included", included), np.asarray(margins)
    check_bool("included", included)
    checked_shape(margins, included.shape)
    return included, margins


def checked_shape(margins: np.ndarray, shape: tuple[int, int]) -> None:
    """Refuse another shape."""
    if margins.shape != shape:
        raise BatError(f"margins have shape {margins.shape}; expected {shape}")


def finite(margins: np.ndarray, first: int = 0) -> np.ndarray:
    """Margins as float64; refuse others than finite ones, naming trial and sample.

    ``first`` is the sample of the first column.
    """
    margins = np.asarray(margins, np.float64)
    if not (known := np.isfinite(margins)).all():
        trial, sample = np.argwhere(~known)[0]
        raise BatError(
            f"the margin of sample {first + sample} in trial {trial} is {margins[trial, sample]}; "
            f"expected finite numbers, at most {_FARTHEST:.0f} for float16"
        )
    return margins


def moments(margins, chosen):
    """Number, mean and sum of squared deviations of the chosen trials, of each sample."""
    n = chosen.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.where(chosen, margins, 0).sum(axis=0) / n
    return n, mean, np.where(chosen, (margins - mean) ** 2, 0).sum(axis=0)


def _accuracy(n, mean, squares, *tells):
    """Accuracy of some trials on each sample, its variance, and the prior's trials."""
    freedom = n - 1
    trials, pooled = shrinkage(squares / freedom, freedom)
    if np.isinf(trials):
        deviation = np.sqrt(np.full(n.shape, pooled))
    else:
        deviation = np.sqrt((trials * pooled + squares) / (trials + freedom))
    z = mean / deviation
    known = (n > 1) & np.isfinite([z, *tells]).all(axis=0)
    alone = known.sum() < LEAST_SAMPLES
    if alone:
        z = z / np.sqrt(1 - 1 / n)
    spread = 1 / n + z**2 / (2 * (trials + freedom))
    found = [values[known] for values in (z, spread, *tells)]
    accuracy, variance = np.full((2, *n.shape), np.nan)
    accuracy[known], variance[known] = _without_prior(*found[:2]) if alone else _with_prior(*found)
    return accuracy, np.maximum(variance, 0), float(trials)


def _without_prior(z, spread):
    """``Phi(z)``, and the variance of ``Phi`` about it."""
    from scipy.special import ndtr

    share, square = _moments_of_share(z, spread)
    return ndtr(z), square - share**2


def _with_prior(z, spread, *tells):
    """Mean and variance of ``Phi`` over the posterior of each sample."""
    expected, apart, shares = fit_prior(z, spread, *tells)
    weights = responsibilities(z, spread, expected, apart, shares)
    centre = (apart * z + spread * expected) / (apart + spread)
    share, square = _moments_of_share(centre, apart * spread / (apart + spread))
    accuracy = (weights * share).sum(axis=0)
    return accuracy, (weights * square).sum(axis=0) - accuracy**2


def _moments_of_share(z, spread):
    """Means of ``Phi`` and of its square under normal densities."""
    from scipy.special import ndtr, owens_t

    centre = z / np.sqrt(1 + spread)
    share = ndtr(centre)
    return share, share - 2 * owens_t(centre, 1 / np.sqrt(1 + 2 * spread))


def shrinkage(variances: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """Fit the prior of variances that vary between samples: scaled inverse chi-squared.

    Parameters
    ----------
    variances : ndarray of float, shape (n,)
        Of each sample; those that are 0, infinite or NaN are left out.
    freedom : ndarray of int, shape (n,)
        Degrees of freedom of each.

    Returns
    -------
    prior_freedom : float
        Degrees of freedom of the prior; infinite where all samples have one variance
        but for chance.
    prior_variance : float

    Notes
    -----
    By the moments of the logarithm (Smyth, 2004, section 6.2).
    """
    from scipy.special import digamma, polygamma

    use = np.isfinite(variances) & (variances > 0) & (freedom > 0)
    if use.sum() < 2:
        return np.inf, float(variances[use].mean()) if use.any() else np.nan
    half = freedom[use] / 2
    log = np.log(variances[use]) - digamma(half) + np.log(half)
    excess = log.var(ddof=1) - polygamma(1, half).mean()
    if excess <= 0:
        return np.inf, float(np.exp(log.mean()))
    prior = 2 * _inverse_trigamma(excess)
    return float(prior), float(np.exp(log.mean() + digamma(prior / 2) - np.log(prior / 2)))


def _inverse_trigamma(value: float) -> float:
    """The argument at which the trigamma function has a value, by Newton's steps on 1 / it."""
    from scipy.special import polygamma

    found = 0.5 + 1 / value
    for _ in range(50):
        trigamma = polygamma(1, found)
        step = trigamma * (1 - trigamma / value) / polygamma(2, found)
        found += step
        if -step / found < 1e-10:
            break
    return float(found)

"""Intervals that count two sources of chance: the seeds of a training and the samples judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bat.errors import BatError
from bat.statistics import TOLERANCE, paired_difference, wilson_interval


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and samples, and how far another draw of both would move it.

    ``mean``, its ``standard_error`` with Satterthwaite's ``degrees`` of freedom, the
    interval from ``low`` to ``high``, and ``p``, two-sided, of a mean of 0. All but
    ``mean`` are NaN for a single seed or sample, which leaves a source of chance unknown.
    """

    mean: float
    standard_error: float
    degrees: float
    low: float
    high: float
    p: float


def crossed_mean(values, *, level: float = 0.95) -> CrossedMean:
    """Return the mean of values that were measured of every sample at every seed.

    For the difference of two methods, give the differences of their verdicts at the
    same seed on the same sample: the interval is then paired by both.

    Parameters
    ----------
    values : array_like, shape (n_seeds, n_samples)
        Verdicts in {0, 1}, or differences of two in {-1, 0, 1}; any finite numbers.
    level : float
        Coverage of the interval, in (0, 1).

    Returns
    -------
    CrossedMean

    Raises
    ------
    BatError
        If ``values`` is no such table, is empty, or holds a value that is not finite.

    Notes
    -----
    The analysis of variance of two crossed random effects with one value a cell,
    ``x[s, i] = mean + a[s] + b[i] + e[s, i]``. The mean squares ``A`` of seeds, ``B`` of
    samples and ``E`` of what is left estimate the variance of the mean as
    ``(A + B - E) / (n_seeds n_samples)``, and never less than with ``A`` or ``B`` alone.
    Degrees of freedom as in Satterthwaite (1946), Biometrics Bulletin 2, 110-114. A few seeds
    say little of how much seeds differ, and where they happen to lie close together these
    degrees are far too many: therefore the interval is never narrower, and p never less, than
    Student's of the means of the seeds. Counting seeds alone, ``A / (n_seeds n_samples)``, leaves
    out that other test samples could have been drawn; methods that are equal over all of
    them then differ too often. In simulations of such methods the 95 % interval leaves 0 out
    in 1 to 5 of 100 cases with two or three seeds and in 2 to 6 with more, and p lies below
    0.0005, as a correction for 100 comparisons needs it, in at most 9 of 10,000.

    A few samples can show no spread by chance. Therefore p is never less than
    ``2 ** (1 - n_samples)``, that of an exact sign test of samples that all say the same, and where
    all values are the same and not 0 the interval of their mean, which has to lie in [-1, 1], is by
    Clopper and Pearson's bound of the share of samples with any other value (NaN outside).
    Values that are 0 throughout, as of a run and itself, have the interval from 0 to 0.

    Examples
    --------
    >>> found = crossed_mean([[1, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 1]])
    >>> round(found.mean, 3), round(found.standard_error, 3)
    (0.667, 0.192)
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise BatError(
            f"found values of shape {values.shape}; expected a row of finite numbers for each "
            "seed, a column for each sample"
        )
    n_seeds, n_samples = values.shape
    mean = float(values.mean())
    if 1 in values.shape:
        return CrossedMean(mean, *[float("nan")] * 5)
    least = 2.0 ** (1 - n_samples)
    if mean != 0 and np.ptp(values) == 0:
        low, high = _interval_of_equal(mean, n_samples, level)
        return CrossedMean(mean, 0.0, float("nan"), low, high, least)
    of_seeds, of_samples = values.mean(axis=1), values.mean(axis=0)
    left = values - of_seeds[:, None] - of_samples + mean
    degrees = np.array([n_seeds - 1, n_samples - 1, (n_seeds - 1) * (n_samples - 1)])
    squares = np.array(
        [
            n_samples * ((of_seeds - mean) ** 2).sum(),
            n_seeds * ((of_samples - mean) ** 2).sum(),
            (left**2).sum(),
        ]
    )
    squares /= degrees
    total, parts = squares[0] + squares[1] - squares[2], slice(None)
    # a variance that was estimated below 0 is left out; of equal ones the wider interval counts,
    # whatever rounding says
    if total < squares[:2].max() * (1 - TOLERANCE):
        kept = int(squares[1] > squares[0] * (1 + TOLERANCE))
        if squares[:2].max() <= TOLERANCE * squares[2]:  # all seeds are alike, and all samples
            kept = 2
        total, parts = squares[kept], slice(kept, kept + 1)
    both = _interval(values, total, squares[parts], degrees[parts], level)
    seeds = _interval(values, squares[0], squares[:1], degrees[:1], level)
    return replace(
        both,
        low=min(both.low, seeds.low),
        high=max(both.high, seeds.high),
        p=max(both.p, seeds.p, least),
    )


def difference_interval(own, other) -> tuple[float, float, float]:
    """Return the mean difference of two methods' verdicts and its 95 % interval.

    Parameters
    ----------
    own, other : array_like of bool, shape (n_seeds, n_samples)
        Of the same seeds and samples, in the same order.

    Returns
    -------
    mean, low, high : float
        That of `crossed_mean`; of one seed Student's of the samples alone, which leaves out how
        much another training would differ. NaN for one sample.

    Examples
    --------
    >>> mean, low, high = difference_interval([[1, 1, 1, 1, 1, 1]], [[0, 0, 0, 0, 0, 0]])
    >>> mean, round(low, 3), high
    (1.0, 0.081, 1.0)
    """
    values = np.asarray(own, np.float64) - np.asarray(other, np.float64)
    if len(values) > 1:
        found = crossed_mean(values)
        return found.mean, found.low, found.high
    of_samples = values[0]
    if of_samples.size > 1 and of_samples[0] != 0 and np.ptp(of_samples) == 0:
        mean = float(of_samples[0])
        return mean, *_interval_of_equal(mean, of_samples.size)
    found = paired_difference(of_samples, np.zeros_like(of_samples))
    return found.mean, found.low, found.high


def accuracy_interval(verdicts) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy over seeds and samples, within [0, 1].

    That of `crossed_mean`; where every verdict is the same, which shows no spread and is not
    without chance, Wilson's of the samples.

    Parameters
    ----------
    verdicts : array_like of bool, shape (n_seeds, n_samples)

    Returns
    -------
    low, high : float
        NaN for a single seed.

    Examples
    --------
    >>> low, high = accuracy_interval([[False] * 120] * 3)
    >>> low, round(high, 3)
    (0.0, 0.031)
    """
    verdicts = np.asarray(verdicts, np.float64)
    found = crossed_mean(verdicts)
    if found.standard_error == 0:
        n = verdicts.shape[1]
        low, high = wilson_interval(round(found.mean * n), n)
    else:
        low, high = np.clip([found.low, found.high], 0, 1)
    return float(low), float(high)


def _interval(values, total, parts, degrees, level) -> CrossedMean:
    """Of a mean whose variance is that of ``total``, a sum of mean squares."""
    from scipy.special import stdtr, stdtrit

    mean = float(values.mean())
    if total == 0:
        return CrossedMean(mean, 0.0, float("nan"), mean, mean, float(mean == 0))
    freedom = float(total**2 / (parts**2 / degrees).sum())
    error = float(np.sqrt(total / values.size))
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    p = float(2 * stdtr(freedom, -abs(mean) / error))
    return CrossedMean(mean, error, freedom, mean - half, mean + half, p)


def _interval_of_equal(value: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Of a mean in [-1, 1], of which ``n`` draws all gave one value."""
    if abs(value) > 1:
        return float("nan"), float("nan")
    others = 1 - ((1 - level) / 2) ** (1 / n)
    return value - others * (1 + value), value + others * (1 - value)


def holm(p) -> np.ndarray:
    """Correct p-values for their number.

    Parameters
    ----------
    p : array_like of float, shape (n,)
        In [0, 1]; NaN where nothing was tested, which does not count.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1], none smaller than given. Calling differences with a value up to 0.05
        established is wrong of any of them in at most 5 % of tables.

    Notes
    -----
    Holm (1979), Scandinavian Journal of Statistics 6, 65-70; holds however the tests
    depend on each other.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3)
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p, np.float64)
    corrected = np.full(p.shape, np.nan)
    order = [i for i in np.argsort(p, kind="stable") if not np.isnan(p[i])]
    steps = np.arange(len(order), 0, -1) * p[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected

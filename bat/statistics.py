"""Means, paired differences over seeds, and intervals of proportions."""

import math
from dataclasses import dataclass

import numpy as np

from bat.errors import BatError

TOLERANCE = 1e-12  # of comparisons with a threshold: far below 1 over the square of any trials


@dataclass(frozen=True)
class PairedDifference:
    """The difference of two methods over the same seeds.

    ``mean``, its ``standard_error``, the ``sd`` over seeds, the interval from
    ``low`` to ``high``, and the number ``n`` of seeds. All but ``mean`` and
    ``n`` are NaN for a single seed.
    """

    mean: float
    sd: float
    standard_error: float
    low: float
    high: float
    n: int


def mean_and_sd(values) -> tuple[float, float, int]:
    """Return the mean, the sample standard deviation and the number of values.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One per seed, at least one, all finite.

    Returns
    -------
    mean, sd : float
        ``sd`` divides by n - 1 and is NaN for a single value.
    n : int

    Raises
    ------
    BatError
        If there is no value, or one is not finite.

    Examples
    --------
    >>> mean_and_sd([1.0, 2.0, 3.0])
    (2.0, 1.0, 3)
    """
    values = _finite(values)
    sd = float(values.std(ddof=1)) if values.size > 1 else float("nan")
    return float(values.mean()), sd, values.size


def paired_difference(a, b, *, level: float = 0.95) -> PairedDifference:
    """Compare two methods run with the same seeds: the mean of ``a - b``.

    Parameters
    ----------
    a, b : array_like of float, shape (n,)
        The same seeds in the same order.
    level : float
        Coverage of the interval, in (0, 1).

    Returns
    -------
    PairedDifference
        With Student's t interval on n - 1 degrees of freedom.

    Raises
    ------
    BatError
        If the lengths differ, are zero, or a value is not finite.

    Examples
    --------
    >>> paired_difference([0.62, 0.60], [0.60, 0.59]).n
    2
    """
    a, b = _finite(a), _finite(b)
    if a.shape != b.shape:
        raise BatError(
            f"found {a.size} and {b.size} values; a paired difference needs the same seeds"
        )
    mean, sd, n = mean_and_sd(a - b)
    error = sd / n**0.5
    half = float("nan")
    if n > 1:
        from scipy.special import stdtrit

        half = float(stdtrit(n - 1, (1 + level) / 2)) * error
    return PairedDifference(mean, sd, error, mean - half, mean + half, n)


def wilson_interval(k, n, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's score interval of a proportion of ``k`` in ``n``.

    Parameters
    ----------
    k, n : array_like of int
        Successes and attempts, 0 <= k <= n, n > 0; broadcast together.
    level : float
        Coverage, in (0, 1).

    Returns
    -------
    low, high : ndarray of float64
        In [0, 1]; sensible at k = 0 and k = n too.

    Raises
    ------
    BatError
        If a count is out of range.

    Notes
    -----
    Wilson (1927), Journal of the American Statistical Association 22, 209-212.

    Examples
    --------
    >>> low, high = wilson_interval(0, 10)
    >>> round(float(low), 3), round(float(high), 3)
    (0.0, 0.278)
    """
    from scipy.special import ndtri

    k, n = np.asarray(k), np.asarray(n)
    if not ((n > 0) & (k >= 0) & (k <= n)).all():
        raise BatError("an interval of k in n needs 0 <= k <= n and n > 0")
    z2 = ndtri((1 + level) / 2) ** 2
    centre = (k + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)


def trials_needed(se: float, n_trials: int, precision: float) -> int:
    """Return the number of trials that a wanted standard error would need.

    Parameters
    ----------
    se : float
        Standard error reached with ``n_trials``, such as the 95th percentile
        over samples; above 0.
    n_trials : int
    precision : float
        The standard error wanted, above 0, in the units of ``se``.

    Returns
    -------
    int
        Standard errors shrink as one over the root of the number of trials.

    Raises
    ------
    BatError
        If ``se`` or ``precision`` is not above 0.

    Examples
    --------
    >>> trials_needed(0.1, 200, 0.05)
    800
    """
    if not (se > 0 and precision > 0):
        raise BatError(f"se is {se} and precision {precision}; expected numbers above 0")
    return math.ceil(round(n_trials * (se / precision) ** 2, 6))


def correlation(a, b) -> float:
    """Return Pearson's correlation of two arrays, NaN where one of them is constant.

    Give ranks for Spearman's.

    Parameters
    ----------
    a, b : ndarray of float, shape (n,)

    Returns
    -------
    float
        In [-1, 1], or NaN.

    Examples
    --------
    >>> correlation(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 4.0]))
    1.0
    """
    if a.size < 2 or a.min() == a.max() or b.min() == b.max():
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def correlation_interval(found: float, n: int, *, ranks: bool = False) -> tuple[float, float]:
    """Return the 95 % interval of a correlation of ``n`` independent pairs.

    Parameters
    ----------
    found : float
        In [-1, 1].
    n : int
    ranks : bool
        Whether it is Spearman's, whose interval is wider where it is strong.

    Returns
    -------
    low, high : float
        NaN for fewer than four pairs, or a correlation of NaN.

    Notes
    -----
    Normal on Fisher's scale, with variance 1 / (n - 3), for Spearman's times
    1 + r^2 / 2 (Bonett and Wright, 2000, Psychometrika 65).

    Examples
    --------
    >>> low, high = correlation_interval(0.5, 103)
    >>> round(low, 3), round(high, 3)
    (0.339, 0.632)
    """
    if n < 4 or math.isnan(found):
        return math.nan, math.nan
    error = math.sqrt((1 + found**2 / 2 if ranks else 1) / (n - 3))
    centre = math.atanh(min(max(found, -1 + TOLERANCE), 1 - TOLERANCE))
    return math.tanh(centre - 1.96 * error), math.tanh(centre + 1.96 * error)


def proportion_variance(k, n, dtype=np.float64):
    """Return the variance of the proportion ``k / n``, never 0: Agresti and Caffo's.

    Parameters
    ----------
    k, n : array_like
        Successes and attempts, broadcast together.
    dtype : numpy dtype
        Floating type of the arithmetic and the result.

    Returns
    -------
    ndarray of ``dtype``
        ``q (1 - q) / n`` with ``q = (k + 1) / (n + 2)``. The standard error of the
        difference of two proportions is the root of the sum of two of these.

    Notes
    -----
    One success and one failure are added to each group. The plain estimate
    ``p (1 - p) / n`` is 0 at p = 0 and p = 1, where most samples lie, and would
    call a sample seen correct in 3 of 3 trials certain. Agresti and Caffo (2000),
    The American Statistician 54, 280-288, divide by n + 2 for an interval around
    the difference of the two q; ours is around the plain difference, which lies
    farther out, and with n it covers nearly as often as it says: at shares of 1
    and 0.5 92 % with 20 trials and 94 % with 60, in place of 86 and 93 %.
    """
    n, k = np.asarray(n, dtype), np.asarray(k, dtype)
    q = (k + dtype(1)) / (n + dtype(2))
    return q * (dtype(1) - q) / n


def score_from_counts(a, total, n_included, n_excluded, dtype=np.float64):
    """Return the score of ``a`` right predictions with a sample, of ``total`` in all.

    Parameters
    ----------
    a, total, n_included, n_excluded : array_like of int
        Broadcast together; ``n_included`` and ``n_excluded`` are the trials with and without.
    dtype : numpy dtype
        Of the result; the arithmetic is in float64.

    Returns
    -------
    ndarray of ``dtype``
        In [-1, 1].
    """
    return (a / n_included - (total - a) / n_excluded).astype(dtype)


def score_standard_error(a, total, n_included, n_excluded, dtype=np.float64):
    """Return the standard error of `score_from_counts`, by `proportion_variance`; never 0."""
    variance = proportion_variance(a, n_included, dtype) + proportion_variance(
        total - a, n_excluded, dtype
    )
    return np.sqrt(variance)


def above(values, threshold: float) -> np.ndarray:
    """Whether values are above a threshold, and not by rounding alone.

    Parameters
    ----------
    values : ndarray of float
        Shares or differences of shares. 1 - 0.85 is above 0.15 in floating point;
        float64 values compare with a tolerance of 1e-12, and float32 ones with the
        threshold as float32.
    threshold : float

    Returns
    -------
    ndarray of bool
        False where a value is NaN.

    Examples
    --------
    >>> above(np.array([1 - 0.85, 0.1500001]), 0.15)
    array([False,  True])
    """
    return values > _bound(values, threshold, TOLERANCE)


def below(values, threshold: float) -> np.ndarray:
    """Whether values are below a threshold, as `above`."""
    return values < _bound(values, threshold, -TOLERANCE)


def _bound(values, threshold, tolerance):
    if np.asarray(values).dtype == np.float32:
        return np.float32(threshold)
    return threshold + tolerance


def _finite(values) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise BatError(f"found {values.tolist()}; expected a list of one or more finite numbers")
    return values

"""What is known of a sample's margins before a model without it is looked at.

Of the models without a sample, which are few, ``z`` is the mean of its margins over
their deviation. Those with it, which are many, have margins too, and a sample whose
margin stays small although it was trained on is one that is wrong without it. So the
other samples say what ``z`` to expect at such a margin, and how far from it samples
lie: a normal prior, by regression (empirical Bayes; Fay and Herriot, 1979, Journal of
the American Statistical Association 74).
"""

from __future__ import annotations

import numpy as np

LEAST_SAMPLES = 100
"""Samples that a prior takes; with fewer there is none."""

_KNOTS, _STEPS = 4, 8
_LEAST_SHARE, _TINY = 0.1, 1e-6


def fit_prior(
    z: np.ndarray, spread: np.ndarray, seen: np.ndarray, *proxies: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the normal prior of each sample's ``z`` by its margin in models that saw it.

    Parameters
    ----------
    z : ndarray of float64, shape (n,)
        Estimates; finite.
    spread : ndarray of float64, shape (n,)
        The variance of each about the truth, above 0.
    seen : ndarray of float64, shape (n,)
        Mean margin of the models trained with the sample; finite.
    *proxies : ndarray of float64, shape (n,)
        What else may tell, as scores of single trainings; finite.

    Returns
    -------
    mean, variance : ndarray of float64, shape (n,)

    Notes
    -----
    The mean is linear between the quintiles of ``seen``, and of each proxy beside it,
    fitted by weighted least squares. The variance is what the squares of the residuals
    leave after ``spread``: half-way between that of all samples and one that is linear
    in the same pieces, as the latter alone gave intervals that were too short where the
    residuals have two peaks.
    """
    basis = np.column_stack([np.ones_like(z), *map(_pieces, (seen, *proxies))])
    n, size = basis.shape
    weights = np.ones(n)
    for _ in range(_STEPS):
        mean = _regress(basis, weights, z)
        excess = (z - mean) ** 2 - spread
        common = max(np.average(excess, weights=weights) * n / (n - size), _TINY)
        own = np.maximum(_regress(basis, weights, excess), _LEAST_SHARE * common)
        variance = (own + common) / 2
        weights = 1 / (variance + spread)
    return mean, variance


def _pieces(x: np.ndarray) -> np.ndarray:
    """Functions that are linear between quantiles of ``x``, as columns."""
    deviation = x.std()
    x = (x - x.mean()) / (deviation if deviation > 0 else 1)
    knots = np.quantile(x, np.arange(1, _KNOTS + 1) / (_KNOTS + 1))
    return np.column_stack([x, *(np.maximum(x - knot, 0) for knot in knots)])


def _regress(basis: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Fitted values; of the least norm, where columns depend on each other."""
    weighted = weights[:, None] * basis
    return basis @ np.linalg.lstsq(basis.T @ weighted, weighted.T @ values, rcond=None)[0]

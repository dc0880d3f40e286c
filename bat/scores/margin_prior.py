"""What is known of a sample's margins before a model without it is looked at.

Of the models without a sample, which are few, ``z`` is the mean of its margins over
their deviation. Those with it, which are many, have margins too, and a sample whose
margin stays small although it was trained on is one that is wrong without it. So the
other samples say what ``z`` to expect at such a margin, by regression, and how far from
it samples lie (empirical Bayes; Fay and Herriot, 1979, Journal of the American
Statistical Association 74). A few may lie far from where most do, as wrong labels among
easy samples: one normal density would draw them in with the others, so the prior is a
mixture of a normal density and of wider ones about the same mean, whose shares are what
is most likely (Stephens, 2017, Biostatistics 18).
"""

from __future__ import annotations

import numpy as np

LEAST_SAMPLES = 100
"""Samples that a prior takes; with fewer there is none."""

WIDER = np.array([1.0, 2.25, 6.25, 16.0])
"""How many times as large as the first the variances of the mixture's densities are."""

_KNOTS, _STEPS = 4, 8
_LEAST_SHARE, _TINY = 0.1, 1e-6
_ROUNDS = 50


def fit_prior(
    z: np.ndarray, spread: np.ndarray, seen: np.ndarray, *proxies: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit the prior of each sample's ``z`` by its margin in models that saw it.

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
    mean : ndarray of float64, shape (n,)
    variances : ndarray of float64, shape (n_widths, n)
        Of the normal densities about it, whose mixture the prior is.
    shares : ndarray of float64, shape (n_widths,)
        Of each density, the same for all samples; their sum is 1.

    Notes
    -----
    The mean is linear between the quintiles of ``seen``, and of each proxy beside it,
    fitted by weighted least squares. The least variance is what the squares of the residuals
    leave after ``spread``: half-way between that of all samples and one that is linear
    in the same pieces, as the latter alone gave intervals that were too short where the
    residuals have two peaks. The shares of it and of the wider ones are found by
    expectation-maximization from equal shares.
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
    variances = WIDER[:, None] * variance
    shares = np.full(len(WIDER), 1 / len(WIDER))
    for _ in range(_ROUNDS):
        shares = responsibilities(z, spread, mean, variances, shares).mean(axis=1)
    return mean, variances, shares


def responsibilities(
    z: np.ndarray, spread: np.ndarray, mean: np.ndarray, variances: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """How likely each ``z`` is from each density of its prior: of shape (n_widths, n)."""
    total = variances + spread
    log = np.log(shares[:, None] + 1e-300) - (z - mean) ** 2 / (2 * total) - np.log(total) / 2
    odds = np.exp(log - log.max(axis=0))
    return odds / odds.sum(axis=0)


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

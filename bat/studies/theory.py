"""The Gaussian mixture of theorems 1 and 2, and all its linear classifiers.

Class ``+1`` is normal around ``theta = (eta, 0)`` and class ``-1`` around
``-theta``, both with covariance ``sigma ** 2`` times the identity (equation 4).
A linear classifier answers ``+1`` where ``w @ x + b > 0``; a point on its boundary
counts as ``-1``, so that the best errors below are reached and not only approached.

A sample ``x0`` of class ``-1`` is fitted with its ball of radius ``eps`` where
``w @ x0 + b + eps <= 0`` for a unit vector ``w``; ``eps = 0`` is the sample alone. With
the direction ``w`` given, the best ``b`` is known:

- for class ``+1`` alone, ``b = -(w @ x0 + eps)``, the distance from ``theta`` to the
  boundary then being ``w @ (theta - x0) - eps``;
- for the worse of the two classes, ``b = min(0, -(w @ x0 + eps))``, and the smaller
  distance of the two means is ``min(w @ theta, w @ (theta - x0) - eps)``.

What is left is a search over one angle. Its values are minima of sinusoids, whose
largest value on an interval is known, so branch and bound finds the best of all linear
classifiers to a certified resolution.

Below, ``tau = Z_99 * sigma`` is the distance of a mean to a boundary that leaves 1 % of
its class on the wrong side. All lengths are in one unit, that of ``eta`` and ``sigma``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from bat.errors import BatError

Z_99 = NormalDist().inv_cdf(0.99)
"""The 99 % quantile of the standard normal distribution."""

SMALLEST_SEPARATION = 8 * Z_99 / (math.sqrt(33) - 1)
"""``eta / sigma`` from which theorem 1 holds as printed; see `corners`."""

RESOLUTION = 1e-10
"""Certified error of `best_fit`'s distances, relative to the largest in the problem."""

_FIRST_CELLS = 16


def class_errors(weight, bias, eta, sigma) -> tuple[np.ndarray, np.ndarray]:
    """Give the error of linear classifiers on each class.

    Parameters
    ----------
    weight : array_like of float, shape (..., 2)
        Not zero; of any length.
    bias, eta, sigma : array_like of float, shape (...)

    Returns
    -------
    negative, positive : ndarray of float64, shape (...)
        Probability in [0, 1] that a point of class ``-1``, and one of class ``+1``,
        is given the other class.

    Notes
    -----
    ``w @ x + b`` is normal with mean ``+-eta * w[0] + b`` and standard deviation
    ``sigma * |w|``.

    Examples
    --------
    >>> negative, positive = class_errors([1, 0], 0.0, eta=2.0, sigma=1.0)
    >>> round(float(negative), 5), round(float(positive), 5)
    (0.02275, 0.02275)
    """
    from scipy.special import ndtr

    weight, bias = np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64)
    length = np.hypot(weight[..., 0], weight[..., 1])
    if not np.all(length > 0):
        raise BatError("a classifier's weight is zero; expected a direction")
    shift = np.asarray(eta) * weight[..., 0]
    scale = np.asarray(sigma) * length
    return ndtr((bias - shift) / scale), ndtr(-(bias + shift) / scale)


def bound(eta, sigma):
    """Give the distance ``l`` of the theorems, as printed in their statements.

    ``sqrt(2) * tau * (1 + tau / eta) ** -0.5``: the distance of the corner ``S_1`` from
    ``theta``; see `corners`.
    """
    tau = Z_99 * np.asarray(sigma, dtype=np.float64)
    return math.sqrt(2) * tau / np.sqrt(1 + tau / np.asarray(eta))


def proof_classifiers(eta: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the classifiers F_1, F_2 and F_3 of the proof of theorem 1.

    Parameters
    ----------
    eta, sigma : float
        Positive, with ``eta >= Z_99 * sigma``.

    Returns
    -------
    weight : ndarray of float64, shape (3, 2)
        Unit vectors.
    bias : ndarray of float64, shape (3,)

    Raises
    ------
    BatError
        If ``eta < Z_99 * sigma``: F_2 and F_3 are not real then, and no linear
        classifier has errors of at most 1 % on both classes.

    Notes
    -----
    Appendix C, step 1. All three boundaries have distance ``tau`` from ``theta``.
    """
    tau = _tau(eta, sigma)
    across = math.sqrt(eta**2 - tau**2)
    weight = np.array([[eta, 0.0], [tau, across], [tau, -across]]) / eta
    return weight, np.array([tau - eta, 0.0, 0.0])


def corners(eta: float, sigma: float) -> np.ndarray:
    """Give the corners S_1 and S_2 of the region of equation 12.

    Both lie on the boundary of F_2: S_1 where it meets that of F_1, S_2 where it meets
    the circle of radius ``2 * eta`` around ``-theta``.

    Parameters
    ----------
    eta, sigma : float
        As for `proof_classifiers`.

    Returns
    -------
    ndarray of float64, shape (2, 2)
        The points S_1 and S_2 as rows.

    Notes
    -----
    With ``r = tau / eta`` the squared distances from ``theta`` are ``2 * tau**2 / (1 + r)``
    and ``4 * eta**2 * (2 - r**2 - sqrt((1 - r**2) * (4 - r**2)))``, the second being
    ``tau**2 * (1 + 9/16 * r**2 + O(r**4))``. The first is the larger where
    ``(r + 2) * (4 * r**2 + r - 2) <= 0``, so for ``r <= (sqrt(33) - 1) / 8``.
    """
    tau = _tau(eta, sigma)
    across = math.sqrt(eta**2 - tau**2)
    first = [eta - tau, -tau * math.sqrt((eta - tau) / (eta + tau))]
    along = math.sqrt(4 * eta**2 - tau**2) - across  # from the origin to S_2
    return np.array([first, [along * across / eta, -along * tau / eta]])


def place_sample(distance, angle, eta) -> np.ndarray:
    """Place a sample at a distance from the mean of class ``+1``.

    Parameters
    ----------
    distance : array_like of float, shape (...)
        From ``theta``; the paper's d_{+1}.
    angle : array_like of float, shape (...)
        Between the directions from ``theta`` to the other mean and to the sample, in
        radians, growing towards positive second coordinates; 0 is between the means.
    eta : array_like of float, shape (...)

    Returns
    -------
    ndarray of float64, shape (..., 2)
    """
    distance = np.asarray(distance, dtype=np.float64)
    return np.stack([eta - distance * np.cos(angle), distance * np.sin(angle)], axis=-1)


def widest_angle(distance, eta):
    """Give the largest angle at which a sample is not beyond ``2 * eta`` from ``-theta``.

    That is the constraint d_{-1} <= 2 eta of the theorems, and the sample that is hardest
    to fit at its distance. ``distance`` is in [0, 4 * eta]; radians.
    """
    distance = np.asarray(distance, dtype=np.float64)
    if not np.all((distance >= 0) & (distance <= 4 * np.asarray(eta))):
        raise BatError(
            "a sample's distance is outside [0, 4 * eta]; no point has it that is within 2 * eta "
            "of the mean of its class"
        )
    return np.arccos(distance / (4 * np.asarray(eta)))


@dataclass(frozen=True)
class Fit:
    """The best classifiers that fit given samples.

    ``weight``, shape (..., 2), of length 1; ``bias`` and ``error``, shape (...), the latter
    in [0, 1]: that of the classifier, on class ``+1`` or the larger of both, as asked for.
    """

    weight: np.ndarray
    bias: np.ndarray
    error: np.ndarray


def best_fit(x0, eps, eta, sigma, *, classes: str = "both") -> Fit:
    """Find the linear classifier of least error that fits a sample with its ball.

    Parameters
    ----------
    x0 : array_like of float, shape (..., 2)
        Samples of class ``-1``, one problem for each.
    eps : array_like of float, shape (...)
        Radius of the ball on which ``-1`` must be answered, at least 0.
    eta, sigma : array_like of float, shape (...)
        Positive.
    classes : {'both', '+1'}
        Minimise the larger of the two class errors, or that of class ``+1`` alone.

    Returns
    -------
    Fit
        The distances behind ``error`` are within `RESOLUTION` of the best of all linear
        classifiers.

    Raises
    ------
    BatError
        If ``eta`` or ``sigma`` is not positive, ``eps`` is negative, or ``classes`` is
        neither of the two.
    """
    x0 = np.asarray(x0, dtype=np.float64)
    p, q, eps, eta, sigma = np.broadcast_arrays(x0[..., 0], x0[..., 1], eps, eta, sigma)
    if not (np.all(eta > 0) and np.all(sigma > 0) and np.all(eps >= 0)):
        raise BatError("eta, sigma or eps is out of range; expected eta > 0, sigma > 0, eps >= 0")
    if classes not in ("both", "+1"):
        raise BatError(f"classes is {classes!r}; expected 'both' or '+1'")
    # distance of a mean to the boundary: length * cos(angle - phase) - offset
    length, phase, offset = np.hypot(eta - p, q), np.arctan2(-q, eta - p), eps
    if classes == "both":
        length = np.stack([length, eta], axis=-1)
        phase = np.stack([phase, np.zeros_like(phase)], axis=-1)
        offset = np.stack([eps, np.zeros(eps.shape)], axis=-1)
    n_terms = 2 if classes == "both" else 1
    terms = (np.reshape(part, (-1, n_terms)).astype(np.float64) for part in (length, phase, offset))
    angle = _maximin(*terms).reshape(p.shape)
    weight = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    bias = -(weight[..., 0] * p + weight[..., 1] * q + eps)
    if classes == "both":
        bias = np.minimum(bias, 0.0)
    negative, positive = class_errors(weight, bias, eta, sigma)
    return Fit(weight, bias, np.maximum(negative, positive) if classes == "both" else positive)


def fitting_distance(angle, eta: float, sigma: float) -> np.ndarray:
    """Give the distance from which a sample can be fitted with 1 % error on both classes.

    Parameters
    ----------
    angle : array_like of float, shape (...)
        Of `place_sample`.
    eta, sigma : float
        As for `proof_classifiers`.

    Returns
    -------
    ndarray of float64, shape (...)
        Smallest d_{+1} at which some linear classifier fits the sample; infinite where
        none does at any distance.

    Notes
    -----
    Boundaries of classifiers with 1 % error on both classes can come as near to ``theta``
    as ``tau``, and their normal is within ``arccos(tau / eta)`` of the first axis. The
    largest value under d_{-1} <= 2 eta is that of S_2; see `corners`.
    """
    tau = _tau(eta, sigma)
    beyond = np.maximum(np.abs(np.asarray(angle)) - math.acos(tau / eta), 0.0)
    reach = np.cos(np.minimum(beyond, math.pi / 2))
    with np.errstate(divide="ignore"):
        return np.where(beyond < math.pi / 2, tau / reach, np.inf)


def unfitted_distance(angle, weight, bias, eta: float) -> np.ndarray:
    """Give the distance up to which no classifier of a list fits a sample.

    Parameters
    ----------
    angle : array_like of float, shape (n,)
        Of `place_sample`, within 90 degrees of 0.
    weight : ndarray of float, shape (n_classifiers, 2)
    bias : ndarray of float, shape (n_classifiers,)
        Classifiers that give ``theta`` to class ``+1``.
    eta : float

    Returns
    -------
    ndarray of float64, shape (n,)
        Capped where d_{-1} reaches 2 eta.

    Notes
    -----
    With the classifiers of `proof_classifiers` its maximum is the one of equation 12.
    """
    angle = np.asarray(angle, dtype=np.float64)
    step = place_sample(1.0, angle, 0.0)  # away from theta
    height = weight[:, 0] * eta + bias
    descent = -(step @ weight.T)
    with np.errstate(divide="ignore"):
        reach = np.where(descent > 0, height / descent, np.inf)
    return np.minimum(reach.min(axis=1), 4 * eta * np.cos(angle))


def _tau(eta: float, sigma: float) -> float:
    """Distance of a mean to a boundary that leaves 1 % of its class beyond."""
    tau = Z_99 * sigma
    if not 0 < tau <= eta:
        raise BatError(
            f"eta / sigma is {eta:g} / {sigma:g}; expected at least {Z_99:.4f}, below which no "
            "linear classifier has errors of at most 1 % on both classes"
        )
    return tau


def _maximin(length: np.ndarray, phase: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Maximise ``min_k length_k * cos(angle - phase_k) - offset_k`` over the circle.

    Branch and bound, all problems at once: a cell of angles is halved until the least of
    its terms' maxima exceeds no value that was found by more than the resolution.

    Parameters
    ----------
    length, phase, offset : ndarray of float64, shape (n_problems, n_terms)

    Returns
    -------
    ndarray of float64, shape (n_problems,)
        The angles.
    """
    n = len(length)
    width = 2 * math.pi / _FIRST_CELLS
    problem = np.repeat(np.arange(n), _FIRST_CELLS)
    left = np.tile(-math.pi + width * np.arange(_FIRST_CELLS), n)
    tolerance = RESOLUTION * (length + np.abs(offset)).max(axis=1)
    best, angle = np.full(n, -np.inf), np.zeros(n)
    while problem.size:
        a, c = length[problem], offset[problem]  # (n_cells, n_terms)
        ahead = phase[problem] - left[:, None]  # from the cell's left end to the term's peak
        values = a * np.cos(ahead) - c
        found = values.min(axis=1)
        previous = best.copy()
        np.maximum.at(best, problem, found)
        better = (found == best[problem]) & (found > previous[problem])
        angle[problem[better]] = left[better]
        highest = np.where(
            np.mod(ahead, 2 * math.pi) <= width,
            a - c,
            np.maximum(values, a * np.cos(ahead - width) - c),
        ).min(axis=1)
        kept = highest > best[problem] + tolerance[problem]
        width /= 2
        problem = np.repeat(problem[kept], 2)
        left = np.repeat(left[kept], 2)
        left[1::2] += width
    return angle

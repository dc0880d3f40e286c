"""What holds of theorems 1 and 2, found by a search over classifiers or samples.

Lengths are in units of ``sigma``. The closed forms are in `bat.studies.theory`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bat.studies import theory
from bat.studies.theory import Z_99

SEPARATION = 10.0
"""``eta / sigma`` of the table's values and of the errors under adversarial training."""


FACTOR = 2.0
"""The theorems' ``k`` for these values."""


def hardest_error(distance, eta) -> np.ndarray:
    """Give the least error on the worse class when the hardest sample is fitted.

    ``distance`` is that of the sample from ``theta``, and of all samples with it and
    d_{-1} <= 2 eta the one at `bat.studies.theory.widest_angle` is the hardest. Arrays broadcast.
    """
    x0 = theory.place_sample(distance, theory.widest_angle(distance, eta), eta)
    return theory.best_fit(x0, 0.0, eta, 1.0).error


def sharp_distance(eta: float) -> float:
    """Find the distance from which every sample can be fitted at 1 % error, by search."""
    return find_root(lambda distance: hardest_error(distance, eta) - 0.01, 0.5 * Z_99, 3 * Z_99)


def sharp_separation() -> float:
    """Find the separation from which theorem 1 holds as printed, by search."""
    return find_root(
        lambda eta: hardest_error(theory.bound(eta, 1.0), eta) - 0.01, 1.01 * Z_99, 20.0
    )


def sharp_radius(distance: float, eta: float) -> float:
    """Find the radius of the ball from which class ``+1`` has 50 % error, by search."""
    x0 = theory.place_sample(distance, theory.widest_angle(distance, eta), eta)
    return find_root(
        lambda eps: theory.best_fit(x0, eps, eta, 1.0, classes="+1").error - 0.5, 0.0, 3 * distance
    )


def sweep(separations: Sequence[float], factors: Sequence[float], n: int = 40) -> pd.DataFrame:
    """Try both theorems on samples of all distances and directions they speak of.

    Parameters
    ----------
    separations : sequence of float
        ``eta / sigma``, at least `bat.studies.theory.Z_99`.
    factors : sequence of float
        ``k`` of theorem 2, above 1; ``eps`` is then ``k * l``.
    n : int
        Distances for each theorem, and directions for each distance.

    Returns
    -------
    DataFrame
        A row for each separation: ``separation``, ``n_samples`` for each theorem,
        ``largest_error`` that theorem 1 leaves on the worse class, and the
        ``smallest_error`` that theorem 2 leaves on class ``+1``.
    """
    rows = []
    for eta in separations:
        bound = theory.bound(eta, 1.0)
        fitted = theory.best_fit(_samples(np.geomspace(bound, 4 * eta, n), eta, n), 0.0, eta, 1.0)
        balls = [
            theory.best_fit(
                _samples(np.linspace(bound, min(k * bound, 4 * eta), n, endpoint=False), eta, n),
                *(k * bound, eta, 1.0),
                classes="+1",
            )
            for k in factors
        ]
        rows.append(
            {
                "separation": eta,
                "n_samples": n * n,
                "largest_error": fitted.error.max(),
                "smallest_error": min(ball.error.min() for ball in balls),
            }
        )
    return pd.DataFrame(rows)


def _samples(distances: np.ndarray, eta: float, n: int) -> np.ndarray:
    """Samples at these distances in ``n`` directions each, the widest among them."""
    widest = theory.widest_angle(distances, eta)
    angles = widest[:, None] * np.linspace(-1, 1, n)
    return theory.place_sample(distances[:, None], angles, eta)


def largest_unfitted(weight: np.ndarray, bias: np.ndarray, eta: float) -> float:
    """Search all directions for the farthest sample that no classifier of a list fits."""
    low, high = -math.pi / 2, math.pi / 2
    for _ in range(4):  # to 1e-10 radians, around the best direction so far
        angle = np.linspace(low, high, 2001)
        distance = theory.unfitted_distance(angle, weight, bias, eta)
        best = angle[distance.argmax()]
        low, high = best - (high - low) / 1000, best + (high - low) / 1000
    return float(distance.max())


def find_root(function, low: float, high: float) -> float:
    """Find where a function of a number changes its sign between two numbers, to 1e-10."""
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-10))

"""Each statement and factor of theorems 1 and 2 as printed, and whether it holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bat.plan.catalogue import Entry
from bat.report.writing import write_table_files
from bat.studies import theory
from bat.studies.theory import Z_99
from bat.studies.theory_search import (
    FACTOR,
    SEPARATION,
    find_root,
    largest_unfitted,
    sharp_distance,
    sharp_radius,
    sharp_separation,
    sweep,
)

ENTRY = Entry(
    shows="each statement of theorems 1 and 2, and whether it holds as printed",
    paper="App. C",
    scope="all",
    at="theory/tables/theorems",
    files=("csv", "md"),
    targets=("fig20",),
    own_rule=True,
)


_ALIKE = 1e-6  # relative; values of a search and of a closed form that count as equal


def theorem_table() -> pd.DataFrame:
    """Check each printed statement and factor of section 3.2 and appendix C.

    Returns
    -------
    DataFrame
        ``place``, ``statement``, ``printed``, ``derived``, ``holds`` as printed; values
        ``printed_value``, ``derived_value`` of the formulas, NaN where there is none, and
        ``found_value`` of the search, at ``eta / sigma`` of `bat.studies.theory_search.SEPARATION`
        and ``k`` of `bat.studies.theory_search.FACTOR`.
    """
    found = _search()
    rows = [*_theorem_1(found), *_proof(found), *_theorem_2(found)]
    columns = ["place", "statement", "printed", "derived", "holds"]
    return pd.DataFrame(rows, columns=[*columns, "printed_value", "derived_value", "found_value"])


class _Found(NamedTuple):
    """What the searches find at ``eta / sigma`` of `SEPARATION`, sigma 1."""

    eta: float
    r: float  # of tau to eta
    bound: float  # l of theorem 1
    corner: np.ndarray  # distances of S1 and S2
    unfitted: list[float]  # largest distance that two and three classifiers leave unfitted
    of_three: float  # the larger class error of the three
    swept: pd.DataFrame
    smallest: float  # separation from which theorem 1 holds
    sharp: float  # distance from which x0 can be fitted
    beyond: float  # error of the best fit where d+1 <= 2 eta alone holds
    radius: float  # from which theorem 2 holds
    margin: float  # by which a boundary can be shifted at an error of 1 %


def _search() -> _Found:
    eta, r = SEPARATION, Z_99 / SEPARATION
    bound = float(theory.bound(eta, 1.0))
    corner = np.hypot(*(theory.corners(eta, 1.0) - [eta, 0]).T)
    weight, bias = theory.proof_classifiers(eta, 1.0)
    unfitted = [largest_unfitted(weight[:m], bias[:m], eta) for m in (2, 3)]
    of_three = max(errors.max() for errors in theory.class_errors(weight, bias, eta, 1.0))
    swept = sweep([theory.SMALLEST_SEPARATION, 4, 5, 7, eta, 15, 20, 30], [1.25, FACTOR, 5])
    smallest, sharp = sharp_separation(), sharp_distance(eta)
    beyond = theory.best_fit([eta + bound, 0.0], 0.0, eta, 1.0).error
    radius = sharp_radius(bound, eta)
    margin = find_root(lambda shift: _error_beyond(shift) - 0.01, 0.0, eta)
    return _Found(
        eta, r, bound, corner, unfitted, of_three, swept, smallest, sharp, beyond, radius, margin
    )


Row = tuple[str, str, str, str, str, float, float, float]


def _theorem_1(found: _Found) -> list[Row]:
    from_smallest = f"for η/σ ≥ {theory.SMALLEST_SEPARATION:.3f}"
    return [
        (
            "Theorem 1",
            "if d₊₁ ≥ l and d₋₁ ≤ 2η, some F fits x₀ with error ≤ 1 % on both classes",
            "error ≤ 0.01",
            "the same, with η/σ large enough made precise",
            from_smallest if found.swept["largest_error"].max() <= 0.01 * (1 + _ALIKE) else "no",
            *(0.01, 0.01, found.swept["largest_error"].max()),
        ),
        (
            "Theorem 1",
            "“η/σ is large enough”",
            "no number",
            "η/σ ≥ 8 Φ⁻¹(0.99) / (√33 − 1)",
            "left open",
            *(math.nan, theory.SMALLEST_SEPARATION, found.smallest),
        ),
        (
            "Theorem 1",
            "the distance from which x₀ can be fitted (l is that of F₁, F₂, F₃ alone)",
            "l = √2 τ (1 + τ/η)^(−1/2)",
            "τ (1 + 9/16 (τ/η)² + O((τ/η)⁴))^(1/2), the distance of S₂",
            "yes, not sharp" if found.sharp < found.bound else "no",
            *(found.bound, found.corner[1], found.sharp),
        ),
        (
            "Theorem 1, appendix C",
            "the constraint on x₀, as repeated; x₀ = θ + (l, 0) meets it",
            "d₊₁ ≤ 2η",
            "d₋₁ ≤ 2η",
            "no" if found.beyond > 0.01 else "yes",
            *(0.01, 0.5, found.beyond),
        ),
    ]


def _proof(found: _Found) -> list[Row]:
    return [
        (
            "Step 1",
            "the number of classifiers, and the largest d₊₁ that they leave unfitted",
            "i ∈ {1, 2}, which leave 2 √(ητ)",
            "i ∈ {1, 2, 3}, which leave l",
            _verdict(found.unfitted[0], found.unfitted[1]),
            *(2 * math.sqrt(found.eta * Z_99), found.bound, found.unfitted[1]),
        ),
        (
            "Step 1",
            "τ",
            "Φ⁻¹ · σ",
            "Φ⁻¹(0.99) · σ",
            "no",
            *(
                math.nan,
                Z_99,
                find_root(
                    lambda d: theory.class_errors([1, 0], d - found.eta, found.eta, 1.0)[1] - 0.01,
                    0.0,
                    found.eta,
                ),
            ),
        ),
        (
            "Step 1",
            "l in the proof: the maximum of equation 12",
            "√2 σ (1 + τ/η)^(−1/2)",
            "√2 Φ⁻¹(0.99) σ (1 + τ/η)^(−1/2)",
            _verdict(math.sqrt(2 / (1 + found.r)), found.unfitted[1]),
            *(math.sqrt(2 / (1 + found.r)), found.bound, found.unfitted[1]),
        ),
        (
            "Step 1",
            "distance of S₁",
            "√2 τ (1 + τ/η)^(−1/2)",
            "the same",
            _verdict(found.bound, found.unfitted[1]),
            *(found.bound, found.corner[0], found.unfitted[1]),
        ),
        (
            "Step 1",
            "distance of S₂ (printed as a second S₁), the remainder read as one of second order",
            "τ (1 − τ/η + Ω((τ/η)²))^(−1/2)",
            "τ (1 + 9/16 (τ/η)² + O((τ/η)⁴))^(1/2)",
            _verdict(Z_99 / math.sqrt(1 - found.r), found.sharp),
            *(Z_99 / math.sqrt(1 - found.r), found.corner[1], found.sharp),
        ),
        (
            "Step 2",
            "the larger class error of F₁, F₂, F₃",
            "1 %",
            "1 %, if η ≥ τ; below that no linear F has it",
            f"for η/σ ≥ {Z_99:.3f}" if np.isclose(found.of_three, 0.01) else "no",
            *(0.01, 0.01, found.of_three),
        ),
    ]


def _theorem_2(found: _Found) -> list[Row]:
    return [
        (
            "Theorem 2",
            "if d₊₁ < k l, every F that fits the ball of ε ≥ k l errs on half of class +1",
            "error ≥ 0.5",
            "the same; neither d₊₁ ≥ l nor d₋₁ ≤ 2η nor k ≪ η/σ is needed; empty for k = 1",
            "for every η/σ" if found.swept["smallest_error"].min() >= 0.5 else "no",
            *(0.5, 0.5, found.swept["smallest_error"].min()),
        ),
        (
            "Theorem 2, equation 5",
            "the radius from which this is so, for x₀ at d₊₁ = l",
            "ε ≥ k l",
            "ε ≥ d₊₁",
            "yes, not sharp" if found.radius < FACTOR * found.bound else "no",
            *(FACTOR * found.bound, found.bound, found.radius),
        ),
        (
            "Theorem 2",
            "“k ≪ η/σ”, so that ε = k l leaves the classes separable at 1 % robust error",
            "k ≪ η/σ",
            "k ≤ (η − τ) / l",
            "left open",
            *(math.nan, (found.eta - Z_99) / found.bound, (found.eta - found.margin) / found.bound),
        ),
    ]


def _verdict(printed: float, found: float) -> str:
    return "yes" if math.isclose(printed, found, rel_tol=_ALIKE) else "no"


def _error_beyond(distance: float) -> float:
    """Error on class ``+1`` of a boundary at this distance from its mean."""
    return float(theory.class_errors([1, 0], distance - SEPARATION, SEPARATION, 1.0)[1])


def caption() -> str:
    """Say what the table's columns are."""
    return (
        "Theorems 1 and 2 of the paper: each statement and factor as printed, as it should be, "
        "and whether it holds as printed. τ = Φ⁻¹(0.99) σ; lengths are in σ. Values are at "
        f"η/σ = {SEPARATION:g} and k = {FACTOR:g}; those found come from a search over all "
        "linear classifiers, certified to a relative distance of "
        f"{theory.RESOLUTION:g}, or over samples. The errors of the theorems are the extremes "
        f"over samples at η/σ from {theory.SMALLEST_SEPARATION:.2f} to 30."
    )


def write(results: Path, out: Path) -> list[Path]:
    """Write the table, which needs no results.

    Parameters
    ----------
    results : path
        Not looked at.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written.
    """
    return write_table_files(theorem_table(), out, caption())

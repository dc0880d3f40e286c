"""What holds of theorems 1 and 2: the checks as a table, and figure 20.

Lengths are in units of ``sigma``. Whatever can be found by a search over classifiers or
samples is, and the closed forms stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bat.errors import BatError
from bat.figures import drawing as figures
from bat.report import tables
from bat.studies import theory
from bat.studies.theory import Z_99

SEPARATION = 10.0
"""``eta / sigma`` of the table's values and of the errors under adversarial training."""

FACTOR = 2.0
"""The theorems' ``k`` for these values."""

SHOWN_SEPARATIONS = (3.0, 4.0, 6.0, 10.0)
"""``eta / sigma`` of the errors when the sample alone is fitted."""

DRAWN_SEPARATION = 5.0
"""``eta / sigma`` of the drawn plane: small, so that the corners lie apart."""

_ALIKE = 1e-6  # relative; values of a search and of a closed form that count as equal


# --- Searches ----------------------------------------------------------------


def hardest_error(distance, eta, sigma=1.0) -> np.ndarray:
    """Give the least error on the worse class when the hardest sample is fitted.

    ``distance`` is that of the sample from ``theta``, and of all samples with it and
    d_{-1} <= 2 eta the one at `bat.studies.theory.widest_angle` is the hardest. Arrays broadcast.
    """
    x0 = theory.place_sample(distance, theory.widest_angle(distance, eta), eta)
    return theory.best_fit(x0, 0.0, eta, sigma).error


def sharp_distance(eta: float) -> float:
    """Find the distance from which every sample can be fitted at 1 % error, by search."""
    return _root(lambda distance: hardest_error(distance, eta) - 0.01, 0.5 * Z_99, 3 * Z_99)


def sharp_separation() -> float:
    """Find the separation from which theorem 1 holds as printed, by search."""
    return _root(lambda eta: hardest_error(theory.bound(eta, 1.0), eta) - 0.01, 1.01 * Z_99, 20.0)


def sharp_radius(distance: float, eta: float) -> float:
    """Find the radius of the ball from which class ``+1`` has 50 % error, by search."""
    x0 = theory.place_sample(distance, theory.widest_angle(distance, eta), eta)
    return _root(
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


def _largest_unfitted(weight: np.ndarray, bias: np.ndarray, eta: float) -> float:
    """Search all directions for the farthest sample that no classifier of a list fits."""
    low, high = -math.pi / 2, math.pi / 2
    for _ in range(4):  # to 1e-10 radians, around the best direction so far
        angle = np.linspace(low, high, 2001)
        distance = theory.unfitted_distance(angle, weight, bias, eta)
        best = angle[distance.argmax()]
        low, high = best - (high - low) / 1000, best + (high - low) / 1000
    return float(distance.max())


def _root(function, low: float, high: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-10))


# --- Table -------------------------------------------------------------------


def theorem_table() -> pd.DataFrame:
    """Check each printed statement and factor of section 3.2 and appendix C.

    Returns
    -------
    DataFrame
        ``place``, ``statement``, ``printed``, ``derived``, ``holds`` as printed; values
        ``printed_value``, ``derived_value`` of the formulas, NaN where there is none, and
        ``found_value`` of the search, at ``eta / sigma`` of `SEPARATION` and ``k`` of
        `FACTOR`.
    """
    eta, r = SEPARATION, Z_99 / SEPARATION
    bound = float(theory.bound(eta, 1.0))
    corner = np.hypot(*(theory.corners(eta, 1.0) - [eta, 0]).T)
    weight, bias = theory.proof_classifiers(eta, 1.0)
    unfitted = [_largest_unfitted(weight[:m], bias[:m], eta) for m in (2, 3)]
    of_three = max(errors.max() for errors in theory.class_errors(weight, bias, eta, 1.0))
    swept = sweep([theory.SMALLEST_SEPARATION, 4, 5, 7, eta, 15, 20, 30], [1.25, FACTOR, 5])
    smallest, sharp = sharp_separation(), sharp_distance(eta)
    beyond = theory.best_fit([eta + bound, 0.0], 0.0, eta, 1.0).error
    radius = sharp_radius(bound, eta)
    margin = _root(lambda shift: _error_beyond(shift) - 0.01, 0.0, eta)
    from_smallest = f"for η/σ ≥ {theory.SMALLEST_SEPARATION:.3f}"
    rows = [
        (
            "Theorem 1",
            "if d₊₁ ≥ l and d₋₁ ≤ 2η, some F fits x₀ with error ≤ 1 % on both classes",
            "error ≤ 0.01",
            "the same, with η/σ large enough made precise",
            from_smallest if swept["largest_error"].max() <= 0.01 * (1 + _ALIKE) else "no",
            *(0.01, 0.01, swept["largest_error"].max()),
        ),
        (
            "Theorem 1",
            "“η/σ is large enough”",
            "no number",
            "η/σ ≥ 8 Φ⁻¹(0.99) / (√33 − 1)",
            "left open",
            *(math.nan, theory.SMALLEST_SEPARATION, smallest),
        ),
        (
            "Theorem 1",
            "the distance from which x₀ can be fitted (l is that of F₁, F₂, F₃ alone)",
            "l = √2 τ (1 + τ/η)^(−1/2)",
            "τ (1 + 9/16 (τ/η)² + O((τ/η)⁴))^(1/2), the distance of S₂",
            "yes, not sharp" if sharp < bound else "no",
            *(bound, corner[1], sharp),
        ),
        (
            "Theorem 1, appendix C",
            "the constraint on x₀, as repeated; x₀ = θ + (l, 0) meets it",
            "d₊₁ ≤ 2η",
            "d₋₁ ≤ 2η",
            "no" if beyond > 0.01 else "yes",
            *(0.01, 0.5, beyond),
        ),
        (
            "Step 1",
            "the number of classifiers, and the largest d₊₁ that they leave unfitted",
            "i ∈ {1, 2}, which leave 2 √(ητ)",
            "i ∈ {1, 2, 3}, which leave l",
            _verdict(unfitted[0], unfitted[1]),
            *(2 * math.sqrt(eta * Z_99), bound, unfitted[1]),
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
                _root(lambda d: theory.class_errors([1, 0], d - eta, eta, 1.0)[1] - 0.01, 0.0, eta),
            ),
        ),
        (
            "Step 1",
            "l in the proof: the maximum of equation 12",
            "√2 σ (1 + τ/η)^(−1/2)",
            "√2 Φ⁻¹(0.99) σ (1 + τ/η)^(−1/2)",
            _verdict(math.sqrt(2 / (1 + r)), unfitted[1]),
            *(math.sqrt(2 / (1 + r)), bound, unfitted[1]),
        ),
        (
            "Step 1",
            "distance of S₁",
            "√2 τ (1 + τ/η)^(−1/2)",
            "the same",
            _verdict(bound, unfitted[1]),
            *(bound, corner[0], unfitted[1]),
        ),
        (
            "Step 1",
            "distance of S₂ (printed as a second S₁), the remainder read as one of second order",
            "τ (1 − τ/η + Ω((τ/η)²))^(−1/2)",
            "τ (1 + 9/16 (τ/η)² + O((τ/η)⁴))^(1/2)",
            _verdict(Z_99 / math.sqrt(1 - r), sharp),
            *(Z_99 / math.sqrt(1 - r), corner[1], sharp),
        ),
        (
            "Step 2",
            "the larger class error of F₁, F₂, F₃",
            "1 %",
            "1 %, if η ≥ τ; below that no linear F has it",
            f"for η/σ ≥ {Z_99:.3f}" if np.isclose(of_three, 0.01) else "no",
            *(0.01, 0.01, of_three),
        ),
        (
            "Theorem 2",
            "if d₊₁ < k l, every F that fits the ball of ε ≥ k l errs on half of class +1",
            "error ≥ 0.5",
            "the same; neither d₊₁ ≥ l nor d₋₁ ≤ 2η nor k ≪ η/σ is needed; empty for k = 1",
            "for every η/σ" if swept["smallest_error"].min() >= 0.5 else "no",
            *(0.5, 0.5, swept["smallest_error"].min()),
        ),
        (
            "Theorem 2, equation 5",
            "the radius from which this is so, for x₀ at d₊₁ = l",
            "ε ≥ k l",
            "ε ≥ d₊₁",
            "yes, not sharp" if radius < FACTOR * bound else "no",
            *(FACTOR * bound, bound, radius),
        ),
        (
            "Theorem 2",
            "“k ≪ η/σ”, so that ε = k l leaves the classes separable at 1 % robust error",
            "k ≪ η/σ",
            "k ≤ (η − τ) / l",
            "left open",
            *(math.nan, (eta - Z_99) / bound, (eta - margin) / bound),
        ),
    ]
    columns = ["place", "statement", "printed", "derived", "holds"]
    return pd.DataFrame(rows, columns=[*columns, "printed_value", "derived_value", "found_value"])


def _verdict(printed: float, found: float) -> str:
    return "yes" if math.isclose(printed, found, rel_tol=_ALIKE) else "no"


def _error_beyond(distance: float) -> float:
    """Error on class ``+1`` of a boundary at this distance from its mean."""
    return float(theory.class_errors([1, 0], distance - SEPARATION, SEPARATION, 1.0)[1])


def table_caption() -> str:
    """Say what the table's columns are."""
    return (
        "Theorems 1 and 2 of the paper: each statement and factor as printed, as it should be, "
        "and whether it holds as printed. τ = Φ⁻¹(0.99) σ; lengths are in σ. Values are at "
        f"η/σ = {SEPARATION:g} and k = {FACTOR:g}; those found come from a search over all "
        "linear classifiers, certified to a relative distance of "
        f"{theory.RESOLUTION:g}, or over samples. The errors of the theorems are the extremes "
        f"over samples at η/σ from {theory.SMALLEST_SEPARATION:.2f} to 30."
    )


# --- Values of the figure ----------------------------------------------------


def figure_table(n: int = 241) -> pd.DataFrame:
    """Compute the curves of figure 20 and of the sweeps.

    Parameters
    ----------
    n : int
        Points of a curve.

    Returns
    -------
    DataFrame
        ``panel`` ('plane', 'distances', 'sample' or 'ball'), ``series``, ``x``, ``y``:

        - plane: coordinates around ``theta`` at `DRAWN_SEPARATION`, in units of sigma;
        - distances: ``eta / sigma`` and a distance in units of sigma;
        - sample: d_{+1} / l and the least error on the worse class when the hardest
          sample of that distance is fitted, for each of `SHOWN_SEPARATIONS`;
        - ball: d_{+1} / l and the least error on class ``+1`` when the sample is fitted
          with its ball, at `SEPARATION`, for ``eps / l`` of 0, 1 and `FACTOR`.
    """
    parts = [*_plane(n), *_distances(n)]
    ratio = np.linspace(0.0, 2.0, n)
    for eta in SHOWN_SEPARATIONS:
        error = hardest_error(ratio * theory.bound(eta, 1.0), eta)
        parts.append(_curve("sample", f"η/σ = {eta:g}", ratio, error))
    ratio = np.linspace(0.0, 1.5 * FACTOR, n)
    bound = theory.bound(SEPARATION, 1.0)
    distance = ratio * bound
    angle = theory.widest_angle(distance, SEPARATION)
    x0 = theory.place_sample(distance, angle, SEPARATION)
    for factor, name in ((0.0, "ε = 0"), (1.0, "ε = l"), (FACTOR, f"ε = {FACTOR:g} l")):
        fit = theory.best_fit(x0, factor * bound, SEPARATION, 1.0, classes="+1")
        parts.append(_curve("ball", name, ratio, fit.error))
    return pd.concat(parts, ignore_index=True)


def _plane(n: int) -> list[pd.DataFrame]:
    eta = DRAWN_SEPARATION
    weight, bias = theory.proof_classifiers(eta, 1.0)
    angle = np.linspace(-1, 1, 4 * n + 1) * math.pi / 2
    far = theory.unfitted_distance(angle, weight, bias, eta)
    near = np.minimum(theory.fitting_distance(angle, eta, 1.0), 4 * eta * np.cos(angle))
    turn = np.linspace(0, 2 * math.pi, n)
    circle = np.linspace(-0.62, 0.62, n)
    reach = np.array([0.0, 10.0])  # along a boundary, from the origin
    parts = [
        _curve("plane", "no F₁, F₂, F₃ fits", *theory.place_sample(far, angle, eta).T),
        _curve("plane", "no F fits", *theory.place_sample(near, angle, eta).T),
        _curve("plane", "d₊₁ = l", *theory.place_sample(theory.bound(eta, 1.0), turn, eta).T),
        _curve("plane", "d₋₁ = 2η", 2 * eta * np.cos(circle) - eta, 2 * eta * np.sin(circle)),
        _curve("plane", "θ", [eta], [0.0]),
    ]
    for number, (direction, shift) in enumerate(zip(weight, bias, strict=True), start=1):
        along = np.array([direction[1], -direction[0]]) * (1 if direction[1] > 0 else -1)
        along = np.array([0.0, 1.0]) if number == 1 else along
        span = np.array([-8.0, 8.0]) if number == 1 else reach
        line = -shift * direction + span[:, None] * along
        parts.append(_curve("plane", f"F{number}", *line.T))
    for number, corner in enumerate(theory.corners(eta, 1.0), start=1):
        parts.append(_curve("plane", f"S{number}", corner[:1], corner[1:]))
    return parts


def _distances(n: int) -> list[pd.DataFrame]:
    eta = np.geomspace(1.001 * Z_99, 30.0, n)  # at Z_99 itself a printed value is infinite
    r = Z_99 / eta
    corner = np.array([np.hypot(*(theory.corners(one, 1.0) - [one, 0]).T) for one in eta])
    bound = theory.bound(eta, 1.0)
    curves = {
        "l (S₁): F₁, F₂ or F₃ fits": bound,
        "exact: some linear F fits": corner[:, 1],
        "S₂ as printed in the proof": Z_99 / np.sqrt(1 - r),
        "l as printed in the proof": bound / Z_99,
    }
    parts = [_curve("distances", name, eta, y) for name, y in curves.items()]
    smallest = theory.SMALLEST_SEPARATION
    parts.append(
        _curve("distances", "theorem 1 holds from", [smallest], [theory.bound(smallest, 1.0)])
    )
    return parts


def _curve(panel: str, series: str, x, y) -> pd.DataFrame:
    return pd.DataFrame({"panel": panel, "series": series, "x": x, "y": y})


# --- Drawing -----------------------------------------------------------------


def plot_plane(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the region of equation 12 around the mean of class ``+1``.

    Parameters
    ----------
    table : DataFrame
        Rows of `figure_table` with panel 'plane'.
    ax : Axes, optional

    Returns
    -------
    Axes

    Notes
    -----
    Figure 20 of the paper, with both halves of the region.
    """
    ax = _axes(ax)
    curves = _series(table, "plane")
    ax.fill(*curves["no F₁, F₂, F₃ fits"], color=figures.SKY, alpha=0.45, linewidth=0)
    ax.fill(*curves["no F fits"], color=figures.BLUE, alpha=0.55, linewidth=0)
    for name, color, style in (
        ("d₊₁ = l", figures.VERMILION, "--"),
        ("d₋₁ = 2η", figures.GREY, "-"),
        ("F1", figures.BLACK, "-"),
        ("F2", figures.BLACK, "-"),
        ("F3", figures.BLACK, "-"),
    ):
        ax.plot(*curves[name], color=color, linestyle=style, linewidth=1.0)
    for name, label, shift in (("θ", "θ", (5, -3)), ("S1", "S₁", (-13, -9)), ("S2", "S₂", (3, 3))):
        (x,), (y,) = curves[name]
        ax.plot(x, y, color=figures.BLACK, marker="o", linestyle="none")
        ax.annotate(label, (x, y), shift, textcoords="offset points")
    for label, color, place, across in (
        ("F₁", figures.BLACK, (curves["F1"][0][0] - 0.12, 3.5), "right"),
        ("F₂", figures.BLACK, (0.7, -0.9), "center"),
        ("F₃", figures.BLACK, (0.7, 0.6), "center"),
        ("d₋₁ = 2η", "#5c5c5c", (4.5, 3.5), "left"),
        ("d₊₁ = l", figures.VERMILION, (6.6, -1.2), "right"),
    ):
        ax.text(*place, label, color=color, ha=across)
    x, y = curves["θ"][0][0], 4.0
    ax.set(xlim=(x - 5, x + 3.2), ylim=(-y, y), aspect="equal")
    ax.set(xlabel="First coordinate / σ", ylabel="Second coordinate / σ")
    return ax


def plot_distances(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the distances from which a sample is fitted, against the separation.

    Parameters
    ----------
    table : DataFrame
        Rows of `figure_table` with panel 'distances'.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    curves = _series(table, "distances")
    (smallest,), _ = curves.pop("theorem 1 holds from")
    ax.axvspan(Z_99, smallest, color=figures.PALE, alpha=0.6, linewidth=0)
    styles = [
        (figures.VERMILION, "--"),
        (figures.BLUE, "-"),
        (figures.GREY, "-."),
        (figures.GREY, ":"),
    ]
    for (name, (x, y)), (color, style) in zip(curves.items(), styles, strict=True):
        ax.plot(x, y, color=color, linestyle=style, label=name)
    middle = (Z_99 * smallest) ** 0.5
    ax.text(middle, 0.15, "theorem 1\nfails", ha="center", va="bottom", fontsize=7)
    ax.set(xscale="log", xlim=(Z_99, 30), ylim=(0, 6))
    ax.set(xlabel="Separation η/σ", ylabel="Distance d₊₁ / σ")
    ticks = (3, 5, 10, 20, 30)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.legend(loc="upper right")
    return ax


def plot_sample_errors(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the least error on the worse class when the sample alone is fitted.

    Parameters
    ----------
    table : DataFrame
        Rows of `figure_table` with panel 'sample'.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    _plot_errors(table, "sample", ax)
    ax.axhline(0.01, color=figures.BLACK, linewidth=0.9, linestyle=(0, (1, 1)))
    ax.axvline(1.0, color=figures.BLACK, linewidth=0.9, linestyle=(0, (1, 1)))
    ax.set(xlim=(0, 2), yscale="log", ylim=(1e-6, 1), ylabel="Least error, worse class")
    ax.legend(loc="lower left")
    return ax


def plot_ball_errors(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the least error on class ``+1`` when the sample is fitted with its ball.

    Parameters
    ----------
    table : DataFrame
        Rows of `figure_table` with panel 'ball'.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    _plot_errors(table, "ball", ax)
    ax.axhline(0.5, color=figures.BLACK, linewidth=0.9, linestyle=(0, (1, 1)))
    ax.set(xlim=(0, 1.5 * FACTOR), ylim=(0, 1), ylabel="Least error, class +1")
    ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    ax.legend(loc="upper right")
    return ax


def draw_theory(table: pd.DataFrame) -> Figure:
    """Draw the region of the proof, its distances, and the least errors of both theorems.

    Parameters
    ----------
    table : DataFrame
        From `figure_table`.

    Returns
    -------
    Figure
    """
    with matplotlib.rc_context(figures.STYLE):
        fig = Figure(figsize=(figures.WIDTH, 5.4), layout="constrained")
        panels = fig.subplots(2, 2).ravel()
        plots = (plot_plane, plot_distances, plot_sample_errors, plot_ball_errors)
        titles = (
            f"a   What F₁, F₂ and F₃ leave, at η/σ = {DRAWN_SEPARATION:g}",
            "b   From which distance x₀ can be fitted",
            "c   Theorem 1: fitting x₀",
            f"d   Theorem 2: fitting its ball, at η/σ = {SEPARATION:g}",
        )
        for plot, title, ax in zip(plots, titles, panels, strict=True):
            plot(table, ax=ax).set_title(title, loc="left")
    return fig


def figure_caption() -> str:
    """Say what figure 20 shows."""
    return (
        "Gaussian mixture of equation 4. (a) Around θ, the mean of class +1: samples x₀ of class "
        "−1 within d₋₁ = 2η that none of the proof's F₁, F₂, F₃ fits (light), all within d₊₁ = l "
        "(dashed), and those that no linear classifier with errors of at most 1 % on both "
        "classes fits (dark). (b) The distances of S₁, which is l, and of S₂, from which every x₀ "
        "can be fitted; theorem 1 as printed fails where l is the smaller (grey, below η/σ = "
        f"{theory.SMALLEST_SEPARATION:.3f}); grey lines are the proof's printed formulas. "
        "(c) Least error on the worse class of all linear classifiers that fit the hardest x₀ at "
        "d₊₁. (d) Least error on class +1 of those that answer −1 in the whole ball of radius ε "
        "around x₀: 50 % from ε = d₊₁ on. No sampling: values of closed forms and of a search "
        f"certified to {theory.RESOLUTION:g}."
    )


def _plot_errors(table: pd.DataFrame, panel: str, ax: Axes) -> None:
    colors = (figures.VERMILION, figures.ORANGE, figures.GREEN, figures.BLUE)
    styles = ("-", "--", "-.", ":")
    curves = _series(table, panel).items()
    for (name, (x, y)), color, style in zip(curves, colors, styles, strict=False):
        ax.plot(x, y, color=color, linestyle=style, label=name)
    ax.set_xlabel("Distance d₊₁ / l")


def _series(table: pd.DataFrame, panel: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rows = table[table["panel"] == panel]
    if rows.empty:
        raise BatError(f"the table has no rows of the panel {panel!r}; see figure_table")
    groups = rows.groupby("series", sort=False)
    return {name: (part["x"].to_numpy(), part["y"].to_numpy()) for name, part in groups}


def _axes(ax: Axes | None) -> Axes:
    return ax or Figure(figsize=(3.3, 2.7), layout="constrained").subplots()


# --- Files -------------------------------------------------------------------


def write_theory(out: str | Path) -> list[Path]:
    """Write ``figures/fig20.{pdf,png,csv}`` and ``tables/theorems.{csv,md}`` below a folder."""
    out, values = Path(out), figure_table()
    files = figures.save_figure(
        draw_theory(values), out / "figures" / "fig20", values, figure_caption()
    )
    path = out / "tables" / "theorems"
    return files + tables.write_table_files(theorem_table(), path, table_caption())

"""Figure 20: theorems 1 and 2 on a Gaussian mixture, checked numerically.

Lengths are in units of ``sigma``.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bat.errors import BatError
from bat.plan.catalogue import Entry
from bat.report.saving import save_figure
from bat.report.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    SKY,
    VERMILION,
    WIDTH,
    new_axes,
    percent_ticks,
    styled,
)
from bat.studies import theory
from bat.studies.theory import Z_99
from bat.studies.theory_search import FACTOR, SEPARATION, hardest_error

ENTRY = Entry(
    shows="theorems 1 and 2, checked numerically",
    about=(
        "Theorems 1 and 2 of the paper on its Gaussian mixture (figure 20): what the three "
        "classifiers of the proof leave unfitted, from which distance a sample can be fitted, "
        "and the least errors of all linear classifiers that fit it alone or with its ball. "
        "Which printed factors hold is in ``tables/theorems.md`` beside the figure."
    ),
    paper="Fig. 20",
    scope="all",
    at="theory/figures/fig20",
    own_rule=True,
)


SHOWN_SEPARATIONS = (3.0, 4.0, 6.0, 10.0)
"""``eta / sigma`` of the errors when the sample alone is fitted."""


DRAWN_SEPARATION = 5.0
"""``eta / sigma`` of the drawn plane: small, so that the corners lie apart."""


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
          with its ball, at ``SEPARATION``, for ``eps / l`` of 0, 1 and ``FACTOR``.
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
    ax = new_axes(ax, 3.3, 2.7)
    curves = _series(table, "plane")
    ax.fill(*curves["no F₁, F₂, F₃ fits"], color=SKY, alpha=0.45, linewidth=0)
    ax.fill(*curves["no F fits"], color=BLUE, alpha=0.55, linewidth=0)
    for name, color, style in (
        ("d₊₁ = l", VERMILION, "--"),
        ("d₋₁ = 2η", GREY, "-"),
        ("F1", BLACK, "-"),
        ("F2", BLACK, "-"),
        ("F3", BLACK, "-"),
    ):
        ax.plot(*curves[name], color=color, linestyle=style, linewidth=1.0)
    for name, label, shift in (("θ", "θ", (5, -3)), ("S1", "S₁", (-13, -9)), ("S2", "S₂", (3, 3))):
        (x,), (y,) = curves[name]
        ax.plot(x, y, color=BLACK, marker="o", linestyle="none")
        ax.annotate(label, (x, y), shift, textcoords="offset points")
    for label, color, place, across in (
        ("F₁", BLACK, (curves["F1"][0][0] - 0.12, 3.5), "right"),
        ("F₂", BLACK, (0.7, -0.9), "center"),
        ("F₃", BLACK, (0.7, 0.6), "center"),
        ("d₋₁ = 2η", "#5c5c5c", (4.5, 3.5), "left"),
        ("d₊₁ = l", VERMILION, (6.6, -1.2), "right"),
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
    ax = new_axes(ax, 3.3, 2.7)
    curves = _series(table, "distances")
    (smallest,), _ = curves.pop("theorem 1 holds from")
    ax.axvspan(Z_99, smallest, color=PALE, alpha=0.6, linewidth=0)
    styles = [
        (VERMILION, "--"),
        (BLUE, "-"),
        (GREY, "-."),
        (GREY, ":"),
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
    ax = new_axes(ax, 3.3, 2.7)
    _plot_errors(table, "sample", ax)
    ax.axhline(0.01, color=BLACK, linewidth=0.9, linestyle=(0, (1, 1)))
    ax.axvline(1.0, color=BLACK, linewidth=0.9, linestyle=(0, (1, 1)))
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
    ax = new_axes(ax, 3.3, 2.7)
    _plot_errors(table, "ball", ax)
    ax.axhline(0.5, color=BLACK, linewidth=0.9, linestyle=(0, (1, 1)))
    ax.set(xlim=(0, 1.5 * FACTOR), ylim=(0, 1), ylabel="Least error, class +1")
    percent_ticks(ax.yaxis)
    ax.legend(loc="upper right")
    return ax


@styled
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
    fig = Figure(figsize=(WIDTH, 5.4), layout="constrained")
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


def caption() -> str:
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
    colors = (VERMILION, ORANGE, GREEN, BLUE)
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


def write(results: Path, out: Path) -> list[Path]:
    """Draw figure 20, which needs no results.

    Parameters
    ----------
    results : path
        Not looked at.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written, as by `bat.report.saving.save_figure`.
    """
    values = figure_table()
    return save_figure(draw_theory(values), out, values, caption())

"""Figure 4: BAT over alpha and beta, clean and under PGD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bat.errors import BatError
from bat.plan.catalogue import Entry
from bat.plan.inputs import runs_of
from bat.plan.names import ablation_name
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.judged import accuracies, attack_labels, protocol_text, setting_text
from bat.report.saving import save_figure
from bat.report.seeds import over_seeds
from bat.report.style import SEQUENTIAL, WIDTH, new_axes, styled

ENTRY = Entry(
    shows="BAT over alpha and beta",
    about=(
        "Clean and PGD accuracy of benign adversarial training on **{dataset}** "
        "({architecture}) over alpha and beta (paper, figure 4). The cell (0, 0) is the "
        "PGD-AT run itself."
    ),
    paper="Fig. 4",
    scope="architecture",
    needs=("evaluations",),
    runs=("ablation",),
    part_of="comparisons",
)


def ablation(
    judged: pd.DataFrame, alphas: Sequence[float], betas: Sequence[float], attack: str
) -> pd.DataFrame:
    """Lay out the accuracy of BAT over its two weights.

    Parameters
    ----------
    judged : DataFrame
        From `bat.report.judged.accuracies`.
    alphas, betas : sequence of float
        Of the grid. Its cell (0, 0) is the run ``pgd-at``.
    attack : str
        'clean' or an attack.

    Returns
    -------
    DataFrame
        ``attack``, ``alpha``, ``beta``, ``mean`` in [0, 1] and ``sd`` over seeds,
        ``n_seeds``. No row for a cell without a run.

    Raises
    ------
    BatError
        If no cell has a run.

    Notes
    -----
    Figure 4 of the paper.
    """
    cells = pd.DataFrame(
        [(ablation_name(a, b), float(a), float(b)) for a in alphas for b in betas],
        columns=["run", "alpha", "beta"],
    )
    table = cells.merge(judged[judged["attack"] == attack], on="run")
    if table.empty:
        raise BatError(
            f"no run of the ablation was evaluated under {attack}; expected some of "
            f"{', '.join(cells['run'])}"
        )
    return over_seeds(table, ["attack", "alpha", "beta"], "accuracy")


@styled
def plot_ablation_grid(
    table: pd.DataFrame, *, title: str = "Accuracy (%)", ax: Axes | None = None
) -> Axes:
    """Draw accuracy over alpha and beta as a heat map with its numbers.

    Parameters
    ----------
    table : DataFrame
        ``alpha``, ``beta``, ``mean`` accuracy in [0, 1], and ``sd`` over seeds,
        NaN for one seed; one row per cell, a missing cell stays blank.
    title : str
    ax : Axes, optional

    Returns
    -------
    Axes

    Notes
    -----
    Figure 4 of the paper.
    """
    ax = new_axes(ax, 3.3, 2.7)
    alphas, betas = sorted(table["alpha"].unique()), sorted(table["beta"].unique())
    grid = np.full((len(betas), len(alphas)), np.nan)
    for cell in table.itertuples():
        grid[betas.index(cell.beta), alphas.index(cell.alpha)] = cell.mean
    image = ax.imshow(grid, cmap=SEQUENTIAL, origin="lower", aspect="auto")
    for cell in table.itertuples():
        dark = image.norm(cell.mean) > 0.5
        text = f"{100 * cell.mean:.1f}"
        if pd.notna(cell.sd):
            text += f"\n± {100 * cell.sd:.1f}"
        place = (alphas.index(cell.alpha), betas.index(cell.beta))
        ax.text(*place, text, ha="center", va="center", color="white" if dark else "black")
    ax.set_xticks(range(len(alphas)), [f"{alpha:g}" for alpha in alphas])
    ax.set_yticks(range(len(betas)), [f"{beta:g}" for beta in betas])
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="α (reweighting)", ylabel="β (discrimination loss)", title=title)
    return ax


@styled
def draw_ablation(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw the grids of several attacks beside each other.

    Parameters
    ----------
    table : DataFrame
        From `ablation`, of one attack or of several that follow
        each other.
    titles : mapping of str to str
        What readers call each attack; see `bat.report.judged.attack_labels`.

    Returns
    -------
    Figure

    Notes
    -----
    Figure 4 of the paper.
    """
    attacks = list(dict.fromkeys(table["attack"]))
    fig = Figure(figsize=(WIDTH * len(attacks) / 2, 2.7), layout="constrained")
    panels = fig.subplots(1, len(attacks), squeeze=False)[0]
    for ax, attack in zip(panels, attacks, strict=True):
        grid = table[table["attack"] == attack]
        plot_ablation_grid(grid, title=f"{titles[attack]} accuracy (%)", ax=ax)
    return fig


def caption(
    table: pd.DataFrame,
    evaluation: Mapping[str, Any],
    specs: Mapping[str, Mapping[str, Any]],
    n: int,
) -> str:
    """Caption of `ablation`, of one attack or several; ``n`` test samples were judged.

    ``evaluation`` and ``specs`` are as for `bat.tables.methods.caption`.
    """
    cells = [ablation_name(a, b) for a, b in zip(table["alpha"], table["beta"], strict=True)]
    drawn = table.assign(run=cells, n=n)
    return (
        f"BAT over alpha and beta; the cell (0, 0) is PGD-AT. "
        f"{setting_text(drawn, evaluation, specs)} {protocol_text(drawn, specs)}"
    )


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Draw figure 4 of a data set and architecture.

    Parameters
    ----------
    comparison : Comparison
        Of the data set and architecture.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written.
    """
    grid, evaluation = comparison.spec["ablation"], comparison.spec["evaluation"]
    cells = runs_of(ENTRY.runs, comparison.spec)
    evaluations = comparison.evaluations(cells)
    judged = accuracies(evaluations)
    parts = [
        ablation(judged, grid["alpha"], grid["beta"], attack).assign(attack=attack)
        for attack in ("clean", "pgd")
    ]
    table = pd.concat(parts, ignore_index=True)
    n = len(next(iter(evaluations.values())))
    text = sentences(
        caption(table, evaluation, comparison.specs(cells), n), comparison.caution(cells)
    )
    text = comparison.folder.noted(text, "scores/memorization.parquet")
    titles = attack_labels(evaluation["attacks"])
    return save_figure(draw_ablation(table, titles), out, table, text)

"""Were there enough trials? How the scores settle with their number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset
from bat.report.folder import Folder
from bat.report.margins_worth import (
    has_margins,
    plot_agreement,
    plot_standing,
    plot_worth,
    worth_text,
)
from bat.report.saving import save_figure
from bat.report.style import (
    BLACK,
    BLUE,
    ORANGE,
    VERMILION,
    WIDTH,
    new_axes,
    percent_ticks,
    plain_ticks,
    styled,
)
from bat.scores import ATYPICAL_ABOVE, INFLUENCE_ABOVE
from bat.scores.chance import counts_of
from bat.statistics import above
from bat.studies.convergence import convergence_study

ENTRY = Entry(
    shows="were there enough trials?",
    about=(
        "Whether the trials were enough for **{dataset}**: the correlation of the scores from "
        "two halves of the trials, the standard error of the scores, continued to the number "
        "of trials that the wanted precision needs, and how much of the strongest influence "
        "chance alone gives."
    ),
    needs=("memorization", "influence", "test", "convergence"),
)


@styled
def plot_split_half(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the correlation of the scores from two halves of the trials.

    Parameters
    ----------
    table : DataFrame
        From `convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    rows = table[table["source"] == "measured"]
    for column, name, color, line, marker in (
        ("split_half_correlation", "Pearson", BLUE, "-", "o"),
        ("split_half_spearman", "Spearman", ORANGE, "--", "s"),
    ):
        x, mean, sd = rows["n_trials"], rows[column], rows[f"{column}_sd"]
        ax.plot(x, mean, color=color, linestyle=line, marker=marker, label=name)
        ax.fill_between(x, mean - sd, mean + sd, color=color, alpha=0.2, linewidth=0)
    ax.set(xscale="log", xlabel="Trials", ylabel="Split-half correlation")
    plain_ticks(ax.xaxis)
    ax.set_ylim(top=1)
    ax.legend(loc="lower right")
    return ax


@styled
def plot_standard_errors(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw standard errors against trials, with the trials that a precision needs.

    Parameters
    ----------
    table : DataFrame
        From `convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    measured = table[table["source"] == "measured"]
    further = table[table["source"] == "extrapolated"]
    for column, name, color, marker in (
        ("se_p95", "95th percentile", VERMILION, "s"),
        ("se_mean", "mean", BLUE, "o"),
    ):
        ax.plot(measured["n_trials"], measured[column], color=color, marker=marker, label=name)
        ax.plot(further["n_trials"], further[column], color=color, linestyle=":")
    precision, needed = table["precision"].iloc[0], table["n_needed"].iloc[0]
    ax.axhline(precision, color=BLACK, linestyle="--", linewidth=0.9)
    ax.axvline(needed, color=BLACK, linestyle="--", linewidth=0.9)
    ax.set(xscale="log", yscale="log", xlabel="Trials", ylabel="Standard error")
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    ax.set_title(f"95th percentile of {precision:g}: {needed:,} trials", loc="left")
    ax.legend()
    return ax


@styled
def plot_share_by_chance(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the share of the strongest pairs that chance gives against trials.

    Parameters
    ----------
    table : DataFrame
        From `convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    for source, line, marker in (("measured", "-", "s"), ("extrapolated", ":", "")):
        rows = table[table["source"] == source]
        ax.plot(
            rows["n_trials"],
            rows["share_by_chance"],
            color=VERMILION,
            linestyle=line,
            marker=marker,
        )
    needed = table["n_needed_influence"].iloc[0]
    title = "not known"
    if pd.notna(needed):
        title = f"half of them: {needed:,.0f} trials"
        ax.axhline(0.5, color=BLACK, linestyle="--", linewidth=0.9)
        ax.axvline(needed, color=BLACK, linestyle="--", linewidth=0.9)
    ax.set(xscale="log", xlabel="Trials", ylabel=f"Pairs above {INFLUENCE_ABOVE:g} by chance")
    ax.set_ylim(0, 1.02)
    percent_ticks(ax.yaxis)
    plain_ticks(ax.xaxis)
    ax.set_title(title, loc="left")
    return ax


@styled
def draw_convergence(table: pd.DataFrame) -> Figure:
    """Draw the split-half correlation, the standard errors, and the pairs that chance gives.

    Parameters
    ----------
    table : DataFrame
        From `convergence_study`.

    Returns
    -------
    Figure
        With a second row, where the trials have margins: the agreement with other
        trials, what margins are worth, and the pairs that stand.
    """
    rows = 2 if has_margins(table) else 1
    fig = Figure(figsize=(WIDTH, 2.5 * rows), layout="constrained")
    axes = fig.subplots(rows, 3, squeeze=False)
    for plot, ax in zip(
        (plot_split_half, plot_standard_errors, plot_share_by_chance), axes[0], strict=True
    ):
        plot(table, ax=ax)
    if rows == 2:
        for plot, ax in zip((plot_agreement, plot_worth, plot_standing), axes[1], strict=True):
            plot(table, ax=ax)
    return fig


def caption(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `convergence_study`."""
    last = table.iloc[-1]
    needed = "not known for these scores"
    if not pd.isna(last["n_needed_influence"]):
        needed = f"most are real from about {last['n_needed_influence']:,.0f} trials"
    left = "Above, left" if has_margins(table) else "Left"
    text = (
        f"Convergence of the memorization scores{of_dataset(metadata)}. {left}: correlation of the "
        "scores from two disjoint halves of the trials; bands are ± 1 standard deviation over "
        f"{table['repeats'].max()} random draws. Middle: standard error over the "
        "samples, continued with the shares of each sample as they are (dotted); a standard error "
        f"of {last['precision']:g} for 95 % of the samples needs about {last['n_needed']:,.0f} "
        f"trials. Right: share of the pairs with influence above {INFLUENCE_ABOVE:g} that chance "
        f"gives, from atypical training samples; {needed}."
    )
    return captioned(metadata, text + worth_text(table))


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw how the scores of a data set settle.

    Parameters
    ----------
    folder : Folder
        Of the data set.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written, as by `bat.report.saving.save_figure`.
    """
    scores, metadata = folder.scores("memorization")
    about_pairs = folder.scores("influence")[1]
    table = convergence_study(
        folder.convergence(),
        precision=folder.spec["precision"],
        counts=counts_of(scores, folder.scores("test")[0], about_pairs),
        chosen=above(scores["memorization"].to_numpy(), ATYPICAL_ABOVE),
    )
    return save_figure(draw_convergence(table), out, table, caption(table, metadata))

"""Figure 6: the histogram of memorization."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bat.errors import BatError
from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset
from bat.report.folder import Folder
from bat.report.saving import save_figure
from bat.report.style import BLACK, SERIES, new_axes, styled
from bat.report.words import percent
from bat.scores import ATYPICAL_ABOVE
from bat.scores.chance import memorization_by_chance
from bat.statistics import above

ENTRY = Entry(
    shows="histogram of memorization",
    about=(
        "Histogram of memorization over the training samples of **{dataset}**, with the share "
        "above the threshold of the atypical samples (paper, figure 6). The range in brackets "
        "moves every estimate by 1.96 of its standard errors down or up. By chance: the share "
        "that the standard errors alone would put above the threshold."
    ),
    paper="Fig. 6",
    needs=("memorization",),
)


Z_95 = 1.96  # a standard normal variable lies within +- Z_95 in 95 % of cases


def memorization_histogram(
    memorization: pd.DataFrame, *, atypical_above: float = ATYPICAL_ABOVE, width: float = 0.02
) -> pd.DataFrame:
    """Count training samples by memorization, with the share above a threshold.

    Parameters
    ----------
    memorization : DataFrame
        ``memorization``, ``memorization_se``.
    atypical_above : float
        Memorization above which a sample is atypical; an edge of the bins.
    width : float
        Width of a bin on the memorization scale; by default one bin is centred
        at 0, where most samples lie.

    Returns
    -------
    DataFrame
        One row per bin ``(left, right]`` from the first to the last occupied
        one: ``left``, ``right``, ``count``, ``share``; and the same in every
        row: ``threshold``, ``share_above`` and its bounds ``share_above_low``
        and ``share_above_high``, which count the samples that stay above, or
        come above, when 1.96 standard errors are taken from, or added to, the
        estimate of each; and ``share_by_chance``, which the standard errors alone
        would put above if no sample were memorized. The last three are NaN where
        standard errors are not known.

    Notes
    -----
    Figure 6 of the paper. The bounds hold sample by sample, so they are wider
    than an interval for the share itself, and assume nothing on how the errors
    of different samples depend on each other.
    """
    values = memorization["memorization"].to_numpy(dtype=np.float64)
    if values.size == 0:
        raise BatError("The memorization table has no rows; a histogram needs at least one.")
    margin = Z_95 * memorization["memorization_se"].to_numpy(dtype=np.float64)
    steps = np.arange(
        np.floor((-1 - atypical_above) / width) - 1, np.ceil((1 - atypical_above) / width) + 2
    )
    edges = np.round(atypical_above + width * steps, 10)
    places = np.searchsorted(edges, np.round(values, 10)) - 1  # the edges are rounded as well
    counts = np.bincount(places, minlength=len(edges) - 1)
    occupied = np.flatnonzero(counts)
    shown = slice(occupied[0], occupied[-1] + 1)
    by_chance = memorization_by_chance(memorization, atypical_above)
    low, high = (
        np.nan if by_chance is None else float(np.mean(above(moved, atypical_above)))
        for moved in (values - margin, values + margin)
    )
    return pd.DataFrame(
        {
            "left": edges[:-1][shown],
            "right": edges[1:][shown],
            "count": counts[shown],
            "share": counts[shown] / values.size,
            "threshold": float(atypical_above),
            "share_above": float(np.mean(above(values, atypical_above))),
            "share_above_low": low,
            "share_above_high": high,
            "share_by_chance": np.nan if by_chance is None else by_chance / values.size,
        }
    )


def range_text(histogram_row: Mapping[str, Any]) -> str:
    """The bounds of `memorization_histogram`'s share in parentheses, or that they are not known."""
    low, high = (histogram_row[f"share_above_{side}"] for side in ("low", "high"))
    return "(interval not known)" if pd.isna(low) else f"({percent(low)} to {percent(high)})"


@styled
def plot_memorization_histogram(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the histogram of memorization with the share above the threshold (figure 6).

    Parameters
    ----------
    table : DataFrame
        From `memorization_histogram`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 4.6, 2.7)
    first = table.iloc[0]
    threshold = first["threshold"]
    for beyond, group in ((False, "typical"), (True, "atypical")):
        bars = table[(table["left"] >= threshold) == beyond]
        ax.bar(
            bars["left"],
            bars["count"],
            width=bars["right"] - bars["left"],
            align="edge",
            color=SERIES[group][0],
            edgecolor="white",
            linewidth=0.4,
        )
    ax.axvline(threshold, color=BLACK, linestyle="--", linewidth=1)
    ax.set_yscale("log")  # most samples lie near 0
    ax.set_ylim(bottom=0.7)
    ax.margins(x=0.01)
    ax.grid(axis="x", visible=False)
    ax.set(xlabel="Memorization", ylabel="Training samples")
    share = f"{percent(first['share_above'])} above {threshold:g}\n"
    share += range_text(first)
    if pd.notna(first["share_by_chance"]):
        share += f"\n{percent(first['share_by_chance'])} by chance"
    ax.annotate(
        share,
        (threshold, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(6, 0),
        textcoords="offset points",
        va="top",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
    )
    return ax


def caption(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `memorization_histogram`."""
    first = table.iloc[0]
    text = (
        f"Memorization of the {table['count'].sum():,} training samples{of_dataset(metadata)}. "
        f"{percent(first['share_above'])} lie above {first['threshold']:g}"
    )
    if pd.isna(first["share_by_chance"]):
        text += "; standard errors are not known, so neither is how many of them chance gives."
    else:
        text += (
            "; in brackets the share that stays above, or comes above, with 1.96 standard errors "
            "taken from, or added to, each estimate. The standard errors alone would put "
            f"{percent(first['share_by_chance'])} there if no sample were memorized."
        )
    return captioned(metadata, text)


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw figure 6 of a data set.

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
    table = memorization_histogram(scores, atypical_above=folder.spec["atypical_above"])
    ax = plot_memorization_histogram(table)
    return save_figure(ax.figure, out, table, caption(table, metadata))

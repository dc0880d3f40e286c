"""The cheap metrics, disagreement and confidence, against memorization."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bat.errors import BatError
from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset, sentences
from bat.report.folder import Folder
from bat.report.saving import save_figure
from bat.report.scatter import scatter_by_memorization
from bat.report.style import BLACK, BLUE, ORANGE, PALE, WIDTH, new_axes, percent_ticks, styled
from bat.scores import ATYPICAL_ABOVE
from bat.scores.chance import memorization_by_chance, warning_text
from bat.scores.ensembles import alignment
from bat.statistics import above

ENTRY = Entry(
    shows="the cheap metrics against memorization",
    about=(
        "How well the cheap metrics, ensemble disagreement and confidence, agree with "
        "memorization on the training samples of **{dataset}** (paper, appendix A.1): each "
        "against memorization, and the overlap of the samples that any two of them rank "
        "highest."
    ),
    paper="A.1",
    needs=("memorization", "disagreement", "confidence"),
    files=("pdf", "png", "csv", "_values.csv"),
)


def metric_values(
    memorization: pd.DataFrame,
    metrics: Mapping[str, np.ndarray],
    *,
    atypical_above: float = ATYPICAL_ABOVE,
) -> pd.DataFrame:
    """Set each sample's memorization beside its cheaper scores.

    Parameters
    ----------
    memorization : DataFrame
        ``index``, ``memorization``, of n samples.
    metrics : mapping of str to ndarray of float, shape (n,)
        Scores in the same order; higher is more atypical.
    atypical_above : float
        Memorization above which a sample is atypical.

    Returns
    -------
    DataFrame
        ``index``, ``memorization``, ``atypical``, and a column per metric.
    """
    table = memorization[["index", "memorization"]].reset_index(drop=True)
    table["atypical"] = above(table["memorization"], atypical_above)
    for name, values in metrics.items():
        if len(values) != len(table):
            raise BatError(
                f"The scores '{name}' have {len(values)} rows and the memorization table "
                f"{len(table)}; both must come from the same training set, in its order."
            )
        table[name] = np.asarray(values, dtype=np.float64)
    return table


@styled
def plot_metric(
    table: pd.DataFrame, metric: str, *, note: str = "", ax: Axes | None = None
) -> Axes:
    """Draw a metric against memorization, one point per training sample.

    Parameters
    ----------
    table : DataFrame
        From `metric_values`.
    metric : str
        The column on the vertical axis.
    note : str
        Printed above the axes.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 2.6, 2.4)
    scatter_by_memorization(ax, table, metric)
    ax.set(xlabel="Memorization", ylabel=metric[0].upper() + metric[1:])
    ax.set_title(note, loc="left")
    return ax


@styled
def plot_overlaps(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the overlaps of the metrics' top samples as bars.

    Parameters
    ----------
    table : DataFrame
        Rows of the alignment table: ``metric_a``, ``metric_b``, ``overlap_10``,
        ``overlap_20``, ``overlap_40`` in [0, 1].
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 2.6, 2.4)
    tops = (10, 20, 40)
    width = 0.8 / len(table)
    colors = (BLUE, ORANGE, PALE)
    for place, pair in enumerate(table.itertuples()):
        left = np.arange(len(tops)) - 0.4 + place * width
        ax.bar(
            left,
            [getattr(pair, f"overlap_{top}") for top in tops],
            width=width,
            align="edge",
            color=colors[place % len(colors)],
            edgecolor="white",
            linewidth=0.6,
            label=f"{pair.metric_a} – {pair.metric_b}",
        )
    for place, top in enumerate(tops):
        ax.plot([place - 0.42, place + 0.42], [top / 100] * 2, color=BLACK, linestyle="--", lw=0.9)
    ax.set_xticks(range(len(tops)), [f"top {top} %" for top in tops])
    ax.set(ylim=(0, 1), ylabel="Overlap")
    percent_ticks(ax.yaxis)
    ax.grid(axis="x", visible=False)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.1, handlelength=1.2)
    return ax


@styled
def draw_alignment(values: pd.DataFrame, alignment: pd.DataFrame) -> Figure:
    """Draw each metric against memorization, and the overlaps of their top samples.

    Parameters
    ----------
    values : DataFrame
        From `metric_values`: ``memorization`` and a column per metric.
    alignment : DataFrame
        Rows by pair of metrics: ``metric_a``, ``metric_b``, ``spearman``,
        ``overlap_10``, ``overlap_20``, ``overlap_40``, ``auc``.

    Returns
    -------
    Figure
    """
    metrics = list(values.columns[3:])
    fig = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    panels = fig.subplots(1, len(metrics) + 1)
    for ax, metric in zip(panels[:-1], metrics, strict=True):
        pairs = alignment[["metric_a", "metric_b"]]
        row = alignment[pairs.isin(["memorization", metric]).all(axis=1)].iloc[0]
        note = f"Spearman {row['spearman']:.2f}"
        if pd.notna(row["auc"]):
            note += f", AUC {row['auc']:.3f}"
        plot_metric(values, metric, note=note, ax=ax)
    plot_overlaps(alignment, ax=panels[-1])
    return fig


def caption(
    values: pd.DataFrame, metadata: Mapping[str, Any], ensemble: Mapping[str, Any] | None = None
) -> str:
    """Caption of `metric_values` beside the rows of the alignment table.

    ``ensemble`` is the metadata of the disagreement or confidence table.
    """
    text = (
        f"Agreement of the atypicality metrics on the {len(values):,} training samples"
        f"{of_dataset(metadata)}; each metric is oriented so that higher is more atypical. AUC: "
        "for telling atypical samples (orange) from the others. Overlap: share of one metric's "
        "highest samples that are among the other's; dashed lines: overlap expected by chance."
    )
    if ensemble:
        members = [
            f"{recipe.get('trials', '?')} {name}" for name, recipe in ensemble["recipe"].items()
        ]
        if members:
            text += f" Disagreement and confidence are those of {' and '.join(members)} models"
            text += ", on samples left out." if ensemble.get("samples") == "held_out" else "."
    return captioned(metadata, text)


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw how the metrics of a data set agree.

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
    disagreement, ensemble = folder.scores("disagreement")
    metrics = {
        "disagreement": disagreement["disagreement"].to_numpy(),
        "1 − confidence": 1 - folder.scores("confidence")[0]["confidence"].to_numpy(),
    }
    threshold = folder.spec["atypical_above"]
    values = metric_values(scores, metrics, atypical_above=threshold)
    memorization = scores["memorization"].to_numpy()
    rows = pd.DataFrame(alignment(memorization, metrics, threshold=threshold))
    members = {
        "members": int(values["atypical"].sum()),
        "expected": memorization_by_chance(scores, threshold),
    }
    warning = warning_text({"atypical samples": members})
    text = sentences(caption(values, metadata, ensemble), warning)
    return save_figure(
        draw_alignment(values, rows), out, rows, text, more_tables={"values": values}
    )

"""Sizes of the typical and atypical groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset, sentences
from bat.report.folder import Folder
from bat.report.fonts import drawable
from bat.report.saving import save_figure
from bat.report.style import SERIES, legend_above, new_axes, percent_ticks, styled
from bat.report.writing import write_table_files
from bat.scores.chance import chance_text

ENTRY = Entry(
    shows="sizes of the typical and atypical groups",
    about=(
        "Sizes of the typical and atypical groups of **{dataset}** in the training and test "
        "set (paper, sections 3.1 and 3.2). Samples between the thresholds belong to neither."
    ),
    needs=("memorization", "groups"),
    files=("pdf", "png", "csv", "md"),
)


def group_sizes(dataset: str, groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count the samples of each group.

    Parameters
    ----------
    dataset : str
        Name of the data set, repeated in every row.
    groups : mapping of str to DataFrame
        By split ('train', 'test'): ``typical`` and ``atypical``, one row per
        sample; no sample is in both.

    Returns
    -------
    DataFrame
        ``dataset``, ``split``, ``group`` ('typical', 'neither', 'atypical',
        'all'), ``size``, ``share`` of the split in [0, 1].
    """
    rows = []
    for split, frame in groups.items():
        typical = frame["typical"].to_numpy(dtype=bool)
        atypical = frame["atypical"].to_numpy(dtype=bool)
        sizes = {
            "typical": typical.sum(),
            "neither": (~typical & ~atypical).sum(),
            "atypical": atypical.sum(),
            "all": len(frame),
        }
        for group, size in sizes.items():
            rows.append((dataset, split, group, int(size), size / len(frame)))
    return pd.DataFrame(rows, columns=["dataset", "split", "group", "size", "share"])


@styled
def plot_group_sizes(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the shares of the groups as one bar for each data set and split.

    Parameters
    ----------
    table : DataFrame
        From `group_sizes`; several data sets may follow each other.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    bars = table.drop_duplicates(["dataset", "split"])
    names = [drawable(f"{bar.dataset}, {bar.split}") for bar in bars.itertuples()]
    ax = new_axes(ax, 4.6, 0.75 + 0.32 * len(names))
    left = np.zeros(len(names))
    for group in ("typical", "neither", "atypical"):
        rows = table[table["group"] == group]
        color = SERIES[group][0]
        drawn = ax.barh(
            names, rows["share"], left=left, color=color, edgecolor="white", height=0.7, label=group
        )
        sizes = [f"{row.size:,}" if row.share > 0.05 else "" for row in rows.itertuples()]
        dark = "white" if group == "typical" else "black"
        ax.bar_label(drawn, sizes, label_type="center", fontsize=7, color=dark)
        left += rows["share"].to_numpy()
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    percent_ticks(ax.xaxis)
    ax.set(xlim=(0, 1), xlabel="Share of the split")
    legend_above(ax, 3)
    return ax


def caption(metadata: Mapping[str, Any], chances: Mapping[str, dict]) -> str:
    """Caption of `group_sizes`; ``chances`` are the groups' ``chance`` metadata by split."""
    text = f"Sizes of the typical and atypical groups{of_dataset(metadata)}."
    parts = [f"{split} {chance_text(chance)}" for split, chance in chances.items()]
    if parts:
        text += f" Atypical samples: {'; '.join(parts)}."
    return captioned(metadata, text)


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw the sizes of the groups of a data set, and write them for readers.

    Parameters
    ----------
    folder : Folder
        Of the data set.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written: those of `bat.report.saving.save_figure`, and a Markdown table.
    """
    frames = {split: folder.groups(split)[0] for split in ("train", "test")}
    _, metadata = folder.scores("memorization")
    table = group_sizes(folder.path.name, frames)
    text = sentences(caption(metadata, folder.chances()), folder.caution())
    files = save_figure(plot_group_sizes(table).figure, out, table, text)
    return files + write_table_files(table, out, text, formats=("md",))

"""Memorization by class: an example of a figure in one file.

Copied to ``bat/figures/``, it has a target (``snakemake by_class``), belongs to ``all``, and is
made by ``python -m bat report by_class``.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from bat.escaping import plain
from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset
from bat.report.folder import Folder
from bat.report.fonts import drawable
from bat.report.saving import save_figure
from bat.report.style import BLUE, new_axes, styled

ENTRY = Entry(
    shows="mean memorization of each class",
    about="Mean memorization of the training samples of each class of **{dataset}**.",
    needs=("memorization",),
)


@styled
def plot_classes(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw a bar for each class; ``table`` has ``class_name`` and ``mean``."""
    ax = new_axes(ax, 4.6, 0.6 + 0.2 * len(table))
    ax.barh([drawable(name) for name in table["class_name"]], table["mean"], color=BLUE)
    ax.invert_yaxis()
    ax.set(xlabel="Mean memorization")
    return ax


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw the figure of a data set to ``out`` with the suffixes pdf, png and csv."""
    scores, metadata = folder.scores("memorization")
    names = [plain(str(name)) for name in folder.prepared.class_names]
    means = scores.groupby("label")["memorization"].agg(["mean", "size"])
    table = means.rename_axis("label").reset_index()
    table.insert(1, "class_name", [names[label] for label in table["label"]])
    text = f"Mean memorization of {len(scores):,} training samples{of_dataset(metadata)}, by class."
    return save_figure(plot_classes(table).figure, out, table, captioned(metadata, text))

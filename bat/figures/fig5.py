"""Figure 5: training images of low, middle and high memorization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bat.errors import BatError
from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset
from bat.report.folder import Folder
from bat.report.images import (
    canvas,
    checked_images,
    frame_image,
    score_text,
    short_name,
    show_image,
    with_error,
)
from bat.report.saving import save_figure
from bat.report.style import GREY, styled
from bat.report.words import names_of

ENTRY = Entry(
    shows="images with memorization near 0, 0.5 and 1",
    about=(
        "Training images of **{dataset}** with memorization near 0, 0.5 and 1, a row for each "
        "(paper, figure 5). Memorization is the accuracy on an image of the models trained "
        "with it, minus that of the models trained without it. A class without an image near "
        "a level shows *none*."
    ),
    paper="Fig. 5",
    needs=("memorization",),
)


def memorization_examples(
    memorization: pd.DataFrame,
    class_names: Sequence[str],
    *,
    levels: Sequence[float] = (0.0, 0.5, 1.0),
    tolerance: float = 0.2,
    columns: int = 10,
) -> pd.DataFrame:
    """Choose training samples whose memorization is nearest to each level.

    Each level is a row of the figure and each class a column (several columns
    where classes are few). Of more classes than columns, those that come
    nearest to most levels are taken.

    Parameters
    ----------
    memorization : DataFrame
        ``index``, ``label``, ``memorization``, ``memorization_se``.
    class_names : sequence of str
        Names by label.
    levels : sequence of float
        Memorization values in [-1, 1] to come near to.
    tolerance : float
        Farthest that a shown sample may be from its level. Where a class has no
        such sample the table has no row, and where no class has one the figure
        has none.
    columns : int
        Images beside each other, at least 1.

    Returns
    -------
    DataFrame
        ``level``, ``row``, ``column``, ``index``, ``label``, ``class_name``,
        ``memorization``, ``memorization_se``; by row, then column. Ties go to
        the smaller standard error, then the smaller index.

    Notes
    -----
    Figure 5 of the paper.
    """
    per_class = max(1, columns // len(class_names))
    chosen = []
    for level in levels:
        near = memorization[["index", "label", "memorization", "memorization_se"]].copy()
        near["distance"] = (near["memorization"] - level).abs()
        near = near[near["distance"] <= tolerance]
        near = near.sort_values(["label", "distance", "memorization_se", "index"])
        near["place"] = near.groupby("label").cumcount()
        chosen.append(near[near["place"] < per_class].assign(level=float(level)))
    table = pd.concat(chosen, ignore_index=True)
    if table.empty:
        wanted = ", ".join(f"{level:g}" for level in levels)
        raise BatError(f"No sample has memorization within {tolerance:g} of {wanted}.")

    rank = table.groupby("label")["distance"].agg(["size", "sum"]).reset_index()
    rank = rank.sort_values(["size", "sum", "label"], ascending=[False, True, True])
    labels = np.sort(rank["label"].to_numpy()[: max(1, columns // per_class)])
    table = table[table["label"].isin(labels)]
    return pd.DataFrame(
        {
            "level": table["level"],
            "row": pd.factorize(table["level"])[0],
            "column": np.searchsorted(labels, table["label"]) * per_class + table["place"],
            "index": table["index"],
            "label": table["label"],
            "class_name": names_of(class_names, table["label"]),
            "memorization": table["memorization"],
            "memorization_se": table["memorization_se"],
        }
    ).sort_values(["row", "column"], ignore_index=True)


@styled
def plot_memorization_examples(
    table: pd.DataFrame, images: np.ndarray, *, ax: Axes | None = None
) -> Axes:
    """Draw images in a row for each level of memorization (figure 5).

    Parameters
    ----------
    table : DataFrame
        From `memorization_examples`.
    images : ndarray of uint8, shape (N, C, H, W)
        The training images.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    images = checked_images(images, table["index"], "training")
    size, gap, text, left = 0.56, 0.075, 0.29, 0.72
    n_rows, n_columns = table["row"].max() + 1, table["column"].max() + 1
    ax = canvas(ax, left + n_columns * (size + gap), n_rows * (size + text))
    empty = {(row, column) for row in range(n_rows) for column in range(n_columns)}
    for item in table.itertuples():
        x, y = left + item.column * (size + gap), item.row * (size + text)
        empty.remove((item.row, item.column))
        show_image(ax, images[item.index], x, y, size)
        frame_image(ax, x, y, size, "#555555")
        label = f"{with_error(score_text(item.memorization), item.memorization_se)}\n"
        label += short_name(str(item.class_name), size, 6)
        ax.text(x + size / 2, y + size + 0.03, label, fontsize=6, ha="center", va="top")
    for row, column in sorted(empty):
        x, y = left + column * (size + gap), row * (size + text)
        frame_image(ax, x, y, size, "#d0d0d0")
        ax.text(
            x + size / 2, y + size / 2, "none", fontsize=6, color=GREY, ha="center", va="center"
        )
    for row, level in table.groupby("row")["level"].first().items():
        y = row * (size + text) + size / 2
        ax.text(left - 0.1, y, f"mem ≈ {level:g}", ha="right", va="center")
    return ax


def caption(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `memorization_examples`."""
    levels = ", ".join(f"{level:g}" for level in sorted(table["level"].unique()))
    return captioned(
        metadata,
        f"Training images{of_dataset(metadata)} whose memorization is nearest to {levels}; "
        "below each its memorization ± standard error and its label.",
    )


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw figure 5 of a data set.

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
    table = memorization_examples(scores, folder.prepared.info["class_names"])
    ax = plot_memorization_examples(table, folder.shown().train_images)
    return save_figure(ax.figure, out, table, caption(table, metadata))

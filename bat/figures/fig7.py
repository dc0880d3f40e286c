"""Figure 7: test images beside the training images that carry them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

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
from bat.report.style import SERIES, WIDTH, styled
from bat.report.words import names_of, percent
from bat.scores import ATYPICAL_ABOVE, INFLUENCE_ABOVE
from bat.scores.chance import pairs_by_chance
from bat.scores.significance import LEVEL
from bat.statistics import above

ENTRY = Entry(
    shows="test images and the training images that carry them",
    about=(
        "Atypical training images of **{dataset}** beside the test image that each carries "
        "most (paper, figure 7): without the training image, models tend to miss the test "
        "image. Pairs that stand against chance come first and are marked."
    ),
    paper="Fig. 7",
    needs=("memorization", "influence", "test"),
)


def influence_pairs(
    influence: pd.DataFrame,
    memorization: pd.DataFrame,
    test: pd.DataFrame,
    class_names: Sequence[str],
    *,
    atypical_above: float = ATYPICAL_ABOVE,
    influence_above: float = INFLUENCE_ABOVE,
    n_pairs: int = 12,
) -> pd.DataFrame:
    """Choose the pairs of largest influence that stand, then others, each training sample once.

    Parameters
    ----------
    influence : DataFrame
        ``train_index``, ``test_index``, ``influence``, ``influence_se``, ``q``, and
        where it is known ``q_margin``, by which a pair then stands.
    memorization : DataFrame
        ``index``, ``label``, ``memorization``, ``memorization_se`` of the
        training samples.
    test : DataFrame
        ``index``, ``label`` of the test samples.
    class_names : sequence of str
        Names by label.
    atypical_above, influence_above : float
        Pairs count whose training sample's memorization, and whose influence,
        are above these.
    n_pairs : int
        At most this many rows.

    Returns
    -------
    DataFrame
        ``train_index``, ``test_index``, ``influence``, ``influence_se``,
        ``train_label``, ``train_class``, ``memorization``, ``memorization_se``,
        ``test_label``, ``test_class``, ``q``, where it is known ``q_margin``, and
        ``stands`` (``q_margin``, or else ``q``, is at most 0.1), those that stand first,
        by falling influence; empty where no pair qualifies.

    Notes
    -----
    Figure 7 of the paper.
    """
    train = memorization.rename(columns={"index": "train_index", "label": "train_label"})
    train = train[["train_index", "train_label", "memorization", "memorization_se"]]
    tested = test.rename(columns={"index": "test_index", "label": "test_label"})
    q = [name for name in ("q", "q_margin") if name == "q" or _known(influence, name)]
    pairs = influence[["train_index", "test_index", "influence", "influence_se", *q]]
    pairs = pairs[above(pairs["influence"], influence_above)].merge(train, on="train_index")
    pairs = pairs[above(pairs["memorization"], atypical_above)]
    pairs = pairs.merge(tested[["test_index", "test_label"]], on="test_index")
    for name in q:
        pairs[name] = pairs.pop(name).astype(float)
    pairs["stands"] = pairs[q[-1]] <= LEVEL
    pairs = pairs.sort_values(
        ["stands", "influence", "train_index", "test_index"], ascending=[False, False, True, True]
    )
    pairs = pairs.drop_duplicates("train_index").head(n_pairs).reset_index(drop=True)
    pairs.insert(5, "train_class", names_of(class_names, pairs["train_label"]))
    test_class = names_of(class_names, pairs["test_label"])
    pairs.insert(pairs.columns.get_loc("q"), "test_class", test_class)
    return pairs


def _known(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool(frame[name].notna().any())


@styled
def plot_influence_pairs(
    table: pd.DataFrame,
    train_images: np.ndarray,
    test_images: np.ndarray,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw training images beside the test images that they carry (figure 7).

    Parameters
    ----------
    table : DataFrame
        From `influence_pairs`; may be empty.
    train_images, test_images : ndarray of uint8, shape (N, C, H, W)
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    train_images = checked_images(train_images, table["train_index"], "training")
    test_images = checked_images(test_images, table["test_index"], "test")
    if table.empty:
        ax = canvas(ax, WIDTH, 0.8)
        ax.text(WIDTH / 2, 0.4, "No pair is above the threshold.", ha="center", va="center")
        return ax
    size, gap, text, n_columns, margin, top = 0.72, 0.05, 0.4, 4, 0.13, 0.2
    step = (WIDTH + margin) / n_columns
    n_rows = -(-len(table) // n_columns)
    ax = canvas(ax, WIDTH, top + n_rows * (size + text) - 0.08)
    for place, pair in enumerate(table.itertuples()):
        row, column = divmod(place, n_columns)
        x, y = column * step, top + row * (size + text)
        right = x + size + gap
        show_image(ax, train_images[pair.train_index], x, y, size)
        show_image(ax, test_images[pair.test_index], right, y, size)
        mark = "★ " if pair.stands else ""
        frame_image(ax, x, y, size, SERIES["train atypical"][0], 1.2)
        frame_image(ax, right, y, size, SERIES["test atypical"][0], 1.2)
        for corner, name, score, error in (
            (x, pair.train_class, f"mem {score_text(pair.memorization)}", pair.memorization_se),
            (right, pair.test_class, f"{mark}infl {score_text(pair.influence)}", pair.influence_se),
        ):
            label = f"{short_name(str(name), size, 5.6)}\n{with_error(score, error)}"
            ax.text(corner + size / 2, y + size + 0.04, label, fontsize=5.6, ha="center", va="top")
    for column in range(min(n_columns, len(table))):
        for shift, split in ((0, "train"), (size + gap, "test")):
            ax.text(column * step + shift + size / 2, top - 0.05, split, ha="center", va="bottom")
    return ax


def caption(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `influence_pairs`."""
    known = pairs_by_chance(metadata)
    known = f" {known}" if known else ""
    if table.empty:
        text = "No training sample has both memorization and an influence above the threshold"
        return captioned(metadata, f"{text}{of_dataset(metadata)}.{known}")
    standing = int(table["stands"].sum())
    by = "by the margins, " if "q_margin" in table else ""
    rate = f"{by}at a false discovery rate of {percent(LEVEL, 0)} among all candidate pairs"
    if table["q"].isna().all():
        which = "Which of them are more than chance is not known."
    elif standing:
        which = f"Those that stand {rate} come first and are marked ★: {standing} of them."
    else:
        which = f"None of them stands {rate}: each may be chance."
    return captioned(
        metadata,
        f"The {len(table)} pairs of largest influence{of_dataset(metadata)}: a training image "
        "(left) and the test image that it carries most (right), each training image once. Below "
        "them the label, and memorization (left) and influence (right) ± standard error. "
        f"{which}{known}",
    )


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw figure 7 of a data set.

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
    influence, metadata = folder.scores("influence")
    table = influence_pairs(
        influence,
        folder.scores("memorization")[0],
        folder.scores("test")[0],
        folder.prepared.info["class_names"],
        atypical_above=folder.spec["atypical_above"],
        influence_above=folder.spec["influence_above"],
    )
    shown = folder.shown()
    ax = plot_influence_pairs(table, shown.train_images, shown.test_images)
    return save_figure(ax.figure, out, table, caption(table, metadata))

"""Draw tidy tables, in one style.

Every ``plot_x(table, *, ax=None)`` draws values that are in its table, on the
given axes or on a new figure of the right size, and returns the axes; every
``draw_x`` puts several plots on one figure. Nothing is computed here: see
`bat.report.tables`. Colours are Okabe and Ito's, which colour-blind readers can tell
apart, one for each method and group in all figures; line styles and markers
differ too, so that grey prints stay readable. Figures are made without pyplot
and hold no global state.
"""

import functools
import io
import itertools
import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from bat.errors import BatError
from bat.escaping import plain
from bat.files.artifacts import write_bytes
from bat.report.fonts import drawable, families, is_own
from bat.report.tables import csv_text, interval_text, percent, with_suffix

# --- Style -------------------------------------------------------------------

WIDTH = 6.8  # inches; a page of two columns

STYLE = {
    "font.family": families(),
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # fonts embedded as TrueType, text stays text
    "image.interpolation": "nearest",
}

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, PALE = "#8c8c8c", "#cfcfcf"

# colour, line style and marker of each series
SERIES = {
    "ERM": (GREY, "-", "o"),
    "PGD-AT": (BLUE, "-", "s"),
    "TRADES": (ORANGE, "--", "^"),
    "MART": (GREEN, "-.", "v"),
    "GAIRAT": (PURPLE, ":", "D"),
    "BAT(1, 0.2)": (VERMILION, "-", "P"),
    "BAT(2, 0.2)": (BLACK, "--", "X"),
    "typical": (BLUE, "-", "o"),
    "neither": (PALE, "-.", "v"),
    "atypical": (ORANGE, "--", "s"),
    "train typical": (BLUE, "-", "o"),
    "test typical": (SKY, "--", "^"),
    "train atypical": (VERMILION, "-", "s"),
    "test atypical": (ORANGE, "--", "D"),
    "0 % atypical": (BLUE, "-", "o"),
    "20 % atypical": (GREEN, "--", "^"),
    "100 % atypical": (VERMILION, "-.", "s"),
}
_SPARE = [
    (GREEN, "--", "h"),
    (PURPLE, "-.", "<"),
    (SKY, "-", ">"),
    (BLACK, ":", "d"),
    (YELLOW, "-", "p"),
]
# white to dark blue, falling in lightness: readable in grey
_SEQUENTIAL = LinearSegmentedColormap.from_list("bat", ["#f4f8fb", SKY, BLUE, "#00304d"])


def series_styles(names: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """Give each name its colour, line style and marker.

    Known methods and groups keep theirs in every figure; other names take spare
    ones in order.
    """
    styles, n_spare = {}, 0
    for name in dict.fromkeys(names):
        if name in SERIES:
            styles[name] = SERIES[name]
        else:
            styles[name] = _SPARE[n_spare % len(_SPARE)]
            n_spare += 1
    return styles


def _styled(function: Callable) -> Callable:
    """Run a function in the style of this module."""

    @functools.wraps(function)
    def styled(*args, **kwargs):
        with matplotlib.rc_context(STYLE):
            return function(*args, **kwargs)

    return styled


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    return Figure(figsize=(width, height), layout="constrained").subplots()


# --- Saving ------------------------------------------------------------------


@_styled
def save_figure(
    fig: Figure,
    path_without_suffix: str | Path,
    table: pd.DataFrame,
    caption: str,
    *,
    more_tables: Mapping[str, pd.DataFrame] | None = None,
) -> list[Path]:
    """Save a figure as PDF and PNG beside the values that it draws.

    The caption is printed under the figure and kept in the files' metadata
    (PDF subject, PNG description). Equal input gives equal bytes: no file holds
    a date. All files are made before the first is written, and each takes its
    place atomically.

    Parameters
    ----------
    fig : Figure
        Left as it was.
    path_without_suffix : path-like
        Gives ``<path>.pdf``, ``<path>.png`` and ``<path>.csv``.
    table : DataFrame
        The values drawn.
    caption : str
        What is shown, with n, seeds, and what bands are.
    more_tables : mapping of str to DataFrame, optional
        Further values drawn, each written to ``<path>_<name>.csv``.

    Returns
    -------
    list of Path
        The files written.
    """
    caption = plain(caption)
    tables = {"": table} | {f"_{name}": more for name, more in (more_tables or {}).items()}
    base = Path(path_without_suffix)
    files = {
        with_suffix(base, "pdf"): _rendered(
            fig, caption, "pdf", {"Subject": caption, "CreationDate": None, "Producer": None}
        ),
        with_suffix(base, "png"): _rendered(
            fig, caption, "png", {"Description": caption, "Software": None}
        ),
    }
    for name, values in tables.items():
        files[with_suffix(base.with_name(base.name + name), "csv")] = csv_text(values).encode()
    for path, content in files.items():
        write_bytes(path, content)
    return list(files)


def _rendered(fig: Figure, caption: str, kind: str, metadata: dict) -> bytes:
    """The file's bytes, with the caption under the figure."""
    width, height = fig.get_size_inches()
    text = fig.text(
        0,
        -0.08 / height,
        drawable(textwrap.fill(caption, int(width * 19.5))),  # characters of 7 points
        fontsize=7,
        color="#333333",
        va="top",
        linespacing=1.35,
    )
    buffer = io.BytesIO()
    # fonts of others as shapes: Matplotlib embeds those with cubic outlines as what they are not
    own = all(is_own(drawn.get_text()) for drawn in fig.findobj(Text))
    try:
        with matplotlib.rc_context({} if own else {"pdf.fonttype": 3}):
            fig.savefig(
                buffer,
                format=kind,
                dpi=200,
                metadata=metadata,
                bbox_inches="tight",
                pad_inches=0.06,
            )
    finally:
        text.remove()
    return buffer.getvalue()


# --- Images ------------------------------------------------------------------
# Axes of images measure inches: a unit of data is an inch of the new figure.


def _canvas(ax: Axes | None, width: float, height: float) -> Axes:
    """Blank axes of this size in inches, the origin at the top left."""
    if ax is None:
        ax = Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.axis("off")
    return ax


def _show(ax: Axes, image: np.ndarray, x: float, y: float, size: float) -> None:
    """Draw an image, uint8 of shape (C, H, W), its corner at (x, y)."""
    pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    ax.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, extent=(x, x + size, y + size, y), aspect="equal"
    )


def _frame(ax: Axes, x: float, y: float, size: float, color: str, width: float = 0.6) -> None:
    ax.add_patch(Rectangle((x, y), size, size, fill=False, edgecolor=color, linewidth=width))


def _checked(images: np.ndarray, positions: pd.Series, what: str) -> np.ndarray:
    """The images, if they are some and hold all positions."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != np.uint8:
        raise BatError(
            f"The {what} images have shape {images.shape} and type {images.dtype}; expected "
            "uint8 of shape (N, C, H, W) with 1 or 3 channels."
        )
    if len(positions) and not 0 <= positions.min() <= positions.max() < len(images):
        raise BatError(
            f"The table names {what} sample {positions.max()}, but there are {len(images)} "
            f"{what} images; use the images of the data set that the scores belong to."
        )
    return images


def _score(value: float) -> str:
    """Two decimals, with a true minus sign and no negative zero."""
    return f"{value:z.2f}".replace("-", "−")


def _with_error(score: str, error: float) -> str:
    """A score and its standard error, where that is known."""
    return score if pd.isna(error) else f"{score} ± {error:.2f}"


def _short(name: str, inches: float, size: float) -> str:
    """A name as it is drawn in letters of a size in points, cut where it is too wide."""
    name = plain(name)
    if _width(name, size) <= inches:
        return drawable(name)
    cuts = (f"{name[:length]}…" for length in range(len(name)))
    fitting = itertools.takewhile(lambda cut: _width(cut, size) <= inches, cuts)
    return drawable(deque(fitting, 1).pop())


def _width(text: str, size: float) -> float:
    """What a text takes in inches."""
    font = FontProperties(family=STYLE["font.family"])
    return TextPath((0, 0), drawable(text), size=size, prop=font).get_extents().width / 72


@_styled
def plot_memorization_examples(
    table: pd.DataFrame, images: np.ndarray, *, ax: Axes | None = None
) -> Axes:
    """Draw images in a row for each level of memorization (figure 5).

    Parameters
    ----------
    table : DataFrame
        From `bat.report.tables.memorization_examples`.
    images : ndarray of uint8, shape (N, C, H, W)
        The training images.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    images = _checked(images, table["index"], "training")
    size, gap, text, left = 0.56, 0.075, 0.29, 0.72
    n_rows, n_columns = table["row"].max() + 1, table["column"].max() + 1
    ax = _canvas(ax, left + n_columns * (size + gap), n_rows * (size + text))
    empty = {(row, column) for row in range(n_rows) for column in range(n_columns)}
    for item in table.itertuples():
        x, y = left + item.column * (size + gap), item.row * (size + text)
        empty.remove((item.row, item.column))
        _show(ax, images[item.index], x, y, size)
        _frame(ax, x, y, size, "#555555")
        label = f"{_with_error(_score(item.memorization), item.memorization_se)}\n"
        label += _short(str(item.class_name), size, 6)
        ax.text(x + size / 2, y + size + 0.03, label, fontsize=6, ha="center", va="top")
    for row, column in sorted(empty):
        x, y = left + column * (size + gap), row * (size + text)
        _frame(ax, x, y, size, "#d0d0d0")
        ax.text(
            x + size / 2, y + size / 2, "none", fontsize=6, color=GREY, ha="center", va="center"
        )
    for row, level in table.groupby("row")["level"].first().items():
        y = row * (size + text) + size / 2
        ax.text(left - 0.1, y, f"mem ≈ {level:g}", ha="right", va="center")
    return ax


@_styled
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
        From `bat.report.tables.influence_pairs`; may be empty.
    train_images, test_images : ndarray of uint8, shape (N, C, H, W)
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    train_images = _checked(train_images, table["train_index"], "training")
    test_images = _checked(test_images, table["test_index"], "test")
    if table.empty:
        ax = _canvas(ax, WIDTH, 0.8)
        ax.text(WIDTH / 2, 0.4, "No pair is above the threshold.", ha="center", va="center")
        return ax
    size, gap, text, n_columns, margin, top = 0.72, 0.05, 0.4, 4, 0.13, 0.2
    step = (WIDTH + margin) / n_columns
    n_rows = -(-len(table) // n_columns)
    ax = _canvas(ax, WIDTH, top + n_rows * (size + text) - 0.08)
    for place, pair in enumerate(table.itertuples()):
        row, column = divmod(place, n_columns)
        x, y = column * step, top + row * (size + text)
        right = x + size + gap
        _show(ax, train_images[pair.train_index], x, y, size)
        _show(ax, test_images[pair.test_index], right, y, size)
        mark = "★ " if pair.stands else ""
        _frame(ax, x, y, size, SERIES["train atypical"][0], 1.2)
        _frame(ax, right, y, size, SERIES["test atypical"][0], 1.2)
        for corner, name, score, error in (
            (x, pair.train_class, f"mem {_score(pair.memorization)}", pair.memorization_se),
            (right, pair.test_class, f"{mark}infl {_score(pair.influence)}", pair.influence_se),
        ):
            label = f"{_short(str(name), size, 5.6)}\n{_with_error(score, error)}"
            ax.text(corner + size / 2, y + size + 0.04, label, fontsize=5.6, ha="center", va="top")
    for column in range(min(n_columns, len(table))):
        for shift, split in ((0, "train"), (size + gap, "test")):
            ax.text(column * step + shift + size / 2, top - 0.05, split, ha="center", va="bottom")
    return ax


# --- Scores ------------------------------------------------------------------


@_styled
def plot_memorization_histogram(
    table: pd.DataFrame, *, log: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw the histogram of memorization with the share above the threshold (figure 6).

    Parameters
    ----------
    table : DataFrame
        From `bat.report.tables.memorization_histogram`.
    log : bool
        Whether counts are on a logarithmic axis: most samples lie near 0.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, 4.6, 2.7)
    first = table.iloc[0]
    threshold = first["threshold"]
    for above, group in ((False, "typical"), (True, "atypical")):
        bars = table[(table["left"] >= threshold) == above]
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
    if log:
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.7)
    ax.margins(x=0.01)
    ax.grid(axis="x", visible=False)
    ax.set(xlabel="Memorization", ylabel="Training samples")
    share = f"{percent(first['share_above'])} above {threshold:g}\n"
    share += interval_text(first)
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


@_styled
def plot_metric(
    table: pd.DataFrame, metric: str, *, note: str = "", ax: Axes | None = None
) -> Axes:
    """Draw a metric against memorization, one point per training sample.

    Parameters
    ----------
    table : DataFrame
        From `bat.report.tables.metric_values`.
    metric : str
        The column on the vertical axis.
    note : str
        Printed above the axes.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, 2.6, 2.4)
    alpha = float(np.clip(1000 / len(table), 0.1, 0.6))
    for atypical, group in ((False, "typical"), (True, "atypical")):
        points = table[table["atypical"] == atypical]
        color, _, marker = SERIES[group]
        ax.plot(
            points["memorization"],
            points[metric],
            linestyle="none",
            marker=marker,
            markersize=2.2,
            markeredgewidth=0,
            color=color,
            alpha=alpha,
            rasterized=True,
        )
    ax.set(xlabel="Memorization", ylabel=metric[0].upper() + metric[1:])
    ax.set_title(note, loc="left")
    return ax


@_styled
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
    ax = _axes(ax, 2.6, 2.4)
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
    ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    ax.grid(axis="x", visible=False)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.1, handlelength=1.2)
    return ax


@_styled
def draw_alignment(values: pd.DataFrame, alignment: pd.DataFrame) -> Figure:
    """Draw each metric against memorization, and the overlaps of their top samples.

    Parameters
    ----------
    values : DataFrame
        From `bat.report.tables.metric_values`: ``memorization`` and a column per metric.
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


def _plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis 1, 2, 5, 10 and so on."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


@_styled
def plot_split_half(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the correlation of the scores from two halves of the trials.

    Parameters
    ----------
    table : DataFrame
        From `bat.report.tables.convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, 3.3, 2.4)
    rows = table[table["source"] == "measured"]
    for column, name, color, line, marker in (
        ("split_half_correlation", "Pearson", BLUE, "-", "o"),
        ("split_half_spearman", "Spearman", ORANGE, "--", "s"),
    ):
        x, mean, sd = rows["n_trials"], rows[column], rows[f"{column}_sd"]
        ax.plot(x, mean, color=color, linestyle=line, marker=marker, label=name)
        ax.fill_between(x, mean - sd, mean + sd, color=color, alpha=0.2, linewidth=0)
    ax.set(xscale="log", xlabel="Trials", ylabel="Split-half correlation")
    _plain_ticks(ax.xaxis)
    ax.set_ylim(top=1)
    ax.legend(loc="lower right")
    return ax


@_styled
def plot_standard_errors(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw standard errors against trials, with the trials that a precision needs.

    Parameters
    ----------
    table : DataFrame
        From `bat.report.tables.convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, 3.3, 2.4)
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
    _plain_ticks(ax.xaxis)
    _plain_ticks(ax.yaxis)
    ax.set_title(f"95th percentile of {precision:g}: {needed:,} trials", loc="left")
    ax.legend()
    return ax


@_styled
def plot_share_by_chance(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the share of the strongest pairs that chance gives against trials.

    Parameters
    ----------
    table : DataFrame
        From `bat.report.tables.convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, 3.3, 2.4)
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
    ax.set(xscale="log", xlabel="Trials", ylabel="Pairs above 0.15 by chance", ylim=(0, 1.02))
    ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    _plain_ticks(ax.xaxis)
    ax.set_title(title, loc="left")
    return ax


@_styled
def draw_convergence(table: pd.DataFrame) -> Figure:
    """Draw the split-half correlation, the standard errors, and the pairs that chance gives.

    Parameters
    ----------
    table : DataFrame
        From `bat.report.tables.convergence_study`.

    Returns
    -------
    Figure
    """
    fig = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    left, middle, right = fig.subplots(1, 3)
    plot_split_half(table, ax=left)
    plot_standard_errors(table, ax=middle)
    plot_share_by_chance(table, ax=right)
    return fig


# --- Later studies -----------------------------------------------------------


@_styled
def plot_accuracy_by_epoch(
    table: pd.DataFrame, *, ylabel: str = "Accuracy", ax: Axes | None = None
) -> Axes:
    """Draw accuracy along training, a line for each series.

    Parameters
    ----------
    table : DataFrame
        ``series`` (a run or group, named in the legend), ``epoch``, ``mean`` in
        [0, 1], and ``sd`` over seeds for the band, NaN for none; see
        `bat.report.tables.over_seeds`.
    ylabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = _axes(ax, 3.3, 2.4)
    for name, (color, line, marker) in series_styles(table["series"]).items():
        rows = table[table["series"] == name].sort_values("epoch")
        ax.plot(
            rows["epoch"],
            rows["mean"],
            color=color,
            linestyle=line,
            marker=marker,
            markevery=max(1, len(rows) // 8),
            label=drawable(name),
        )
        low, high = rows["mean"] - rows["sd"], rows["mean"] + rows["sd"]
        ax.fill_between(rows["epoch"], low, high, color=color, alpha=0.2, linewidth=0)
    ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="Epoch", ylabel=ylabel)
    ax.legend()
    return ax


@_styled
def draw_along_training(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw accuracy along training, a panel for each attack.

    Parameters
    ----------
    table : DataFrame
        From `bat.report.curves.study_curves`.
    titles : mapping of str to str
        Label of the vertical axis by attack.

    Returns
    -------
    Figure

    Notes
    -----
    Figures 1, 2 and 8 to 19 of the paper.
    """
    attacks = list(dict.fromkeys(table["attack"]))
    fig = Figure(figsize=(WIDTH * len(attacks) / 2, 2.5), layout="constrained")
    panels = fig.subplots(1, len(attacks), squeeze=False, sharey=True)[0]
    for ax, attack in zip(panels, attacks, strict=True):
        rows = table[table["attack"] == attack]
        plot_accuracy_by_epoch(rows, ylabel=titles[attack], ax=ax)
    return fig


@_styled
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
    ax = _axes(ax, 3.3, 2.7)
    alphas, betas = sorted(table["alpha"].unique()), sorted(table["beta"].unique())
    grid = np.full((len(betas), len(alphas)), np.nan)
    for cell in table.itertuples():
        grid[betas.index(cell.beta), alphas.index(cell.alpha)] = cell.mean
    image = ax.imshow(grid, cmap=_SEQUENTIAL, origin="lower", aspect="auto")
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


@_styled
def draw_ablation(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw the grids of several attacks beside each other.

    Parameters
    ----------
    table : DataFrame
        From `bat.report.comparison.ablation`, of one attack or of several that follow
        each other.
    titles : mapping of str to str
        What readers call each attack; see `bat.report.comparison.attack_labels`.

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


@_styled
def plot_group_sizes(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the shares of the groups as one bar for each data set and split.

    Parameters
    ----------
    table : DataFrame
        From `bat.report.tables.group_sizes`; several data sets may follow each other.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    bars = table.drop_duplicates(["dataset", "split"])
    names = [drawable(f"{bar.dataset}, {bar.split}") for bar in bars.itertuples()]
    ax = _axes(ax, 4.6, 0.75 + 0.32 * len(names))
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
    ax.xaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    ax.set(xlim=(0, 1), xlabel="Share of the split")
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return ax

"""One style for all figures: sizes, colours, axes.

Colours are Okabe and Ito's, which colour-blind readers can tell apart, one for each method and
group in all figures; line styles and markers differ too, so that grey prints stay readable.
Figures are made without pyplot and hold no global state.
"""

import functools
from collections.abc import Callable, Iterable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, FuncFormatter, LogLocator, NullLocator

from bat.report.fonts import families

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
    "train clean": (SKY, "--", "^"),
    "test clean": (BLUE, "-", "o"),
    "train PGD": (ORANGE, "--", "D"),
    "test PGD": (VERMILION, "-", "s"),
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
SEQUENTIAL = LinearSegmentedColormap.from_list("bat", ["#f4f8fb", SKY, BLUE, "#00304d"])


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


def styled(function: Callable) -> Callable:
    """Run a function in this style."""

    @functools.wraps(function)
    def styled(*args, **kwargs):
        with matplotlib.rc_context(STYLE):
            return function(*args, **kwargs)

    return styled


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    return Figure(figsize=(width, height), layout="constrained").subplots()


def legend_above(ax: Axes, columns: int) -> None:
    """A legend on top of the frame, where it hides no data."""
    ax.legend(
        ncols=columns,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        columnspacing=1,
        handlelength=1.8,
    )


def plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis 1, 2, 5, 10 and so on."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


class _Percent(Formatter):
    """Shares of 1 in percent, all ticks with as many decimals as one of them needs."""

    def format_ticks(self, values):
        percents = 100 * np.asarray(values)
        exact = (n for n in range(6) if np.allclose(percents, percents.round(n), 0, 1e-9))
        digits = next(exact, 6)
        return [self.fix_minus(f"{value:z.{digits}f} %") for value in percents]

    def __call__(self, x, pos=None):
        return self.format_ticks([x])[0]


def percent_ticks(axis: Axis) -> None:
    """Label an axis of shares of 1 in percent, as 70 %, 75 %, 80 %."""
    axis.set_major_formatter(_Percent())

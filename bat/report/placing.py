"""Names beside points, where they meet neither each other nor what is drawn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from bat.report.fonts import drawable
from bat.report.style import GREY

ANGLES = np.deg2rad([0, 180, 90, 270, 30, 330, 150, 210, 60, 300, 120, 240])
DISTANCES = (7, 13, 20, 28, 37, 47, 58, 70, 83, 97, 112)
"""Points from a sign to its name; the nearest place that is free is taken."""

ON_A_BAR = 40
"""Points further that a name goes rather than to lie on the bar of an error."""


def name_points(
    ax: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], bars: Sequence = ()
) -> None:
    """Write the name of each point beside it; from one that is far a thin line leads to its point.

    Parameters
    ----------
    ax : Axes
        Whose limits and layout are final but for the names.
    x, y : sequence of float, shape (n,)
        In the axes' units.
    names : sequence of str, shape (n,)
    bars : sequence of ((x0, y0), (x1, y1))
        Lines parallel to an axis that names rather leave free.

    Notes
    -----
    Points are taken from the right to the left. A name begins right of the vertical axis and lies
    above the horizontal one, beyond which are what they say. If every place is taken, as by dozens
    of runs in one spot, names lie on what they cover least.
    """
    figure = ax.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    points = ax.transData.transform(np.column_stack([x, y]))
    scale = figure.dpi / 72
    signs = [Bbox.from_bounds(*(point - 4 * scale), 8 * scale, 8 * scale) for point in points]
    lines = [Bbox(np.sort(ax.transData.transform(ends), axis=0)) for ends in bars]
    taken: list[Bbox] = []
    for at in np.argsort(-np.asarray(x), kind="stable"):
        label = ax.annotate(
            drawable(names[at]),
            (x[at], y[at]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=7,
            annotation_clip=False,
        )
        label.set_in_layout(False)
        size = label.get_window_extent(renderer)
        found = []
        for distance, angle in itertools.product(DISTANCES, ANGLES):
            box = _beside(points[at], size.width, size.height, scale * distance, angle)
            covered = sum(_shared(box, other) for other in (*taken, *signs))
            on_bars = sum(box.overlaps(line) for line in lines)
            outside = not (ax.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1)
            outside |= box.y0 < ax.bbox.y0 or box.y1 > figure.bbox.y1
            found.append((covered + 1e6 * outside, distance + ON_A_BAR * on_bars, box, distance))
        *_, box, distance = min(found, key=lambda place: place[:2])
        taken.append(box.padded(scale))
        label.set_position(((box.x0 - points[at][0]) / scale, (box.y0 - points[at][1]) / scale))
        label.set_verticalalignment("bottom")
        if distance > DISTANCES[0]:
            _lead(ax, points[at], box)


def _beside(point, width: float, height: float, distance: float, angle: float) -> Bbox:
    """The box of a name whose nearest side lies at a distance from a point, in a direction."""
    right, up = np.cos(angle), np.sin(angle)
    middle = point + distance * np.array([right, up])
    left = middle[0] - width * (1 - np.round(right, 6)) / 2
    bottom = middle[1] - height * (1 - np.round(up, 6)) / 2
    return Bbox.from_bounds(left, bottom, width, height)


def _shared(one: Bbox, other: Bbox) -> float:
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else both.width * both.height


def _lead(ax: Axes, point, box: Bbox) -> None:
    """A thin line from a point to the nearest place of a name's box."""
    end = np.clip(point, box.min, box.max)
    ends = ax.transData.inverted().transform([point, end])
    ax.plot(*ends.T, color=GREY, linewidth=0.5, zorder=1, scalex=False, scaley=False, clip_on=False)

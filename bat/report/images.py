"""Images on axes that measure inches: a unit of data is an inch of the new figure."""

import itertools
from collections import deque

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath

from bat.errors import BatError
from bat.escaping import plain
from bat.report.fonts import drawable
from bat.report.style import STYLE


def canvas(ax: Axes | None, width: float, height: float) -> Axes:
    """Blank axes of this size in inches, the origin at the top left."""
    if ax is None:
        ax = Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.axis("off")
    return ax


def show_image(ax: Axes, image: np.ndarray, x: float, y: float, size: float) -> None:
    """Draw an image, uint8 of shape (C, H, W), its corner at (x, y)."""
    pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    ax.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, extent=(x, x + size, y + size, y), aspect="equal"
    )


def frame_image(ax: Axes, x: float, y: float, size: float, color: str, width: float = 0.6) -> None:
    """Draw a frame around a square, in units of the axes; ``width`` of the line is in points."""
    ax.add_patch(Rectangle((x, y), size, size, fill=False, edgecolor=color, linewidth=width))


def checked_images(images: np.ndarray, positions: pd.Series, what: str) -> np.ndarray:
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


def score_text(value: float) -> str:
    """Two decimals, with a true minus sign and no negative zero."""
    return f"{value:z.2f}".replace("-", "−")


def with_error(score: str, error: float) -> str:
    """A score and its standard error, where that is known."""
    return score if pd.isna(error) else f"{score} ± {error:.2f}"


def short_name(name: str, inches: float, size: float) -> str:
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

"""Many small images as a few large ones, of which a browser shows parts."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

import numpy as np

EDGE = 64
"""Longest edge of an image on a sheet, in pixels; larger ones are reduced to it."""

SIDE = 1024
"""About the edge of a sheet, in pixels."""


def layout(shape: tuple[int, int, int]) -> dict[str, int]:
    """How images of a shape (C, H, W) lie on their sheets.

    Returns
    -------
    dict of int
        ``width`` and ``height`` of an image there, ``across``, the number side by side,
        and ``each``, the number on one sheet.

    Examples
    --------
    >>> layout((3, 32, 32))
    {'width': 32, 'height': 32, 'across': 32, 'each': 1024}
    """
    scale = min(1.0, EDGE / max(shape[1:]))
    height, width = (max(1, round(edge * scale)) for edge in shape[1:])
    across = max(1, SIDE // width)
    return {
        "width": width,
        "height": height,
        "across": across,
        "each": across * max(1, SIDE // height),
    }


def sheets(images: np.ndarray, order: np.ndarray) -> Iterator[bytes]:
    """Make the sheets.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, C, H, W)
        With one channel or three.
    order : ndarray of int, shape (n,)
        Which image comes when: those that are looked at first, first.

    Yields
    ------
    bytes
        A PNG of the next ``each`` images of `layout`, row by row.
    """
    place = layout(images.shape[1:])
    for start in range(0, len(order), place["each"]):
        chosen = order[start : start + place["each"]]
        yield _png(_tiled(_reduced(images[np.sort(chosen)][_rank(chosen)], place), place))


def _rank(values: np.ndarray) -> np.ndarray:
    """Where each value stands among them, so that a mapped file is read forwards."""
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(values)] = np.arange(len(values))
    return rank


def _reduced(images: np.ndarray, place: dict[str, int]) -> np.ndarray:
    """Images of shape (n, H, W, C) in the size that they have on the sheet."""
    from PIL import Image

    images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    size = place["width"], place["height"]
    if images.shape[2:0:-1] == size:
        return images
    small = [
        np.asarray(
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).resize(
                size, Image.Resampling.BOX, reducing_gap=None
            )
        )
        for image in images
    ]
    return np.stack(small).reshape(len(images), size[1], size[0], -1)


def _tiled(images: np.ndarray, place: dict[str, int]) -> np.ndarray:
    """One image of many, those that lack at the end black."""
    n, height, width, channels = images.shape
    across = min(place["across"], n)
    down = math.ceil(n / across)
    filled = np.zeros((down * across, height, width, channels), np.uint8)
    filled[:n] = images
    rows = filled.reshape(down, across, height, width, channels).transpose(0, 2, 1, 3, 4)
    return rows.reshape(down * height, across * width, channels)


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()

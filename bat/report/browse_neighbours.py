"""Which images are most alike in their pixels, across training and test set."""

from __future__ import annotations

import numpy as np

from bat.data import PreparedData

SMALL = 8
"""Edge to which images are reduced for the search; 64 products of bytes are exact in float32."""

CANDIDATES, KEPT = 8, 4
"""Alike in the small, and of those alike in all pixels."""

LARGEST = 150_000
"""Images up to this number are compared, each with each."""

_BLOCK = 256


def nearest(prepared: PreparedData) -> tuple[np.ndarray, np.ndarray]:
    """Find the images that are most like each image.

    Candidates are the `CANDIDATES` nearest of the images reduced to grey of `SMALL` pixels a
    side; they are then compared in all pixels.

    Parameters
    ----------
    prepared : PreparedData

    Returns
    -------
    index : ndarray of int32, shape (n, KEPT)
        Of training and then test samples, numbered through; the nearest first, equal ones by
        number. Fewer columns where there are fewer other images; none beyond `LARGEST` images.
    distance : ndarray of float32, shape (n, KEPT)
        Root mean square difference of pixels, in [0, 1]; 1 is black against white, 0 equal.
    """
    parts = prepared.train_images, prepared.test_images
    n = sum(map(len, parts))
    kept = 0 if n > LARGEST else min(KEPT, n - 1)
    index, distance = np.empty((n, kept), np.int32), np.empty((n, kept), np.float32)
    if not kept:
        return index, distance
    small = np.concatenate([_small(images) for images in parts])
    squares = (small**2).sum(axis=1)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(n, start + _BLOCK))
        apart = squares - 2 * (small[rows] @ small.T)  # whole numbers below 2**24: exact
        apart[np.arange(len(rows)), rows] = np.inf
        found = _smallest(apart, min(CANDIDATES, n - 1))
        index[rows], distance[rows] = _refined(parts, rows, found, kept)
    return index, distance


def _smallest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k smallest values of each row; of equal ones any, but always the same."""
    return np.argpartition(values, k - 1, axis=1)[:, :k]


def _small(images: np.ndarray) -> np.ndarray:
    """Grey images of at most `SMALL` pixels a side, whole numbers as float32, shape (n, pixels)."""
    n, _, height, width = images.shape
    rows, columns = (_edges(edge) for edge in (height, width))
    found = np.empty((n, (len(rows) - 1) * (len(columns) - 1)), np.float32)
    for start in range(0, n, 4096):
        grey = images[start : start + 4096].mean(axis=1, dtype=np.float32)
        sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=1), columns[:-1], axis=2)
        sums /= np.diff(rows)[:, None] * np.diff(columns)
        found[start : start + 4096] = np.rint(sums).reshape(len(grey), -1)
    return found


def _edges(length: int) -> np.ndarray:
    return np.unique(np.linspace(0, length, min(SMALL, length) + 1).astype(int))


def _refined(
    parts: tuple[np.ndarray, np.ndarray], rows: np.ndarray, found: np.ndarray, kept: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of the candidates in all pixels, and how far they are."""
    numbers, place = np.unique(np.concatenate([rows, found.ravel()]), return_inverse=True)
    n_train = len(parts[0])
    images = np.concatenate(
        [parts[0][numbers[numbers < n_train]], parts[1][numbers[numbers >= n_train] - n_train]]
    )
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255
    own, other = place[: len(rows)], place[len(rows) :].reshape(found.shape)
    apart = np.stack([np.sqrt(((pixels[own] - pixels[c]) ** 2).mean(axis=1)) for c in other.T], 1)
    order = np.lexsort((found, apart), axis=1)[:, :kept]
    return np.take_along_axis(found, order, 1), np.take_along_axis(apart, order, 1)

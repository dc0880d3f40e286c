"""A data set from arrays in memory, in whichever layout they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from bat import config
from bat.data.batches import as_array
from bat.data.prepared import PreparedData
from bat.data.preparing import prepare_in_memory
from bat.data.raw import RawData, check, names_of_classes
from bat.errors import DataError

CHANNELS = (1, 3)


class ArraysData(config.Data):
    """What can be done to arrays before they are used."""

    source: Literal["arrays"] = "arrays"


def from_arrays(
    train_images,
    train_labels,
    test_images,
    test_labels,
    class_names: Sequence[str] | None = None,
    **settings: Any,
) -> PreparedData:
    """Make a data set of images and labels in memory.

    Parameters
    ----------
    train_images, test_images : array-like, shape (n, C, H, W), (n, H, W, C) or (n, H, W)
        uint8, or float in [0, 1], which is rounded to 256 levels; 1 or 3 channels.
    train_labels, test_labels : array-like, shape (n,)
        Class numbers from 0 up, or names of classes.
    class_names : sequence of str, optional
        By class number; by default the numbers, or the names in sorted order.
    **settings
        ``resize``, ``subsample`` and ``label_noise``, as under ``data`` in a
        configuration.

    Returns
    -------
    PreparedData
        With the fingerprint that the same data have when they come from files.

    Raises
    ------
    DataError
        If arrays do not fit together, or a class has no training or test images.
    BatError
        If a setting is not known, or out of its range.

    Examples
    --------
    >>> import bat
    >>> images = np.zeros((4, 8, 8), np.uint8)
    >>> images[:, 0] = [[0], [60], [120], [180]]
    >>> data = bat.from_arrays(images, ["cat", "dog"] * 2, images + 1, ["cat", "dog"] * 2)
    >>> data.class_names, data.shape, data.train_labels
    (['cat', 'dog'], (1, 8, 8), array([0, 1, 0, 1]))
    """
    names = None if class_names is None else names_of_classes("class_names", class_names)
    labels = {"train": _labels("train", train_labels), "test": _labels("test", test_labels)}
    if names is None:
        names = _names(*labels.values())
    arrays = {f"{split}_labels": _numbers(split, of, names) for split, of in labels.items()}
    for split, images in (("train", train_images), ("test", test_images)):
        arrays[f"{split}_images"] = _bytes(split, as_array(images))
    raw = RawData(**arrays, class_names=names)
    check(raw, "the arrays")
    return prepare_in_memory(config.from_arguments(ArraysData, settings, "bat.from_arrays"), raw)


def _names(train: np.ndarray, test: np.ndarray) -> tuple[str, ...]:
    if train.dtype.kind in "UO":
        return tuple(sorted({*map(str, train), *map(str, test)}))
    if train.dtype.kind not in "iu":
        return ()  # which is refused with the labels
    return tuple(map(str, range(int(max(train.max(initial=-1), test.max(initial=-1))) + 1)))


def _labels(split: str, values) -> np.ndarray:
    """Labels as they are; of objects, those that are all numbers or all names."""
    labels = as_array(values)
    if labels.dtype.kind == "U" and isinstance(values, list | tuple):
        labels = np.array(values, dtype=object)  # as which a missing one is no text
    if labels.dtype.kind != "O":
        return labels
    kinds = {type(label) for label in labels.flat}
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        return labels.astype(np.int64)
    if strange := sorted(kind.__name__ for kind in kinds if not issubclass(kind, str)):
        raise DataError(
            f"{split}_labels hold values of {', '.join(strange)} (missing ones are such); expected "
            "class numbers alone, or names alone"
        )
    return labels


def _numbers(split: str, labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    if labels.ndim != 1 or labels.dtype.kind not in "iuUO":
        raise DataError(
            f"{split}_labels are {labels.dtype} of shape {labels.shape}; expected one row of class "
            "numbers or names"
        )
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64)
    number = {name: at for at, name in enumerate(names)}
    strange = [str(label) for label in labels if str(label) not in number]
    if strange:
        raise DataError(f"{split}_labels hold {strange[0]!r}, which is not among class_names")
    return np.array([number[str(label)] for label in labels], np.int64)


def _bytes(split: str, images: np.ndarray) -> np.ndarray:
    """Images as uint8 (n, C, H, W)."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in CHANNELS and images.shape[3] in CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in CHANNELS:
        raise DataError(
            f"{split}_images have shape {images.shape}; expected (n, C, H, W), (n, H, W, C) or "
            "(n, H, W), with 1 or 3 channels"
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f" or not images.size:
        raise DataError(
            f"{split}_images are {images.dtype} of shape {images.shape}; expected uint8, or float "
            "in [0, 1]"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{split}_images go from {low:g} to {high:g}; expected floats in [0, 1], or uint8: "
            "undo the normalization, which models do themselves"
        )
    return np.rint(images * 255).astype(np.uint8)

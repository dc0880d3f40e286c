"""What a source gives as it is read, and the checks that every source must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bat.errors import DataError
from bat.escaping import shown
from bat.files.archives import FileState

if TYPE_CHECKING:
    from bat import config

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class RawData:
    """A source as it was read, before resizing, subsampling and label noise.

    Images are uint8 of shape (n, C, H, W), labels int64. A source index is
    None where the arrays are in the source's own order. Names are those of the image
    files by split, in the order of the arrays, where there are files.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    files: list[dict] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    train_source_index: np.ndarray | None = None
    test_source_index: np.ndarray | None = None
    states: Mapping[str, FileState] = field(default_factory=dict)  # of the files, by their names
    names: Mapping[str, Sequence[str]] | None = None


def source_name(config: config.Data) -> str:
    """The source and its paths, as messages name it."""
    paths = []
    for key in ("path", "folder", "train", "test", "load"):
        value = getattr(config, key, None) or ()
        paths += map(shown, value if isinstance(value, tuple) else (value,))
    return f"{config.source} ({', '.join(paths)})" if paths else config.source


def check(raw: RawData, where: str) -> None:
    """Refuse arrays that do not fit together, and labels as in `check_labels`.

    Parameters
    ----------
    raw : RawData
    where : str
        The source, as messages name it.

    Raises
    ------
    DataError
        If shapes, dtypes or lengths differ from what `RawData` says.
    """
    if raw.train_images.shape[1:] != raw.test_images.shape[1:]:
        of_size = raw.train_images.shape[1] == raw.test_images.shape[1]
        raise DataError(
            f"{where}: training images are {_size(raw.train_images)}, test images "
            f"{_size(raw.test_images)} (channels x height x width); "
            f"{'set data.resize' if of_size else 'give both the same channels'}"
        )
    for split in ("train", "test"):
        images, labels = getattr(raw, f"{split}_images"), getattr(raw, f"{split}_labels")
        if images.dtype != np.uint8 or labels.dtype != np.int64 or images.ndim != 4:
            raise DataError(
                f"{where}: {split} arrays are {images.dtype} {images.shape} and {labels.dtype}; "
                "expected uint8 images (n, C, H, W) and int64 labels"
            )
        if len(images) != len(labels):
            raise DataError(f"{where}: {len(images)} {split} images but {len(labels)} labels")
    check_labels(raw.train_labels, raw.test_labels, raw.class_names, where)


def check_labels(
    train_labels: np.ndarray, test_labels: np.ndarray, class_names: tuple[str, ...], where: str
) -> None:
    """Refuse labels out of range, and classes without training or test images.

    Parameters
    ----------
    train_labels, test_labels : ndarray of int64, shape (n,)
    class_names : tuple of str
        At least two; a label is a position in it.
    where : str
        The source, as messages name it.

    Raises
    ------
    DataError
        The message names the first row, or the first classes.
    """
    if len(class_names) < 2:
        raise DataError(f"{where}: found {len(class_names)} class; at least two are needed")
    for split, labels in (("training", train_labels), ("test", test_labels)):
        bad = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
        if len(bad):
            raise DataError(
                f"{where}: {len(bad)} {split} labels out of range, the first {labels[bad[0]]} in "
                f"row {bad[0]}; with {len(class_names)} classes labels are 0 to "
                f"{len(class_names) - 1}. Correct the labels or the list of class names"
            )
        empty = np.flatnonzero(np.bincount(labels, minlength=len(class_names)) == 0)
        if len(empty):
            names = ", ".join(repr(class_names[c]) for c in empty[:5])
            raise DataError(
                f"{where}: {len(empty)} of {len(class_names)} classes have no {split} images "
                f"({names}{', ...' if len(empty) > 5 else ''}); every class needs training and "
                "test images. Add images, leave the class out, or keep more samples"
            )


def names_of_classes(what: str, names: Iterable) -> tuple[str, ...]:
    """Names of classes by their number, as somebody gives them.

    Raises
    ------
    DataError
        If they have no order by number, or a name is there twice.
    """
    if isinstance(names, str | bytes | Mapping | Set) or not isinstance(names, Iterable):
        raise DataError(
            f"{what} is {type(names).__name__}, expected a list of names, the first that of class 0"
        )
    found = tuple(map(str, names))
    if len(set(found)) < len(found):
        raise DataError(f"{what} has a name twice")
    return found


def _size(images: np.ndarray) -> str:
    return "x".join(map(str, images.shape[1:]))


def draw_balanced(
    labels: np.ndarray,
    rng: np.random.Generator,
    key: str,
    *,
    total: int | None = None,
    per_class: int | None = None,
) -> np.ndarray:
    """Positions of a random part with equal numbers of every class, in order.

    A total that the classes do not divide, or that exceeds a small class, is
    filled up from the other classes. A smaller total with the same generator
    gives a part of a larger one.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
    rng : numpy.random.Generator
    key : str
        The key of the configuration that asks, as messages name it.
    total, per_class : int, optional
        One of them: samples in all, or of every class.

    Returns
    -------
    ndarray of int64
        Ascending.

    Raises
    ------
    DataError
        If there are fewer samples than asked for.
    """
    if total and total > len(labels):
        raise DataError(f"{key} asks for {total} samples; there are {len(labels)}")
    order = rng.permutation(len(labels))
    rank = np.empty(len(labels), np.int64)  # within the class, in random order
    for label in np.unique(labels):
        members = order[labels[order] == label]
        if per_class and len(members) < per_class:
            raise DataError(
                f"{key} asks for {per_class} samples of each class; class {label} has "
                f"{len(members)}"
            )
        rank[members] = np.arange(len(members))
    if per_class:
        return np.flatnonzero(rank < per_class)
    tie = rng.permutation(labels.max() + 1)[labels]
    return np.sort(np.lexsort((tie, rank))[:total])

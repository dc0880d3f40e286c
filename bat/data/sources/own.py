"""Data by a function of somebody's own, which goes through the checks of every source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bat import extensions
from bat.data.raw import Progress, RawData, names_of_classes
from bat.data.sources.registry import source
from bat.errors import DataError

if TYPE_CHECKING:
    from bat import config

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@source("own")
def read(config: config.OwnData, progress: Progress, workers: int) -> RawData:
    """Call the configured function.

    It gives a mapping with uint8 images, shape (n, channels, height, width), labels, shape
    (n,), of both splits, and ``class_names``.

    Raises
    ------
    DataError
        If something of that is missing, or of another form.
    """
    text = config.load
    code = extensions.record(text, config.settings, ())
    found = extensions.call(text, extensions.load(code), config.settings, {})
    wanted = {*ARRAYS, "class_names"}
    if not isinstance(found, Mapping) or found.keys() != wanted:
        has = sorted(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise DataError(f"{text}: gives {has}, expected a mapping of {', '.join(sorted(wanted))}")
    arrays = {name: _array(found[name], f"{text}: {name}") for name in ARRAYS}
    for name in ("train_images", "test_images"):
        if arrays[name].ndim != 4 or arrays[name].shape[1] not in (1, 3):
            raise DataError(
                f"{text}: {name} has shape {arrays[name].shape}, expected (n, channels, height, "
                "width) with 1 or 3 channels"
            )
    names = names_of_classes(f"{text}: class_names", found["class_names"])
    return RawData(
        **arrays,
        class_names=names,
        notes=(f"by {extensions.described(code)}",),
    )


def _array(values: Any, what: str) -> np.ndarray:
    if np.ma.is_masked(values):
        raise DataError(f"{what} has masked values, which would be used; give those that there are")
    values = np.asarray(values)
    if what.endswith("labels") and values.dtype.kind in "iu":
        values = values.astype(np.int64)
    if values.dtype.kind not in "iu":
        raise DataError(f"{what} is {values.dtype}; expected uint8 images and integer labels")
    if what.endswith("labels") and values.ndim != 1:
        raise DataError(f"{what} has shape {values.shape}, expected (n,): a class for each image")
    return values

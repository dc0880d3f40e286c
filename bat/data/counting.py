"""How large images of one's own are as a data set, before they are prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bat.data.decoding import decode_image
from bat.data.images import hold_out
from bat.data.layouts import image_folder, parquet_shards
from bat.data.sources.parquet import parquet_images, parquet_labels
from bat.errors import DataError
from bat.files.archives import Folder

if TYPE_CHECKING:
    from bat import config


def count_samples(config: config.Data) -> tuple[int, int, int, tuple[int, int, int]] | None:
    """Count by names of files or by the labels of Parquet; of the images the first is decoded.

    Returns
    -------
    n_train, n_test, n_classes : int
        Before a subsample is drawn.
    shape : tuple of int
        Channels, height and width.

        None for other sources, and where the images cannot be read: they may
        lie on the machine that the jobs will run on.
    """
    count = {"image_folder": _folder, "parquet": _parquet}.get(config.source)
    if count is None:
        return None
    try:
        labels, n_classes, (name, first) = count(config)
        if "test" in labels:
            n_train, n_test = len(labels["train"]), len(labels["test"])
        else:
            n_train, n_test = map(len, hold_out(labels["train"], config.held_out))
        image, _ = decode_image(name, first, config.channels, config.resize)
    except (DataError, OSError):
        return None
    return n_train, n_test, n_classes, image.shape


def _folder(config: config.ImageFolderData):
    layout = image_folder(config.path, held_out=config.held_out is not None)
    labels = {split: np.array(layout.labels(split), np.int64) for split in layout.images}
    names = layout.images["train"]
    if not names:
        raise DataError(f"{config.path}: no images")
    return labels, len(layout.classes), (names[0], Folder(config.path).read(names[0]))


def _parquet(config: config.ParquetData):
    shards, _ = parquet_shards(config)
    labels, class_names = parquet_labels(shards, config)
    images = (
        image for path in shards["train"] for image in parquet_images(path, config.image_column)
    )
    return labels, len(class_names), next(images)

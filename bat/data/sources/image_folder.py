"""Folders of images, one for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bat.data.images import image_arrays
from bat.data.layouts import image_folder
from bat.data.raw import Progress, RawData
from bat.data.sources.registry import source
from bat.escaping import shown
from bat.files.archives import Folder

if TYPE_CHECKING:
    from bat import config


@source("image_folder")
def read(config: config.ImageFolderData, progress: Progress, workers: int) -> RawData:
    """Decode the images in the order of `image_folder`."""
    layout = image_folder(config.path, held_out=config.held_out is not None)
    tree = Folder(config.path)
    names = [name for split in layout.images.values() for name in split]
    fields = image_arrays(
        ((tree.label(name), tree.read(name)) for name in names),
        {split: np.array(layout.labels(split), np.int64) for split in layout.images},
        tuple(map(shown, layout.classes)),
        config,
        config.channels,
        progress,
        workers,
        layout.notes,
        names,
    )
    return RawData(**fields, files=[tree.record()], states=tree.states)

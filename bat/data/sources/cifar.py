"""CIFAR-10 and CIFAR-100, from torchvision's download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bat.data.raw import Progress, RawData
from bat.data.sources.registry import source
from bat.data.torchvision_files import obtain
from bat.files.archives import file_record
from bat.files.digests import checksum_of

if TYPE_CHECKING:
    from bat import config


@source("cifar10", "cifar100")
def read(config: config.TorchvisionData, progress: Progress, workers: int) -> RawData:
    """Read the official files, whose checksums torchvision knows."""
    import torchvision.datasets

    name = config.source.upper()
    cls = getattr(torchvision.datasets, name)
    base = config.folder / cls.base_folder
    parts = {
        base / part: md5
        for part, md5 in [*cls.train_list, *cls.test_list, (cls.meta["filename"], cls.meta["md5"])]
    }

    def problem() -> str | None:
        for path, md5 in parts.items():
            if not path.is_file():
                return f"{path} is missing"
            if checksum_of(path, "md5") != md5:
                return f"{path} is damaged: it does not have the md5 {md5}"
        return None

    archive = config.folder / cls.filename
    obtain(
        name,
        config,
        problem,
        f"Put the official {cls.filename} into {config.folder}",
        unpack=archive.is_file() and checksum_of(archive, "md5") == cls.tgz_md5,
    )
    train, test = (cls(config.folder, train=train) for train in (True, False))
    return RawData(
        train_images=train.data.transpose(0, 3, 1, 2),
        train_labels=np.array(train.targets, np.int64),
        test_images=test.data.transpose(0, 3, 1, 2),
        test_labels=np.array(test.targets, np.int64),
        class_names=tuple(train.classes),
        files=[file_record(path) for path in parts],
    )

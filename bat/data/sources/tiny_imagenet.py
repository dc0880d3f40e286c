"""Tiny ImageNet, from its official zip or the folder unpacked from it."""

from __future__ import annotations

import functools
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bat.data.images import image_arrays
from bat.data.raw import Progress, RawData
from bat.data.sources.registry import source
from bat.errors import DataError
from bat.files.archives import Folder, Zip, state_of
from bat.files.digests import checksum_of
from bat.files.downloads import DownloadError, download

if TYPE_CHECKING:
    from bat import config

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"


@source("tiny_imagenet")
def read(config: config.TinyImagenetData, progress: Progress, workers: int) -> RawData:
    """Decode the training images by class, then the validation images in their list's order."""
    path = config.path
    _obtain(path, config.download, progress)
    is_folder = path.is_dir()
    if not is_folder:
        state = state_of(path)
    tree = Folder(path) if is_folder else Zip(path)
    official = not is_folder and checksum_of(path, "md5") == MD5
    copy = _Copy(tree)
    wnids, train = copy.classes(config.classes, config.class_order)
    test, test_labels, test_rows = copy.validation(wnids)
    names = [name for wnid in wnids for name in train[wnid]] + test
    fields = image_arrays(
        ((tree.label(name), tree.read(name)) for name in names),
        {
            "train": np.repeat(np.arange(len(wnids)), [len(train[wnid]) for wnid in wnids]),
            "test": np.array(test_labels, np.int64),
        },
        copy.class_names(wnids),
        config,
        3,
        progress,
        workers,
        (
            "the official archive" if official else "not the official archive: its md5 differs",
            "the test set is the official validation set, in the order of val_annotations.txt",
            f"classes by WordNet id: {' '.join(wnids)}",
        ),
        [name.removeprefix(copy.root) for name in names],
    )
    return RawData(
        **fields,
        files=[tree.record()],
        states=tree.states if is_folder else {path.name: state},
        test_source_index=np.array(test_rows, np.int64),
    )


def _obtain(path: Path, allowed: bool, progress: Progress) -> None:
    """Download the archive where nothing lies there, and where that is allowed."""
    if path.exists():
        return
    if not allowed:
        raise DataError(
            f"{path} does not exist. Put tiny-imagenet-200.zip, or the folder unpacked from "
            "it, there, or set data.download to true"
        )
    try:
        download(
            URL,
            path,
            checksum=MD5,
            algorithm="md5",
            max_bytes=1 << 30,
            report=progress,
        )
    except DownloadError as error:
        raise DataError(f"{error}. Or put tiny-imagenet-200.zip at {path}") from None


class _Copy:
    """What the lists of one copy of the data set say of its images."""

    def __init__(self, tree: Folder | Zip):
        self.tree, self.path = tree, tree.path
        ends = "wnids.txt"
        roots = [name.removesuffix(ends) for name in tree.names if name.endswith(ends)]
        if not roots:
            raise DataError(
                f"{self.path} holds no wnids.txt: it is not Tiny ImageNet; get it again"
            )
        self.root = min(roots, key=len)

    @functools.cached_property
    def present(self) -> set[str]:
        return set(self.tree.names)

    def lines(self, name: str) -> list[str]:
        if self.root + name not in self.present:
            label = self.tree.label(self.root + name)
            raise DataError(f"{label} is missing; get the data set again")
        return self.tree.read(self.root + name).decode("utf-8", "replace").splitlines()

    def require(self, name: str, list_name: str) -> None:
        if name not in self.present:
            raise DataError(
                f"{self.tree.label(name)} is missing, though {list_name} lists it; the copy is "
                "incomplete, get it again"
            )

    def classes(self, count: int, class_order: str) -> tuple[list[str], dict[str, list[str]]]:
        """WordNet ids of the first classes, and the training images of each."""
        listed = [line.strip() for line in self.lines("wnids.txt") if line.strip()]
        order = sorted(listed) if class_order == "sorted" else listed
        wnids = order[:count]
        train: dict[str, list[str]] = {wnid: [] for wnid in wnids}
        image = re.compile(re.escape(self.root) + r"train/([^/]+)/images/[^/]+")
        for name in self.tree.names:
            match = image.fullmatch(name)
            if match and match[1] in train:
                train[match[1]].append(name)
        absent = [wnid for wnid in wnids if not train[wnid]]
        if absent or len(wnids) < count:
            found = len(wnids) - len(absent)
            raise DataError(
                f"{self.path} holds images of {found} of the first {count} classes in "
                f"{class_order} order (the first without: {', '.join(absent[:3]) or 'the end'})."
                f" Set data.classes to fewer, or get the whole data set"
            )
        for wnid in wnids:
            boxes = f"train/{wnid}/{wnid}_boxes.txt"
            if self.root + boxes in self.present:
                for line in self.lines(boxes):
                    self.require(f"{self.root}train/{wnid}/images/{line.split()[0]}", boxes)
        return wnids, train

    def validation(self, wnids: list[str]) -> tuple[list[str], list[int], list[int]]:
        """Images of the validation set, the class of each, and its row in their list."""
        images, labels, rows = [], [], []
        for row, line in enumerate(self.lines("val/val_annotations.txt")):
            name, wnid, *_ = [*line.split("\t"), "", ""]
            if wnid in wnids:
                images.append(f"{self.root}val/images/{name}")
                self.require(images[-1], "val_annotations.txt")
                labels.append(wnids.index(wnid))
                rows.append(row)
        return images, labels, rows

    def class_names(self, wnids: list[str]) -> tuple[str, ...]:
        """The first word of each class, with its id where one word stands for several classes."""
        words = dict(line.split("\t", 1) for line in self.lines("words.txt") if "\t" in line)
        names = [words.get(wnid, wnid).split(",")[0] for wnid in wnids]
        count = Counter(names)
        return tuple(
            n if count[n] == 1 else f"{n} ({i})" for n, i in zip(names, wnids, strict=True)
        )

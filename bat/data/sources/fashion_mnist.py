"""Fashion-MNIST, from torchvision's download or a distribution's package."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bat.data.raw import Progress, RawData
from bat.data.sources.registry import source
from bat.data.torchvision_files import obtain
from bat.files.archives import file_record

if TYPE_CHECKING:
    from bat import config


IDX_MD5 = {  # of the unpacked files: distributions pack the same content anew
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}

IDX_BYTES = 60_000 * 28 * 28 + 16  # the largest of them

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@source("fashion_mnist")
def read(config: config.TorchvisionData, progress: Progress, workers: int) -> RawData:
    """Read the four files in the IDX format, whose unpacked content is checked."""
    paths: dict[str, Path] = {}
    arrays: dict[str, np.ndarray] = {}

    def problem() -> str | None:
        for name, md5 in IDX_MD5.items():
            path = _find_idx(config.folder, name)
            if path is None:
                return f"{config.folder} does not hold {name}.gz"
            content = _read_idx(path)
            if content is None or hashlib.md5(content).hexdigest() != md5:
                return f"{path} is damaged: its content, unpacked, does not have the md5 {md5}"
            paths[name], arrays[name] = path, _parse_idx(content)
        return None

    obtain(
        "FashionMNIST",
        config,
        problem,
        f"Put the four files *-ubyte.gz into {config.folder}, or set data.folder to "
        "/usr/share/datasets/fashion-mnist with Debian's package dataset-fashion-mnist",
    )
    train_images, train_labels, test_images, test_labels = arrays.values()
    return RawData(
        train_images=train_images[:, None],
        train_labels=train_labels.astype(np.int64),
        test_images=test_images[:, None],
        test_labels=test_labels.astype(np.int64),
        class_names=FASHION_CLASSES,
        files=[file_record(path) for path in paths.values()],
    )


def _find_idx(folder: Path, name: str) -> Path | None:
    places = (folder, folder / "FashionMNIST" / "raw")
    paths = (place / f"{name}{end}" for end in (".gz", "") for place in places)
    return next((path for path in paths if path.is_file()), None)


def _read_idx(path: Path) -> bytes | None:
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return file.read(IDX_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        return None


def _parse_idx(content: bytes) -> np.ndarray:
    """An array of bytes in the IDX format: magic number, sizes, values."""
    dims = content[3]
    shape = np.frombuffer(content, ">u4", count=dims, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape.astype(int))

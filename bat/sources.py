"""The sources of data sets, each read by one loader to `bat.rawdata.RawData`."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bat.archives import Folder, Zip, file_record
from bat.decoding import CHUNK, decode_images, decoder_note
from bat.downloads import DownloadError, checksum_of, download
from bat.rawdata import (
    DataError,
    Progress,
    RawData,
    check,
    check_labels,
    draw_balanced,
    source_name,
)

if TYPE_CHECKING:
    from bat import config


def read_source(
    config: config.Data, *, progress: Progress | None = None, workers: int | None = None
) -> RawData:
    """Read and check a source as it is, without writing a prepared folder.

    Parameters and errors as for `bat.data.prepare`.
    """
    raw = LOADERS[config.source](
        config, progress or (lambda done, total: None), workers or _cores()
    )
    check(raw, where=source_name(config))
    return raw


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# -- digits and torchvision -----------------------------------------------------------------


def _digits(config: config.DigitsData, progress: Progress, workers: int) -> RawData:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    rng = np.random.default_rng(config.seed)
    test = draw_balanced(labels, rng, "data.n_test", total=config.n_test)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return RawData(
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        class_names=tuple(str(name) for name in bunch.target_names),
        notes=("scikit-learn's load_digits, values 0 to 16 scaled to 0 to 255",),
        train_source_index=train,
        test_source_index=test,
    )


def _fashion_mnist(config: config.TorchvisionData, progress: Progress, workers: int) -> RawData:
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

    _obtain(
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


def _cifar(config: config.TorchvisionData, progress: Progress, workers: int) -> RawData:
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
    _obtain(
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


def _obtain(
    name: str,
    config: config.TorchvisionData,
    problem: Callable[[], str | None],
    advice: str,
    *,
    unpack: bool = False,
) -> None:
    """Let torchvision download (or only unpack) what is missing or damaged."""
    found = problem()
    if found and (config.download or unpack):
        import torchvision.datasets

        try:
            getattr(torchvision.datasets, name)(config.folder, download=True)
        except Exception as error:  # what torchvision, urllib and tarfile raise
            raise DataError(f"{found}, and its download failed: {error}. {advice}") from None
        found = problem()
    if found:
        allow = "" if config.download else ", or set data.download to true"
        raise DataError(f"{found}. {advice}{allow}")


# -- folders of images ----------------------------------------------------------------------


def _image_data(
    items: Iterable[tuple[str, bytes]],
    labels: dict[str, np.ndarray],
    class_names: tuple[str, ...],
    config: config.Data,
    channels: int,
    progress: Progress,
    workers: int,
) -> dict[str, Any]:
    """Decode training images, then test images; the fields of `RawData` they fill."""
    n_train, n_test = len(labels["train"]), len(labels["test"])
    check_labels(labels["train"], labels["test"], class_names, source_name(config))
    images = decode_images(
        items,
        n_train + n_test,
        channels=channels,
        resize=config.resize,
        workers=workers,
        progress=progress,
    )
    return {
        "train_images": images[:n_train],
        "train_labels": labels["train"],
        "test_images": images[n_train:],
        "test_labels": labels["test"],
        "class_names": class_names,
    }


def _image_folder(config: config.ImageFolderData, progress: Progress, workers: int) -> RawData:
    classes = {split: _class_folders(config.path / split) for split in ("train", "test")}
    for split, other in (("train", "test"), ("test", "train")):
        only = sorted(set(classes[split]) - set(classes[other]))
        if only:
            raise DataError(
                f"{config.path}: train/ and test/ hold different classes; only {split}/ has "
                f"{', '.join(map(repr, only))}. Every class needs a folder in both"
            )
    tree = Folder(config.path)
    names: list[str] = []
    labels = {}
    for split, folders in classes.items():
        chosen = [name for name in tree.names if name.startswith(f"{split}/")]
        for name in chosen:
            if name.count("/") != 2:
                raise DataError(
                    f"{tree.label(name)} is not directly in the folder of a class; expected "
                    f"{config.path / split}/CLASS/IMAGE. Move or remove it"
                )
        labels[split] = np.array([folders.index(n.split("/")[1]) for n in chosen], np.int64)
        names += chosen
    fields = _image_data(
        ((tree.label(name), tree.read(name)) for name in names),
        labels,
        tuple(classes["train"]),
        config,
        config.channels,
        progress,
        workers,
    )
    return RawData(**fields, files=[tree.record()], notes=(decoder_note(),))


def _class_folders(path: Path) -> list[str]:
    if not path.is_dir():
        raise DataError(
            f"{path} is no folder; data.path must hold train/ and test/, each with one folder of "
            "images for each class"
        )
    return sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


# -- Tiny ImageNet --------------------------------------------------------------------------

TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
TINY_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"


def _tiny_imagenet(config: config.TinyImagenetData, progress: Progress, workers: int) -> RawData:
    path = config.path
    if not path.exists():
        if not config.download:
            raise DataError(
                f"{path} does not exist. Put tiny-imagenet-200.zip, or the folder unpacked from "
                "it, there, or set data.download to true"
            )
        try:
            download(
                TINY_URL,
                path,
                checksum=TINY_MD5,
                algorithm="md5",
                max_bytes=1 << 30,
                report=progress,
            )
        except DownloadError as error:
            raise DataError(f"{error}. Or put tiny-imagenet-200.zip at {path}") from None
    tree = Folder(path) if path.is_dir() else Zip(path)
    roots = [name.removesuffix("wnids.txt") for name in tree.names if name.endswith("wnids.txt")]
    if not roots:
        raise DataError(f"{path} holds no wnids.txt: it is not Tiny ImageNet; get it again")
    root = min(roots, key=len)

    def lines(name: str) -> list[str]:
        if root + name not in present:
            raise DataError(f"{tree.label(root + name)} is missing; get the data set again")
        return tree.read(root + name).decode("utf-8", "replace").splitlines()

    present = set(tree.names)
    listed = [line.strip() for line in lines("wnids.txt") if line.strip()]
    order = sorted(listed) if config.class_order == "sorted" else listed
    wnids = order[: config.classes]
    train = {wnid: [] for wnid in wnids}
    image = re.compile(re.escape(root) + r"train/([^/]+)/images/[^/]+")
    for name in tree.names:
        match = image.fullmatch(name)
        if match and match[1] in train:
            train[match[1]].append(name)
    absent = [wnid for wnid in wnids if not train[wnid]]
    if absent or len(wnids) < config.classes:
        found = len(wnids) - len(absent)
        raise DataError(
            f"{path} holds images of {found} of the first {config.classes} classes in "
            f"{config.class_order} order (the first without: {', '.join(absent[:3]) or 'the end'})."
            f" Set data.classes to fewer, or get the whole data set"
        )
    for wnid in wnids:
        boxes = f"train/{wnid}/{wnid}_boxes.txt"
        if root + boxes in present:
            for line in lines(boxes):
                _require(tree, f"{root}train/{wnid}/images/{line.split()[0]}", present, boxes)
    test, test_label, test_row = [], [], []
    for row, line in enumerate(lines("val/val_annotations.txt")):
        name, wnid, *_ = [*line.split("\t"), "", ""]
        if wnid in train:
            test.append(f"{root}val/images/{name}")
            _require(tree, test[-1], present, "val_annotations.txt")
            test_label.append(wnids.index(wnid))
            test_row.append(row)
    words = dict(line.split("\t", 1) for line in lines("words.txt") if "\t" in line)
    names = [name for wnid in wnids for name in train[wnid]] + test
    fields = _image_data(
        ((tree.label(name), tree.read(name)) for name in names),
        {
            "train": np.repeat(np.arange(len(wnids)), [len(train[wnid]) for wnid in wnids]),
            "test": np.array(test_label, np.int64),
        },
        _unique_names([words.get(wnid, wnid).split(",")[0] for wnid in wnids], wnids),
        config,
        3,
        progress,
        workers,
    )
    official = path.is_file() and checksum_of(path, "md5") == TINY_MD5
    return RawData(
        **fields,
        files=[tree.record()],
        notes=(
            "the official archive" if official else "not the official archive: its md5 differs",
            "the test set is the official validation set, in the order of val_annotations.txt",
            f"classes by WordNet id: {' '.join(wnids)}",
            decoder_note(),
        ),
        test_source_index=np.array(test_row, np.int64),
    )


def _require(tree: Folder | Zip, name: str, present: set[str], list_name: str) -> None:
    if name not in present:
        raise DataError(
            f"{tree.label(name)} is missing, though {list_name} lists it; the copy is incomplete, "
            "get it again"
        )


def _unique_names(names: list[str], ids: list[str]) -> tuple[str, ...]:
    """Names, with the id added where one name stands for several classes."""
    count = Counter(names)
    return tuple(n if count[n] == 1 else f"{n} ({i})" for n, i in zip(names, ids, strict=True))


# -- Parquet --------------------------------------------------------------------------------


def _parquet(config: config.ParquetData, progress: Progress, workers: int) -> RawData:
    paths = {split: _parquet_paths(getattr(config, split)) for split in ("train", "test")}
    values = {split: _parquet_labels(paths[split], config) for split in paths}
    names = {split: _huggingface_names(paths[split][0], config.label_column) for split in paths}
    if names["train"] != names["test"]:
        raise DataError(
            f"{config.train} and {config.test} name different classes in their metadata "
            f"({names['train']} and {names['test']}); they are not parts of one data set"
        )
    class_names = names["train"]
    if class_names is None:
        classes, train_labels = np.unique(values["train"], return_inverse=True)
        unknown = np.setdiff1d(values["test"], classes)
        if len(unknown):
            raise DataError(
                f"{config.test}: test labels {unknown[:5].tolist()} do not occur in "
                f"{config.train}; training and test classes must be the same"
            )
        class_names = tuple(map(str, classes))
        values = {"train": train_labels, "test": np.searchsorted(classes, values["test"])}
    elif any(v.dtype.kind not in "iu" for v in values.values()):
        raise DataError(f"{config.train}: column {config.label_column!r} must hold integers")
    fields = _image_data(
        itertools.chain.from_iterable(
            _parquet_images(path, config.image_column) for split in paths for path in paths[split]
        ),
        {split: v.astype(np.int64) for split, v in values.items()},
        class_names,
        config,
        config.channels,
        progress,
        workers,
    )
    return RawData(
        **fields,
        files=[file_record(path) for split in paths for path in paths[split]],
        notes=(
            "a Parquet copy: pixels and order of rows may differ from the official files",
            decoder_note(),
        ),
    )


def _parquet_paths(path: Path) -> list[Path]:
    paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not paths or not paths[0].is_file():
        raise DataError(f"{path} is no Parquet file, nor a folder of them; check the path")
    return paths


@contextlib.contextmanager
def _parquet_file(path: Path, column: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise DataError(
                    f"{path} has no column {column!r}; it has "
                    f"{', '.join(map(repr, file.schema_arrow.names))}. Set data.image_column and "
                    "data.label_column"
                )
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({error}): truncated or damaged; get it again"
        ) from None


def _parquet_labels(paths: list[Path], config: config.ParquetData) -> np.ndarray:
    parts = []
    for path in paths:
        with _parquet_file(path, config.label_column) as file:
            column = file.read([config.label_column]).column(0)
        if column.null_count:
            raise DataError(
                f"{path}: {column.null_count} rows without a label in {config.label_column!r}; "
                "remove these rows"
            )
        parts.append(np.array(column.to_pylist()))
        if parts[-1].dtype.kind not in "iuU" or parts[-1].ndim != 1:
            raise DataError(
                f"{path}: column {config.label_column!r} holds {column.type}; expected integers "
                "or strings"
            )
    return np.concatenate(parts)


def _huggingface_names(path: Path, column: str) -> tuple[str, ...] | None:
    with _parquet_file(path, column) as file:
        metadata = file.schema_arrow.metadata or {}
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        return tuple(map(str, feature["names"]))
    except (KeyError, TypeError, ValueError):
        return None


def _parquet_images(path: Path, column: str) -> Iterator[tuple[str, bytes]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    row = 0
    with _parquet_file(path, column) as file:
        kind = file.schema_arrow.field(column).type
        nested = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        leaf = kind.field("bytes").type if nested else kind
        if not (pa.types.is_binary(leaf) or pa.types.is_large_binary(leaf)):
            raise DataError(
                f"{path}: column {column!r} holds {kind}; expected binary, or a struct with bytes"
            )
        for batch in file.iter_batches(batch_size=4 * CHUNK, columns=[column]):
            blobs = pc.struct_field(batch.column(0), "bytes") if nested else batch.column(0)
            for blob in blobs.to_pylist():
                if blob is None:
                    raise DataError(
                        f"{path}: row {row} holds no image bytes; images must be inside the file"
                    )
                yield f"{path}: row {row}", blob
                row += 1


LOADERS: dict[str, Callable[[Any, Progress, int], RawData]] = {
    "digits": _digits,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar,
    "cifar100": _cifar,
    "tiny_imagenet": _tiny_imagenet,
    "image_folder": _image_folder,
    "parquet": _parquet,
}

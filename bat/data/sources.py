"""The sources of data sets, each read by one loader to `bat.data.raw.RawData`."""

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bat.data.decoding import CHUNK, decode_images, decoder_note
from bat.data.layouts import image_folder, parquet_shards
from bat.data.own_source import load_own
from bat.data.raw import Progress, RawData, check, check_labels, draw_balanced, source_name
from bat.data.revisions import shard_names
from bat.errors import DataError
from bat.escaping import shown
from bat.files.archives import Folder, Zip, file_record, state_of
from bat.files.downloads import DownloadError, checksum_of, download

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
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Decode training images, then test images; the fields of `RawData` they fill.

    Where there are no test images, they are held out of the training images.
    """
    chosen = None
    if "test" not in labels:
        chosen = _hold_out(labels["train"], config.held_out)
        check_labels(*(labels["train"][i] for i in chosen), class_names, source_name(config))
    else:
        check_labels(labels["train"], labels["test"], class_names, source_name(config))
    n_train = len(labels["train"])
    images, turned = decode_images(
        items,
        sum(map(len, labels.values())),
        channels=channels,
        resize=config.resize,
        workers=workers,
        progress=progress,
    )
    notes = [*notes, decoder_note()]
    if turned:
        notes.append(f"{turned} images were turned upright, as their EXIF orientation says")
    fields = {"class_names": class_names, "notes": tuple(notes)}
    if chosen is None:
        return fields | {
            "train_images": images[:n_train],
            "train_labels": labels["train"],
            "test_images": images[n_train:],
            "test_labels": labels["test"],
        }
    for split, index in zip(("train", "test"), chosen, strict=True):
        fields |= {
            f"{split}_images": images[index],
            f"{split}_labels": labels["train"][index],
            f"{split}_source_index": index,
        }
    return fields


def _hold_out(labels: np.ndarray, held_out: config.HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training and of the test images, each in order."""
    rng = np.random.default_rng(held_out.seed)
    if held_out.samples is not None:
        test = draw_balanced(labels, rng, "data.held_out.samples", total=held_out.samples)
    else:
        order = rng.permutation(len(labels))
        members = [order[labels[order] == label] for label in np.unique(labels)]
        test = np.sort(
            np.concatenate([m[: max(1, round(held_out.share * len(m)))] for m in members])
        )
    return np.setdiff1d(np.arange(len(labels)), test), test


def _image_folder(config: config.ImageFolderData, progress: Progress, workers: int) -> RawData:
    layout = image_folder(config.path, held_out=config.held_out is not None)
    tree = Folder(config.path)
    fields = _image_data(
        ((tree.label(name), tree.read(name)) for names in layout.images.values() for name in names),
        {split: np.array(layout.labels(split), np.int64) for split in layout.images},
        tuple(map(shown, layout.classes)),
        config,
        config.channels,
        progress,
        workers,
        layout.notes,
    )
    return RawData(**fields, files=[tree.record()], states=tree.states)


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
    is_folder = path.is_dir()
    if not is_folder:
        state = state_of(path)
    tree = Folder(path) if is_folder else Zip(path)
    official = not is_folder and checksum_of(path, "md5") == TINY_MD5
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
        (
            "the official archive" if official else "not the official archive: its md5 differs",
            "the test set is the official validation set, in the order of val_annotations.txt",
            f"classes by WordNet id: {' '.join(wnids)}",
        ),
    )
    return RawData(
        **fields,
        files=[tree.record()],
        states=tree.states if is_folder else {path.name: state},
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
    shards, notes = parquet_shards(config)
    states = {name: state_of(path) for name, path in shard_names(shards).items()}
    values = {split: _parquet_labels(paths, config) for split, paths in shards.items()}
    class_names = _parquet_classes(shards, config.label_column)
    if class_names is None:
        classes, values["train"] = np.unique(values["train"], return_inverse=True)
        if "test" in values:
            values["test"] = _positions(values["test"], classes, config)
        class_names = tuple(map(str, classes))
    elif any(v.dtype.kind not in "iu" for v in values.values()):
        raise DataError(
            f"{source_name(config)}: column {config.label_column!r} must hold integers, since the "
            "metadata name the classes"
        )
    fields = _image_data(
        itertools.chain.from_iterable(
            _parquet_images(path, config.image_column)
            for paths in shards.values()
            for path in paths
        ),
        {split: v.astype(np.int64) for split, v in values.items()},
        class_names,
        config,
        config.channels,
        progress,
        workers,
        ["a Parquet copy: pixels and order of rows may differ from the official files", *notes],
    )
    files = [
        {"name": shown(path.name), "bytes": state.bytes, "sha256": state.sha256}
        for path, state in zip(itertools.chain(*shards.values()), states.values(), strict=True)
    ]
    return RawData(**fields, files=files, states=states)


def _positions(values: np.ndarray, classes: np.ndarray, config: config.ParquetData) -> np.ndarray:
    """The position of each test label among the training classes."""
    if values.dtype.kind == "U" and classes.dtype.kind != "U":
        unknown = np.unique(values)
    else:
        unknown = np.setdiff1d(values, classes)
    if len(unknown):
        raise DataError(
            f"{source_name(config)}: test labels {unknown[:5].tolist()} do not occur in the "
            "training set; training and test classes must be the same"
        )
    return np.searchsorted(classes, values)


@contextlib.contextmanager
def _parquet_file(path: Path, column: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise DataError(
                    f"{shown(path)} has no column {column!r}; it has "
                    f"{', '.join(map(repr, file.schema_arrow.names))}. Set data.image_column and "
                    "data.label_column"
                )
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{shown(path)} cannot be read as Parquet ({error}): truncated or damaged; get it again"
        ) from None


def _parquet_labels(paths: list[Path], config: config.ParquetData) -> np.ndarray:
    import pyarrow.types as types

    parts: dict[str, list[np.ndarray]] = {}  # by kind: integers or strings
    first = {}
    for path in paths:
        with _parquet_file(path, config.label_column) as file:
            column = file.read([config.label_column]).column(0)
        kind = column.type
        leaf = kind.value_type if types.is_dictionary(kind) else kind
        what = "integers" if types.is_integer(leaf) else "strings"
        if types.is_nested(leaf):
            raise DataError(
                f"{shown(path)}: column {config.label_column!r} holds {kind}, a list or struct for "
                "each image; expected one label, an integer or a string. Write a column with one "
                "class for each image, or name another with data.label_column"
            )
        if what == "strings" and not _is_text(leaf):
            raise DataError(
                f"{shown(path)}: column {config.label_column!r} holds {kind}; expected integers "
                "or strings"
            )
        if column.null_count:
            raise DataError(
                f"{shown(path)}: {column.null_count} rows without a label in "
                f"{config.label_column!r}; remove these rows"
            )
        if len(column):
            first.setdefault(what, path)
            parts.setdefault(what, []).append(np.array(column.to_pylist()))
    if len(parts) > 1:
        raise DataError(
            f"{shown(first['integers'])} holds integers in {config.label_column!r}, and "
            f"{shown(first['strings'])} strings; they are not parts of one data set"
        )
    if not parts:
        raise DataError(f"{', '.join(map(shown, paths[:3]))}: no rows; check the path")
    return np.concatenate(next(iter(parts.values())))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _parquet_classes(shards: dict[str, list[Path]], column: str) -> tuple[str, ...] | None:
    """The class names in the metadata of the shards; not every shard needs them."""
    found: dict[tuple[str, ...], Path] = {}
    for path in itertools.chain(*shards.values()):
        names = _huggingface_names(path, column)
        if names is not None:
            found.setdefault(names, path)
    if len(found) > 1:
        (one, first), (two, second) = list(found.items())[:2]
        raise DataError(
            f"{shown(first)} and {shown(second)} name different classes in their metadata "
            f"({one} and {two}); they are not parts of one data set"
        )
    return next(iter(found), None)


def _huggingface_names(path: Path, column: str) -> tuple[str, ...] | None:
    with _parquet_file(path, column) as file:
        metadata = file.schema_arrow.metadata or {}
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) else None


def _parquet_images(path: Path, column: str) -> Iterator[tuple[str, bytes]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    row = 0
    with _parquet_file(path, column) as file:
        kind = file.schema_arrow.field(column).type
        nested = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        leaf = kind.field("bytes").type if nested else kind
        if not _is_bytes(leaf.value_type if pa.types.is_dictionary(leaf) else leaf):
            raise DataError(
                f"{shown(path)}: column {column!r} holds {kind}; expected binary, or a struct "
                "with bytes"
            )
        for batch in file.iter_batches(batch_size=4 * CHUNK, columns=[column]):
            blobs = pc.struct_field(batch.column(0), "bytes") if nested else batch.column(0)
            for blob in blobs.to_pylist():
                if blob is None:
                    raise DataError(
                        f"{shown(path)}: row {row} holds no image bytes; images must be inside "
                        "the file"
                    )
                yield f"{shown(path)}: row {row}", blob
                row += 1


def _is_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    return (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


LOADERS: dict[str, Callable[[Any, Progress, int], RawData]] = {
    "digits": _digits,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar,
    "cifar100": _cifar,
    "tiny_imagenet": _tiny_imagenet,
    "image_folder": _image_folder,
    "parquet": _parquet,
    "own": load_own,
}

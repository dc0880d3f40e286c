"""Data sets: from any source to whole uint8 arrays, checked once, used everywhere.

`prepare` reads a source, refuses what is wrong with it, and writes one folder
of plain arrays. `load` opens that folder, memory-mapped and without torch;
`to_device` puts it on a device as whole tensors, and `augment` shifts and
mirrors a batch there.

An ``index`` anywhere in this package is a position in the prepared arrays.
``train_source_index`` and ``test_source_index`` lead from there to the row in
the source's own order.

What is done to a source, in this order: resize, subsample (train, then test),
label noise on the training labels that were kept.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import io
import itertools
import json
import math
import os
import re
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from bat.errors import BatError

if TYPE_CHECKING:
    import torch

    from bat import config

Progress = Callable[[int, int], None]

FORMAT_VERSION = 1
INFO = "dataset.json"
ARRAYS = (
    "train_images",
    "train_labels",
    "train_source_index",
    "test_images",
    "test_labels",
    "test_source_index",
)
FINGERPRINTED = ("train_images", "train_labels", "test_images", "test_labels")


class DataError(BatError):
    """What is wrong with which file of a data set, and what to do about it."""


@dataclass(frozen=True, eq=False)
class RawData:
    """A source as it was read, before resizing, subsampling and label noise.

    Images are uint8 of shape (n, C, H, W), labels int64. A source index is
    None where the arrays are in the source's own order.
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


@dataclass(frozen=True, eq=False)
class PreparedData:
    """A prepared folder: read-only arrays, and ``dataset.json`` as ``info``."""

    folder: Path
    info: dict
    train_images: np.ndarray  # (n_train, C, H, W) uint8
    train_labels: np.ndarray  # (n_train,) int64
    train_source_index: np.ndarray  # (n_train,) int64
    test_images: np.ndarray  # (n_test, C, H, W) uint8
    test_labels: np.ndarray  # (n_test,) int64
    test_source_index: np.ndarray  # (n_test,) int64

    @property
    def fingerprint(self) -> str:
        return self.info["fingerprint"]

    @property
    def class_names(self) -> list[str]:
        return self.info["class_names"]

    @property
    def shape(self) -> tuple[int, int, int]:
        return tuple(self.info["shape"])


@dataclass(frozen=True, eq=False)
class DeviceData:
    """The whole data set on one device: uint8 images (n, C, H, W), int64 labels."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


# -- preparing ------------------------------------------------------------------------------


def prepare(
    config: config.Data,
    out: str | Path,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
) -> dict:
    """Read a source, check it, and write the prepared folder.

    A prepared folder at ``out`` with the same content is left as it is; one
    with another content is replaced. The folder is complete at every moment
    that it exists, also if the process is killed or a second one writes it.

    Parameters
    ----------
    config : bat.config.Data
        The ``data`` section of a data set.
    out : path
        The folder to write; its parents are made.
    progress : callable (done, total), optional
        Called during long steps: bytes of a download, then images decoded.
    workers : int, optional
        Processes that decode images; by default the cores of this process.

    Returns
    -------
    dict
        The content of ``dataset.json``.

    Raises
    ------
    DataError
        If the source is incomplete, damaged or inconsistent, or ``out`` holds
        files that are not a prepared data set.
    """
    out = Path(out).resolve()
    raw = read_source(config, progress=progress, workers=workers)
    arrays, label_noise = _transform(config, raw)
    info = _describe(config, raw, arrays, label_noise)
    _write_folder(out, arrays, info)
    return info


def read_source(
    config: config.Data, *, progress: Progress | None = None, workers: int | None = None
) -> RawData:
    """Read and check a source as it is, without writing a prepared folder.

    Parameters and errors as for `prepare`.
    """
    raw = LOADERS[config.source](
        config, progress or (lambda done, total: None), workers or _cores()
    )
    _check(raw, where=_where(config))
    return raw


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fingerprint(
    train_images: np.ndarray,
    train_labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
) -> str:
    """The sha256 that stands for a data set: images and labels, in order.

    Each array contributes the sha256 of its dtype, shape and values, so that
    the same bytes in another shape give another fingerprint.
    """
    return _combine(map(_digest, (train_images, train_labels, test_images, test_labels)))


def _digest(array: np.ndarray) -> str:
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    digest.update(array)
    return digest.hexdigest()


def _combine(digests: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _where(config: config.Data) -> str:
    keys = ("path", "folder", "train", "test")
    paths = [str(getattr(config, key)) for key in keys if hasattr(config, key)]
    return f"{config.source} ({', '.join(paths)})" if paths else config.source


def _check(raw: RawData, where: str) -> None:
    if raw.train_images.shape[1:] != raw.test_images.shape[1:]:
        raise DataError(
            f"{where}: training images are {_size(raw.train_images)}, test images "
            f"{_size(raw.test_images)} (channels x height x width); set data.resize"
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
    _check_labels(raw.train_labels, raw.test_labels, raw.class_names, where)


def _check_labels(
    train_labels: np.ndarray, test_labels: np.ndarray, class_names: tuple[str, ...], where: str
) -> None:
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


def _size(images: np.ndarray) -> str:
    return "x".join(map(str, images.shape[1:]))


def _transform(config: config.Data, raw: RawData) -> tuple[dict[str, np.ndarray], dict]:
    """Resize, subsample, then label noise; the arrays of the prepared folder."""
    subsample, noise = config.subsample, config.label_noise
    arrays = {}
    for number, split in enumerate(("train", "test")):
        images, labels = getattr(raw, f"{split}_images"), getattr(raw, f"{split}_labels")
        source_index = getattr(raw, f"{split}_source_index")
        if source_index is None:
            source_index = np.arange(len(labels))
        total, per_class = getattr(subsample, split), getattr(subsample, f"{split}_per_class")
        if total or per_class:
            rng = np.random.default_rng([subsample.seed, number])
            key = f"data.subsample.{split}{'_per_class' if per_class else ''}"
            kept = _draw(labels, rng, key, total=total, per_class=per_class)
            images, labels, source_index = images[kept], labels[kept], source_index[kept]
        if config.resize and images.shape[2:] != (config.resize, config.resize):
            images = _resize(images, config.resize)
        arrays[f"{split}_images"] = np.ascontiguousarray(images)
        arrays[f"{split}_labels"] = labels.astype(np.int64)
        arrays[f"{split}_source_index"] = source_index.astype(np.int64)
    _check_labels(
        arrays["train_labels"], arrays["test_labels"], raw.class_names, f"{_where(config)} as kept"
    )
    labels = arrays["train_labels"]
    changed, wrong = _wrong_labels(labels, len(raw.class_names), noise.share, noise.seed)
    label_noise = {
        "share": noise.share,
        "seed": noise.seed,
        "changed": changed.tolist(),
        "original_labels": labels[changed].tolist(),
    }
    labels[changed] = wrong
    return arrays, label_noise


def _draw(
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


def _wrong_labels(
    labels: np.ndarray, n_classes: int, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions drawn by seed, and for each a uniformly drawn other label."""
    rng = np.random.default_rng(seed)
    changed = np.sort(rng.permutation(len(labels))[: round(share * len(labels))])
    shift = rng.integers(1, n_classes, size=len(changed))
    return changed, (labels[changed] + shift) % n_classes


def _resize(images: np.ndarray, edge: int) -> np.ndarray:
    from PIL import Image

    resized = np.empty((*images.shape[:2], edge, edge), np.uint8)
    for i, c in itertools.product(*map(range, images.shape[:2])):
        channel = Image.fromarray(images[i, c]).resize((edge, edge), Image.Resampling.BICUBIC)
        resized[i, c] = np.asarray(channel)
    return resized


def _describe(config: config.Data, raw: RawData, arrays: dict, label_noise: dict) -> dict:
    shared = {"source", "resize", "subsample", "label_noise", "download"}
    settings = {
        key: value
        for key, value in config.model_dump().items()
        if key not in shared and not isinstance(value, Path)
    }
    digests = {name: _digest(array) for name, array in arrays.items()}
    parts = {name: digests[name] for name in FINGERPRINTED}
    mean, std = _channel_statistics(arrays["train_images"])
    return {
        "format_version": FORMAT_VERSION,
        "source": config.source,
        "settings": settings,
        "class_names": list(raw.class_names),
        "n_train": len(arrays["train_labels"]),
        "n_test": len(arrays["test_labels"]),
        "shape": list(arrays["train_images"].shape[1:]),
        "fingerprint": _combine(parts.values()),
        "fingerprint_parts": parts,
        "mean": mean,
        "std": std,
        "resize": config.resize,
        "subsample": config.subsample.model_dump(),
        "label_noise": label_noise,
        "files": raw.files,
        "notes": list(raw.notes),
        "arrays": {
            name: {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digests[name]}
            for name, array in arrays.items()
        },
    }


def _channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel on the [0, 1] scale, from exact counts."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for start in range(0, len(images), 4096):
        for channel in range(images.shape[1]):
            values = images[start : start + 4096, channel].ravel()
            counts[channel] += np.bincount(values, minlength=256)
    level = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ level
    std = np.sqrt((share * (level - mean[:, None]) ** 2).sum(axis=1))
    return mean.tolist(), std.tolist()


# -- the prepared folder --------------------------------------------------------------------


def load(folder: str | Path, *, verify: bool = False) -> PreparedData:
    """Open a prepared folder.

    Parameters
    ----------
    folder : path
        As written by `prepare`.
    verify : bool
        Read every array and compare its checksum, which finds damaged values.
        Presence, dtype, shape and length are checked always.

    Returns
    -------
    PreparedData
        With memory-mapped, read-only arrays.

    Raises
    ------
    DataError
        If a file is missing or damaged; the message names it.
    """
    folder = Path(folder)
    again = "delete the folder and prepare the data again"
    try:
        info = json.loads((folder / INFO).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder / INFO} is missing: no prepared data set; prepare it") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / INFO} cannot be read ({error}); {again}") from None
    if not isinstance(info, dict) or info.get("format_version") != FORMAT_VERSION:
        raise DataError(f"{folder / INFO}: expected format version {FORMAT_VERSION}; {again}")
    arrays, records = {}, info.get("arrays", {})
    for name in ARRAYS:
        path = folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise DataError(f"{path} is missing; {again}") from None
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be read ({error}); {again}") from None
        expected = records.get(name, {})
        if [array.dtype.str, list(array.shape)] != [expected.get("dtype"), expected.get("shape")]:
            raise DataError(
                f"{path} holds {array.dtype.str} {list(array.shape)}; {INFO} says "
                f"{expected.get('dtype')} {expected.get('shape')}; {again}"
            )
        if verify and _digest(array) != expected.get("sha256"):
            raise DataError(f"{path}: values do not match the checksum in {INFO}; {again}")
        arrays[name] = array
    if info.get("fingerprint") != _combine(records[name]["sha256"] for name in FINGERPRINTED):
        raise DataError(f"{folder / INFO}: the fingerprint does not match its parts; {again}")
    return PreparedData(folder=folder, info=info, **arrays)


def _write_folder(out: Path, arrays: dict[str, np.ndarray], info: dict) -> None:
    if _holds(out, info):
        return
    _refuse_foreign(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out)
    new = _sibling(out)
    new.mkdir()
    try:
        for name, array in arrays.items():
            with open(new / f"{name}.npy", "wb") as file:
                np.save(file, array, allow_pickle=False)
                _sync(file)
        with open(new / INFO, "w", encoding="utf-8") as file:
            file.write(json.dumps(info, indent=1, allow_nan=False) + "\n")
            _sync(file)
        _replace_folder(new, out, info)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _replace_folder(new: Path, out: Path, info: dict) -> None:
    """Rename ``new`` to ``out``; a second writer of the same content may come first."""
    while True:
        try:
            os.rename(new, out)  # replaces nothing but an empty folder
        except OSError:
            if _holds(out, info):
                return
            old = _sibling(out)
            with contextlib.suppress(FileNotFoundError):
                os.rename(out, old)
            shutil.rmtree(old, ignore_errors=True)
        else:
            descriptor = os.open(out.parent, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            return


def _holds(out: Path, info: dict) -> bool:
    try:
        return load(out, verify=True).info == json.loads(json.dumps(info))
    except DataError:
        return False


def _refuse_foreign(out: Path) -> None:
    if out.is_dir():
        own = {INFO, *(f"{name}.npy" for name in ARRAYS)}
        foreign = sorted(
            p.name for p in out.iterdir() if p.name not in own and not p.name.startswith(".snake")
        )
        if foreign:
            raise DataError(
                f"{out} holds {foreign[0]!r}, which is no part of a prepared data set; choose "
                "another folder, or move that away"
            )
    elif out.exists():
        raise DataError(f"{out} is a file; the prepared data set needs a folder of that name")


def _sibling(out: Path) -> Path:
    return out.with_name(f".{out.name}.{os.urandom(6).hex()}.tmp")


def _remove_abandoned(out: Path) -> None:
    """Remove what a killed process left, an hour or more ago."""
    for path in out.parent.glob(f".{out.name}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > 3600:
                shutil.rmtree(path, ignore_errors=True)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


# -- on the device --------------------------------------------------------------------------


def to_device(prepared: PreparedData, device: str | torch.device) -> DeviceData:
    """Copy a prepared data set to a device, as whole tensors.

    Images stay uint8 and (n, C, H, W) in memory; `as_float` makes a batch
    channels_last. ``images.index_select(0, index)`` takes a batch, on a CPU
    more than ten times as fast as ``images[index]``.
    """
    import torch

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(getattr(prepared, name))).to(device)

    return DeviceData(*(tensor(name) for name in FINGERPRINTED))


def augment(
    images: torch.Tensor, generator: torch.Generator, *, crop: int, flip: bool
) -> torch.Tensor:
    """Shift and mirror every image of a batch at random, on its device.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Any dtype; uint8 is the fastest.
    generator : torch.Generator
        On the device of ``images``. The result depends on its state alone;
        states of a CPU and of a GPU generator give different draws.
    crop : int
        Each side is padded with this many pixels of 0, and a window of the
        original size is taken at a uniformly drawn place.
    flip : bool
        Mirror each image left to right with probability 1/2.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        Of the same dtype; ``images`` itself where nothing is asked for.
    """
    import torch

    if not crop and not flip:
        return images
    n, device = len(images), images.device
    draw = torch.randint(0, 2 * crop + 1, (2, n), generator=generator, device=device)
    mirrored = torch.randint(0, 2 if flip else 1, (n,), generator=generator, device=device)
    return crop_windows(images, draw[0], draw[1], mirrored, crop)


def crop_windows(
    images: torch.Tensor,
    top: torch.Tensor,
    left: torch.Tensor,
    mirrored: torch.Tensor,
    crop: int,
) -> torch.Tensor:
    """Windows of the zero-padded images, some of them mirrored; no randomness.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
    top, left : Tensor of int64, shape (B,)
        The window's corner in the padded image, 0 to ``2 * crop``.
    mirrored : Tensor of int64, shape (B,)
        1 mirrors the window left to right, 0 does not.
    crop : int
        Pixels of padding on each side.

    Returns
    -------
    Tensor, shape (B, C, H, W)
    """
    import torch
    import torch.nn.functional as F

    n, channels, height, width = images.shape
    wide = width + 2 * crop
    padded = F.pad(images, (crop, crop, crop, crop)).reshape(n, channels, -1)
    row = top[:, None] + torch.arange(height, device=images.device)  # (B, H)
    column = torch.arange(width, device=images.device)
    column = torch.where(mirrored[:, None] == 1, width - 1 - column, column)  # (B, W)
    column = column + left[:, None]
    pixel = (row[:, :, None] * wide + column[:, None, :]).reshape(n, 1, -1)  # (B, 1, H W)
    return padded.gather(2, pixel.expand(n, channels, -1)).view(images.shape)


def as_float(images: torch.Tensor) -> torch.Tensor:
    """Bytes 0 to 255 as float32 in [0, 1], channels_last, shape (B, C, H, W)."""
    import torch

    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


# -- decoding -------------------------------------------------------------------------------

MAX_PIXELS = 64 * 2**20  # of one image
MAX_FILE = 256 * 2**20  # bytes of one image file or member of an archive
MAX_ARCHIVE = 8 * 2**30  # bytes of all members of an archive, unpacked
CHUNK = 256  # images in one piece of work
IN_PROCESS = 2000  # images up to which starting workers costs more than it gains


def decode_images(
    items: Iterable[tuple[str, bytes]],
    total: int,
    *,
    channels: int,
    resize: int | None,
    workers: int,
    progress: Progress,
) -> np.ndarray:
    """Decode image files into one array, with several processes.

    Processes, because threads were slower than one thread alone on images of
    32 and 64 pixels: the interpreter's lock is taken for too large a part.

    Parameters
    ----------
    items : iterable of (name, bytes)
        Consumed only a little faster than it is decoded.
    total : int
        Number of items.
    channels : int
        1 for grey, 3 for RGB; images are converted.
    resize : int, optional
        Edge in pixels; without it images must have one size.
    workers : int
    progress : callable (done, total)

    Returns
    -------
    ndarray of uint8, shape (total, channels, H, W)

    Raises
    ------
    DataError
        If an image does not decode, or sizes differ; the message names it.
    """
    images, done, first = np.empty((0,)), 0, ""
    with contextlib.closing(_decoded(items, total, channels, resize, workers)) as chunks:
        for names, chunk in chunks:
            if not done:
                first = names[0]
                _check_memory(total * chunk[0].nbytes, total, first, chunk.shape[1:])
                images = np.empty((total, *chunk.shape[1:]), np.uint8)
            elif chunk.shape[1:] != images.shape[1:]:
                raise _mixed_sizes(first, images.shape[1:], names[0], chunk.shape[1:])
            images[done : done + len(chunk)] = chunk
            done += len(chunk)
            progress(done, total)
    return images


def _decoded(
    items: Iterable[tuple[str, bytes]],
    total: int,
    channels: int,
    resize: int | None,
    workers: int,
) -> Iterator[tuple[list[str], np.ndarray]]:
    chunks = iter(lambda: list(itertools.islice(items, CHUNK)), [])
    items = iter(items)
    if workers < 2 or total <= IN_PROCESS:
        for chunk in chunks:
            yield [name for name, _ in chunk], _decode_chunk(chunk, channels, resize)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    waiting: deque = deque()
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        for chunk in chunks:
            waiting.append(
                ([name for name, _ in chunk], pool.submit(_decode_chunk, chunk, channels, resize))
            )
            if len(waiting) > 4 * workers:
                names, future = waiting.popleft()
                yield names, future.result()
        for names, future in waiting:
            yield names, future.result()
    except BrokenProcessPool:
        raise DataError(
            "a process that decodes images ended: out of memory, or a script that does not keep "
            "its own work under `if __name__ == '__main__':`. Decode with workers=1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_chunk(items: list[tuple[str, bytes]], channels: int, resize: int | None) -> np.ndarray:
    images: np.ndarray | None = None
    for i, (name, blob) in enumerate(items):
        image = _decode(name, blob, channels, resize)
        if images is None:
            images = np.empty((len(items), *image.shape), np.uint8)
        elif image.shape != images.shape[1:]:
            raise _mixed_sizes(items[0][0], images.shape[1:], name, image.shape)
        images[i] = image
    return images


def _decode(name: str, blob: bytes, channels: int, resize: int | None) -> np.ndarray:
    from PIL import Image

    mode = {1: "L", 3: "RGB"}[channels]
    try:
        with Image.open(io.BytesIO(blob)) as image:
            if math.prod(image.size) > MAX_PIXELS:
                raise ValueError(f"{image.size[0]} x {image.size[1]} pixels are too many")
            if image.mode[0] in "IF":
                raise ValueError(f"mode {image.mode} has more than 8 bits a channel")
            if image.mode != mode:
                image = image.convert(mode)
            if resize and image.size != (resize, resize):
                image = image.resize((resize, resize), Image.Resampling.BICUBIC)
            pixels = np.asarray(image)
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        raise DataError(
            f"{name} does not decode as an image ({error}); replace or remove the file"
        ) from None
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _check_memory(needed: int, total: int, name: str, shape: tuple) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise DataError(
            f"{total} images of the size of {name}, {shape[2]} x {shape[1]} pixels, take "
            f"{needed / 2**30:.1f} GiB; this machine has {memory / 2**30:.1f} GiB. Set data.resize"
        )


def _mixed_sizes(first: str, shape: tuple, other: str, other_shape: tuple) -> DataError:
    def size(shape: tuple) -> str:
        return f"{shape[2]} x {shape[1]} pixels"

    return DataError(
        f"images of mixed sizes: {first} has {size(shape)}, {other} {size(other_shape)} "
        "(width x height); set data.resize to give all of them one size"
    )


def _decoder_note() -> str:
    from PIL import __version__, features

    return f"images decoded with Pillow {__version__}, libjpeg {features.version('jpg')}"


# -- sources: digits and torchvision --------------------------------------------------------


def _digits(config: config.DigitsData, progress: Progress, workers: int) -> RawData:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    rng = np.random.default_rng(config.seed)
    test = _draw(labels, rng, "data.n_test", total=config.n_test)
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
        files=[_file_record(path) for path in paths.values()],
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
            if _checksum(path, "md5") != md5:
                return f"{path} is damaged: it does not have the md5 {md5}"
        return None

    archive = config.folder / cls.filename
    _obtain(
        name,
        config,
        problem,
        f"Put the official {cls.filename} into {config.folder}",
        unpack=archive.is_file() and _checksum(archive, "md5") == cls.tgz_md5,
    )
    train, test = (cls(config.folder, train=train) for train in (True, False))
    return RawData(
        train_images=train.data.transpose(0, 3, 1, 2),
        train_labels=np.array(train.targets, np.int64),
        test_images=test.data.transpose(0, 3, 1, 2),
        test_labels=np.array(test.targets, np.int64),
        class_names=tuple(train.classes),
        files=[_file_record(path) for path in parts],
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


def _checksum(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _file_record(path: Path) -> dict:
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": _checksum(path, "sha256"),
    }


# -- sources: folders and archives of images -------------------------------------------------


MAX_DEPTH = 4  # of folders below the one that is given


class _Folder:
    """The files below a folder, by relative POSIX path."""

    def __init__(self, path: Path):
        self.path = path
        self.names = []
        self.bytes = 0
        self.digest = hashlib.sha256()
        for parent, folders, names in os.walk(path, followlinks=True):
            below = Path(parent).relative_to(path)
            if len(below.parts) == MAX_DEPTH:
                folders.clear()  # also the end of links that lead in a circle
            self.names += [(below / n).as_posix() for n in names if not n.startswith(".")]
        self.names.sort()

    def label(self, name: str) -> str:
        return str(self.path / name)

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            if path.stat().st_size > MAX_FILE:
                raise DataError(f"{path} is larger than {MAX_FILE >> 20} MiB: not an image")
            blob = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}); restore or remove it") from None
        self.bytes += len(blob)
        self.digest.update(f"{name} {len(blob)}\n".encode())
        self.digest.update(blob)
        return blob

    def record(self) -> dict:
        """All that was read, under one checksum of names and contents."""
        return {
            "name": f"{self.path.name}/",
            "bytes": self.bytes,
            "sha256": self.digest.hexdigest(),
        }


class _Zip:
    """The members of a zip, read without unpacking it anywhere."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path} cannot be read as a zip ({error}): truncated or damaged; get it again"
            ) from None
        members = self.archive.infolist()
        for member in members:
            reason = _unsafe(member)
            if reason:
                raise DataError(
                    f"{path}: member {member.filename!r} {reason}; this archive is not safe, get "
                    "it from its publisher"
                )
        size = sum(member.file_size for member in members)
        if size > MAX_ARCHIVE:
            raise DataError(
                f"{path} would unpack to {size >> 20} MiB, more than {MAX_ARCHIVE >> 20} MiB; "
                "this archive is not safe, get it from its publisher"
            )
        self.names = sorted(m.filename for m in members if not m.is_dir())

    def label(self, name: str) -> str:
        return f"{self.path}:{name}"

    def read(self, name: str) -> bytes:
        try:
            return self.archive.read(name)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"{self.label(name)} cannot be read ({error}): the archive is damaged; get it again"
            ) from None

    def record(self) -> dict:
        return _file_record(self.path)


def _unsafe(member: zipfile.ZipInfo) -> str | None:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or "\\" in member.filename or re.match("[A-Za-z]:", member.filename):
        return "is an absolute path or one of another system"
    if ".." in path.parts:
        return "leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.file_size > MAX_FILE:
        return f"would unpack to {member.file_size >> 20} MiB"
    return None


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
    _check_labels(labels["train"], labels["test"], class_names, _where(config))
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
    tree = _Folder(config.path)
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
    return RawData(**fields, files=[tree.record()], notes=(_decoder_note(),))


def _class_folders(path: Path) -> list[str]:
    if not path.is_dir():
        raise DataError(
            f"{path} is no folder; data.path must hold train/ and test/, each with one folder of "
            "images for each class"
        )
    return sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


# -- sources: Tiny ImageNet -----------------------------------------------------------------

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
        _download(TINY_URL, path, TINY_MD5, progress)
    tree = _Folder(path) if path.is_dir() else _Zip(path)
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
    official = path.is_file() and _checksum(path, "md5") == TINY_MD5
    return RawData(
        **fields,
        files=[tree.record()],
        notes=(
            "the official archive" if official else "not the official archive: its md5 differs",
            "the test set is the official validation set, in the order of val_annotations.txt",
            f"classes by WordNet id: {' '.join(wnids)}",
            _decoder_note(),
        ),
        test_source_index=np.array(test_row, np.int64),
    )


def _require(tree: _Folder | _Zip, name: str, present: set[str], list_name: str) -> None:
    if name not in present:
        raise DataError(
            f"{tree.label(name)} is missing, though {list_name} lists it; the copy is incomplete, "
            "get it again"
        )


def _unique_names(names: list[str], ids: list[str]) -> tuple[str, ...]:
    """Names, with the id added where one name stands for several classes."""
    count = Counter(names)
    return tuple(n if count[n] == 1 else f"{n} ({i})" for n, i in zip(names, ids, strict=True))


def _download(url: str, path: Path, md5: str, progress: Progress) -> None:
    """Download to ``path``, which appears when it is complete and its md5 right.

    What an interrupted download left is continued. A second process waits for
    the first and then finds the file.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with open(part, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return
        try:
            _fetch(url, file, progress)
        except (OSError, http.client.HTTPException) as error:
            raise DataError(
                f"{url}: the download failed ({error}). Run again, it continues after "
                f"{part.stat().st_size} bytes; or put the file at {path}"
            ) from None
        _sync(file)
        if _checksum(part, "md5") != md5:
            part.unlink()
            raise DataError(
                f"{url}: what was downloaded does not have the md5 {md5} and was removed; run "
                f"again, or put the file at {path}"
            )
        os.rename(part, path)


def _fetch(url: str, file: Any, progress: Progress) -> None:
    done = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        error.close()
        if done and error.code == 416:  # there is nothing after these bytes
            return
        raise
    with response:
        if response.status != 206:
            file.truncate(0)
            done = 0
        total = done + int(response.headers.get("Content-Length", 0))
        while block := response.read(1 << 20):
            file.write(block)
            done += len(block)
            progress(done, max(total, done))
        file.flush()
        if done < total:
            raise OSError(f"the connection ended after {done} of {total} bytes")


# -- sources: Parquet -----------------------------------------------------------------------


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
        files=[_file_record(path) for split in paths for path in paths[split]],
        notes=(
            "a Parquet copy: pixels and order of rows may differ from the official files",
            _decoder_note(),
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

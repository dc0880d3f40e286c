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
import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bat.archives import sync
from bat.rawdata import DataError, Progress, RawData, check_labels, draw_balanced, source_name
from bat.reading import parse_json, regular_file
from bat.sources import read_source

if TYPE_CHECKING:
    import torch

    from bat import config

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
            kept = draw_balanced(labels, rng, key, total=total, per_class=per_class)
            images, labels, source_index = images[kept], labels[kept], source_index[kept]
        if config.resize and images.shape[2:] != (config.resize, config.resize):
            images = _resize(images, config.resize)
        arrays[f"{split}_images"] = np.ascontiguousarray(images)
        arrays[f"{split}_labels"] = labels.astype(np.int64)
        arrays[f"{split}_source_index"] = source_index.astype(np.int64)
    check_labels(
        arrays["train_labels"],
        arrays["test_labels"],
        raw.class_names,
        f"{source_name(config)} as kept",
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
        info = parse_json((folder / INFO).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{folder / INFO} is missing, so no data set is prepared there; `snakemake --cores 1 "
            f"{folder / INFO}` prepares one that is configured"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / INFO} cannot be read ({error}); {again}") from None
    if not isinstance(info, dict) or info.get("format_version") != FORMAT_VERSION:
        raise DataError(f"{folder / INFO}: expected format version {FORMAT_VERSION}; {again}")
    arrays, records = {}, info.get("arrays", {})
    for name in ARRAYS:
        path = folder / f"{name}.npy"
        try:
            array = np.load(regular_file(path), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, OverflowError) as error:
            if not path.exists():
                raise DataError(f"{path} is missing; {again}") from None
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
                sync(file)
        with open(new / INFO, "w", encoding="utf-8") as file:
            file.write(json.dumps(info, indent=1, allow_nan=False) + "\n")
            sync(file)
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

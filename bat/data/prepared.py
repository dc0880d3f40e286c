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
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydantic

from bat.data.duplicates import count_duplicates, duplicate_notes
from bat.data.raw import Progress, RawData, check_labels, draw_balanced, source_name
from bat.data.revisions import RECORD, write_record
from bat.data.sources import read_source
from bat.errors import DataError
from bat.files.archives import FileState, sync
from bat.files.artifacts import ArtifactError, read_json
from bat.progress import log
from bat.reading import HEADER_ERRORS

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


class _Array(pydantic.BaseModel):
    dtype: str
    shape: list[int]
    sha256: str


class _Info(pydantic.BaseModel):
    """What ``dataset.json`` must hold; more is allowed."""

    model_config = pydantic.ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    source: str
    settings: dict[str, Any]
    class_names: list[str] = pydantic.Field(min_length=2)
    n_train: int
    n_test: int
    shape: list[int] = pydantic.Field(min_length=3, max_length=3)
    fingerprint: str
    fingerprint_parts: dict[str, str]
    mean: list[float]
    std: list[pydantic.NonNegativeFloat]
    resize: int | None
    subsample: dict[str, Any]
    label_noise: dict[str, Any]
    files: list[dict[str, Any]]
    notes: list[str]
    arrays: dict[str, _Array]


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
    revision: str | None = None,
) -> dict:
    """Read a source, check it, and write the prepared folder.

    A prepared folder at ``out`` with the same content is left as it is; one
    with another content is replaced, arrays that are the same being kept. The
    folder is complete at every moment that it exists, also if the process is
    killed or a second one writes it.

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
    revision : str, optional
        What the specification says of the source's files (`bat.data.revisions`); it
        is recorded beside them.

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
    _write_folder(out, arrays, info, raw.states, revision)
    return info


def prepare_in_memory(config: config.Data, raw: RawData) -> PreparedData:
    """What `prepare` and `load` would give of a source that is in memory; no file is written.

    Its ``folder`` is where it would have been, and is not there.
    """
    arrays, label_noise = _transform(config, raw)
    info = _describe(config, raw, arrays, label_noise)
    for array in arrays.values():
        array.setflags(write=False)
    return PreparedData(folder=Path(config.source, "data"), info=info, **arrays)


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
    paths = {"path", "folder", "train", "test"}
    settings = {k: v for k, v in config.model_dump().items() if k not in shared | paths}
    digests = {name: _digest(array) for name, array in arrays.items()}
    parts = {name: digests[name] for name in FINGERPRINTED}
    mean, std = _channel_statistics(arrays["train_images"])
    labels = _source_labels(arrays, label_noise)
    duplicates = count_duplicates(arrays["train_images"], arrays["test_images"], *labels)
    warnings = [*_constant(mean, std), *duplicate_notes(duplicates, len(arrays["test_labels"]))]
    for warning in warnings:
        log.warning("%s: %s", source_name(config), warning)
    info = {
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
        "notes": [*raw.notes, *warnings],
        "duplicates": duplicates,
        "arrays": {
            name: {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digests[name]}
            for name, array in arrays.items()
        },
    }
    return info | {"checksum": _checksum(info)}


def _checksum(info: dict) -> str:
    """Of the content of ``dataset.json`` beside this checksum itself."""
    content = {key: value for key, value in info.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _source_labels(arrays: dict, label_noise: dict) -> tuple[np.ndarray, np.ndarray]:
    """Training and test labels as the source has them, without label noise."""
    train = arrays["train_labels"].copy()
    train[label_noise["changed"]] = label_noise["original_labels"]
    return train, arrays["test_labels"]


def _constant(mean: list[float], std: list[float]) -> list[str]:
    flat = [channel for channel, deviation in enumerate(std) if deviation == 0]
    if not flat:
        return []
    if len(flat) == len(std):
        return ["every pixel of every training image has the same value: nothing can be learned"]
    names = ("red", "green", "blue") if len(std) == 3 else ("grey",)
    return [
        f"the {names[channel]} channel is {255 * mean[channel]:.0f} of 255 in every pixel of every "
        "training image; networks divide it by 1 in place of its standard deviation of 0"
        for channel in flat
    ]


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
        Read the images too and compare their checksums, which finds damaged
        values. All else is checked always: labels and source indices by their
        checksums, ``dataset.json`` by its own and against the arrays.

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
    info = _read_info(folder)
    arrays = {}
    for name in ARRAYS:
        array, expected = _open_array(folder, name), info["arrays"].get(name, {})
        path = folder / f"{name}.npy"
        if [array.dtype.str, list(array.shape)] != [expected.get("dtype"), expected.get("shape")]:
            raise DataError(
                f"{path} holds {array.dtype.str} {list(array.shape)}; {INFO} says "
                f"{expected.get('dtype')} {expected.get('shape')}; {AGAIN}"
            )
        if (verify or array.ndim == 1) and _digest(array) != expected.get("sha256"):
            raise DataError(f"{path}: values do not match the checksum in {INFO}; {AGAIN}")
        arrays[name] = array
    _check_info(folder, info, arrays, verify)
    return PreparedData(folder=folder, info=info, **arrays)


AGAIN = "delete the folder and prepare the data again"


def _read_info(folder: Path) -> dict:
    path = folder / INFO
    if not os.path.lexists(path):
        raise DataError(
            f"{path} is missing, so no data set is prepared there; `snakemake --cores 1 "
            f"{path}` prepares one that is configured"
        )
    try:
        info = read_json(path)
    except ArtifactError as error:
        raise DataError(f"{path} cannot be read ({error}); {AGAIN}") from None
    if not isinstance(info, dict) or info.get("format_version") != FORMAT_VERSION:
        raise DataError(f"{path}: expected format version {FORMAT_VERSION}; {AGAIN}")
    try:
        _Info.model_validate(info)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise DataError(f"{path}: {key}: {problem['msg']}; {AGAIN}") from None
    if "checksum" in info and info["checksum"] != _checksum(info):
        raise DataError(f"{path} was changed or damaged: it belies its checksum; {AGAIN}")
    return info


def _open_array(folder: Path, name: str) -> np.ndarray:
    path = folder / f"{name}.npy"
    if not path.exists():
        raise DataError(f"{path} is missing; {AGAIN}")
    if not path.is_file():  # opening a named pipe would block for ever
        raise DataError(f"{path} is no regular file; {AGAIN}")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (*HEADER_ERRORS, OSError, EOFError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} cannot be read ({error}); {AGAIN}") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path} is no array but an archive of arrays; {AGAIN}")
    return array


def _check_info(folder: Path, info: dict, arrays: dict[str, np.ndarray], verify: bool) -> None:
    """Refuse what ``dataset.json`` says where the arrays say otherwise."""
    path = folder / INFO
    parts = {name: info["arrays"][name]["sha256"] for name in FINGERPRINTED}
    if info["fingerprint_parts"] != parts or info["fingerprint"] != _combine(parts.values()):
        raise DataError(f"{path}: the fingerprint does not match its parts; {AGAIN}")
    train, test = arrays["train_images"], arrays["test_images"]
    found = {"n_train": len(train), "n_test": len(test), "shape": list(train.shape[1:])}
    for key, value in found.items():
        if info[key] != value:
            raise DataError(f"{path}: {key} is {info[key]}, and the arrays say {value}; {AGAIN}")
    for split in ("train", "test"):
        labels, index = arrays[f"{split}_labels"], arrays[f"{split}_source_index"]
        if not len(labels) == len(index) == info[f"n_{split}"]:
            raise DataError(
                f"{folder}: {info[f'n_{split}']} {split} images, {len(labels)} labels and "
                f"{len(index)} source indices; {AGAIN}"
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(info["class_names"]):
            raise DataError(
                f"{folder}: {split} labels {labels.min()} to {labels.max()}, and {INFO} names "
                f"{len(info['class_names'])} classes; {AGAIN}"
            )
    if not len(info["mean"]) == len(info["std"]) == info["shape"][0]:
        raise DataError(f"{path}: mean and std need one value for each channel; {AGAIN}")
    if verify and "checksum" not in info:  # of an older version: what can be derived
        statistics = _channel_statistics(train)
        if not np.allclose(statistics, [info["mean"], info["std"]], rtol=0, atol=1e-9):
            raise DataError(f"{path}: mean and std are not those of the images; {AGAIN}")


def _write_folder(
    out: Path,
    arrays: dict[str, np.ndarray],
    info: dict,
    states: Mapping[str, FileState],
    revision: str | None,
) -> None:
    if _holds(out, info):
        write_record(out, states, revision)
        return
    _refuse_foreign(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out)
    new = _sibling(out)
    new.mkdir()
    try:
        for name, array in arrays.items():
            if _keep_array(out, new, name, info["arrays"][name]["sha256"]):
                continue
            with open(new / f"{name}.npy", "wb") as file:
                np.save(file, array, allow_pickle=False)
                sync(file)
        write_record(new, states, revision)
        with open(new / INFO, "w", encoding="utf-8") as file:
            file.write(json.dumps(info, indent=1, allow_nan=False) + "\n")
            sync(file)
        _replace_folder(new, out, info)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _keep_array(out: Path, new: Path, name: str, sha256: str) -> bool:
    """Take over an array that is there already, file and time, where it has these values."""
    try:
        if _digest(_open_array(out, name)) != sha256:
            return False
        os.link(out / f"{name}.npy", new / f"{name}.npy")
    except (DataError, OSError):  # also a file system without hard links
        return False
    return True


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
        own = {INFO, RECORD, *(f"{name}.npy" for name in ARRAYS)}
        ours = re.compile(rf"\.snake.*|\.({re.escape(INFO)}|{re.escape(RECORD)})\..*\.tmp")
        foreign = sorted(
            p.name for p in out.iterdir() if p.name not in own and not ours.fullmatch(p.name)
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

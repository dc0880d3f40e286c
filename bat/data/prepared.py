"""The prepared folder: what lies in it, opened and checked.

An ``index`` anywhere in this package is a position in the prepared arrays.
``train_source_index`` and ``test_source_index`` lead from there to the row in
the source's own order.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from bat.data.channels import channel_statistics
from bat.data.fingerprints import checksum_of_info, combined, digest_of
from bat.errors import ArtifactError, DataError
from bat.files.documents import read_json
from bat.reading import HEADER_ERRORS

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
AGAIN = "delete the folder and prepare the data again"


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
        """sha256 of images, labels and their order, which tells data sets apart."""
        return self.info["fingerprint"]

    @property
    def class_names(self) -> list[str]:
        """By label."""
        return self.info["class_names"]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return tuple(self.info["shape"])


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
    info = read_info(folder)
    arrays = {}
    for name in ARRAYS:
        array, expected = open_array(folder, name), info["arrays"].get(name, {})
        path = folder / f"{name}.npy"
        if [array.dtype.str, list(array.shape)] != [expected.get("dtype"), expected.get("shape")]:
            raise DataError(
                f"{path} holds {array.dtype.str} {list(array.shape)}; {INFO} says "
                f"{expected.get('dtype')} {expected.get('shape')}; {AGAIN}"
            )
        if (verify or array.ndim == 1) and digest_of(array) != expected.get("sha256"):
            raise DataError(f"{path}: values do not match the checksum in {INFO}; {AGAIN}")
        arrays[name] = array
    _check_info(folder, info, arrays, verify)
    return PreparedData(folder=folder, info=info, **arrays)


def read_info(folder: Path) -> dict:
    """What ``dataset.json`` says, checked by itself, for what needs no arrays.

    Parameters
    ----------
    folder : path
        As written by `prepare`.

    Returns
    -------
    dict

    Raises
    ------
    DataError
        If it is missing, damaged, or lacks what it must say.
    """
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
    if "checksum" in info and info["checksum"] != checksum_of_info(info):
        raise DataError(f"{path} was changed or damaged: it belies its checksum; {AGAIN}")
    return info


def open_array(folder: Path, name: str) -> np.ndarray:
    """One of `ARRAYS`, memory-mapped and read-only; a `DataError` says why it cannot be read."""
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
    if info["fingerprint_parts"] != parts or info["fingerprint"] != combined(parts.values()):
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
        statistics = channel_statistics(train)
        if not np.allclose(statistics, [info["mean"], info["std"]], rtol=0, atol=1e-9):
            raise DataError(f"{path}: mean and std are not those of the images; {AGAIN}")

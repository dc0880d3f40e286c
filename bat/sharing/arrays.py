"""An ``npz`` file of published arrays, read key by key and checked, without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bat.errors import ArtifactError
from bat.files.zips import DAMAGED, Limits, open_zip
from bat.reading import HEADER_ERRORS, check_array

LIMITS = Limits(members=20_000, size=64 << 30, member_size=64 << 30)
"""Of a file of arrays; ImageNet's has three for each class."""

TOLERANCE = 1e-5
"""By which a value may leave its range, or differ between two files: float32 sums."""


class Arrays:
    """An ``npz`` file whose arrays are read one at a time and checked.

    Their headers are compared with what the file holds before any memory is
    taken: a header may claim whatever it likes.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self.archive = open_zip(path, LIMITS, ArtifactError)
        except ArtifactError as error:
            raise ArtifactError(f"{error} (no readable npz file)") from None
        self.keys = [name.removesuffix(".npy") for name in self.archive.namelist()]

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *error: object) -> None:
        self.archive.close()

    def read(self, key: str) -> np.ndarray:
        """The array under a key.

        Raises
        ------
        ArtifactError
            If there is none, or it is damaged or holds objects.
        """
        if key not in self.keys:
            raise ArtifactError(
                f"{self.path}: the key {key!r} is missing; found {', '.join(self.keys[:8])}"
                f"{', ...' if len(self.keys) > 8 else ''}"
            )
        try:
            member = self.archive.getinfo(f"{key}.npy")
            with self.archive.open(member) as file:
                check_array(file, member.file_size)
            with self.archive.open(member) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except (*DAMAGED, *HEADER_ERRORS, KeyError, MemoryError) as error:
            raise ArtifactError(
                f"{self.path}: {key!r} cannot be read ({error}); the file is damaged or holds "
                "Python objects, which are not loaded"
            ) from None

    def numbers(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        """Scores in [-1, 1], of a known shape."""
        values = self.read(key)
        if values.shape != shape or values.dtype.kind != "f":
            raise ArtifactError(
                f"{self.path}: {key!r} is {values.dtype} of shape {values.shape}, expected "
                f"floating-point numbers of shape {shape}"
            )
        if not (np.abs(values) <= 1 + TOLERANCE).all():
            raise ArtifactError(f"{self.path}: {key!r} has values outside [-1, 1], or NaN")
        return np.clip(values, -1, 1)

    def integers(self, key: str, below: int | None = None) -> np.ndarray:
        """One row of integers in [0, ``below``)."""
        values = self.read(key)
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise ArtifactError(
                f"{self.path}: {key!r} is {values.dtype} of shape {values.shape}, expected one "
                "row of integers"
            )
        if values.size and (values.min() < 0 or (below is not None and values.max() >= below)):
            raise ArtifactError(
                f"{self.path}: {key!r} goes from {values.min()} to {values.max()}, expected "
                f"0 to {'...' if below is None else below - 1}"
            )
        return values.astype(np.int64)

    def text(self, key: str) -> str:
        """One text, as numpy keeps a ``str`` or ``bytes``."""
        values = self.read(key)
        if values.size != 1 or values.dtype.kind not in "SU":
            raise ArtifactError(
                f"{self.path}: {key!r} is {values.dtype} of shape {values.shape}, expected a text"
            )
        value = values.item()
        return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def one_with(files: Sequence[Arrays], key: str) -> Arrays | None:
    """The one file that holds a key; None where none does."""
    found = [file for file in files if key in file.keys]
    if len(found) > 1:
        raise ArtifactError(
            f"{found[0].path} and {found[1].path} both hold {key!r}; keep the files of one data "
            "set in a folder"
        )
    return found[0] if found else None


def file_names(index: Arrays, n_train: int, n_test: int) -> dict[str, list[str]]:
    """The published file names by split, of n_train and n_test images."""
    names = {}
    for split, key, n in (("train", "tr_filenames", n_train), ("test", "tt_filenames", n_test)):
        values = index.read(key)
        if values.shape != (n,) or values.dtype.kind not in "SU":
            raise ArtifactError(
                f"{index.path}: {key!r} is {values.dtype} of shape {values.shape}, expected "
                f"names of shape ({n},)"
            )
        try:
            names[split] = (
                np.char.decode(values, "utf-8").tolist()
                if values.dtype.kind == "S"
                else values.tolist()
            )
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{index.path}: {key!r} holds no UTF-8 ({error})") from None
    return names

"""Every file that stages hand to each other: formats, atomic writes, checks.

A Parquet file of ours carries one metadata key, ``bat``: JSON with the format
version, the kind of table, the data set's fingerprint, the recipe, the package
version and the command. Pages carry checksums, and so does that JSON, since
Parquet has none for its metadata; both are verified on reading.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import bat
from bat.errors import BatError

FORMAT_VERSION = 1

STATISTICS = [
    "clean_loss",
    "adversarial_loss",
    "boosted_loss",
    "divergence",
    "discrimination_loss",
    "correct_steps",
    "reweighted",
    "mean_weight",
]
"""Means over an epoch's steps that some method has beside the loss."""

FLAGS = ["clean", "pgd"]
"""Packed bits of the history: right without attack, and under PGD."""

ATTACKS = ["fgsm", "pgd", "cw", "aa"]
"""Columns of an evaluation beside ``clean``; null where an attack was left out."""

SCHEMAS = {
    "trials": pa.schema(
        [
            ("trial", pa.int32()),
            ("seed", pa.int64()),
            ("included", pa.binary()),
            ("train_correct", pa.binary()),
            ("test_correct", pa.binary()),
            ("included_accuracy", pa.float64()),
            ("excluded_accuracy", pa.float64()),
            ("test_accuracy", pa.float64()),
            ("seconds", pa.float64()),
            ("device", pa.string()),
            ("probabilities", pa.binary()),
        ]
    ),
    "memorization": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            ("memorization", pa.float64()),
            ("memorization_se", pa.float64()),
            ("n_included", pa.int32()),
            ("n_excluded", pa.int32()),
            ("accuracy_included", pa.float64()),
            ("accuracy_excluded", pa.float64()),
        ]
    ),
    "influence": pa.schema(
        [
            ("train_index", pa.int32()),
            ("test_index", pa.int32()),
            ("influence", pa.float32()),
            ("influence_se", pa.float32()),
        ]
    ),
    "test": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            ("accuracy", pa.float64()),
            ("max_influence", pa.float64()),
            ("max_influence_train_index", pa.int32()),
        ]
    ),
    "disagreement": pa.schema(
        [("index", pa.int32()), ("label", pa.int32()), ("disagreement", pa.float64())]
    ),
    "confidence": pa.schema(
        [("index", pa.int32()), ("label", pa.int32()), ("confidence", pa.float64())]
    ),
    "history": pa.schema(
        [
            ("epoch", pa.int32()),
            ("loss", pa.float64()),
            *((name, pa.float64()) for name in STATISTICS),
            ("selection_accuracy", pa.float64()),
            *((f"{split}_{flag}", pa.binary()) for split in ("train", "test") for flag in FLAGS),
        ]
    ),
    "evaluations": pa.schema(
        [("index", pa.int32()), *((name, pa.bool_()) for name in ("clean", *ATTACKS))]
    ),
    "groups": pa.schema([("index", pa.int32()), ("typical", pa.bool_()), ("atypical", pa.bool_())]),
    "poisoning": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            ("predicted", pa.int32()),
            ("predicted_clean", pa.int32()),
            ("score", pa.float64()),
        ]
    ),
}


class ArtifactError(BatError):
    """A file that is missing, damaged, of another kind, or of another data set."""


class DamagedError(ArtifactError):
    """A file of ours whose content is not what was written."""


# -- writing --------------------------------------------------------------------------------


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well.

    The file is flushed to disk before it is renamed, so that a reader sees the
    old content or the whole new one. On an error the temporary file is removed
    and ``path`` is as before.

    Raises
    ------
    ArtifactError
        If the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        handle, name = tempfile.mkstemp(prefix=_prefix(path.name), suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror}") from error
    temporary = Path(name)
    with contextlib.suppress(OSError):  # a share without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield temporary
        _sync(temporary)
        with _where_supported():
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise ArtifactError(
            f"{path}: writing failed ({error.strerror or error}); the file is as it was before. "
            f"{_ADVICE.get(error.errno, 'See to it')}, and run the command again"
        ) from error
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)
    try:
        _sync(path.parent)
    except OSError as error:
        raise ArtifactError(
            f"{path}: written, but its folder could not be flushed to disk "
            f"({error.strerror or error}), so a power cut may take it away; see to the disk"
        ) from error


_ADVICE = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free some space or name another folder"
) | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "Allow writing there or name another folder"
)


@contextlib.contextmanager
def _where_supported() -> Iterator[None]:
    """Go without an operation that a file system does not have, as network shares."""
    try:
        yield
    except OSError as error:
        refusals = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EACCES)
        if error.errno not in refusals:
            raise


def _sync(path: Path) -> None:
    with _where_supported():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _prefix(name: str) -> str:
    """How temporary files of a target begin that this machine writes."""
    return f".{name}.{platform.node()}~"


def remove_leftovers(folder: str | Path, name: str = "") -> None:
    """Remove the temporary files whose writers were killed, in one folder.

    A writer holds a lock on its file, which the system drops with the process,
    so what a live one writes stays. What another machine wrote stays for an
    hour, since not every network share knows of the other's locks.

    Parameters
    ----------
    folder : path-like
        It may be missing.
    name : str
        Only those on the way to this file.
    """
    here = f".{platform.node()}~"
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            if not (path.name.startswith(f".{name}") and path.name.endswith(".tmp")):
                continue
            elsewhere = "~" in path.name and here not in path.name
            if elsewhere and time.time() - path.stat().st_mtime < 3600:
                continue
            with contextlib.suppress(OSError), open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a small file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, in the one form that equal values share."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_json_if_changed(path: str | Path, value: Any) -> bool:
    """Write JSON unless the file already holds this value; keeps the time stamp then."""
    try:
        if read_json(path) == json.loads(json.dumps(value)):
            return False
    except ArtifactError:
        pass
    write_json(path, value)
    return True


def write_table(
    path: str | Path,
    kind: str,
    columns: dict[str, Any] | pa.Table,
    *,
    fingerprint: str,
    recipe: dict,
    command: str,
    **facts: Any,
) -> None:
    """Write a table of a known kind with its provenance.

    Parameters
    ----------
    path : path-like
    kind : str
        A key of ``SCHEMAS``.
    columns : dict of array-like or pyarrow.Table
        Columns by name, in the schema's order.
    fingerprint : str
        Of the data set the rows speak of.
    recipe : dict
        How the values were made; JSON values only.
    command : str
        The command that made the file.
    **facts
        Further JSON values for the metadata (number of trials, accuracies, ...).
    """
    schema = SCHEMAS[kind]
    if isinstance(columns, pa.Table):
        table = columns.cast(schema)
    else:
        table = pa.table(
            [pa.array(columns[field.name], type=field.type) for field in schema], schema=schema
        )
    metadata = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "fingerprint": fingerprint,
        "recipe": recipe,
        "package_version": bat.__version__,
        "command": command,
        **facts,
    }
    metadata["checksum"] = _checksum(metadata)
    table = table.replace_schema_metadata({"bat": json.dumps(metadata, allow_nan=False)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def write_torch(path: str | Path, value: Any) -> None:
    """Write tensors and plain values atomically, in torch's format."""
    import torch

    # a file object: with a path, the name of the temporary file would be part of the content
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(value, file)


# -- reading --------------------------------------------------------------------------------


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises
    ------
    ArtifactError
        If the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: the file does not exist") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path}: not a readable JSON file ({error})") from None


def read_torch(path: str | Path) -> Any:
    """Read tensors and plain values, never code.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, or holds anything else.
    """
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: the file does not exist") from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise DamagedError(
            f"{path}: not a checkpoint of tensors and plain values, or damaged "
            f"({_first_line(error)}); {_REMAKE}"
        ) from None


def read_table(
    path: str | Path,
    kind: str,
    *,
    fingerprint: str | None = None,
    columns: list[str] | None = None,
) -> tuple[pa.Table, dict]:
    """Read a table and its provenance.

    Parameters
    ----------
    path : path-like
    kind : str
        The kind of table that is expected, a key of ``SCHEMAS``.
    fingerprint : str, optional
        Of the data set in use; a table of another one is refused.
    columns : list of str, optional
        Read only these.

    Returns
    -------
    table : pyarrow.Table
    metadata : dict
        What the key ``bat`` holds.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, not ours, of another kind, of a newer
        format, or speaks of another data set.
    """
    path = Path(path)
    metadata = read_metadata(path, kind, fingerprint=fingerprint)
    try:
        table = pq.read_table(path, columns=columns, page_checksum_verification=True)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"{path}: damaged ({_first_line(error)}); {_REMAKE}") from None
    return table.replace_schema_metadata(None), metadata


def read_metadata(path: str | Path, kind: str, *, fingerprint: str | None = None) -> dict:
    """The provenance of a table, checked as `read_table` checks it; no data is read."""
    path = Path(path)
    if not path.is_file():
        raise ArtifactError(f"{path}: the file does not exist")
    try:
        schema = pq.read_schema(path)
        metadata = json.loads((schema.metadata or {})[b"bat"])
    except KeyError:
        raise ArtifactError(
            f"{path}: has no 'bat' key in its metadata, so nothing says what it holds; "
            f"expected a table of kind {kind!r}"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"{path}: damaged ({_first_line(error)}); {_REMAKE}") from None
    checksum = metadata.pop("checksum", None)
    if checksum is not None and checksum != _checksum(metadata):
        raise DamagedError(f"{path}: damaged (its metadata belie their checksum); {_REMAKE}")
    if metadata.get("format_version", 0) > FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: format version {metadata['format_version']}, and this package reads up to "
            f"{FORMAT_VERSION}; install a newer version of bat"
        )
    if metadata.get("kind") != kind:
        raise ArtifactError(
            f"{path}: holds a table of kind {metadata.get('kind')!r}, expected {kind!r}"
        )
    if not schema.equals(SCHEMAS[kind]):
        found = ", ".join(f"{f.name}: {f.type}" for f in schema)
        expected = ", ".join(f"{f.name}: {f.type}" for f in SCHEMAS[kind])
        raise ArtifactError(f"{path}: has columns ({found}), expected ({expected})")
    if fingerprint is not None and metadata.get("fingerprint") != fingerprint:
        raise ArtifactError(
            f"{path}: speaks of the data set with fingerprint {metadata.get('fingerprint')}, "
            f"and the one in use is {fingerprint}: other images, labels, or order. "
            "Use the table of this data set, or prepare the data as the table's maker did"
        )
    return metadata


def _checksum(metadata: dict) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


_REMAKE = "remove it and run the command again that made it"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def column(table: pa.Table, name: str) -> np.ndarray:
    """A column as a numpy array."""
    return table.column(name).to_numpy()


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Every file that stages hand to each other: formats, atomic writes, checks.

A Parquet file of ours carries one metadata key, ``bat``: JSON with the format
version, the kind of table, the data set's fingerprint, the recipe, the package
version and the command; whose the file is (``identity``: data set, architecture,
run, seed, split), what it was made of (``inputs``: a digest by name) and a digest
of each column's values (``content``). Pages carry checksums, and so does that
JSON, since Parquet has none for its metadata. All of it is verified on reading.
Files of version 0.1.0 lack the last three; what their recipe says is checked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import bat
from bat.config.attacks import ATTACKS
from bat.errors import BatError
from bat.reading import Expected, check_values, parse_json, regular_file

FORMAT_VERSION = 1
MAX_METADATA = 1 << 20  # characters of the JSON in a table
MAX_GROWTH, SMALL = 1000, 1 << 26  # how many times its file a table may grow; bytes that any may

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
            ("q", pa.float32()),
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


NULLABLE = {
    "trials": {"probabilities"},
    "memorization": {
        *("memorization_se", "n_included", "n_excluded", "accuracy_included", "accuracy_excluded")
    },
    "influence": {"influence_se", "q"},
    "test": {"accuracy"},
    "history": {
        *STATISTICS,
        "selection_accuracy",
        *(f"{split}_{flag}" for split in ("train", "test") for flag in FLAGS),
    },
    "evaluations": set(ATTACKS),
}
"""Columns that a file may lack, by kind: they are read as null. A column that is added to a kind
belongs here, so that what was made before it stays readable."""


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


def write_table(
    path: str | Path,
    kind: str,
    columns: dict[str, Any] | pa.Table,
    *,
    fingerprint: str,
    recipe: dict,
    command: str,
    identity: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
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
    identity : mapping, optional
        Whose the table is: ``dataset``, and what `place_of` asks for.
    inputs : mapping of str to str, optional
        Digests of what it was made of, beside the data.
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
        "identity": dict(identity or {}),
        "inputs": {"data": fingerprint, **(inputs or {})},
        "content": {name: column_digest(table.column(name)) for name in table.column_names},
    }
    kept = _kept(Path(path), kind, metadata)
    if kept:
        metadata["kept"] = kept
    metadata["checksum"] = _checksum(metadata)
    table = table.replace_schema_metadata({"bat": json.dumps(metadata, allow_nan=False)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def write_torch(path: str | Path, value: dict[str, Any]) -> str:
    """Write tensors and plain values atomically, in torch's format; their digest.

    The digest is part of the file, under the key ``digest``; `checkpoint_files`
    reads it and compares.
    """
    import torch

    digest = values_digest(value)
    # a file object: with a path, the name of the temporary file would be part of the content
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(value | {"digest": digest}, file)
    return digest


# -- digests --------------------------------------------------------------------------------


def column_digest(column: pa.ChunkedArray) -> str:
    """SHA-256 over the values of a column in order, in hex; how it is chunked changes nothing."""
    valid, lengths, values = (hashlib.sha256() for _ in range(3))
    for chunk in column.chunks:
        valid.update(chunk.is_valid().to_numpy(zero_copy_only=False))
        if pa.types.is_binary(chunk.type) or pa.types.is_string(chunk.type):
            _, offsets, data = chunk.buffers()
            ends = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
            lengths.update(np.diff(ends).astype("<i4"))
            if data is not None and len(ends):
                values.update(memoryview(data)[ends[0] : ends[-1]])
        else:
            filled = chunk.fill_null(False if pa.types.is_boolean(chunk.type) else 0)
            array = filled.to_numpy(zero_copy_only=False)
            values.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    parts = (str(column.type), len(column), *(h.hexdigest() for h in (valid, lengths, values)))
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def values_digest(value: Any) -> str:
    """SHA-256 over tensors and plain values, nested in mappings and sequences, in hex."""
    import torch

    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            tensor = value.detach().cpu().contiguous()
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
        elif isinstance(value, Mapping):
            digest.update(f"mapping {len(value)}\n".encode())
            for key, item in value.items():
                add(key)
                add(item)
        elif isinstance(value, list | tuple):
            digest.update(f"sequence {len(value)}\n".encode())
            for item in value:
                add(item)
        else:
            digest.update(f"{type(value).__name__} {value!r}\n".encode())

    add(value)
    return digest.hexdigest()


def table_digest(path: str | Path, kind: str, columns: Sequence[str]) -> str:
    """What stands for some columns of a table in the ``inputs`` of what is made of them.

    The same for equal values in tables that differ in other columns or in their
    metadata, so that a table which is made again with the same values changes
    nothing that depends on it. Taken from the metadata where they hold it; that
    the values fit them is seen when they are read.
    """
    content = read_metadata(path, kind).get("content")
    if content is None:
        return columns_digest(read_table(path, kind, columns=list(columns))[0])
    return _combined({name: content.get(name, "") for name in columns})


def columns_digest(table: pa.Table) -> str:
    """`table_digest` of all columns of a table in memory."""
    return _combined({name: column_digest(table.column(name)) for name in table.column_names})


def _combined(digests: Mapping[str, str]) -> str:
    lines = [f"{name} {digest}" for name, digest in digests.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


COPYING = 300.0
"""Seconds within which the times of files say nothing of their order: a folder that was copied."""


def written_before(path: Path, metadata: Mapping[str, Any], columns: Sequence[str]) -> float:
    """Time at which columns of a table had their values already; infinite where unknown."""
    if "content" not in metadata:
        return path.stat().st_mtime
    kept = metadata.get("kept", {})
    return max(kept.get(name, float("inf")) for name in columns)


def _kept(path: Path, kind: str, metadata: dict) -> dict[str, float]:
    """When columns with these values were first written, where a file of before 0.2.0 has them.

    What was made of such a file does not say so. By its time it is known to be
    of these values, and is not made again.
    """
    try:
        old = read_metadata(path, kind, fingerprint=metadata["fingerprint"])
        if "content" in old:
            times, content = old.get("kept", {}), old["content"]
        else:
            table, _ = read_table(path, kind)
            written = path.stat().st_mtime
            content = {name: column_digest(table.column(name)) for name in table.column_names}
            times = dict.fromkeys(content, written)
    except (ArtifactError, OSError):
        return {}
    return {
        name: times[name]
        for name, digest in metadata["content"].items()
        if name in times and content.get(name) == digest
    }


# -- reading --------------------------------------------------------------------------------


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises
    ------
    ArtifactError
        If the file is missing, or not JSON as `parse_json` takes it.
    """
    regular_file(path, ArtifactError)
    try:
        return parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable JSON file ({error})") from None


def write_label(path: Path, **label: Any) -> None:
    """Write beside a file that has no metadata of its own what it is: its sha256 and a label."""
    content = {"format_version": FORMAT_VERSION, "sha256": sha256_of(path), **label}
    write_json(_label_of(path), signed(content))


def check_label(path: Path, fingerprint: str) -> None:
    """Refuse a file that is not what its label says, where it has one (`write_label`)."""
    if not _label_of(path).exists():
        return
    label = read_signed(_label_of(path))
    if label.get("fingerprint") != fingerprint or label.get("sha256") != sha256_of(path):
        raise ArtifactError(
            f"{path}: is not the file that {_label_of(path).name} beside it speaks of (edited, or "
            f"of other data); {_REMAKE}"
        )


def _label_of(path: Path) -> Path:
    return path.with_suffix(".json")


def signed(content: dict) -> dict:
    """JSON content with a checksum over the rest of it, for `read_signed`."""
    return content | {"checksum": _checksum(content)}


def read_signed(path: str | Path) -> dict:
    """Read a JSON mapping, and compare the checksum that it carries, where it has one.

    Raises
    ------
    ArtifactError
        If the file is missing, no mapping in JSON, or damaged.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ArtifactError(
            f"{path}: holds {type(content).__name__}, expected a mapping of keys; {_REMAKE}"
        )
    checksum = content.pop("checksum", None)
    if checksum is not None and checksum != _checksum(content):
        raise DamagedError(f"{path}: damaged (its content belies its checksum); {_REMAKE}")
    return content


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
        With the columns of the schema; those that may be missing, and are, hold
        nulls.
    metadata : dict
        What the key ``bat`` holds.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, changed after it was written, not ours,
        of another kind, of a newer format, speaks of another data set, or says
        that it is another's than its place says.
    """
    path, schema = Path(path), SCHEMAS[kind]
    metadata = read_metadata(path, kind, fingerprint=fingerprint)
    wanted = columns or schema.names
    _check_growth(path, kind)
    try:
        stored = pq.read_schema(path)
        present = [name for name in wanted if name in stored.names]
        table = pq.read_table(path, columns=present, page_checksum_verification=True)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"{path}: damaged ({_first_line(error)}); {_REMAKE}") from None
    content = metadata.get("content")
    if content is not None:
        for name in present:
            if content.get(name) != column_digest(table.column(name)):
                raise ArtifactError(
                    f"{path}: the values of {name} are not those that the table was written with "
                    f"(edited, or rows changed places or were lost); {_REMAKE}"
                )
    for name in wanted:
        if name not in present:
            nulls = pa.nulls(table.num_rows, schema.field(name).type)
            table = table.append_column(schema.field(name), nulls)
    return table.select(wanted).replace_schema_metadata(None), metadata


def _check_growth(path: Path, kind: str) -> None:
    """Refuse a small file that claims more rows than memory may hold."""
    try:
        n_rows = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged ({_first_line(error)}); {_REMAKE}") from None
    fixed = [f.type for f in SCHEMAS[kind] if pa.types.is_primitive(f.type)]
    grown = n_rows * sum(kind.bit_width for kind in fixed) // 8
    if grown > max(SMALL, MAX_GROWTH * path.stat().st_size):
        raise ArtifactError(
            f"{path}: claims {n_rows:,} rows in {path.stat().st_size:,} bytes, which no table of "
            "ours does; get it from its maker again"
        )


def read_metadata(path: str | Path, kind: str, *, fingerprint: str | None = None) -> dict:
    """The provenance of a table, checked as `read_table` checks it; no data is read."""
    path = regular_file(path, ArtifactError)
    try:
        schema = pq.read_schema(path)
        metadata = parse_json((schema.metadata or {})[b"bat"], longest=MAX_METADATA)
    except KeyError:
        raise ArtifactError(
            f"{path}: has no 'bat' key in its metadata, so nothing says what it holds; "
            f"expected a table of kind {kind!r}"
        ) from None
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise DamagedError(f"{path}: damaged ({_first_line(error)}); {_REMAKE}") from None
    _check_form(path, metadata)
    checksum = metadata.pop("checksum", None)
    if checksum is not None and checksum != _checksum(metadata):
        raise DamagedError(f"{path}: damaged (its metadata belie their checksum); {_REMAKE}")
    if metadata["format_version"] > FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: format version {metadata['format_version']}, and this package reads up to "
            f"{FORMAT_VERSION}; install a newer version of bat"
        )
    if metadata["kind"] != kind:
        raise ArtifactError(
            f"{path}: holds a table of kind {metadata.get('kind')!r:.80}, expected {kind!r}"
        )
    _check_columns(path, kind, schema)
    if fingerprint is not None and metadata["fingerprint"] != fingerprint:
        raise ArtifactError(
            f"{path}: speaks of the data set with fingerprint {metadata.get('fingerprint')!s:.80}, "
            f"and the one in use is {fingerprint}: other images, labels, or order. "
            "Use the table of this data set, or prepare the data as the table's maker did"
        )
    check_identity(path, metadata)
    return metadata


_FORM: Expected = {
    "format_version": (int,),
    "kind": (str,),
    "recipe": (dict,),
    "identity": (dict,),
    "inputs": (dict,),
    "content": (dict,),
    "kept": (dict,),
}
_ALWAYS = ("format_version", "kind", "fingerprint", "recipe")


def _check_form(path: Path, metadata: Any) -> None:
    """Refuse metadata whose keys are not of the types that readers rely on."""
    if not isinstance(metadata, dict):
        raise ArtifactError(
            f"{path}: its metadata are {type(metadata).__name__}, expected a mapping; {_REMAKE}"
        )
    missing = [key for key in _ALWAYS if key not in metadata]
    if missing:
        raise ArtifactError(f"{path}: its metadata have no {' and no '.join(missing)}; {_REMAKE}")
    check_values(str(path), metadata, _FORM, ArtifactError)


def _check_columns(path: Path, kind: str, schema: pa.Schema) -> None:
    """Refuse a file without a column that must be there, or with another type of one."""
    expected = SCHEMAS[kind]
    twice = len(set(schema.names)) != len(schema.names)
    wrong = twice or [
        field
        for field in expected
        if (field.name not in schema.names and field.name not in NULLABLE.get(kind, ()))
        or (field.name in schema.names and schema.field(field.name).type != field.type)
    ]
    if wrong:
        found = ", ".join(f"{f.name}: {f.type}" for f in schema)
        words = ", ".join(f"{f.name}: {f.type}" for f in expected)
        raise ArtifactError(f"{path}: has columns ({found}), expected ({words})")


class MisplacedError(ArtifactError):
    """A file that says it is another's than the one whose place it lies in."""


_PLACES = [
    re.compile(pattern)
    for pattern in (
        r"/(?P<architecture>[^/]+)/(?:evaluations|poisoning|representation)/(?P<run>[^/]+)"
        r"/seed(?P<seed>\d+)\.\w+$",
        r"/(?P<architecture>[^/]+)/runs/(?P<run>[^/]+)/seed(?P<seed>\d+)"
        r"/(?:(?P<checkpoint>best|last|resume)\.pt|history\.\w+)$",
        r"/trials/(?P<architecture>[^/]+)-(?P<first>\d{6})-(?P<last>\d{6})\.parquet$",
        r"/groups/(?P<split>train|test)\.parquet$",
    )
]


def place_of(path: str | Path) -> dict[str, Any]:
    """What a file's place below a results folder says of it.

    Returns
    -------
    dict
        Those of ``architecture``, ``run``, ``seed``, ``checkpoint``, ``split``,
        ``first`` and ``last`` that the place tells; empty anywhere else.

    Examples
    --------
    >>> place_of("results/digits/small_cnn/runs/bat-1-0.2/seed3/best.pt")
    {'architecture': 'small_cnn', 'run': 'bat-1-0.2', 'seed': 3, 'checkpoint': 'best'}
    """
    for pattern in _PLACES:
        found = pattern.search(Path(path).absolute().as_posix())
        if found:
            said = {key: value for key, value in found.groupdict().items() if value is not None}
            return said | {key: int(said[key]) for key in ("seed", "first", "last") if key in said}
    return {}


def check_identity(path: str | Path, metadata: Mapping[str, Any]) -> None:
    """Refuse a file that says it is another's than its place says; unsaid is unasked.

    Parameters
    ----------
    path : path
    metadata : mapping
        Of the file: what it says under ``identity`` counts, or where that is
        missing (version 0.1.0) what its recipe says.

    Raises
    ------
    MisplacedError
    """
    recipe, expected = metadata.get("recipe"), place_of(path)
    recipe = recipe if isinstance(recipe, dict) else {}
    # the seed of attacks or subsets is no run's
    said = metadata | (recipe if "run" in recipe else {k: recipe[k] for k in recipe if k != "seed"})
    said |= metadata.get("identity") or {}
    wrong = [key for key, value in expected.items() if key in said and said[key] != value]
    if wrong:
        found = ", ".join(f"{key} {said[key]}" for key in wrong)
        words = ", ".join(f"{key} {expected[key]}" for key in wrong)
        raise MisplacedError(
            f"{path}: says that it is of {found}, and it lies in the place of {words}: a file was "
            f"put in another's place. Put the right one back, or {_REMAKE}"
        )


def check_inputs(
    path: Path, metadata: Mapping[str, Any], present: Mapping[str, str], *, what: str = "it"
) -> None:
    """Refuse a file that was made of other inputs than the present ones.

    Parameters
    ----------
    path : path
        For the message.
    metadata : mapping
        Of the file; inputs that it does not name are not asked for.
    present : mapping of str to str
        Digests by name.
    what : str
        What the message calls the content.
    """
    changed = changed_inputs(metadata, present)
    if changed:
        raise ArtifactError(
            f"{path}: {what} was made of other {' and '.join(changed)} than those that lie there "
            "now; run the workflow, which makes it again"
        )


def changed_inputs(metadata: Mapping[str, Any], present: Mapping[str, str]) -> list[str]:
    """Names of the inputs that a file was made of in another state than the present one."""
    inputs = metadata.get("inputs") or {}
    return [name for name, digest in present.items() if inputs.get(name, digest) != digest]


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
    with open(regular_file(path, ArtifactError), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""What a table says of itself, read and checked; no data is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bat.errors import REMAKE, ArtifactError, DamagedError
from bat.files.digests import json_digest
from bat.files.identity import check_identity
from bat.files.schemas import FORMAT_VERSION, NULLABLE, SCHEMAS
from bat.reading import Expected, check_values, parse_json, regular_file

MAX_METADATA = 1 << 20  # characters of the JSON in a table


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
        raise DamagedError(f"{path}: damaged ({first_line(error)}); {REMAKE}") from None
    _check_form(path, metadata)
    checksum = metadata.pop("checksum", None)
    if checksum is not None and checksum != json_digest(metadata):
        raise DamagedError(f"{path}: damaged (its metadata belie their checksum); {REMAKE}")
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
            f"{path}: its metadata are {type(metadata).__name__}, expected a mapping; {REMAKE}"
        )
    missing = [key for key in _ALWAYS if key not in metadata]
    if missing:
        raise ArtifactError(f"{path}: its metadata have no {' and no '.join(missing)}; {REMAKE}")
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


def first_line(error: Exception) -> str:
    """What an error says, without the lines below the first."""
    return (str(error) or type(error).__name__).splitlines()[0]

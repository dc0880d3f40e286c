"""Tables that stages hand to each other, written with their provenance, read with checks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import bat
from bat.errors import REMAKE, ArtifactError, DamagedError
from bat.files.digests import column_digest, columns_digest, combined, json_digest
from bat.files.metadata import first_line, read_metadata
from bat.files.schemas import FORMAT_VERSION, LEFT_OUT, SCHEMAS, schema_of
from bat.files.writing import atomic_path

MAX_GROWTH, SMALL = 1000, 1 << 26  # how many times its file a table may grow; bytes that any may


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
        Columns by name, in the schema's order. Those of ``LEFT_OUT`` may be missing.
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
    table = _table(kind, schema_of(kind, recipe), columns)
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
    metadata["checksum"] = json_digest(metadata)
    table = table.replace_schema_metadata({"bat": json.dumps(metadata, allow_nan=False)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def _table(kind: str, schema: pa.Schema, columns: dict[str, Any] | pa.Table) -> pa.Table:
    """The columns of a kind, without those that a file leaves out where they are empty."""
    optional = LEFT_OUT.get(kind, set())
    given = columns.column_names if isinstance(columns, pa.Table) else columns
    schema = pa.schema([f for f in schema if f.name not in optional or f.name in given])
    if isinstance(columns, pa.Table):
        table = columns.cast(schema)
    else:
        table = pa.table(
            [pa.array(columns[field.name], type=field.type) for field in schema], schema=schema
        )
    empty = [n for n in schema.names if n in optional and table[n].null_count == table.num_rows]
    return table.drop_columns(empty)


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
    path = Path(path)
    metadata = read_metadata(path, kind, fingerprint=fingerprint)
    schema = schema_of(kind, metadata["recipe"])
    wanted = columns or schema.names
    _check_growth(path, kind)
    try:
        stored = pq.read_schema(path)
        present = [name for name in wanted if name in stored.names]
        table = pq.read_table(path, columns=present, page_checksum_verification=True)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"{path}: damaged ({first_line(error)}); {REMAKE}") from None
    content = metadata.get("content")
    if content is not None:
        for name in wanted:
            values = column_digest(table.column(name)) if name in present else None
            if content.get(name) != values:
                raise ArtifactError(
                    f"{path}: the values of {name} are not those that the table was written with "
                    f"(edited, or rows changed places or were lost); {REMAKE}"
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
        raise ArtifactError(f"{path}: damaged ({first_line(error)}); {REMAKE}") from None
    fixed = [f.type for f in SCHEMAS[kind] if pa.types.is_primitive(f.type)]
    grown = n_rows * sum(kind.bit_width for kind in fixed) // 8
    if grown > max(SMALL, MAX_GROWTH * path.stat().st_size):
        raise ArtifactError(
            f"{path}: claims {n_rows:,} rows in {path.stat().st_size:,} bytes, which no table of "
            "ours does; get it from its maker again"
        )


def empty_rows(path: str | Path, kind: str, name: str) -> int:
    """How many rows of a table have no value in a column, where its footer tells.

    Parameters
    ----------
    path : path-like
    kind : str
    name : str
        The column; where the file has none of the name, no row has a value.

    Raises
    ------
    ArtifactError
        As `read_metadata` does; the values are not read.
    """
    read_metadata(path, kind)
    footer = pq.read_metadata(path)
    names = footer.schema.names
    if name not in names:
        return footer.num_rows
    groups = [footer.row_group(at).column(names.index(name)) for at in range(footer.num_row_groups)]
    return sum(one.statistics.null_count or 0 for one in groups if one.statistics is not None)


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
    return combined({name: content.get(name, "") for name in columns})


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


def column(table: pa.Table, name: str) -> np.ndarray:
    """A column as a numpy array."""
    return table.column(name).to_numpy()

"""Digests: of files, of JSON, of columns and tables in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bat.errors import ArtifactError
from bat.reading import regular_file


def checksum_of(path: str | Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file of ours, in hex; what is no regular file is an `ArtifactError`."""
    return checksum_of(regular_file(path, ArtifactError))


def json_digest(value: Any) -> str:
    """SHA-256 of a value in JSON, in hex; the order of keys changes nothing."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


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


def columns_digest(table: pa.Table) -> str:
    """`table_digest` of all columns of a table in memory."""
    return combined({name: column_digest(table.column(name)) for name in table.column_names})


def combined(digests: Mapping[str, str]) -> str:
    """One digest for those of several columns, by name."""
    lines = [f"{name} {digest}" for name, digest in digests.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

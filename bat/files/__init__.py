"""Files that stages hand to each other, and files from elsewhere: formats and checks.

A Parquet file of ours carries one metadata key, ``bat``: JSON with the format
version, the kind of table, the data set's fingerprint, the recipe, the package
version and the command; whose the file is (``identity``: data set, architecture,
run, seed, split), what it was made of (``inputs``: a digest by name) and a digest
of each column's values (``content``). Pages carry checksums, and so does that
JSON, since Parquet has none for its metadata. All of it is verified on reading.
Files of version 0.1.0 lack the last three; what their recipe says is checked.
"""

from bat.files.digests import checksum_of, column_digest, columns_digest, json_digest, sha256_of
from bat.files.documents import check_label, read_json, read_signed, signed, write_json, write_label
from bat.files.identity import changed_inputs, check_identity, check_inputs, place_of
from bat.files.metadata import MAX_METADATA, read_metadata
from bat.files.schemas import (
    ATTACKS,
    FLAGS,
    FORMAT_VERSION,
    LEFT_OUT,
    MASKING,
    NO_SOURCE,
    NULLABLE,
    PREDICTED,
    SCHEMAS,
    STATISTICS,
    schema_of,
)
from bat.files.tables import (
    COPYING,
    column,
    empty_rows,
    read_table,
    table_digest,
    write_table,
    written_before,
)
from bat.files.tensors import values_digest, write_torch
from bat.files.writing import atomic_path, remove_leftovers, write_bytes

__all__ = [
    "ATTACKS",
    "COPYING",
    "FLAGS",
    "FORMAT_VERSION",
    "LEFT_OUT",
    "MASKING",
    "MAX_METADATA",
    "NO_SOURCE",
    "NULLABLE",
    "PREDICTED",
    "SCHEMAS",
    "STATISTICS",
    "atomic_path",
    "changed_inputs",
    "check_identity",
    "check_inputs",
    "check_label",
    "checksum_of",
    "column",
    "column_digest",
    "columns_digest",
    "empty_rows",
    "json_digest",
    "place_of",
    "read_json",
    "read_metadata",
    "read_signed",
    "read_table",
    "remove_leftovers",
    "schema_of",
    "sha256_of",
    "signed",
    "table_digest",
    "values_digest",
    "write_bytes",
    "write_json",
    "write_label",
    "write_table",
    "write_torch",
    "written_before",
]

"""Parquet files of images, as on the Hugging Face hub."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bat.data.decoding import CHUNK
from bat.data.images import image_arrays
from bat.data.layouts import parquet_shards
from bat.data.raw import Progress, RawData, source_name
from bat.data.revisions import shard_names
from bat.data.sources.registry import source
from bat.errors import DataError
from bat.escaping import shown
from bat.files.archives import state_of

if TYPE_CHECKING:
    from bat import config


@source("parquet")
def read(config: config.ParquetData, progress: Progress, workers: int) -> RawData:
    """Decode the images of all shards, in the order of `parquet_shards`, then of their rows."""
    shards, notes = parquet_shards(config)
    states = {name: state_of(path) for name, path in shard_names(shards).items()}
    labels, class_names = parquet_labels(shards, config)
    fields = image_arrays(
        itertools.chain.from_iterable(
            parquet_images(path, config.image_column) for paths in shards.values() for path in paths
        ),
        labels,
        class_names,
        config,
        config.channels,
        progress,
        workers,
        ["a Parquet copy: pixels and order of rows may differ from the official files", *notes],
        parquet_names(itertools.chain(*shards.values()), config.image_column),
    )
    files = [
        {"name": shown(path.name), "bytes": state.bytes, "sha256": state.sha256}
        for path, state in zip(itertools.chain(*shards.values()), states.values(), strict=True)
    ]
    return RawData(**fields, files=files, states=states)


def parquet_labels(
    shards: dict[str, list[Path]], config: config.ParquetData
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The labels of each split as positions (int64) among the class names, and these names."""
    values = {split: _labels(paths, config) for split, paths in shards.items()}
    class_names = _classes(shards, config.label_column)
    if class_names is None:
        classes, values["train"] = np.unique(values["train"], return_inverse=True)
        if "test" in values:
            values["test"] = _positions(values["test"], classes, config)
        class_names = tuple(map(str, classes))
    elif any(v.dtype.kind not in "iu" for v in values.values()):
        raise DataError(
            f"{source_name(config)}: column {config.label_column!r} must hold integers, since the "
            "metadata name the classes"
        )
    return {split: v.astype(np.int64) for split, v in values.items()}, class_names


def _positions(values: np.ndarray, classes: np.ndarray, config: config.ParquetData) -> np.ndarray:
    """The position of each test label among the training classes."""
    if values.dtype.kind == "U" and classes.dtype.kind != "U":
        unknown = np.unique(values)
    else:
        unknown = np.setdiff1d(values, classes)
    if len(unknown):
        raise DataError(
            f"{source_name(config)}: test labels {unknown[:5].tolist()} do not occur in the "
            "training set; training and test classes must be the same"
        )
    return np.searchsorted(classes, values)


@contextlib.contextmanager
def _opened(path: Path, column: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise DataError(
                    f"{shown(path)} has no column {column!r}; it has "
                    f"{', '.join(map(repr, file.schema_arrow.names))}. Set data.image_column and "
                    "data.label_column"
                )
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{shown(path)} cannot be read as Parquet ({error}): truncated or damaged; get it again"
        ) from None


def _labels(paths: list[Path], config: config.ParquetData) -> np.ndarray:
    import pyarrow.types as types

    parts: dict[str, list[np.ndarray]] = {}  # by kind: integers or strings
    first = {}
    for path in paths:
        with _opened(path, config.label_column) as file:
            column = file.read([config.label_column]).column(0)
        kind = column.type
        leaf = kind.value_type if types.is_dictionary(kind) else kind
        what = "integers" if types.is_integer(leaf) else "strings"
        if types.is_nested(leaf):
            raise DataError(
                f"{shown(path)}: column {config.label_column!r} holds {kind}, a list or struct for "
                "each image; expected one label, an integer or a string. Write a column with one "
                "class for each image, or name another with data.label_column"
            )
        if what == "strings" and not _is_text(leaf):
            raise DataError(
                f"{shown(path)}: column {config.label_column!r} holds {kind}; expected integers "
                "or strings"
            )
        if column.null_count:
            raise DataError(
                f"{shown(path)}: {column.null_count} rows without a label in "
                f"{config.label_column!r}; remove these rows"
            )
        if len(column):
            first.setdefault(what, path)
            parts.setdefault(what, []).append(np.array(column.to_pylist()))
    if len(parts) > 1:
        raise DataError(
            f"{shown(first['integers'])} holds integers in {config.label_column!r}, and "
            f"{shown(first['strings'])} strings; they are not parts of one data set"
        )
    if not parts:
        raise DataError(f"{', '.join(map(shown, paths[:3]))}: no rows; check the path")
    return np.concatenate(next(iter(parts.values())))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _classes(shards: dict[str, list[Path]], column: str) -> tuple[str, ...] | None:
    """The class names in the metadata of the shards; not every shard needs them."""
    found: dict[tuple[str, ...], Path] = {}
    for path in itertools.chain(*shards.values()):
        names = _huggingface_names(path, column)
        if names is not None:
            found.setdefault(names, path)
    if len(found) > 1:
        (one, first), (two, second) = list(found.items())[:2]
        raise DataError(
            f"{shown(first)} and {shown(second)} name different classes in their metadata "
            f"({one} and {two}); they are not parts of one data set"
        )
    return next(iter(found), None)


def _huggingface_names(path: Path, column: str) -> tuple[str, ...] | None:
    with _opened(path, column) as file:
        metadata = file.schema_arrow.metadata or {}
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) else None


def parquet_images(path: Path, column: str) -> Iterator[tuple[str, bytes]]:
    """Where each image of a shard lies, for messages, and its bytes, in the order of the rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    row = 0
    with _opened(path, column) as file:
        kind = file.schema_arrow.field(column).type
        nested = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        leaf = kind.field("bytes").type if nested else kind
        if not _is_bytes(leaf.value_type if pa.types.is_dictionary(leaf) else leaf):
            raise DataError(
                f"{shown(path)}: column {column!r} holds {kind}; expected binary, or a struct "
                "with bytes"
            )
        for batch in file.iter_batches(batch_size=4 * CHUNK, columns=[column]):
            blobs = pc.struct_field(batch.column(0), "bytes") if nested else batch.column(0)
            for blob in blobs.to_pylist():
                if blob is None:
                    raise DataError(
                        f"{shown(path)}: row {row} holds no image bytes; images must be inside "
                        "the file"
                    )
                yield f"{shown(path)}: row {row}", blob
                row += 1


def parquet_names(paths: Iterable[Path], column: str) -> list[str] | None:
    """The path that each image's struct has beside its bytes, in order; None where none has any."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names: list[str] = []
    for path in paths:
        with _opened(path, column) as file:
            kind = file.schema_arrow.field(column).type
            given = pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
            if not given or not _is_text(kind.field("path").type):
                names += [""] * file.metadata.num_rows
                continue
            of_shard = pc.struct_field(file.read([f"{column}.path"]).column(0), "path")
            names += [name or "" for name in of_shard.to_pylist()]
    return names if any(names) else None


def _is_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    return (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )

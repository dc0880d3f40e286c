"""File names of samples, where the source has any: what people know images by.

They lie beside the arrays in ``names.parquet`` and are no part of what the data set is: folders
without the file are as valid, and nothing is computed from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bat.data.prepared import PreparedData
from bat.data.raw import RawData
from bat.errors import DataError
from bat.files import atomic_path, columns_digest
from bat.files.metadata import first_line
from bat.reading import parse_json, regular_file

NAMES = "names.parquet"

REMOVE = "remove it: nothing is computed from it, and the data are as valid without"

Names = Mapping[str, Sequence[str]]


def names_of(raw: RawData, arrays: Mapping[str, np.ndarray]) -> Names | None:
    """The names of the samples that were kept, by split, in the order of the prepared arrays.

    Parameters
    ----------
    raw : RawData
    arrays : mapping of str to ndarray
        With the source index of each split.

    Returns
    -------
    mapping of str to sequence of str, or None
        None where the source has no names.
    """
    if raw.names is None:
        return None
    found = {}
    for split, names in raw.names.items():
        rows = getattr(raw, f"{split}_source_index")
        rows = np.arange(len(names)) if rows is None else rows
        order = np.argsort(rows)
        places = order[np.searchsorted(rows[order], arrays[f"{split}_source_index"])]
        found[split] = [names[place] for place in places]
    return found


def write_names(folder: Path, names: Names | None, fingerprint: str) -> None:
    """Write the names into a prepared folder, or take away those of before.

    Parameters
    ----------
    folder : path
    names : mapping of str to sequence of str, or None
        By split.
    fingerprint : str
        Of the data set.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / NAMES
    if names is None:
        path.unlink(missing_ok=True)
        return
    table = pa.table(
        {
            "split": [split for split in names for _ in names[split]],
            "index": pa.array([i for split in names for i in range(len(names[split]))], pa.int32()),
            "name": pa.array([name for split in names for name in names[split]], pa.string()),
        }
    )
    about = {"kind": "names", "fingerprint": fingerprint, "content": columns_digest(table)}
    table = table.replace_schema_metadata({"bat": json.dumps(about)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_names(prepared: PreparedData) -> Names | None:
    """The names of the samples of prepared data, by split; None where there are none.

    Raises
    ------
    DataError
        If the file is damaged, or of other data.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = prepared.folder / NAMES
    if not os.path.lexists(path):
        return None
    regular_file(path, DataError)
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        about = parse_json((table.schema.metadata or {}).get(b"bat", b"{}"))
        stated = about["fingerprint"], about["content"]
        names = {
            split: table.filter(pc.field("split") == split).column("name").to_pylist()
            for split in ("train", "test")
        }
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: damaged ({first_line(error)}); {REMOVE}") from None
    except (KeyError, TypeError):
        raise DataError(f"{path} does not say of which data it is; {REMOVE}") from None
    counts = [len(names[split]) for split in names]
    expected = [prepared.info["n_train"], prepared.info["n_test"]]
    if stated != (prepared.fingerprint, columns_digest(table)) or counts != expected:
        raise DataError(f"{path} was changed, or names the images of other data; {REMOVE}")
    return names

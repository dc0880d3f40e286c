"""Tables read as they are used, each against the rules of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bat import files
from bat.data import PreparedData
from bat.errors import ArtifactError, MisplacedError
from bat.files import read_table
from bat.progress import log
from bat.reading import lies_there
from bat.validation.kinds import CHECKS, SPLIT, kind_of
from bat.validation.metadata import check_metadata
from bat.validation.rows import Rows


def read_checked(
    path: Path,
    kind: str,
    prepared: PreparedData | None,
    *,
    without: Sequence[str] = (),
    fingerprint: str | None = None,
) -> tuple[pa.Table, dict]:
    """Read one table of a known kind and check everything that it promises by itself.

    Parameters
    ----------
    path : path
    kind : str
        A key of `bat.files.SCHEMAS`.
    prepared : PreparedData or None
        The data set in use; a table of another one is refused.
    without : sequence of str
        Columns that are not read, and that no rule asks for.
    fingerprint : str, optional
        Of the data set in use, where ``prepared`` is None since its arrays may be missing.

    Returns
    -------
    table : pyarrow.Table
    metadata : dict

    Raises
    ------
    ArtifactError
        If it is damaged, another's, or breaks a rule of its kind.
    """
    fingerprint = prepared.fingerprint if prepared else fingerprint
    metadata = files.read_metadata(path, kind, fingerprint=fingerprint)
    check_metadata(path, kind, metadata)
    split = files.place_of(path).get("split") if kind == "groups" else SPLIT.get(kind)
    if prepared and split:
        found, expected = pq.read_metadata(path).num_rows, prepared.info[f"n_{split}"]
        if found != expected:
            raise ArtifactError(
                f"{path}: {found} rows, and the data set has {expected} samples; it belongs to "
                "another data set, or rows were lost"
            )
    names = files.schema_of(kind, metadata["recipe"]).names
    columns = [name for name in names if name not in without]
    table, _ = read_table(path, kind, columns=columns)
    if kind in CHECKS:
        CHECKS[kind](Rows(path, table), metadata, prepared)
    return table, metadata


def check_table(path: Path, prepared: PreparedData | None = None) -> tuple[str, pa.Table, dict]:
    """Read one table and check everything that it promises by itself.

    Parameters
    ----------
    path : path
    prepared : PreparedData, optional

    Returns
    -------
    kind : str
        A key of `bat.files.SCHEMAS`.
    table : pyarrow.Table
    metadata : dict

    Raises
    ------
    ArtifactError
        If it is damaged, or breaks a rule of its kind.
    """
    kind = kind_of(path)
    return kind, *read_checked(path, kind, prepared)


def made_already(
    path: Path,
    kind: str,
    prepared: PreparedData,
    *,
    recipe: dict,
    inputs: Mapping[str, str],
    before: Callable[[dict], bool],
) -> pa.Table | None:
    """The table that lies there already, where it is what would be made now.

    Parameters
    ----------
    path, kind, prepared
        As for `read_checked`.
    recipe : dict
        That it must have been made by.
    inputs : mapping of str to str
        Digests of what it would be made of now.
    before : callable
        Whether the metadata of a table of version 0.1.0, which names no inputs,
        are of the present ones.

    Returns
    -------
    pyarrow.Table, or None
        None where it is to be made, which the log says if something lies there.

    Raises
    ------
    MisplacedError
        If a file of another run lies there; it is not overwritten.
    """
    if not lies_there(path):
        return None
    try:
        table, metadata = read_checked(path, kind, prepared)
    except MisplacedError:
        raise
    except ArtifactError as error:
        log.warning("%s; made again", error)
        return None
    changed = files.changed_inputs(metadata, inputs)
    if "inputs" not in metadata and not before(metadata):
        changed = list(inputs)
    if metadata["recipe"] != recipe:
        changed.append("settings")
    if changed:
        log.info("%s: of other %s; made again", path, " and ".join(changed))
        return None
    path.touch()
    log.info("%s: there already", path)
    return table

"""Whether the files that something was made of are still the files that lie there.

A folder of results has beside it ``sources.json``: name, size, time and sha256
of every file that was read. Sizes and times are compared on each reading of the
configuration; only files where these differ are read. Content that changed
gives the specification of the stage a new key, so that the stage runs again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bat.data.layouts import below_pattern, image_folder, parquet_shards
from bat.errors import ArtifactError, DataError
from bat.files.archives import FileState, state_of
from bat.files.documents import read_json, write_json

if TYPE_CHECKING:
    from bat import config

RECORD = "sources.json"
COLUMNS = ("name", *FileState._fields)


def write_record(folder: Path, files: Mapping[str, FileState], revision: str | None) -> None:
    """Record what was read, beside what was made of it.

    Parameters
    ----------
    folder : path
        Where ``sources.json`` is written.
    files : mapping of str to FileState
        By the names of `data_files` or `score_files`. Without any there is no
        record, and one that is there is removed.
    revision : str, optional
        What the specification said, so that the next reading says the same.
    """
    if not files:
        (folder / RECORD).unlink(missing_ok=True)
        return
    names = sorted(files)
    states = zip(*(files[name] for name in names), strict=True)
    columns = dict(zip(COLUMNS, [names, *map(list, states)], strict=True))
    value = {"format_version": 1, "revision": revision, "files": columns}
    write_json(folder / RECORD, value)


def read_record(folder: Path) -> tuple[dict[str, FileState], str | None] | None:
    """The files and the revision that are recorded; None where nothing is.

    Raises
    ------
    ArtifactError
        If the record is damaged.
    """
    path = folder / RECORD
    if not os.path.lexists(path):
        return None
    try:
        value = read_json(path)
        columns, revision = value["files"], value["revision"]
        names, *states = (columns[name] for name in COLUMNS)
        files = dict(zip(names, map(FileState, *states), strict=True))
        return files, None if revision is None else str(revision)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtifactError(f"{path}: no record of files ({error!r})") from None


def data_revision(config: config.Data, folder: Path) -> dict[str, str]:
    """What the specification of a data set says beside its settings; writes nothing.

    Parameters
    ----------
    config : bat.config.Data
    folder : path
        Of the prepared data.

    Returns
    -------
    dict
        ``{"sources": revision}`` where the files changed since they were first
        prepared, else empty.
    """
    return _revision(folder, lambda recorded: data_files(config, recorded), _places(config))


def scores_revision(source: str, folder: Path) -> dict[str, str]:
    """The same for score tables taken from a file or folder, into ``folder``."""
    if "://" in source:
        return {}  # its checksum is configured
    return _revision(folder, lambda recorded: score_files(Path(source)), [Path(source)])


def _revision(folder: Path, listing: Any, places: list[Path]) -> dict[str, str]:
    try:
        record = read_record(folder)
    except ArtifactError:
        return {"sources": "the record was damaged"}
    if record is None:
        return {}
    recorded, revision = record
    found = _compare(recorded, listing, places)
    revision = revision if found is None else found
    return {} if revision is None else {"sources": revision}


def _compare(recorded: dict[str, FileState], listing: Any, places: list[Path]) -> str | None:
    """A digest of the content that lies there; None where it is the recorded one."""
    try:
        present = listing(recorded)
        digests = {name: _digest(path, recorded.get(name)) for name, path in present.items()}
    except (DataError, OSError) as error:
        if not any(map(_is_there, places)):
            return None  # the source is away, and what was made of it is still of it
        return hashlib.sha256(os.fsencode(str(error))).hexdigest()  # the stage says what is wrong
    if digests == {name: state.sha256 for name, state in recorded.items()}:
        return None
    lines = (os.fsencode(f"{name}\n{digests[name]}\n") for name in sorted(digests))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _is_there(path: Path) -> bool:
    """Whether a source is there at all; an empty folder is a place where it was mounted."""
    return any(path.iterdir()) if path.is_dir() else os.path.lexists(path)


def _digest(path: str | Path, known: FileState | None) -> str:
    found = os.stat(path)
    if known and (found.st_size, found.st_mtime_ns) == (known.bytes, known.mtime_ns):
        return known.sha256
    return state_of(Path(path)).sha256


def _places(config: config.Data) -> list[Path]:
    """Files and folders that the configuration names; of a pattern the folder that it is in."""
    if config.source == "parquet":
        return [below_pattern(path) for path in (*config.train, *(config.test or ()))]
    return [config.path] if hasattr(config, "path") else []


def data_files(config: config.Data, recorded: Mapping[str, FileState]) -> Mapping[str, str | Path]:
    """The files that a data set is read from, under the names of the record."""
    files = _source_files(config, recorded)
    return files if config.drop is None else {**files, f"drop/{config.drop.name}": config.drop}


def _source_files(
    config: config.Data, recorded: Mapping[str, FileState]
) -> Mapping[str, str | Path]:
    if config.source == "image_folder":
        layout = image_folder(config.path, held_out=config.held_out is not None)
        # strings: a Path for each of 100,000 images takes a second
        return {n: f"{config.path}/{n}" for names in layout.images.values() for n in names}
    if config.source == "parquet":
        return shard_names(parquet_shards(config)[0])
    if config.source == "tiny_imagenet":
        if config.path.is_dir():  # what is read there is fixed by its own lists
            names = (name for name in recorded if not name.startswith("drop/"))
            return {name: config.path / name for name in names}
        return {config.path.name: config.path}
    return {}  # torchvision's files have checksums of their own


def shard_names(shards: dict[str, list[Path]]) -> dict[str, Path]:
    """Parquet shards by names that stay where the folder is moved."""
    return {
        f"{split}/{number}/{path.name}": path
        for split, paths in shards.items()
        for number, path in enumerate(paths)
    }


def score_files(source: Path) -> dict[str, Path]:
    """Files that score tables are taken from: an archive, or the tables of a folder."""
    if not source.is_dir():
        return {source.name: source}
    folders = [source, *(source / name for name in ("scores", "data") if (source / name).is_dir())]
    return {
        path.relative_to(source).as_posix(): path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in (".parquet", ".csv", ".npz", ".npy", ".json")
        and path.is_file()
        and path.name != RECORD
        and not path.name.endswith(("_images.npy", "_labels.npy"))
    }

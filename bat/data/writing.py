"""A prepared folder put in its place, complete at every moment that it exists."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bat.data.fingerprints import digest_of
from bat.data.names import NAMES, Names, write_names
from bat.data.prepared import ARRAYS, INFO, load, open_array
from bat.data.revisions import RECORD, write_record
from bat.errors import DataError
from bat.files.archives import FileState, sync


def write_folder(
    out: Path,
    arrays: dict[str, np.ndarray],
    info: dict,
    states: Mapping[str, FileState],
    revision: str | None,
    names: Names | None,
) -> None:
    """Write arrays and ``dataset.json`` beside ``out``, then have them take its place.

    Parameters and errors as for `bat.data.prepare`; ``states`` are those of the source's files,
    ``names`` those of the samples.
    """
    if _holds(out, info):
        write_record(out, states, revision)
        write_names(out, names, info["fingerprint"])
        return
    _refuse_foreign(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out)
    new = _sibling(out)
    new.mkdir()
    try:
        for name, array in arrays.items():
            if _keep_array(out, new, name, info["arrays"][name]["sha256"]):
                continue
            with open(new / f"{name}.npy", "wb") as file:
                np.save(file, array, allow_pickle=False)
                sync(file)
        write_record(new, states, revision)
        write_names(new, names, info["fingerprint"])
        with open(new / INFO, "w", encoding="utf-8") as file:
            file.write(json.dumps(info, indent=1, allow_nan=False) + "\n")
            sync(file)
        _replace_folder(new, out, info)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _keep_array(out: Path, new: Path, name: str, sha256: str) -> bool:
    """Take over an array that is there already, file and time, where it has these values."""
    try:
        if digest_of(open_array(out, name)) != sha256:
            return False
        os.link(out / f"{name}.npy", new / f"{name}.npy")
    except (DataError, OSError):  # also a file system without hard links
        return False
    return True


def _replace_folder(new: Path, out: Path, info: dict) -> None:
    """Rename ``new`` to ``out``; a second writer of the same content may come first."""
    while True:
        try:
            os.rename(new, out)  # replaces nothing but an empty folder
        except OSError:
            if _holds(out, info):
                return
            old = _sibling(out)
            with contextlib.suppress(FileNotFoundError):
                os.rename(out, old)
            shutil.rmtree(old, ignore_errors=True)
        else:
            descriptor = os.open(out.parent, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            return


def _holds(out: Path, info: dict) -> bool:
    try:
        return load(out, verify=True).info == json.loads(json.dumps(info))
    except DataError:
        return False


def _refuse_foreign(out: Path) -> None:
    try:
        names = sorted(os.listdir(out))
    except FileNotFoundError:  # also for the moment in which another writer replaces it
        return
    except NotADirectoryError:
        raise DataError(
            f"{out} is a file; the prepared data set needs a folder of that name"
        ) from None
    own = {INFO, RECORD, NAMES, *(f"{name}.npy" for name in ARRAYS)}
    ours = re.compile(rf"\.snake.*|\.({'|'.join(map(re.escape, (INFO, RECORD, NAMES)))})\..*\.tmp")
    foreign = [name for name in names if name not in own and not ours.fullmatch(name)]
    if foreign:
        raise DataError(
            f"{out} holds {foreign[0]!r}, which is no part of a prepared data set; choose "
            "another folder, or move that away"
        )


def _sibling(out: Path) -> Path:
    return out.with_name(f".{out.name}.{os.urandom(6).hex()}.tmp")


def _remove_abandoned(out: Path) -> None:
    """Remove what a killed process left, an hour or more ago."""
    for path in out.parent.glob(f".{out.name}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > 3600:
                shutil.rmtree(path, ignore_errors=True)

"""Files of a data set as they lie there: folders and zips, read with care.

Nothing is unpacked: members of a zip are read in place, after the whole archive
was found safe.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

from bat.errors import DataError
from bat.escaping import shown
from bat.files.digests import checksum_of
from bat.files.zips import DAMAGED, Limits, open_zip
from bat.reading import is_visible

MAX_FILE = 256 * 2**20  # bytes of one image file or member of an archive
MAX_ARCHIVE = 8 * 2**30  # bytes of all members of an archive, unpacked
MAX_MEMBERS = 150_000  # of an archive; Tiny ImageNet has some 120,000
MAX_DEPTH = 4  # of folders below the one that is given


class FileState(NamedTuple):
    """A file as it was when it was read."""

    bytes: int
    mtime_ns: int
    sha256: str


def file_record(path: Path) -> dict:
    """Name, size and sha256 of a file, as ``dataset.json`` records it."""
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": checksum_of(path),
    }


KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def refuse_other(path: Path) -> None:
    """Refuse what is no file by what it is, before it is opened: some would block for ever."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        what = f"no file that can be opened ({error.strerror})"
        if path.is_symlink():
            what = f"a link that leads to no file ({error.strerror})"
    else:
        if kind == stat.S_IFREG:
            return
        what = f"{KINDS.get(kind, 'something special')}, no file"
    raise DataError(f"{shown(path)} is {what}; restore or remove it")


def state_of(path: Path) -> FileState:
    """The present state of a file; its time is taken before its content."""
    refuse_other(path)
    found = path.stat()
    return FileState(found.st_size, found.st_mtime_ns, checksum_of(path))


def sync(file: Any) -> None:
    """Have what was written to an open file on the disk before going on."""
    file.flush()
    os.fsync(file.fileno())


class Folder:
    """The files below a folder, by relative POSIX path.

    ``names`` lists them in order, hidden ones left out. `read` raises a
    `DataError` that names the file where it is too large or unreadable, and
    keeps of each its size, time and sha256 in ``states``.
    """

    def __init__(self, path: Path):
        self.path = path
        self.states: dict[str, FileState] = {}
        self.bytes = 0
        self.digest = hashlib.sha256()

    @functools.cached_property
    def names(self) -> list[str]:
        """Files below the folder as relative paths, sorted; no deeper than `MAX_DEPTH`."""
        found = []
        for parent, folders, names in os.walk(self.path, onerror=_refuse, followlinks=True):
            below = Path(parent).relative_to(self.path)
            if len(below.parts) == MAX_DEPTH:
                folders.clear()  # also the end of links that lead in a circle
            found += [(below / n).as_posix() for n in names if is_visible(n)]
        return sorted(found)

    def label(self, name: str) -> str:
        """A file as messages name it."""
        return shown(self.path / name)

    def read(self, name: str) -> bytes:
        """The bytes of a file of at most `MAX_FILE`; they count in `record`.

        Raises
        ------
        DataError
            If it is no file, too large, or cannot be read.
        """
        path = self.path / name
        try:
            refuse_other(path)
            found = path.stat()
            if found.st_size > MAX_FILE:
                raise DataError(f"{shown(path)} is larger than {MAX_FILE >> 20} MiB: not an image")
            blob = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{shown(path)} cannot be read ({error.strerror}); restore or remove it"
            ) from None
        self.bytes += len(blob)
        self.digest.update(os.fsencode(f"{name} {len(blob)}\n"))
        self.digest.update(blob)
        digest = hashlib.sha256(blob).hexdigest()
        self.states[name] = FileState(len(blob), found.st_mtime_ns, digest)
        return blob

    def record(self) -> dict:
        """All that was read, under one checksum of names and contents."""
        return {
            "name": f"{shown(self.path.name)}/",
            "bytes": self.bytes,
            "sha256": self.digest.hexdigest(),
        }


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{shown(error.filename)} cannot be listed ({error.strerror}); allow reading it"
    ) from None


class Zip:
    """The members of a zip, read without unpacking it anywhere.

    ``names`` lists them in order. The constructor raises a `DataError` where
    the archive is damaged or not safe, as `zips.open_zip` says; `read` where a
    member is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        self.archive = open_zip(path, Limits(MAX_MEMBERS, MAX_ARCHIVE, MAX_FILE), DataError)
        members = self.archive.infolist()
        self.names = sorted(m.filename for m in members if not m.is_dir())

    def label(self, name: str) -> str:
        """A member as messages name it."""
        return f"{self.path}:{name}"

    def read(self, name: str) -> bytes:
        """The bytes of a member; a damaged one raises a `DataError`."""
        try:
            return self.archive.read(name)
        except DAMAGED as error:
            raise DataError(
                f"{self.label(name)} cannot be read ({error}): the archive is damaged; get it again"
            ) from None

    def record(self) -> dict:
        """The archive's name, size in bytes and sha256."""
        return file_record(self.path)

"""Files of a data set as they lie there: folders and zips, read with care.

Nothing is unpacked: members of a zip are read in place, after the whole archive
was found safe.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from bat.downloads import checksum_of
from bat.rawdata import DataError
from bat.zips import DAMAGED, Limits, open_zip

MAX_FILE = 256 * 2**20  # bytes of one image file or member of an archive
MAX_ARCHIVE = 8 * 2**30  # bytes of all members of an archive, unpacked
MAX_MEMBERS = 150_000  # of an archive; Tiny ImageNet has some 120,000
MAX_DEPTH = 4  # of folders below the one that is given


def file_record(path: Path) -> dict:
    """Name, size and sha256 of a file, as ``dataset.json`` records it."""
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "sha256": checksum_of(path),
    }


def sync(file: Any) -> None:
    """Have what was written to an open file on the disk before going on."""
    file.flush()
    os.fsync(file.fileno())


class Folder:
    """The files below a folder, by relative POSIX path.

    ``names`` lists them in order, hidden ones left out. `read` raises a
    `DataError` that names the file where it is too large or unreadable.
    """

    def __init__(self, path: Path):
        self.path = path
        self.names = []
        self.bytes = 0
        self.digest = hashlib.sha256()
        for parent, folders, names in os.walk(path, followlinks=True):
            below = Path(parent).relative_to(path)
            if len(below.parts) == MAX_DEPTH:
                folders.clear()  # also the end of links that lead in a circle
            self.names += [(below / n).as_posix() for n in names if not n.startswith(".")]
        self.names.sort()

    def label(self, name: str) -> str:
        return str(self.path / name)

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            if path.stat().st_size > MAX_FILE:
                raise DataError(f"{path} is larger than {MAX_FILE >> 20} MiB: not an image")
            blob = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}); restore or remove it") from None
        self.bytes += len(blob)
        self.digest.update(f"{name} {len(blob)}\n".encode())
        self.digest.update(blob)
        return blob

    def record(self) -> dict:
        """All that was read, under one checksum of names and contents."""
        return {
            "name": f"{self.path.name}/",
            "bytes": self.bytes,
            "sha256": self.digest.hexdigest(),
        }


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
        return f"{self.path}:{name}"

    def read(self, name: str) -> bytes:
        try:
            return self.archive.read(name)
        except DAMAGED as error:
            raise DataError(
                f"{self.label(name)} cannot be read ({error}): the archive is damaged; get it again"
            ) from None

    def record(self) -> dict:
        return file_record(self.path)

"""Zips of others: opened only when every member is safe to read, at no great cost.

Everything is decided by the archive's own directory, before a member is read.
Its claims cannot be exceeded then: no more bytes are read of a member than it
states, and these have its checksum.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bat.errors import BatError
from bat.escaping import plain
from bat.reading import regular_file

DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # of encrypted members, and of methods of compression that are not known
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged zip raises."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    Attributes
    ----------
    members : int
    size, member_size : int
        Bytes of all members, and of one, unpacked.
    ratio : int
        ``size`` as a multiple of the archive's own size.
    depth : int
        Folders within each other.
    """

    members: int
    size: int
    member_size: int
    ratio: int = 100
    depth: int = 16


SLACK = 1 << 20  # bytes that any archive may unpack to
LONGEST_NAME = 255  # bytes of one part of a path, as file systems have it
_DIRECTORY_ENTRY, _EXTRA = 46, 1024  # bytes of a member in the directory; of its name and the like


def open_zip(path: Path, limits: Limits, error: type[BatError]) -> zipfile.ZipFile:
    """Open a zip whose members are all safe to read.

    Parameters
    ----------
    path : path
    limits : Limits
    error : type
        What is raised.

    Returns
    -------
    ZipFile
        To be closed by the caller.

    Raises
    ------
    BatError
        If it is no zip, damaged, beyond the limits, or has a member that is a
        link or a device, encrypted, packed in an unusual way, leads out of the
        archive, has a name that is there twice or that file systems take for
        another's, or shares bytes with another member.
    """
    regular_file(path, error)
    try:
        with open(path, "rb") as file:
            _check_directory(path, file, limits, error)
        archive = zipfile.ZipFile(path)
    except DAMAGED as problem:
        if isinstance(problem, BatError):
            raise
        known = _known_otherwise(path)
        raise error(
            f"{path} is {known}, expected a zip"
            if known
            else f"{path} cannot be read as a zip ({problem}): truncated or damaged, or something "
            "else; get it again"
        ) from None
    try:
        _check_members(path, archive, limits, error)
    except BaseException:
        archive.close()
        raise
    return archive


_OTHERS = {
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "an npy file, of one array",
    b"\x1f\x8b": "packed by gzip",
    b"<": "a page of HTML or XML",
    b"version https://git-lfs": "a pointer of Git LFS, in the place of the file",
    bytes(64): "filled with zeros",
}
"""What files begin with that are no zips."""


def _known_otherwise(path: Path) -> str | None:
    """What a file is that is no zip, where its first bytes tell."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError:
        return None
    if not head:
        return "empty"
    return next((what for mark, what in _OTHERS.items() if head.startswith(mark)), None)


def _check_directory(path: Path, file: BinaryIO, limits: Limits, error: type[BatError]) -> None:
    """Refuse too many members by what the end of the file states, before they are listed."""
    size = file.seek(0, 2)
    start = max(0, size - (1 << 16) - 22 - 76)
    file.seek(start)
    tail = file.read()
    end = len(tail) - 22
    if end < 0 or tail[end : end + 4] != b"PK\5\6" or tail[-2:] != b"\0\0":
        end = tail.rfind(b"PK\5\6")  # a comment follows
    if end < 0 or len(tail) - end < 22:
        return  # no zip, which `zipfile` says
    members, directory = struct.unpack_from("<HL", tail, end + 10)
    if end >= 76 and tail[end - 20 : end - 16] == b"PK\6\7":
        members, directory = struct.unpack_from("<QQ", tail, end - 76 + 32)
    found = max(members, directory // (_DIRECTORY_ENTRY + _EXTRA))
    if found > limits.members:
        raise _too_many(path, found, limits, error)


def _too_many(path: Path, found: int, limits: Limits, error: type[BatError]) -> BatError:
    return error(
        f"{path}: holds {found:,} members, expected {limits.members:,} at most; this archive is "
        "not safe, get it from its publisher"
    )


def _check_members(
    path: Path, archive: zipfile.ZipFile, limits: Limits, error: type[BatError]
) -> None:
    members = archive.infolist()
    if len(members) > limits.members:
        raise _too_many(path, len(members), limits, error)
    names: dict[str, str] = {}
    for member in members:
        reason = _problem(member, limits)
        key = member.filename.rstrip("/").casefold()
        if reason is None and key in names:
            reason = f"and {names[key]!r} are one name to file systems; expected one set of them"
        if reason:
            raise error(
                f"{path}: member {member.orig_filename[:300]!r} {reason}; this archive is not "
                "safe, get it from its publisher"
            )
        names[key] = member.filename
    files = {m.filename.casefold() for m in members if not m.is_dir()}
    for name in {name.rpartition("/")[0] for name in names}:
        if name in files:
            raise error(
                f"{path}: {name!r} is a file, and a folder of others; this archive is not "
                "safe, get it from its publisher"
            )
    size, own = sum(member.file_size for member in members), path.stat().st_size
    most = min(limits.size, limits.ratio * own + SLACK)
    if size > most:
        raise error(
            f"{path}: {own} bytes would unpack to {size}, more than {most}; this archive is "
            "not safe, get it from its publisher"
        )
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise error(
                f"{path}: members overlap ({member.filename!r}); this archive is not safe, "
                "get it from its publisher"
            )
        end = member.header_offset + 30 + len(member.orig_filename) + member.compress_size


def _problem(member: zipfile.ZipInfo, limits: Limits) -> str | None:
    """Why a member must not be read, as the end of a sentence; None where it may be."""
    name = member.orig_filename
    parts = name.rstrip("/").split("/")
    mode = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name):
        return "is an absolute path or one of another system"
    if ".." in parts:
        return "leads out of the archive"
    if plain(name) != name:
        return "has a name with control characters"
    if "" in parts or "." in parts:
        return "has a path with empty parts"
    if max(len(part.encode()) for part in parts) > LONGEST_NAME or len(parts) > limits.depth:
        return "has too long a path"
    if mode == stat.S_IFLNK:
        return "is a link"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device or the like"
    if member.flag_bits & 0x2041:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed by a method other than deflate"
    if member.file_size > limits.member_size:
        return f"would unpack to {member.file_size >> 20} MiB"
    return None

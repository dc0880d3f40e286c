"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bat.errors import ArtifactError


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well.

    The file is flushed to disk before it is renamed, so that a reader sees the
    old content or the whole new one. On an error the temporary file is removed
    and ``path`` is as before.

    Raises
    ------
    ArtifactError
        If the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        handle, name = tempfile.mkstemp(prefix=_prefix(path.name), suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror}") from error
    temporary = Path(name)
    with contextlib.suppress(OSError):  # a share without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield temporary
        _sync(temporary)
        with _where_supported():
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise ArtifactError(
            f"{path}: writing failed ({error.strerror or error}); the file is as it was before. "
            f"{_ADVICE.get(error.errno, 'See to it')}, and run the command again"
        ) from error
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)
    try:
        _sync(path.parent)
    except OSError as error:
        raise ArtifactError(
            f"{path}: written, but its folder could not be flushed to disk "
            f"({error.strerror or error}), so a power cut may take it away; see to the disk"
        ) from error


_ADVICE = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free some space or name another folder"
) | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "Allow writing there or name another folder"
)


@contextlib.contextmanager
def _where_supported() -> Iterator[None]:
    """Go without an operation that a file system does not have, as network shares."""
    try:
        yield
    except OSError as error:
        refusals = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EACCES)
        if error.errno not in refusals:
            raise


def _sync(path: Path) -> None:
    with _where_supported():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _prefix(name: str) -> str:
    """How temporary files of a target begin that this machine writes."""
    return f".{name}.{platform.node()}~"


def remove_leftovers(folder: str | Path, name: str = "") -> None:
    """Remove the temporary files whose writers were killed, in one folder.

    A writer holds a lock on its file, which the system drops with the process,
    so what a live one writes stays. What another machine wrote stays for an
    hour, since not every network share knows of the other's locks.

    Parameters
    ----------
    folder : path-like
        It may be missing.
    name : str
        Only those on the way to this file.
    """
    here = f".{platform.node()}~"
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            if not (path.name.startswith(f".{name}") and path.name.endswith(".tmp")):
                continue
            elsewhere = "~" in path.name and here not in path.name
            if elsewhere and time.time() - path.stat().st_mtime < 3600:
                continue
            with contextlib.suppress(OSError), open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a small file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)

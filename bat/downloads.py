"""Files from the web: resumed, verified, and in place only when they are whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bat.errors import BatError
from bat.progress import log

Report = Callable[[int, int], None]
BLOCK = 1 << 20


class DownloadError(BatError):
    """An address that gave no file, or not the one that was asked for."""


def download(
    url: str,
    path: str | Path,
    *,
    checksum: str,
    algorithm: str = "sha256",
    timeout: float = 60.0,
    attempts: int = 4,
    pause: float = 2.0,
    report: Report = lambda done, total: None,
) -> None:
    """Download a file, which appears at ``path`` when it is whole and verified.

    The bytes go to ``path`` with ``.part`` added. An interrupted download goes
    on after the bytes that are there, in this call and in a later one. A second
    process waits for the first and then finds the file.

    Parameters
    ----------
    url : str
        An http or https address.
    path : path-like
        A file that is there already is taken where its checksum is right.
    checksum : str
        In hex.
    algorithm : str
        A name that `hashlib` knows.
    timeout : float
        Seconds without a byte after which a connection is given up.
    attempts : int
        Connections to try before giving up.
    pause : float
        Seconds before the second attempt, doubled before each further one.
    report : callable
        Told the bytes that are there, and the bytes in all (0: not known).

    Raises
    ------
    DownloadError
        If the server refuses or has no such file, the connection keeps
        breaking or stalling, or the bytes do not have the checksum.
    """
    path, url = Path(path), _checked(url)
    if path.is_file() and checksum_of(path, algorithm) == checksum:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with _locked(part) as file:
        if path.is_file() and checksum_of(path, algorithm) == checksum:
            part.unlink()
            return
        old = file.tell()
        _fetch(url, file, timeout, attempts, pause, report)
        if old and checksum_of(part, algorithm) != checksum:
            log.info("%s: the bytes kept from an earlier download do not fit; from the start", url)
            file.truncate(0)
            _fetch(url, file, timeout, attempts, pause, report)
        found = checksum_of(part, algorithm)
        if found != checksum:
            part.unlink()
            raise DownloadError(
                f"{url}: the file there has the {algorithm} {found}, expected {checksum}: it was "
                "changed, or is another one. Nothing of it was kept; ask its publisher"
            )
        os.fsync(file.fileno())
        os.replace(part, path)


def checksum_of(path: str | Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _locked(part: Path) -> BinaryIO:
    """Open a file to append to, alone; it may have been renamed or removed while waiting."""
    while True:
        file = open(part, "ab")  # noqa: SIM115 (the caller closes it)
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return file
        file.close()


def _checked(url: str) -> str:
    if not re.match("https?://[^/]", url):
        raise DownloadError(f"{url}: expected an address that begins with http:// or https://")
    return url


def _fetch(
    url: str, file: BinaryIO, timeout: float, attempts: int, pause: float, report: Report
) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _connection(url, file, timeout, report)
            return
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server answered {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 425, 429):
                raise DownloadError(f"{url}: {reason}; check the address") from None
        except TimeoutError:
            reason = f"nothing came for {timeout:g} s"
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        if attempt < attempts:
            wait = pause * 2 ** (attempt - 1)
            log.info("%s: %s; trying again in %g s", url, reason, wait)
            time.sleep(wait)
    raise DownloadError(
        f"{url}: the download failed {attempts} times, at last because {reason}. "
        f"{file.tell()} bytes are kept, and the same command goes on after them"
    )


def _connection(url: str, file: BinaryIO, timeout: float, report: Report) -> None:
    """Append to ``file`` what the server has after its bytes, in one connection."""
    done = file.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if done and error.code == 416:  # there is nothing after these bytes
            error.close()
            return
        raise
    with response:
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        if done and not (response.status == 206 and goes_on):
            if response.status == 206:
                raise DownloadError(f"{url}: the server sent another range than was asked for")
            file.truncate(0)
            done = 0
        length = int(response.headers.get("Content-Length") or 0)
        total = done + length if length else 0
        try:
            while block := response.read1(BLOCK):
                file.write(block)
                done += len(block)
                report(done, total)
        finally:
            file.flush()
    if done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")

"""Files from the web: resumed, verified, and in place only when they are whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bat.addresses import address_problem, shown_address
from bat.errors import BatError
from bat.escaping import plain
from bat.files.digests import checksum_of
from bat.progress import log

Report = Callable[[int, int], None]
BLOCK = 1 << 20
MAX_BYTES = 32 << 30  # of a download whose size nobody stated
LEAST = 1 << 10  # bytes that come at least between two time-outs, or a connection has stalled


class DownloadError(BatError):
    """An address that gave no file, or not the one that was asked for."""


def download(
    url: str,
    path: str | Path,
    *,
    checksum: str,
    algorithm: str = "sha256",
    max_bytes: int = MAX_BYTES,
    timeout: float = 60.0,
    attempts: int = 4,
    pause: float = 2.0,
    report: Report = lambda done, total: None,
) -> None:
    """Download a file, which appears at ``path`` when it is whole and verified.

    The bytes go to ``path`` with ``.part`` added. An interrupted download goes
    on after the bytes that are there, in this call and in a later one. A second
    process waits for the first and then finds the file. Redirects are followed to
    http and https only, and from https to https only. Messages show addresses
    without what may be secret in them.

    Parameters
    ----------
    url : str
        An http or https address, without a user name.
    path : path-like
        A file that is there already is taken where its checksum is right.
    checksum : str
        In hex.
    algorithm : str
        A name that `hashlib` knows.
    max_bytes : int
        A larger file is refused: before a byte of it is kept where the server
        states its size, and when that many have come where it does not.
    timeout : float
        Seconds without a byte, or with hardly any, after which a connection is
        given up.
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
        breaking or stalling, the file is too large, the bytes do not have the
        checksum, or something that is not ours lies where they go.
    """
    path, source = Path(path), _Source(url, max_bytes, timeout, report)
    if path.is_file() and checksum_of(path, algorithm) == checksum:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with _locked(part) as file:
        if path.is_file() and checksum_of(path, algorithm) == checksum:
            part.unlink()
            return
        old = file.seek(0, os.SEEK_END)
        source.fetch(file, attempts, pause)
        if old and _digest(file, algorithm) != checksum:
            log.info(
                "%s: the bytes kept from an earlier download do not fit; from the start",
                source.name,
            )
            file.truncate(0)
            source.fetch(file, attempts, pause)
        found = _digest(file, algorithm)
        if found != checksum:
            part.unlink()
            raise DownloadError(
                f"{source.name}: the file there has the {algorithm} {found}, expected {checksum}: "
                "it was changed, or is another one. Nothing of it was kept; ask its publisher"
            )
        os.fsync(file.fileno())
        try:
            os.replace(part, path)
        except OSError as error:
            raise DownloadError(
                f"{path}: the download cannot take its place there ({error.strerror})"
            ) from None


def _digest(file: BinaryIO, algorithm: str) -> str:
    file.seek(0)
    return hashlib.file_digest(file, algorithm).hexdigest()


def _locked(part: Path) -> BinaryIO:
    """Open a file of ours to append to, alone; it may have been renamed or removed while waiting.

    A link that lies there is not followed, nor anything written to that was not
    begun by a download of ours.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        try:
            file = os.fdopen(os.open(part, flags, 0o666), "a+b")
        except OSError as error:
            raise DownloadError(
                f"{part}: a download cannot be written there ({error.strerror}); remove what lies "
                "there, or name another folder"
            ) from None
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_uid != os.geteuid():
            file.close()
            raise DownloadError(
                f"{part}: is no file that a download of yours began (it is linked, or somebody "
                "else's, or no file at all), and nothing is written to it; remove it"
            )
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.lstat()):
                return file
        file.close()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect to what could have been asked for at first, and not out of https."""

    def redirect_request(self, request, response, code, message, headers, url):
        problem = address_problem(url)
        if problem is None and request.type == "https" and not url.lower().startswith("https:"):
            problem = "would be fetched without encryption"
        if problem:
            response.close()
            raise DownloadError(f"redirected to {shown_address(url)}, which {problem}")
        return super().redirect_request(request, response, code, message, headers, url)


def _opener() -> urllib.request.OpenerDirector:
    """What speaks http and https alone: no files, no ftp, no data in the address."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _Redirects,
    ):
        opener.add_handler(handler())
    return opener


class _Source:
    """An address, and what may come from it."""

    def __init__(self, url: str, max_bytes: int, timeout: float, report: Report):
        self.url, self.name = url, shown_address(url)
        problem = address_problem(url)
        if problem:
            raise DownloadError(f"{self.name}: the address {problem}")
        self.max_bytes, self.timeout, self.report = max_bytes, timeout, report

    def fetch(self, file: BinaryIO, attempts: int, pause: float) -> None:
        """Append to ``file`` what is not there yet, in several connections where they break."""
        for attempt in range(1, attempts + 1):
            try:
                self._connect(file)
                return
            except DownloadError as error:
                raise DownloadError(f"{self.name}: {error}") from None
            except urllib.error.HTTPError as error:
                error.close()
                said = plain(str(error.reason))[:80]
                if 300 <= error.code < 400:  # urllib's text holds the address
                    said = "and redirects to what is not followed"
                reason = f"the server answered {error.code} {said}"
                if error.code < 500 and error.code not in (408, 425, 429):
                    raise DownloadError(f"{self.name}: {reason}; check the address") from None
            except TimeoutError:
                reason = f"nothing came for {self.timeout:g} s"
            except (http.client.InvalidURL, ValueError):  # their texts hold the address
                raise DownloadError(f"{self.name}: no address that can be asked for") from None
            except (OSError, http.client.HTTPException) as error:
                reason = str(getattr(error, "reason", None) or error or type(error).__name__)
                reason = plain(reason)[:200]
            if attempt < attempts:
                wait = pause * 2 ** (attempt - 1)
                log.info("%s: %s; trying again in %g s", self.name, reason, wait)
                time.sleep(wait)
        raise DownloadError(
            f"{self.name}: the download failed {attempts} times, at last because {reason}. "
            f"{file.seek(0, os.SEEK_END)} bytes are kept, and the same command goes on after them"
        )

    def _connect(self, file: BinaryIO) -> None:
        """Append to ``file`` what the server has after its bytes, in one connection."""
        done = file.seek(0, os.SEEK_END)
        headers = {"Range": f"bytes={done}-"} if done else {}
        request = urllib.request.Request(self.url, headers=headers)
        try:
            response = _opener().open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if done and error.code == 416:  # there is nothing after these bytes
                error.close()
                return
            raise
        with response:
            goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
            if done and not (response.status == 206 and goes_on):
                if response.status == 206:
                    raise DownloadError("the server sent another range than was asked for")
                file.truncate(0)
                done = 0
            # None where the server states none, or something that is no length
            total = 0 if response.length is None else done + response.length
            self._check_size(file, total)
            try:
                for block in self._blocks(response):
                    done += len(block)
                    self._check_size(file, done)
                    file.write(block)
                    self.report(done, total)
            finally:
                file.flush()
        if done < total:
            raise OSError(f"the connection ended after {done} of {total} bytes")

    def _blocks(self, response: http.client.HTTPResponse):
        """Blocks of bytes as they come; a server that sends one at a time has stalled."""
        since, came = time.monotonic(), 0
        while block := response.read1(BLOCK):
            yield block
            came += len(block)
            if time.monotonic() - since > self.timeout:
                if came < LEAST:
                    raise TimeoutError
                since, came = time.monotonic(), 0

    def _check_size(self, file: BinaryIO, size: int) -> None:
        if size > self.max_bytes:
            file.truncate(0)
            raise DownloadError(
                f"more than {self.max_bytes >> 20:,} MiB, which is no file that is expected there; "
                "nothing of it was kept"
            )

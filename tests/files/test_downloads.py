"""Downloads from a real server on this machine, and everything that can go wrong with one."""

import contextlib
import hashlib
import http.server
import io
import os
import threading
import time
import traceback
import urllib.request

import pytest

from bat.files import downloads
from bat.files.downloads import DownloadError, download
from bat.progress import log

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, ranges = self.server, self.headers.get("Range")
        server.requests.append(ranges)
        fault = server.faults.pop(0) if server.faults else None
        if isinstance(fault, int):
            self.send_error(fault)
            return
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            server.redirect = None
            return
        start = int(ranges[6:-1]) if ranges and server.resumes else 0
        if start and start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        length = len(server.content) - start if server.length == "right" else server.length
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if server.drip:
            for _ in range(200):
                self.wfile.write(b"x")
                self.wfile.flush()
                if server.released.wait(server.drip):
                    return
        half = (start + len(server.content)) // 2
        if fault in ("cut", "stall"):
            self.wfile.write(server.content[start:half])
            self.wfile.flush()
            if fault == "stall":
                server.released.wait(20)
            return
        with contextlib.suppress(ConnectionError):
            self.wfile.write(server.content[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.faults, server.requests = CONTENT, [], []
    server.resumes, server.released = True, threading.Event()
    server.length, server.redirect, server.drip = "right", None, None
    server.url = f"http://127.0.0.1:{server.server_port}/scores-digits.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(server, path, **settings):
    download(server.url, path, **{"checksum": SHA256, "pause": 0.01, "timeout": 5} | settings)


def refused(server, path, *words, **settings):
    with pytest.raises(DownloadError) as caught:
        fetch(server, path, **settings)
    for word in (server.url, *words):
        assert word in str(caught.value)
    assert not path.exists()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_once(server, tmp_path):
    path, seen = tmp_path / "new" / "a.zip", []
    fetch(server, path, report=lambda *step: seen.append(step))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert files(path.parent) == ["a.zip"]
    fetch(server, path)
    assert server.requests == [None]


@pytest.mark.parametrize(("fault", "timeout"), [("cut", 5), ("stall", 0.5)])
def test_a_broken_or_stalled_connection_is_taken_up_again(server, tmp_path, fault, timeout):
    server.faults = [fault, fault]
    path = tmp_path / "a.zip"
    fetch(server, path, timeout=timeout)
    assert path.read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.requests == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]


@pytest.mark.parametrize(
    ("fault", "timeout", "words"),
    [("cut", 5, ("ended after", "kept")), ("stall", 0.5, ("nothing came for 0.5 s",))],
)
def test_what_keeps_breaking_is_given_up_and_continued_later(
    server, tmp_path, fault, timeout, words
):
    server.faults, path = [fault] * 2, tmp_path / "a.zip"
    start = time.monotonic()
    refused(server, path, "failed 2 times", *words, attempts=2, timeout=timeout)
    assert time.monotonic() - start < 15  # the server itself lets a stalled one go after 20 s
    kept = (tmp_path / "a.zip.part").stat().st_size
    assert kept == len(CONTENT) * 3 // 4
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1] == f"bytes={kept}-"
    assert files(tmp_path) == ["a.zip"]


def test_a_server_that_does_not_resume_sends_all_again(server, tmp_path):
    server.resumes, server.faults = False, ["cut"]
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_complete_part_is_only_verified(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    fetch(server, tmp_path / "a.zip")
    assert files(tmp_path) == ["a.zip"]


def test_the_rest_of_another_file_is_not_joined_to_this_one(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"\0" * 1000)
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-", None]


def test_another_file_is_refused_and_removed(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    refused(server, tmp_path / "a.zip", SHA256, hashlib.sha256(server.content).hexdigest())
    assert files(tmp_path) == []


def test_an_error_of_the_address_is_not_repeated(server, tmp_path):
    server.faults = [404]
    refused(server, tmp_path / "a.zip", "404 Not Found", "check the address")
    assert server.requests == [None]


def test_an_error_of_the_server_is_repeated(server, tmp_path):
    server.faults = [503, 500]
    fetch(server, tmp_path / "a.zip")
    assert len(server.requests) == 3


def test_no_server(server, tmp_path):
    server.shutdown()
    server.server_close()
    refused(server, tmp_path / "a.zip", "refused", attempts=2)


def test_two_at_once_get_one_file(server, tmp_path):
    threads = [threading.Thread(target=fetch, args=(server, tmp_path / "a.zip")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.requests == [None]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "scores.zip", "http://"])
def test_only_http(tmp_path, url):
    with pytest.raises(DownloadError, match="http"):
        download(url, tmp_path / "a.zip", checksum=SHA256)


# -- what is hostile ------------------------------------------------------------------------


def test_a_link_at_the_partial_file_is_not_written_through(server, tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "a.zip"
    for plant in (os.symlink, os.link):
        victim.write_bytes(b"precious")
        part = tmp_path / "a.zip.part"
        plant(victim, part)
        refused_there(server, path, "a.zip.part")
        assert victim.read_bytes() == b"precious"
        part.unlink()
    os.symlink(tmp_path / "not there", tmp_path / "a.zip.part")
    refused_there(server, path, "a.zip.part")
    assert not (tmp_path / "not there").exists()


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir])
def test_what_is_no_file_at_the_partial_file_is_refused_at_once(server, tmp_path, plant):
    plant(tmp_path / "a.zip.part")
    refused_there(server, tmp_path / "a.zip", "a.zip.part")
    assert server.requests == []


def test_a_folder_where_the_file_belongs(server, tmp_path):
    (tmp_path / "a.zip").mkdir()
    refused_there(server, tmp_path / "a.zip", "a.zip", "cannot take its place")


def refused_there(server, path, *words):
    with pytest.raises(DownloadError) as caught:
        fetch(server, path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("length", ["abc", "-5", "", "1e9", "99999999999999999999999", "7, 8"])
def test_a_length_that_is_none(server, tmp_path, length):
    server.length = length
    try:
        fetch(server, tmp_path / "a.zip", attempts=2)
    except DownloadError as error:  # where it is read as a length, the bytes do not come
        assert "ended after" in str(error) or "MiB" in str(error)
    else:
        assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [None, "abc", str(len(CONTENT))])
def test_what_is_too_large_is_not_kept(server, tmp_path, length):
    server.length = length
    refused(server, tmp_path / "a.zip", "more than 0 MiB", max_bytes=len(CONTENT) // 2)
    assert (tmp_path / "a.zip.part").stat().st_size == 0
    fetch(server, tmp_path / "a.zip", max_bytes=len(CONTENT))


def test_a_length_that_is_too_small(server, tmp_path):
    server.length = "1000"
    refused(server, tmp_path / "a.zip", SHA256)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "place",
    ["ftp://{}/x", "file:///etc/passwd", "data:text/plain,x", "gopher://x", "http://u:pw@{}/x"],
)
def test_a_redirect_to_what_could_not_be_asked_for(server, tmp_path, place):
    server.redirect = place.format(server.url.split("/")[2])
    refused(server, tmp_path / "a.zip", "redirect")
    assert len(server.requests) == 1


def test_a_redirect_to_another_page_is_followed(server, tmp_path):
    server.redirect = f"{server.url}?key=1"
    fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_redirect_out_of_https_is_refused():
    request = urllib.request.Request("https://example.org/a.zip")
    arguments = (request, io.BytesIO(), 302, "Found", {})
    with pytest.raises(DownloadError, match="without encryption"):
        downloads._Redirects().redirect_request(*arguments, "http://example.org/a.zip")
    found = downloads._Redirects().redirect_request(*arguments, "https://example.net/a.zip")
    assert found.full_url == "https://example.net/a.zip"


def test_a_server_that_drips_has_stalled(server, tmp_path):
    server.drip = 0.02
    start = time.monotonic()
    refused(server, tmp_path / "a.zip", "nothing came", attempts=2, timeout=0.2)
    assert time.monotonic() - start < 10


SECRET = "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@{}/no.zip",
        "http://s3cret@{}/no.zip",
        "http://me:s3cret/x@{}/no.zip",
        "http://me:s3cret#x@{}/no.zip",
        "http://{}/no.zip?token=s3cret",
        "http://{}/no.zip?token=s3cret\n",
        "http://{}/no.zip?a b&token=s3cret",
        "http://{}:x/no.zip?s3cret",
        "http://[{}/no.zip?s3cret",
        "ftp://me:s3cret@{}/no.zip",
    ],
)
def test_no_secret_of_an_address_is_shown(server, tmp_path, url, caplog, monkeypatch):
    monkeypatch.setattr(log, "propagate", True)
    server.faults = [503, 404]
    with pytest.raises(DownloadError) as caught:
        address = url.format(server.url.split("/")[2])
        download(address, tmp_path / "a.zip", checksum=SHA256, pause=0.01, timeout=5)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in caplog.text

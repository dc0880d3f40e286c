"""Downloads from a real server on this machine, and everything that can go wrong with one."""

import hashlib
import http.server
import threading
import time

import pytest

from bat.downloads import DownloadError, download

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
        start = int(ranges[6:-1]) if ranges and server.resumes else 0
        if start and start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        half = (start + len(server.content)) // 2
        if fault in ("cut", "stall"):
            self.wfile.write(server.content[start:half])
            self.wfile.flush()
            if fault == "stall":
                server.released.wait(20)
            return
        self.wfile.write(server.content[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.faults, server.requests = CONTENT, [], []
    server.resumes, server.released = True, threading.Event()
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


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_broken_or_stalled_connection_is_taken_up_again(server, tmp_path, fault):
    server.faults = [fault, fault]
    path = tmp_path / "a.zip"
    fetch(server, path, timeout=0.3)
    assert path.read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.requests == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]


@pytest.mark.parametrize(
    ("fault", "words"), [("cut", ("ended after", "kept")), ("stall", ("nothing came for 0.2 s",))]
)
def test_what_keeps_breaking_is_given_up_and_continued_later(server, tmp_path, fault, words):
    server.faults, path = [fault] * 2, tmp_path / "a.zip"
    start = time.monotonic()
    refused(server, path, "failed 2 times", *words, attempts=2, timeout=0.2)
    assert time.monotonic() - start < 5
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

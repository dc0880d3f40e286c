"""Folders, zips and downloads: what is not safe, whole or there is refused by name."""

import functools
import hashlib
import http.server
import threading
import zipfile

import pytest
from samples import pets, refused, tiny, tiny_files, write_pets, write_zip

from bat.data.sources import read_source, tiny_imagenet
from bat.files import archives
from bat.files.downloads import download

# -- folders and zips ------------------------------------------------------------------------


def test_an_enormous_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE", 100)
    refused(pets(write_pets(tmp_path / "pets")), "cat/0.png", "larger than")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute"),
        ("tiny-imagenet-200/../../x", "leads out"),
        ("C:/x", "absolute"),
        ("a\\b", "another system"),
    ],
)
def test_an_archive_with_unsafe_paths(tmp_path, name, reason):
    path = write_zip(tmp_path / "tiny.zip", tiny_files() | {name: b"x"})
    refused(tiny(path), "tiny.zip", reason)


def test_an_archive_with_a_link(tmp_path):
    path = write_zip(tmp_path / "tiny.zip", tiny_files())
    link = zipfile.ZipInfo("tiny-imagenet-200/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(tiny(path), "tiny.zip", "is a link")


def test_an_archive_that_grows_too_large(tmp_path, monkeypatch):
    bomb = {"tiny-imagenet-200/bomb": bytes(2 << 20)}
    path = write_zip(tmp_path / "tiny.zip", tiny_files() | bomb)
    monkeypatch.setattr(archives, "MAX_ARCHIVE", 2 << 20)
    refused(tiny(path), "tiny.zip", "would unpack to")
    monkeypatch.setattr(archives, "MAX_FILE", 1 << 20)
    refused(tiny(path), "tiny.zip", "bomb", "2 MiB")


def test_a_damaged_archive(tmp_path):
    path = write_zip(tmp_path / "tiny.zip", tiny_files())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(tiny(path), "tiny.zip", "truncated or damaged")
    with zipfile.ZipFile(write_zip(path, tiny_files())) as archive:
        name = "tiny-imagenet-200/train/n02/images/n02_1.JPEG"
        at = archive.getinfo(name).header_offset + 30 + len(name) + 40
    path.write_bytes(
        whole[:at] + bytes(byte ^ 255 for byte in whole[at : at + 20]) + whole[at + 20 :]
    )
    refused(tiny(path), "n02_1.JPEG", "archive is damaged")


def test_a_missing_archive_says_where_to_put_it(tmp_path):
    refused(tiny(tmp_path / "none.zip"), str(tmp_path / "none.zip"), "Put tiny-imagenet-200.zip")


# -- downloads -------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content, ranges = self.server.content, self.headers.get("Range")
        self.server.requests.append(ranges)
        start = int(ranges[6:-1]) if ranges and self.server.resumes else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            end = len(content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.server.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def one_attempt(monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "download", functools.partial(download, attempts=1))


@pytest.fixture
def server(monkeypatch, one_attempt, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content = write_zip(tmp_path / "source.zip", tiny_files()).read_bytes()
    server.requests, server.resumes, server.cut = [], True, None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(tiny_imagenet, "URL", f"http://127.0.0.1:{server.server_port}/tiny.zip")
    monkeypatch.setattr(tiny_imagenet, "MD5", hashlib.md5(server.content).hexdigest())
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_is_checked_and_used(server, tmp_path):
    path = tmp_path / "new" / "tiny.zip"
    seen = []
    raw = read_source(tiny(path, download=True), progress=lambda *step: seen.append(step))
    assert raw.notes[0] == "the official archive"
    assert (len(server.content), len(server.content)) in seen
    assert path.read_bytes() == server.content
    assert [p.name for p in path.parent.iterdir()] == ["tiny.zip"]
    read_source(tiny(path, download=True))
    assert server.requests == [None]


@pytest.mark.parametrize("resumes", [True, False])
def test_an_interrupted_download_continues(server, tmp_path, resumes):
    path = tmp_path / "tiny.zip"
    server.cut, server.resumes = 1000, resumes
    words = ("connection ended after 1000", "the same command goes on", f"at {path}")
    refused(tiny(path, download=True), *words)
    assert not path.exists()
    server.cut = None
    read_source(tiny(path, download=True))
    assert path.read_bytes() == server.content
    assert server.requests == [None, "bytes=1000-"]


def test_a_download_that_was_complete_but_not_renamed(server, tmp_path):
    (tmp_path / "tiny.zip.part").write_bytes(server.content)
    read_source(tiny(tmp_path / "tiny.zip", download=True))
    assert not (tmp_path / "tiny.zip.part").exists()


def test_a_download_with_another_checksum_is_removed(server, tmp_path):
    server.content += b"!"
    path, found = tmp_path / "tiny.zip", hashlib.md5(server.content).hexdigest()
    words = (f"has the md5 {found}, expected {tiny_imagenet.MD5}", f"at {path}")
    refused(tiny(path, download=True), *words)
    assert [p.name for p in tmp_path.iterdir()] == ["source.zip"]


@pytest.mark.usefixtures("one_attempt")
def test_a_failed_download_names_the_address(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "URL", "http://127.0.0.1:9/tiny.zip")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    refused(tiny(tmp_path / "t.zip", download=True), "http://127.0.0.1:9", str(tmp_path / "t.zip"))

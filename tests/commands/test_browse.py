"""The command that opens the page of all images, or serves it to this machine alone."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from bat.commands.browse import find_page, whole
from bat.errors import BatError


@pytest.fixture
def results(tmp_path):
    """Results of two data sets, of which one has a page and a sheet beside it."""
    for name in ("a", "b"):
        (tmp_path / "results" / name / "browse_files").mkdir(parents=True)
        (tmp_path / "results" / name / "secret.txt").write_text("secret")
    folder = tmp_path / "results" / "a"
    (folder / "browse.html").write_text("<p>the page</p></html>\n")
    (folder / "browse_files" / "train-000.png").write_bytes(b"\x89PNG")
    return tmp_path / "results"


def test_the_page_is_found_by_any_of_its_names(results, monkeypatch):
    page = results / "a" / "browse.html"
    assert find_page(results) == find_page(results / "a") == find_page(page) == page
    monkeypatch.chdir(results.parent)
    assert find_page(type(page)("a")).resolve() == page
    with pytest.raises(BatError, match=r"has no browse\.html; `snakemake browse --cores 1`"):
        find_page(results / "b")
    (results / "b" / "data").mkdir()
    (results / "b" / "data" / "dataset.json").write_text("{}")
    (results / "b" / "net").mkdir()
    with pytest.raises(BatError, match=r"b/net has no browse\.html; `snakemake browse_methods"):
        find_page(results / "b" / "net")
    with pytest.raises(BatError, match="none does not exist, and neither does"):
        find_page(type(page)("none"))
    (results / "b" / "browse.html").write_text("")
    with pytest.raises(BatError, match=r"several pages: name one of .*a/browse\.html, .*b/browse"):
        find_page(results)


@pytest.mark.parametrize("content", [b"", bytes(5000), b"<!doctype html>\n<html><p>the pa"])
def test_a_page_that_is_cut_off_is_refused(results, content):
    page = results / "a" / "browse.html"
    assert whole(page) == page
    page.write_bytes(content)
    with pytest.raises(BatError, match=r"browse\.html: [\d,]+ bytes that do not end as a page"):
        whole(page)


def test_without_a_browser_it_says_what_to_do(results, run_bat, monkeypatch):
    monkeypatch.setenv("BROWSER", "false %s")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("DISPLAY", raising=False)
    text = run_bat("browse", results).stdout
    assert str(results / "a" / "browse.html") in text
    assert "add --serve" in text


@pytest.fixture
def served(results):
    """The address at which the command serves the page."""
    command = [sys.executable, "-m", "bat", "browse", str(results), "--serve"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, env=os.environ)
    try:
        line = process.stdout.readline()
        assert "ssh -N -L" in process.stdout.readline()
        yield re.match(r"http://127\.0\.0\.1:\d+/", line)[0]
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1]
        assert process.returncode == 128 + signal.SIGTERM
        assert "Traceback" not in said


def get(address, host=None):
    request = urllib.request.Request(address, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def test_it_serves_the_page_and_its_images_and_nothing_else(served):
    assert get(served) == get(f"{served}browse.html") == (200, b"<p>the page</p></html>\n")
    assert get(f"{served}browse_files/train-000.png") == (200, b"\x89PNG")
    for name in (
        "secret.txt",
        "browse_files/",
        "browse_files/none.png",
        "browse_files/../secret.txt",
        "browse_files/..%2Fsecret.txt",
        "..%2Fb%2Fsecret.txt",
        "%00",
    ):
        assert get(served + name) == (404, b""), name
    assert get(served, host="evil.example") == (404, b"")
    assert get(served, host="localhost:1234")[0] == 200  # as through a tunnel


def test_what_it_cannot_answer_is_not_found(served, results):
    assert get(served, host="[") == (404, b"")
    assert get(f"{served}/[") == (404, b"")
    page = results / "a" / "browse.html"
    page.rename(page.with_name("being made again"))
    assert get(served) == (404, b"")
    page.write_bytes(bytes(10**8))
    with socket.create_connection(("127.0.0.1", urlsplit(served).port)) as browser:
        browser.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        browser.recv(1)  # and hangs up
    page.write_text("again")
    assert get(served) == (200, b"again")


def test_only_a_page_is_opened(results):
    with pytest.raises(BatError, match=r"secret\.txt is no page; expected browse\.html"):
        find_page(results / "b" / "secret.txt")

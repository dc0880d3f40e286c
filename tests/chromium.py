"""Chromium for tests of pages, by the WebDriver protocol."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,800",
]


# Images are there and what was asked for has been drawn; a tab out of sight draws nothing.
SETTLED = """
const done = arguments[0];
const drawn = new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
const images = [...document.images].map((image) => image.decode().catch(() => null));
const hidden = document.hidden ? null : drawn;
Promise.race([
  Promise.all([...images, hidden]),
  new Promise((go) => setTimeout(go, 5000)),
]).then(() => done());
"""


class Browser:
    """Chromium by the WebDriver protocol."""

    def __init__(self, driver, profile, downloads):
        options = {
            "args": [*FLAGS, f"--user-data-dir={profile}"],
            "prefs": {"download.default_directory": str(downloads)},
        }
        logs = {"performance": "ALL", "browser": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
        self.url, self.is_open = driver, True
        session = self.call("POST", "/session", capabilities={"alwaysMatch": wanted})
        self.url = f"{driver}/session/{session['sessionId']}"

    def call(self, method, path, **body):
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode() if method == "POST" else None,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()[:500]}") from error

    def open(self, path, view=""):
        self.call("POST", "/url", url=path.as_uri() + view)

    def js(self, script):
        """The value of an expression, once the page shows what it was last asked for."""
        self.call("POST", "/execute/async", script=SETTLED, args=[])
        return self.call("POST", "/execute/sync", script=f"return {script}", args=[])

    def type(self, text):
        pressed = [{"type": kind, "value": c} for c in text for kind in ("keyDown", "keyUp")]
        keys = {"type": "key", "id": "keyboard", "actions": pressed}
        self.call("POST", "/actions", actions=[keys])

    def text(self, name):
        return self.js(f"document.getElementById('{name}').textContent")

    def click(self, name):
        self.js(f"document.getElementById('{name}').click()")

    def requested(self):
        """Schemes of everything that the page has loaded, or tried to load."""
        entries = self.call("POST", "/se/log", type="performance")
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        own = [request for request in sent if request["documentURL"].startswith("file:")]
        return {request["request"]["url"].partition(":")[0] for request in own}

    def errors(self):
        """What the page wrote on the console since this was last asked."""
        return [entry["message"] for entry in self.call("POST", "/se/log", type="browser")]

    def close(self):
        if self.is_open:
            self.is_open = False
            self.call("DELETE", "")


@contextmanager
def chromedriver():
    """The address of a chromedriver."""
    program = shutil.which("chromedriver")
    if program is None:
        pytest.skip("needs chromedriver: apt-get install chromium chromium-driver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, f"--port={port}", "--silent"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{address}/status", timeout=10):
                    break
            except urllib.error.URLError:
                assert time.monotonic() < deadline, "chromedriver does not answer"
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def downloaded(folder, known=()):
    """The CSV file that was saved beside those known."""
    deadline = time.monotonic() + 30
    while not (files := set(folder.glob("*.csv")) - set(known)):
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.05)
    (file,) = files
    return file

"""One page and the images beside it, served to this machine alone."""

from __future__ import annotations

import http.server
import socketserver
import sys
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bat.errors import BatError

LOOPBACK = "127.0.0.1"
_TYPES = {".html": "text/html; charset=utf-8", ".png": "image/png"}


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Say nothing of a browser that hung up, as it does when the page is loaded again."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the page, and with images of the folder of its name; with nothing else."""

    def __init__(self, page: Path, *arguments, **named):
        self.page = page
        super().__init__(*arguments, **named)

    def do_GET(self) -> None:
        """Send what is asked for, if it belongs to the page."""
        try:
            path = self._file()
            content = path.read_bytes() if path else None
        except (OSError, ValueError):  # being made again; no address
            content = None
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", _TYPES[path.suffix])
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def _file(self) -> Path | None:
        host = urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if host not in (LOOPBACK, "localhost"):  # a name that another page let point here
            return None
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/")
        if name in ("", self.page.name):
            return self.page
        folder, _, image = name.partition("/")
        known = self.page.with_name(f"{self.page.stem}_files")
        if folder != known.name or not known.is_dir():
            return None
        images = {path.name: path for path in known.glob("*.png")}
        return images.get(image)

    def log_message(self, *arguments) -> None:
        """Say nothing of each request."""


def serve(page: Path, port: int, say: Callable[[str], None]) -> None:
    """Serve the page on the loopback address until stopped.

    Parameters
    ----------
    page : path
    port : int
        0 takes a free one.
    say : callable
        Is told where the page is, and how to reach it from another machine.

    Raises
    ------
    BatError
        If the port cannot be had.
    """
    try:
        server = _Server((LOOPBACK, port), partial(Handler, page))
    except (OSError, OverflowError) as error:
        raise BatError(f"port {port} cannot be had ({error}); leave --port out") from None
    with server:
        port = server.server_address[1]
        say(f"http://{LOOPBACK}:{port}/ until Ctrl-C; from another machine by a tunnel, there:")
        say(f"  ssh -N -L {port}:{LOOPBACK}:{port} THIS_MACHINE")
        server.serve_forever()

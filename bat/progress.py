"""What a long job tells the person who waits for it: log lines, a bar, time left."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bat.escaping import for_terminal

log = logging.getLogger("bat")


def start_logging(path: str | Path | None = None) -> None:
    """Send the package's messages to the screen and, where given, to a file beside."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_Formatter())
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="a", encoding="utf-8"))
        handlers[1].setFormatter(_Formatter("%(asctime)s %(message)s"))
    log.handlers[:] = handlers
    log.setLevel(logging.INFO)
    log.propagate = False


@contextlib.contextmanager
def messages_shown() -> Iterator[None]:
    """Let the package's messages reach the screen for a while, where nobody set up logging."""
    if log.hasHandlers():
        yield
        return
    before = log.level, log.propagate
    start_logging()
    try:
        yield
    finally:
        log.handlers.clear()
        log.setLevel(before[0])
        log.propagate = before[1]


class _Formatter(logging.Formatter):
    """Messages name files, classes and addresses of others, none of which acts on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return for_terminal(super().format(record))


def duration(seconds: float) -> str:
    """A time span as a person reads it: ``9 s``, ``4 min 10 s``, ``3 h 05 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


class Progress:
    """Counts steps and estimates the time left from those done since the start.

    Parameters
    ----------
    title : str
    total : int
        Steps in all.
    done : int
        Steps that were done before this run; they do not enter the estimate.
    every : float
        Seconds between two lines where the output is no terminal; within a
        step they become rarer, so that a long one does not fill its log.
    """

    def __init__(self, title: str, total: int, *, done: int = 0, every: float = 5.0):
        self.title, self.total, self.done = title, total, done
        self._first, self._start, self._every = done, time.monotonic(), every
        self._last_line = self._start
        self._bar = None

    def update(self, done: float, note: str = "") -> None:
        """Say that ``done`` steps of the total are done; a fraction is a step under way."""
        self.done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)
            return
        now = time.monotonic()
        wait = self._every
        if done != int(done):
            wait = max(wait, (now - self._start) / 20)
        if now - self._last_line >= wait or done >= self.total:
            self._last_line = now
            log.info("%s: %s", self.title, self.line() + (f"; {note}" if note else ""))

    def advance(self, note: str = "") -> None:
        """Say that one more step is done."""
        self.update(int(self.done) + 1, note)

    def line(self) -> str:
        """Steps done and the time left at the rate so far."""
        line = f"{int(self.done)} of {self.total}"
        elapsed, steps = time.monotonic() - self._start, self.done - self._first
        if self.done >= self.total:
            return f"{line} in {duration(elapsed)}"
        if steps > 0:
            line += f", about {duration(elapsed / steps * (self.total - self.done))} left"
        return line


@contextlib.contextmanager
def progress(title: str, total: int, *, done: int = 0) -> Iterator[Progress]:
    """A `Progress` that is a bar on a terminal, and log lines elsewhere or beside a log file."""
    counter = Progress(title, total, done=done)
    if sys.stderr is None or not sys.stderr.isatty() or len(log.handlers) != 1:
        yield counter
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    # text as it is: a title may hold a path, whose brackets are no markup
    title_column = TextColumn("{task.description}", markup=False)
    columns = (title_column, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(
        *columns, TextColumn("{task.fields[note]}", markup=False), console=Console(stderr=True)
    ) as bar:
        counter._bar = bar
        counter._task = bar.add_task(for_terminal(title), total=total, completed=done, note="")
        yield counter

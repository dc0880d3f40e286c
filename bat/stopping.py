"""How a command ends when it is asked to: by SIGTERM, Ctrl-C, or a closed terminal.

A scheduler sends SIGTERM when a job has run out of time, is cancelled, or makes
room for another. What is finished is kept, and the same command goes on there;
the status, 128 and the signal's number, is one that schedulers try again.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

UNDER_WORKFLOW = "BAT_UNDER_WORKFLOW"
"""Set in the environment of jobs whose workflow itself says that they were stopped."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(SystemExit):
    """The process was asked to end.

    Attributes
    ----------
    number : int
        Of the signal.
    kept : str
        What a new start goes on from, for the person who stopped it.
    """

    def __init__(self, number: int, kept: str = "what is finished is kept"):
        super().__init__(128 + number)
        self.number, self.kept = number, kept

    def __str__(self) -> str:
        name = "Ctrl-C" if self.number == signal.SIGINT else signal.Signals(self.number).name
        return f"stopped by {name}; {self.kept}"


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let a signal end the block as an error does: what is half written is removed.

    Raises
    ------
    Stopped
        In the block, at the first signal; further ones are ignored, since a
        scheduler may send several.
    """

    def stop(number: int, frame: object) -> None:
        for other in _heard():  # SIG_IGN would have Python complain of one that has come already
            signal.signal(other, lambda number, frame: None)
        raise Stopped(number)

    with _handled(stop):
        yield


@contextlib.contextmanager
def signals_kept() -> Iterator[list[int]]:
    """Gather the numbers of signals that come during the block, which itself looks at them."""
    asked: list[int] = []
    with _handled(lambda number, frame: asked.append(number)):
        yield asked


@contextlib.contextmanager
def _handled(handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _heard()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _heard() -> list[int]:
    """The signals, but for that of a closed terminal where `nohup` has it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [number for number in SIGNALS if number != signal.SIGHUP or not ignored]

"""Trainings that end before a step: by a signal, or as a kill does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from bat.training import Training


class Killed(BaseException):
    """Takes the place of a signal that no code hears."""


@pytest.fixture
def before_step(monkeypatch):
    """Do something before a step of the next training, counted from 0."""

    @contextlib.contextmanager
    def before_step(number: int, happens):
        step, taken = Training._take_step, []

        def taking(self, index):
            if len(taken) == number:
                happens()
            taken.append(1)
            step(self, index)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "_take_step", taking)
            yield

    return before_step


@pytest.fixture
def stop(before_step):
    """Send SIGTERM before a step of the next training, counted from 0."""

    @contextlib.contextmanager
    def stop(before: int):
        def signalled():
            os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(SystemExit) as ended, before_step(before, signalled):
            yield
        assert ended.value.code == 143

    return stop


@pytest.fixture
def kill(before_step):
    """End the next training before a step, counted from 0: on disk is its state."""

    @contextlib.contextmanager
    def kill(before: int):
        def killed():
            raise Killed

        with pytest.raises(Killed), before_step(before, killed):
            yield

    return kill


KILLED = """
import os, signal, sys
from bat.__main__ import main
from bat.training import Training

where, step = tuple(map(int, sys.argv[1:4])), Training._take_step

def take_step(self, index):
    step(self, index)
    if (self.trial, self.epoch, self.step) == where:
        os.kill(os.getpid(), signal.SIGKILL)

Training._take_step = take_step
main(sys.argv[4:])
"""


@pytest.fixture(scope="session")
def run_killed():
    """Run ``python -m bat`` in a process that nothing warns of its end, in a step from 0."""

    def run(*arguments, trial: int, epoch: int, step: int) -> None:
        command = [sys.executable, "-c", KILLED, trial, epoch, step, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr

    return run

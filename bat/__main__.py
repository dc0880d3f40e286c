"""The command line, ``python -m bat VERB``: finds the verbs of `bat.commands`, calls one."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import errno
import gc
import importlib
import os
import shlex
import signal
import sys
from collections.abc import Sequence

import bat
from bat.commands import VERBS
from bat.errors import BatError
from bat.escaping import shown
from bat.progress import log, start_logging
from bat.stopping import UNDER_WORKFLOW, Stopped, ended_by_signals

NO_MORE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    0 is success, 1 an output that takes no more, 2 something that the user can
    put right; 128 and a signal's number is a stop by SIGTERM, Ctrl-C or a closed
    terminal, after which the same command goes on from what is on disk.
    """
    argv = sys.argv[1:] if argv is None else argv
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us; the next file would be it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except OSError as error:
        # files that are written by name say theirs; what is left is the standard output
        if error.filename is not None or error.errno not in NO_MORE:
            raise
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:  # as after `| head`, which wants no more
            return 128 + signal.SIGPIPE
        log.error("error: the output takes no more: %s", error.strerror)
        return 1


def _run(argv: list[str]) -> int:
    arguments = parser([verb for verb in VERBS if verb in argv[:1]]).parse_args(argv)
    start_logging(arguments.log)
    arguments.words = argv
    try:
        with ended_by_signals():
            arguments.run(arguments)
    except BatError as error:
        log.error("error: %s", error)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        log.error("error: %s", _unreachable(error))
        return 2
    except Stopped as stop:
        if UNDER_WORKFLOW in os.environ:  # which itself says it, once for all its jobs
            log.handlers[:] = log.handlers[1:] or log.handlers
        log.warning("%s. To go on: %s", stop, shlex.join(["python", "-m", "bat", *argv]))
        return stop.code
    except SystemExit as end:
        if end.code not in (0, None):  # rich ends so where nobody reads
            raise
        log.error("error: code that the command runs ended it (SystemExit: %s)", end)
        return 2
    return 0


def _unreachable(error: OSError) -> BatError:
    """What to say of a file or folder that the system lets nobody open, list or write."""
    names = " to ".join(shown(name) for name in (error.filename, error.filename2) if name)
    return BatError(
        f"{names}: cannot be reached ({error.strerror}); allow reading and writing there, or see "
        "to the disk, and run the command again"
    )


def parser(asked: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of the verbs that are asked for, by default of all; what is parsed has the
    function to call in ``run``."""
    parser = argparse.ArgumentParser(prog="python -m bat", description=bat.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=bat.__version__)
    verbs = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for verb in asked or VERBS:
        importlib.import_module(f"bat.commands.{verb}").add_parser(verbs)
    return parser


def _leave() -> None:
    """Have the interpreter end without looking through all that was imported once more."""
    if "triton" not in sys.modules:  # which takes what is not collected for a leak, and prints it
        gc.freeze()


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 20)  # what is imported stays to the end: look through it seldom
    atexit.register(_leave)
    sys.exit(main())

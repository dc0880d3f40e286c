"""The command that a file records as the one that made it."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path


def recorded_command(arguments: argparse.Namespace, out: Path | None = None) -> str:
    """The command to record in what it writes: it runs in the folder of ``--out``.

    So it is the same wherever the results lie, and tells nobody's folders.
    """
    out = out or arguments.out
    folder = out.parent if out.suffix else out
    given = {name: value for name, value in vars(arguments).items() if name != "out"} | {"out": out}
    paths = [p for v in given.values() for p in (v if isinstance(v, list) else [v])]
    words, previous = ["python", "-m", "bat"], ""
    for word in arguments.words:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if "--log" not in (previous, option):
            if "--dataset" in (previous, option) and isinstance(arguments.dataset, Path):
                value = str(arguments.dataset)
            if value and (Path(value) in paths or Path(value) == given.get("dataset")):
                value = os.path.relpath(value, folder)
            words.append(f"{option}{equals}{value}")
        previous = word
    return shlex.join(words)

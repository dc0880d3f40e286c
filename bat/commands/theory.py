"""``theory``: the theorems on a mixture of Gaussians."""

from __future__ import annotations

import argparse

from bat.commands.options import add_verb
from bat.progress import log


def add_parser(subparsers) -> None:
    """Add ``theory`` and its options."""
    text = "theorems 1 and 2 and figure 20, checked by numbers"
    add_verb(subparsers, "theory", run, text, "out")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: the theorems on a mixture of Gaussians."""
    from bat.figures import fig20
    from bat.tables import theorems

    out = arguments.out
    files = fig20.write(out, out / "figures" / "fig20")
    files += theorems.write(out, out / "tables" / "theorems")
    for path in files:
        log.info("%s", path)

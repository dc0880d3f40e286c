"""``paper``: every number that the paper gives, beside ours."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import add_verb
from bat.progress import log


def add_parser(subparsers) -> None:
    """Add ``paper`` and its options."""
    text = "the paper's numbers beside those of a results folder, as a page"
    parser = add_verb(subparsers, "paper", run, text, "out")
    parser.add_argument("--results", type=Path, required=True, help="folder of the results")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: every number that the paper gives, beside ours."""
    from bat.tables import paper_page

    for path in paper_page.write(arguments.results, arguments.out):
        log.info("%s", path)

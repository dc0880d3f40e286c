"""``theory``: the theorems on a mixture of Gaussians."""

from __future__ import annotations

import argparse

from bat.commands.options import add_verb
from bat.progress import log


def add_parser(subparsers) -> None:
    text = "theorems 1 and 2 and figure 20, checked by numbers"
    add_verb(subparsers, "theory", run, text, "out")


def run(arguments: argparse.Namespace) -> None:
    from bat.figures import theory_report

    for path in theory_report.write_theory(arguments.out):
        log.info("%s", path)

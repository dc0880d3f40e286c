"""``convergence``: the scores of the first trials, beside those of all."""

from __future__ import annotations

import argparse

from bat.commands.options import add_verb


def add_parser(subparsers) -> None:
    """Add ``convergence`` and its options."""
    text = "how the scores settle with the number of trials"
    add_verb(subparsers, "convergence", run, text, "spec", "data", "out", "shards")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: the scores of the first trials, beside those of all."""
    from bat import data, scoring
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    scoring.write_convergence(arguments.shards, prepared, spec, arguments.out)

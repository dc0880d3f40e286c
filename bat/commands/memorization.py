"""``memorization``: shards of trials to tables of scores."""

from __future__ import annotations

import argparse

from bat.commands.options import add_verb
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``memorization`` and its options."""
    text = "memorization and influence tables from shards"
    add_verb(subparsers, "memorization", run, text, "spec", "data", "out", "shards")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: shards of trials to tables of scores."""
    from bat import data, scoring
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    command = recorded_command(arguments)
    scoring.write_scores(arguments.shards, prepared, spec, arguments.out, command=command)

"""``enough``: whether trials are enough, for ``scores.trials: auto``."""

from __future__ import annotations

import argparse

from bat.commands.options import add_verb
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``enough`` and its options."""
    text = "whether the trials of some shards are enough, or how many to go on to"
    add_verb(subparsers, "enough", run, text, "spec", "data", "out", "shards")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: whether trials are enough."""
    from bat import data
    from bat.files.specifications import read_specification
    from bat.scoring import enough

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    command = recorded_command(arguments)
    enough.write_decision(arguments.shards, prepared, spec, arguments.out, command=command)

"""``privacy``: membership inference on the trials themselves."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import add_verb
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``privacy`` and its options."""
    text = "what the trials give away of their training samples"
    parser = add_verb(subparsers, "privacy", run, text, "spec", "data", "out", "shards")
    parser.add_argument("--groups", type=Path, required=True, help="of the training samples")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: membership inference on the trials themselves."""
    from bat import data
    from bat.files.specifications import read_specification
    from bat.scoring import write_privacy

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    write_privacy(
        arguments.shards,
        arguments.groups,
        prepared,
        spec,
        arguments.out,
        command=recorded_command(arguments),
    )

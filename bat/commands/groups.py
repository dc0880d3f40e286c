"""``groups``: tables of scores to groups of samples."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import add_verb
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``groups`` and its options."""
    text = "typical and atypical groups"
    parser = add_verb(subparsers, "groups", run, text, "spec", "data", "out")
    parser.add_argument("--scores", type=Path, required=True, help="folder of the score tables")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: tables of scores to groups of samples."""
    from bat import data, scoring
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    command = recorded_command(arguments)
    scoring.write_groups(arguments.scores, prepared, spec, arguments.out, command=command)

"""``ensembles``: shards of trials to tables of the cheap scores."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import add_verb
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``ensembles`` and its options."""
    text = "disagreement and confidence tables from shards"
    add_verb(subparsers, "ensembles", run, text, "spec", "data", "out", "shards")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: shards of trials to tables of the cheap scores."""
    from bat import data, scoring
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    command = recorded_command(arguments)
    shards: dict[str, list[Path]] = {name: [] for name in spec["recipes"]}
    for path in arguments.shards:
        shards[path.stem.rsplit("-", 2)[0]].append(path)
    scoring.write_ensembles(shards, prepared, spec, arguments.out, command=command)

"""``proxies``: single trainings that are watched, and the scores made of what was seen."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import JOB, add_actions, add_verb, at_least, device_of
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``proxies`` and its actions."""
    actions = add_actions(subparsers, "proxies", "scores of single trainings: train, table")
    text = "train one model on the whole training set and keep what is seen of each sample"
    parser = add_verb(actions, "train", train, text, "spec", "data", "out", *JOB, "compile")
    parser.add_argument("--seed", type=at_least(0), required=True, help="of the training")
    parser = add_verb(actions, "table", table, "tables of the scores", "spec", "data", "out")
    parser.add_argument("--courses", type=Path, nargs="+", required=True, help="of every seed")


def train(arguments: argparse.Namespace) -> None:
    """Do ``proxies train``, for what was parsed."""
    from bat import data
    from bat.files.specifications import read_specification
    from bat.training.courses import record_course

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data, verify=True)
    with device_of(arguments) as device:
        record_course(
            arguments.out,
            prepared,
            spec,
            arguments.seed,
            device=device,
            command=recorded_command(arguments),
        )


def table(arguments: argparse.Namespace) -> None:
    """Do ``proxies table``, for what was parsed."""
    from bat import data
    from bat.files.specifications import read_specification
    from bat.scoring.proxies import write_proxies

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    command = recorded_command(arguments)
    write_proxies(arguments.courses, prepared, spec, arguments.out, command=command)

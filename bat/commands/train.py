"""``train``: one run and seed, with its history and checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import JOB, add_verb, at_least, device_of, run_specification
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``train`` and its options."""
    options = ("spec", "seed", "data", "out", *JOB, "compile")
    parser = add_verb(subparsers, "train", run, "one run of adversarial training", *options)
    parser.add_argument("--groups", type=Path, help="folder of the typical and atypical groups")
    parser.add_argument("--scores", type=Path, help="folder of the score tables, for BAT")
    parser.add_argument("--start", type=Path, help="best.pt of the run that it starts from")
    parser.add_argument(
        "--checkpoint-every",
        type=at_least(0, float),
        default=60.0,
        help="seconds between two checkpoints",
    )


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: one run and seed, with its history and checkpoints."""
    from bat import data, files
    from bat.training import Inputs, train_run

    spec = run_specification(arguments)
    prepared = data.load(arguments.data, verify=True)
    inputs = Inputs(arguments.groups, arguments.scores, arguments.start)
    with device_of(arguments) as device:
        train_run(
            arguments.out,
            prepared,
            spec,
            inputs,
            device=device,
            command=recorded_command(arguments),
            checkpoint_every=arguments.checkpoint_every,
        )
    files.write_json(arguments.out / "spec.json", spec)

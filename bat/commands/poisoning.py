"""``poisoning``: samples that harm those of other classes."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import JOB, add_actions, add_verb, device_of, run_specification
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``poisoning`` and its options."""
    text = "atypical training samples that a model takes for another class"
    actions = add_actions(subparsers, "poisoning", text)
    text = "poisoning scores of the training samples under a trained run"
    parser = add_verb(actions, "score", score, text, "spec", "seed", "data", "out", *JOB)
    parser.add_argument("--checkpoint", type=Path, required=True, help="state dict of the run")


def score(arguments: argparse.Namespace) -> None:
    """Do ``poisoning score``, for what was parsed."""
    from bat import data
    from bat.studies import poisoning

    spec = run_specification(arguments)
    prepared = data.load(arguments.data, verify=True)
    with device_of(arguments) as device:
        poisoning.score_checkpoint(
            arguments.checkpoint,
            prepared,
            spec,
            arguments.out,
            device=device,
            command=recorded_command(arguments),
        )

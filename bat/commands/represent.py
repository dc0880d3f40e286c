"""``represent``: what the features of one trained model are like."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import JOB, add_verb, device_of, run_specification
from bat.commands.recording import recorded_command
from bat.progress import log


def add_parser(subparsers) -> None:
    """Add ``represent`` and its options."""
    text = "how well a model's features tell the typical samples of classes apart"
    parser = add_verb(subparsers, "represent", run, text, "spec", "seed", "data", "out", *JOB)
    parser.add_argument("--checkpoint", type=Path, required=True, help="state dict of the run")
    parser.add_argument("--groups", type=Path, required=True, help="folder of the groups")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: what the features of one trained model are like."""
    from bat import data
    from bat.studies import features

    spec = run_specification(arguments)
    prepared = data.load(arguments.data, verify=True)
    with device_of(arguments) as device:
        found = features.represent_checkpoint(
            arguments.checkpoint,
            arguments.groups,
            prepared,
            spec,
            arguments.out,
            device=device,
            command=recorded_command(arguments),
        )
    log.info(
        "similarity within classes %.3f, between them %.3f; accuracy of a linear probe %.4f",
        *(found[name] for name in ("within", "between", "probe_accuracy")),
    )

"""``poisoning``: samples that harm those of other classes."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import JOB, add_actions, add_verb, device_of, run_specification
from bat.commands.recording import recorded_command
from bat.progress import log


def add_parser(subparsers) -> None:
    text = "atypical training samples that a model takes for another class: score, draw"
    actions = add_actions(subparsers, "poisoning", text)
    text = "poisoning scores of the training samples under a trained run"
    parser = add_verb(actions, "score", score, text, "spec", "seed", "data", "out", *JOB)
    parser.add_argument("--checkpoint", type=Path, required=True, help="state dict of the run")
    text = "figure 3: examples and the distribution of the scores"
    parser = add_verb(actions, "draw", draw, text, "out")
    parser.add_argument("--dataset", type=Path, required=True, help="results folder of the data")
    parser.add_argument(
        "--scores", type=Path, required=True, nargs="+", help="poisoning scores, one per seed"
    )


def score(arguments: argparse.Namespace) -> None:
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


def draw(arguments: argparse.Namespace) -> None:
    from bat.figures import poisoning_report

    for path in poisoning_report.write(arguments.dataset, arguments.scores, arguments.out):
        log.info("%s", path)

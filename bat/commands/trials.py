"""``trials``: one shard of the trainings on random subsets."""

from __future__ import annotations

import argparse

from bat.commands.options import JOB, add_verb, at_least, device_of
from bat.commands.recording import recorded_command


def add_parser(subparsers) -> None:
    """Add ``trials`` and its options."""
    text = "train one shard of subset trainings; its range is in the name of --out"
    options = ("spec", "data", "out", *JOB, "compile")
    parser = add_verb(subparsers, "trials", run, text, *options)
    for flag, text in (
        ("--n-trials", "trials in all; refused where they leave a score undefined"),
        ("--n-held-out", "trials behind held-out scores, likewise"),
    ):
        parser.add_argument(flag, type=at_least(0), default=0, help=text)


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: one shard of the trainings on random subsets."""
    from bat import data
    from bat.files.specifications import read_specification
    from bat.scores.subsets import check_coverage
    from bat.training import trials

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data, verify=True)
    seed, ratio = spec["recipe"]["seed"], spec["recipe"]["subset_ratio"]
    n = prepared.info["n_train"]
    check_coverage(seed, n, ratio, arguments.n_trials, arguments.n_held_out)
    with device_of(arguments) as device:
        trials.run_shard(
            arguments.out,
            prepared,
            spec["recipe"],
            *trials.shard_range(arguments.out),
            spec["members"],
            device=device,
            command=recorded_command(arguments),
            margins=spec.get("margins", True),
        )

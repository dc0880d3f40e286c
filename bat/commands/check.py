"""``check``: all mistakes of configuration files, or what they ask for."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

from bat.commands.options import add_verb, say


def add_parser(subparsers) -> None:
    """Add ``check`` and its options."""
    text = "check configuration files and say what they ask for"
    add_verb(subparsers, "check", run, text, "configfile")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: all mistakes of configuration files, or what they ask for."""
    from bat import addresses, config
    from bat.extensions import described
    from bat.plan import inputs, own, places
    from bat.plan.enough import trials_in_words
    from bat.plan.sizes import coverage_problems, trials_to_stand
    from bat.plan.specifications import all_specifications, run_problems

    problems, whole = [], True
    try:
        settings = config.read_config(*arguments.configfile)
    except config.ConfigError as error:
        if error.rest is None:
            raise
        settings, problems, whole = error.rest, error.problems, error.whole
    problems = problems + places.absent(settings) + own.code_problems(settings)
    if whole:  # else what runs name might be what was wrong itself
        problems += inputs.unknown_entries(settings) + run_problems(settings)
        problems += coverage_problems(settings)
    if problems:
        raise config.ConfigError(" + ".join(map(str, arguments.configfile)), problems)
    all_specifications(settings)  # as the workflow begins
    for name, dataset in settings.datasets.items():
        scores = f"{trials_in_words(dataset.scores)} trials of {dataset.scores.architecture}"
        if dataset.scores.source is not None:
            scores = f"scores from {addresses.shown_source(dataset.scores.source)}"
        say(f"{name}: {dataset.data.source}, {scores}")
        for what, code in own.code(dataset).items():
            say(f"  {what} runs {described(code)}")
        advice = trials_to_stand(dataset, settings.results / name)
        if dataset.scores.source is None and advice:
            say(f"  {advice}")
    words = [_snakemake(), "all", "--cores", "2", "--configfile", *map(str, arguments.configfile)]
    say(f"to make everything: {shlex.join(words)}")


def _snakemake() -> str:
    """How a shell finds Snakemake: by its name, else where it lies beside this Python."""
    beside = Path(sys.executable).with_name("snakemake")
    if shutil.which("snakemake") or not beside.is_file():
        return "snakemake"
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)

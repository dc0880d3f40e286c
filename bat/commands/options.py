"""Options that several verbs share: how they are asked for, and what they stand for."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bat.errors import BatError
from bat.escaping import for_terminal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bat.devices import Runtime


def at_least(least: int, kind: type = int) -> Callable[[str], float]:
    """What reads an option that is a number, finite and no less than ``least``."""

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} was given, expected {least} or more")
        return value

    number.__name__ = "whole number" if kind is int else "number"  # what argparse calls it
    return number


OPTIONS = {
    "spec": (["--spec"], {"type": Path, "required": True, "help": "specification of the stage"}),
    "seed": (
        ["--seed"],
        {"type": at_least(0), "help": "of the run, whose specification all seeds share"},
    ),
    "data": (["--data"], {"type": Path, "required": True, "help": "folder of the prepared data"}),
    "out": (["--out"], {"type": Path, "required": True, "help": "what is written"}),
    "shards": (
        ["--shards"],
        {"type": Path, "required": True, "nargs": "+", "help": "trial shards"},
    ),
    "threads": (["--threads"], {"type": at_least(1), "default": 1, "help": "CPU threads"}),
    "device": (
        ["--device"],
        {"choices": ["auto", "cpu", "cuda"], "default": "auto", "help": "what to compute on"},
    ),
    "compile": (
        ["--compile"],
        {"action": argparse.BooleanOptionalAction, "default": True, "help": "on a GPU"},
    ),
    "jobs-per-gpu": (
        ["--jobs-per-gpu"],
        {"type": at_least(1), "default": 1, "help": "jobs on one GPU"},
    ),
    "configfile": (["configfile"], {"type": Path, "nargs": "+", "help": "YAML files"}),
}

JOB = ("threads", "device", "jobs-per-gpu")
"""Of what trains or attacks."""


def add_verb(
    subparsers, name: str, run: Callable[[argparse.Namespace], None], text: str, *options: str
) -> argparse.ArgumentParser:
    """Add a verb, or an action of one, and its options.

    Parameters
    ----------
    subparsers
        As `argparse.ArgumentParser.add_subparsers` gives them.
    name : str
    run : callable
        Called with the parsed arguments.
    text : str
        Its line of help.
    *options : str
        Keys of `OPTIONS`, in the order in which help lists them.

    Returns
    -------
    argparse.ArgumentParser
        For options of its own.
    """
    parser = subparsers.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--log", type=Path, help="also append the messages to this file")
    for option in options:
        flags, settings = OPTIONS[option]
        parser.add_argument(*flags, **settings)
    return parser


def add_actions(subparsers, name: str, text: str):
    """Add a verb whose next word is an action; what its actions are added to."""
    parser = subparsers.add_parser(name, help=text, description=text)
    return parser.add_subparsers(dest="action", required=True, metavar="ACTION")


def results_folder(text: str) -> Path:
    """The results folder of a data set from its path, or from its name in ``results``."""
    folder, named = Path(text), Path("results") / text
    if folder.is_dir():
        return folder
    if named.is_dir():
        return named
    raise argparse.ArgumentTypeError(
        f"{text!r} is no folder, and neither is {named}: name the results folder of a data set "
        f"(`snakemake {named}/data/dataset.json` prepares one that is configured)"
    )


DATASET = {
    "type": results_folder,
    "required": True,
    "help": "results folder of the data set, or its name in results/",
}
"""Settings of ``--dataset`` where a person names it."""

NORMALIZE = {
    "action": argparse.BooleanOptionalAction,
    "help": "whether the model expects images normalized by the data set's channel statistics; "
    "to be said where the file does not",
}
"""Settings of ``--normalize``, which a model from elsewhere may need."""

KEY = "where in the file the weights are, as ema.model, if they could be several"
"""Help of ``--key``."""


def run_specification(arguments: argparse.Namespace) -> dict:
    """The specification of one run and its seed.

    Raises
    ------
    BatError
        If neither the file nor ``--seed`` says the seed.
    """
    from bat.files.specifications import read_specification

    spec = read_specification(arguments.spec, seed=arguments.seed)
    if "seed" not in spec:
        raise BatError(f"{arguments.spec}: holds for every seed of the run; give one with --seed")
    return spec


def device_of(arguments: argparse.Namespace) -> AbstractContextManager[Runtime]:
    """Where the command trains or attacks, for as long as the block lasts."""
    from bat import devices

    return devices.runtime(
        arguments.device,
        threads=arguments.threads,
        compile=getattr(arguments, "compile", False),
        jobs_per_gpu=arguments.jobs_per_gpu,
    )


def say(text: str) -> None:
    """Print what holds names of others."""
    print(for_terminal(text), flush=True)

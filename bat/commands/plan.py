"""``plan``: jobs, hours and disk before anything is spent."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bat.commands.options import add_verb, at_least


def add_parser(subparsers) -> None:
    """Add ``plan`` and its options."""
    text = "say what a configuration costs: jobs, hours, disk"
    parser = add_verb(subparsers, "plan", run, text)
    text = "YAML files, each laid over the one before; config/config.yaml where none is named"
    parser.add_argument("configfile", type=Path, nargs="*", help=text)
    text = "the same, as snakemake takes them"
    parser.add_argument("--configfile", dest="laid", type=Path, nargs="+", help=text)
    text = "where the jobs will run; by default as configured"
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], help=text)
    text = "run a few steps of each stage here and plan with what they take"
    parser.add_argument("--measure", action="store_true", help=text)
    text = "that measuring takes, about (60); on a GPU, compilation comes on top"
    parser.add_argument("--seconds", type=at_least(0, float), default=60.0, help=text)


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: jobs, hours and disk before anything is spent."""
    from rich.console import Console

    from bat import config
    from bat.plan import printing

    paths = arguments.configfile or arguments.laid or [Path("config/config.yaml")]
    console = Console(width=None if sys.stdout.isatty() else 110)
    seconds = arguments.seconds if arguments.measure else 0.0
    printing.show(config.read_config(*paths), console, device=arguments.device, measure=seconds)

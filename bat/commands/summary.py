"""``summary``: what a results folder holds."""

from __future__ import annotations

import argparse

from bat.commands.options import add_verb, say


def add_parser(subparsers) -> None:
    """Add ``summary`` and its options."""
    add_verb(subparsers, "summary", run, "say what has been made and where", "configfile")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: what a results folder holds."""
    from bat import config
    from bat.report.summary import summary

    say("\n".join(summary(config.read_config(*arguments.configfile))))

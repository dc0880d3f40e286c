"""``schema``: what a configuration may hold."""

from __future__ import annotations

import argparse
import json

from bat.commands.options import add_verb


def add_parser(subparsers) -> None:
    """Add ``schema`` and its options."""
    parser = add_verb(subparsers, "schema", run, "print the JSON schema of the configuration")
    parser.add_argument("--markdown", action="store_true", help="a page for readers instead")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: what a configuration may hold."""
    if arguments.markdown:
        from bat.config import reference

        print(reference.configuration_reference(), end="")
        return
    from bat import config

    print(json.dumps(config.json_schema(), indent=2))

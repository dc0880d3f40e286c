"""``annotate``: what people say of samples that poison."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import add_actions, add_verb, at_least
from bat.progress import log


def add_parser(subparsers) -> None:
    """Add ``annotate`` and its options."""
    actions = add_actions(subparsers, "annotate", "the annotation study: sheet, table")
    parser = add_verb(actions, "sheet", sheet, "page for annotators and its key", "data", "out")
    parser.add_argument("--scores", type=Path, required=True, help="poisoning scores")
    parser.add_argument("--groups", type=Path, required=True, help="training groups")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the order of the images")
    parser = add_verb(actions, "table", table, "table of the answers and agreement", "out")
    parser.add_argument("answers", type=Path, nargs="*", help="CSV files that the sheet saved")
    parser.add_argument("--key", type=Path, required=True, help="key.json of the sheet")


def sheet(arguments: argparse.Namespace) -> None:
    """Do ``annotate sheet``, for what was parsed."""
    from bat.studies import annotation

    key = annotation.write_sheet(
        arguments.scores, arguments.groups, arguments.data, arguments.out, seed=arguments.seed
    )
    n, page = len(key["items"]), arguments.out / "sheet.html"
    log.info("%s: %d images; open it in a browser", page, n)
    log.info("%s: tells the answers' meaning; keep it from annotators", arguments.out / "key.json")


def table(arguments: argparse.Namespace) -> None:
    """Do ``annotate table``, for what was parsed."""
    from bat.tables import annotation

    for path in annotation.write_answer_tables(arguments.key, arguments.answers, arguments.out):
        log.info("%s", path)

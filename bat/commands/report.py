"""``report``: one figure or table from files on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import add_verb
from bat.plan import inputs
from bat.progress import log


def add_parser(subparsers) -> None:
    text = "make one figure or table from files on disk"
    parser = add_verb(subparsers, "report", run, text, "spec", "out")
    parser.add_argument("artefact", choices=[*inputs.FIGURES, *inputs.COMPARED])
    parser.add_argument("--dataset", type=Path, required=True, help="results folder of the data")
    text = "specifications of the runs, for what compares them"
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help=text)


def run(arguments: argparse.Namespace) -> None:
    from bat.figures import reports
    from bat.files.specifications import read_specification

    spec = read_specification(arguments.spec)
    if arguments.artefact in reports.FIGURES:
        folder = reports.Folder(arguments.dataset, spec)
        files = reports.FIGURES[arguments.artefact](folder, arguments.out)
    else:
        runs = [read_specification(path) for path in arguments.runs]
        comparison = reports.Comparison(reports.Folder(arguments.dataset), spec, runs)
        files = reports.COMPARISONS[arguments.artefact](comparison, arguments.out)
    for path in files:
        log.info("%s", path)

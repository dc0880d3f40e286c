"""``report``: one figure or table from files on disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import add_verb
from bat.errors import BatError
from bat.plan import catalogue
from bat.progress import log


def add_parser(subparsers) -> None:
    """Add ``report`` and its options."""
    text = "make one figure or table from files on disk"
    parser = add_verb(subparsers, "report", run, text, "spec", "out")
    parser.add_argument("artefact", metavar="NAME", help="as in the README's table")
    parser.add_argument("--dataset", type=Path, required=True, help="results folder of the data")
    text = "specifications of the runs, for what compares them"
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help=text)


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: one figure or table from files on disk."""
    from bat.files.specifications import read_specification
    from bat.report.comparison import Comparison
    from bat.report.folder import Folder

    entry = catalogue.find_entry(arguments.artefact)
    spec = read_specification(arguments.spec)
    source = Folder(arguments.dataset, spec)
    if entry.scope == "architecture":
        runs = [read_specification(path) for path in arguments.runs]
        source = Comparison(source, spec, runs)
    written = catalogue.writer(entry)(source, arguments.out)
    absent = [file for file in entry.files_at(str(arguments.out)) if not Path(file).is_file()]
    if absent:
        raise BatError(
            f"bat/{entry.folder}/{entry.name}.py: write did not make {', '.join(absent)}; it is to "
            "write to `out` with each suffix of ENTRY.files and to give the paths"
        )
    for path in written or ():
        log.info("%s", path)

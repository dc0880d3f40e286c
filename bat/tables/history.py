"""The configured runs along training, by split and group; for programs alone."""

from __future__ import annotations

from pathlib import Path

from bat.plan.catalogue import Entry
from bat.plan.inputs import runs_of
from bat.report.along_training import followed
from bat.report.comparison import Comparison
from bat.report.writing import write_table_files

ENTRY = Entry(
    shows="accuracy of every run along training, by group",
    scope="architecture",
    needs=("history", "groups"),
    runs=("configured",),
    files=("csv",),
    part_of="comparisons",
)


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write the table of a data set and architecture.

    Parameters
    ----------
    comparison : Comparison
        Of the data set and architecture.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written.
    """
    table = followed(comparison, runs_of(ENTRY.runs, comparison.spec))
    return write_table_files(table, out, "", formats=("csv",))

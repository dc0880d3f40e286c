"""BAT(1, 0.2) with each of the three scores."""

from __future__ import annotations

from pathlib import Path

from bat.plan.catalogue import Entry
from bat.plan.inputs import runs_of
from bat.report.comparison import Comparison
from bat.tables.methods import write_methods

ENTRY = Entry(
    shows="BAT with each of the three scores",
    paper="A.1",
    scope="architecture",
    needs=("evaluations",),
    runs=("substitution",),
    part_of="section3",
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
    return write_methods(comparison, runs_of(ENTRY.runs, comparison.spec), out)

"""Figure 8 (also 9 and 10): ERM on the atypical samples along training."""

from __future__ import annotations

from pathlib import Path

from bat.plan.catalogue import Entry
from bat.report.comparison import Comparison
from bat.report.curves import of_atypical, write_curves

ENTRY = Entry(
    shows="ERM on the atypical samples along training",
    about=(
        "Accuracy of ERM on the **atypical** training and test samples of **{dataset}** "
        "({architecture}) along training (paper, figures 8 to 10)."
    ),
    paper="Fig. 8-10",
    scope="architecture",
    needs=("history", "groups"),
    runs=("erm whole",),
    targets=("fig8", "fig9", "fig10"),
    part_of="section3",
)


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Draw the figure of a data set and architecture; see `bat.report.curves.write_curves`."""
    return write_curves(comparison, of_atypical("erm"), out)

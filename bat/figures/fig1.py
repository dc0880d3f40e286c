"""Figure 1 (also 11 to 13): PGD-AT on the atypical samples along training."""

from __future__ import annotations

from pathlib import Path

from bat.plan.catalogue import Entry
from bat.report.comparison import Comparison
from bat.report.curves import of_atypical, write_curves

ENTRY = Entry(
    shows="PGD-AT on the atypical samples along training",
    about=(
        "Clean and PGD accuracy of PGD adversarial training on the **atypical** training and "
        "test samples of **{dataset}** ({architecture}) along training (paper, figures 1 and "
        "11 to 13)."
    ),
    paper="Fig. 1, 11-13",
    scope="architecture",
    needs=("history", "groups"),
    runs=("pgd-at whole",),
    targets=("fig1", "fig11", "fig12", "fig13"),
    part_of="section3",
)


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Draw the figure of a data set and architecture; see `bat.report.curves.write_curves`."""
    return write_curves(comparison, of_atypical("pgd-at"), out)

"""Figure 2 (also 17 to 19): PGD-AT on the typical samples by share of atypical ones."""

from __future__ import annotations

from pathlib import Path

from bat.plan.catalogue import Entry
from bat.report.comparison import Comparison
from bat.report.curves import of_typical, write_curves

ENTRY = Entry(
    shows="PGD-AT on the typical samples by share of atypical ones",
    about=(
        "Clean and PGD accuracy of PGD adversarial training on the test **typical** samples "
        "of **{dataset}** ({architecture}) by the share of atypical samples in the training "
        "set (paper, figures 2 and 17 to 19)."
    ),
    paper="Fig. 2, 17-19",
    scope="architecture",
    needs=("history", "groups"),
    runs=("pgd-at by share",),
    targets=("fig2", "fig17", "fig18", "fig19"),
    part_of="section3",
)


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Draw the figure of a data set and architecture; see `bat.report.curves.write_curves`."""
    return write_curves(comparison, of_typical("pgd-at", comparison.spec["shares"]), out)

"""Figure 14 (also 2c, 15 and 16): ERM on the typical samples by share of atypical ones."""

from __future__ import annotations

from pathlib import Path

from bat.plan.catalogue import Entry
from bat.report.comparison import Comparison
from bat.report.curves import of_typical, write_curves

ENTRY = Entry(
    shows="ERM on the typical samples by share of atypical ones",
    about=(
        "Accuracy of ERM on the test **typical** samples of **{dataset}** ({architecture}) by "
        "the share of atypical samples in the training set (paper, figures 2c and 14 to 16)."
    ),
    paper="Fig. 2c, 14-16",
    scope="architecture",
    needs=("history", "groups"),
    runs=("erm by share",),
    targets=("fig14", "fig15", "fig16"),
    part_of="section3",
)


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Draw the figure of a data set and architecture; see `bat.report.curves.write_curves`."""
    return write_curves(comparison, of_typical("erm", comparison.spec["shares"]), out)

"""Curves along training, from hand-made histories."""

import numpy as np
import pandas as pd
import pytest
from drawn import EPOCHS
from followed import RUNS, SHARES, followed

from bat.report import curves, style


def test_curves_are_means_over_seeds():
    wanted = curves.of_typical("pgd-at", SHARES)
    table = curves.study_curves(followed(), wanted)
    assert set(table["attack"]) == {"clean", "pgd"}
    row = table[
        (table["series"] == "100 % atypical") & (table["epoch"] == 10) & (table["attack"] == "pgd")
    ].iloc[0]
    assert row["mean"] == pytest.approx(0.5 + 0.2 - 0.1 + 0.01 - 0.3)
    assert row["sd"] == pytest.approx(0.02 / np.sqrt(2))
    assert (row["n_seeds"], row["n"]) == (2, 40)


@pytest.mark.parametrize(
    ("wanted", "runs", "group", "attacks"),
    [
        (curves.of_atypical("pgd-at"), {"pgd-at-all"}, "atypical", ("clean", "pgd")),
        (curves.of_atypical("erm"), {"erm-all"}, "atypical", ("clean",)),
        (curves.of_typical("pgd-at", SHARES), set(RUNS), "typical", ("clean", "pgd")),
        (
            curves.of_typical("erm", SHARES),
            {"erm-atypical-0", "erm-atypical-100"},
            "typical",
            ("clean",),
        ),
    ],
)
def test_curves_are_of_their_runs(wanted, runs, group, attacks):
    assert {run for run, _ in wanted.series.values()} == runs
    assert (wanted.group, wanted.attacks) == (group, attacks)


def test_accuracy_by_epoch():
    ax = curves.plot_accuracy_by_epoch(EPOCHS)
    assert [line.get_label() for line in ax.lines] == ["PGD-AT", "mine"]
    assert ax.lines[0].get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert ax.lines[0].get_color() == style.SERIES["PGD-AT"][0]
    band = ax.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.09, 0.31))


def test_the_legend_hides_no_data():
    shares = [f"{share} % atypical" for share in (0, 20, 40, 60, 80, 100)]
    rows = {"epoch": [1, 2], "mean": [0.0, 1.0], "sd": 0.1}
    ax = curves.plot_accuracy_by_epoch(
        pd.concat([pd.DataFrame({"series": name, **rows}) for name in shares])
    )
    ax.figure.draw_without_rendering()
    legend, frame = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y0 >= frame.y1
    assert ax.figure.bbox.x0 <= legend.x0 < legend.x1 <= ax.figure.bbox.x1
    assert legend.y1 <= ax.figure.bbox.y1

"""Curves and end values of the studies, from hand-made histories."""

import numpy as np
import pandas as pd
import pytest

from bat.report import curves

SHARES = [0.0, 1.0]
RUNS = {"pgd-at-atypical-0": "0 %", "pgd-at-atypical-100": "100 %"}


def followed(empty=()):
    """Two seeds and two epochs; accuracies that are easy to compute with."""
    rows = []
    for share, run in enumerate(RUNS):
        for seed in (0, 1):
            for epoch in (5, 10):
                for group in ("typical", "atypical"):
                    for attack in ("clean", "pgd"):
                        accuracy = 0.5 + 0.02 * epoch - 0.1 * share + 0.01 * seed * (1 + share)
                        accuracy -= 0.3 * (attack == "pgd")
                        n = 0 if group in empty else 40
                        rows.append(
                            {
                                "run": run,
                                "seed": seed,
                                "epoch": epoch,
                                "split": "test",
                                "group": group,
                                "attack": attack,
                                "accuracy": accuracy if n else np.nan,
                                "n": n,
                            }
                        )
    return pd.DataFrame(rows)


def test_curves_are_means_over_seeds():
    wanted = curves.curves_of("fig2", SHARES)
    table = curves.study_curves(followed(), wanted)
    assert set(table["attack"]) == {"clean", "pgd"}
    row = table[
        (table["series"] == "100 % atypical") & (table["epoch"] == 10) & (table["attack"] == "pgd")
    ].iloc[0]
    assert row["mean"] == pytest.approx(0.5 + 0.2 - 0.1 + 0.01 - 0.3)
    assert row["sd"] == pytest.approx(0.02 / np.sqrt(2))
    assert (row["n_seeds"], row["n"]) == (2, 40)


@pytest.mark.parametrize(
    ("figure", "runs", "group", "attacks"),
    [
        ("fig1", {"pgd-at-all"}, "atypical", ("clean", "pgd")),
        ("fig8", {"erm-all"}, "atypical", ("clean",)),
        ("fig2", set(RUNS), "typical", ("clean", "pgd")),
        ("fig14", {"erm-atypical-0", "erm-atypical-100"}, "typical", ("clean",)),
    ],
)
def test_each_figure_draws_its_runs(figure, runs, group, attacks):
    wanted = curves.curves_of(figure, SHARES)
    assert {run for run, _ in wanted.series.values()} == runs
    assert (wanted.group, wanted.attacks) == (group, attacks)


def test_end_values_are_those_of_the_last_epoch_paired_by_seed():
    table = curves.end_values(followed(), RUNS, "pgd-at-atypical-0")
    row = table[(table["run"] == "pgd-at-atypical-100") & (table["attack"] == "clean")].iloc[0]
    assert row["mean"] == pytest.approx(0.5 + 0.2 - 0.1 + 0.01)
    assert row["difference"] == pytest.approx(-0.1 + 0.005)  # seeds differ by -0.1 and -0.09
    assert row["difference_se"] == pytest.approx(0.01 / np.sqrt(2) / np.sqrt(2))
    assert row["low"] < row["difference"] < row["high"]
    own = table[(table["run"] == "pgd-at-atypical-0") & (table["attack"] == "clean")].iloc[0]
    assert own["difference"] == 0


def test_an_empty_group_is_said_and_stops_nothing():
    table = curves.end_values(followed(empty=("typical",)), RUNS, "pgd-at-atypical-0")
    assert table[list(curves.NUMBERS)].isna().all(axis=None)
    shown = curves.present_end_values(table.assign(method="pgd-at"))
    assert set(shown["Mean (%)"]) == {"no samples"}

"""The table of the features' measures."""

import numpy as np
import pytest

from bat.tables import representation


def measures(value, **more):
    """One model's measures, all from one number."""
    found = {name: value for name in representation.MEASURES}
    errors = {f"{name}_se": value / 10 for name in representation.MEASURES}
    facts = {"n_train": 1000, "n_test": 500, "n_undirected": 0, "probe_converged": True}
    return found | errors | facts | {"recipe": {"training": {"epochs": 12}}} | more


RUNS = {"erm-atypical-0": "0 %", "erm-atypical-100": "100 %"}


def test_table_pairs_seeds():
    values = {"erm-atypical-0": (0.5, 0.3), "erm-atypical-100": (0.4, 0.1)}
    found = {(run, s): measures(v) for run, both in values.items() for s, v in enumerate(both)}
    table = representation.representation_table(found, RUNS, "erm-atypical-0").set_index(
        ["measure", "run"]
    )
    assert len(table) == 8
    row = table.loc["probe_accuracy", "erm-atypical-100"]
    assert row["mean"] == pytest.approx(0.25)
    assert row["sd"] == pytest.approx(np.std([0.4, 0.1], ddof=1))
    assert row["difference"] == pytest.approx(-0.15)
    assert row["difference_se"] == pytest.approx(0.05)
    assert row["sample_se"] == pytest.approx(np.sqrt((0.04**2 + 0.01**2) / 2))
    assert table.loc["within", "erm-atypical-0"]["difference"] == 0


def test_table_of_one_seed_claims_no_spread():
    found = {(run, 4): measures(value) for run, value in zip(RUNS, (0.5, 0.25), strict=True)}
    table = representation.representation_table(found, RUNS, "erm-atypical-0").assign(method="erm")
    assert table[["sd", "difference_se", "low", "high"]].isna().all(axis=None)
    shown = representation.presentation(table)
    assert shown.to_dict("records")[1] == {
        "Method": "ERM",
        "Atypical": "100 %",
        "Within a class": "0.250",
        "Between classes": "0.250",
        "Within − between": "0.250",
        "Difference, Within − between": "−0.250",
        "Linear probe (%)": "25.0",
        "Difference, Linear probe (%)": "−25.0",
    }
    caption = representation.caption(table, found, "digits", "small_cnn")
    assert "12 epochs" in caption and "One seed" in caption and "500 test" in caption
    assert "up to 0.050 (similarities) and 5.0 points (probe)" in caption
    assert "left out" not in caption and "converged" not in caption
    assert shown["Difference, Linear probe (%)"].isna().tolist() == [True, False]


def test_caption_says_what_is_missing():
    found = {(run, s): measures(0.5) for run in RUNS for s in (0, 1)}
    found["erm-atypical-0", 1] |= {"n_undirected": 3, "probe_converged": False}
    table = representation.representation_table(found, RUNS, "erm-atypical-0").assign(method="erm")
    caption = representation.caption(table, found, "digits", "small_cnn")
    assert "over 2 seeds" in caption and "t-interval" in caption
    assert "3 features" in caption and "1 of 4 regressions had not converged" in caption

"""Checks of gradient masking, from made-up verdicts."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bat.report.masking import CHECKS, checks, failure_note, failures, masking_note
from bat.statistics import wilson_interval


def verdicts(n=100, clean=95, few=60, many=58, transfer=58, square=57, unbounded=0):
    """How many of the first samples withstand each attack."""
    counts = {"clean": clean, "few": few, "many": many, "transfer": transfer}
    counts |= {"square": square, "unbounded": unbounded}
    columns = {k: None if v is None else np.arange(n) < v for k, v in counts.items()}
    return pd.DataFrame({"index": np.arange(n), **columns})


def test_shares_are_of_all_samples_judged():
    table = checks({("pgd-at", 3): verdicts()}, chance=0.1).set_index("check")
    assert list(table.index) == list(CHECKS)
    assert table["count"].tolist() == [2, 0, 1, 0]
    assert table["share"].tolist() == pytest.approx([0.02, 0, 0.01, 0])
    assert table["limit"].tolist() == pytest.approx([0.05, 0.02, 0.02, 0.1])
    assert table[["before", "after"]].loc["steps"].tolist() == pytest.approx([0.6, 0.58])
    assert table["passed"].all() and (table["n"] == 100).all() and (table["seed"] == 3).all()
    low, high = wilson_interval(2, 100)
    assert table.loc["steps", ["low", "high"]].tolist() == pytest.approx([float(low), float(high)])


@pytest.mark.parametrize(
    ("name", "n", "changes", "passed"),
    [
        # 10 of 100 are twice the limit of 5 %, and the interval begins at 5.5 %; 9 begin at 4.8 %
        ("steps", 100, {"many": 50}, False),
        ("steps", 100, {"many": 51}, True),
        # the same share of 1,000 samples is less noise
        ("steps", 1000, {"few": 600, "many": 510}, False),
        ("transfer", 100, {"transfer": 50}, False),
        ("square", 100, {"square": 53}, False),
        ("square", 100, {"square": 54}, True),
        ("unbounded", 100, {"unbounded": 18}, False),
        ("unbounded", 100, {"unbounded": 10}, True),
    ],
)
def test_a_check_fails_beyond_its_limit_and_the_noise(name, n, changes, passed):
    counts = {"clean": n, "transfer": None, **changes}
    counts["square"] = min(counts.get("square", 57), counts.get("many", 58))
    table = checks({("x", 0): verdicts(n, **counts)}, chance=0.1).set_index("check")
    assert bool(table.loc[name, "passed"]) is passed
    low = float(wilson_interval(table.loc[name, "count"], n)[0])
    assert (low <= table.loc[name, "limit"]) == passed


def test_what_fails_is_said_by_run_and_seed():
    found = {
        ("pgd-at", 0): verdicts(),
        ("own", 0): verdicts(square=40, unbounded=30),
        ("own", 1): verdicts(square=40),
        ("theirs", 0): verdicts(transfer=None),
    }
    table = checks(found, chance=0.1)
    assert failures(table) == {"own": "Square (seeds 0 and 1), eps 1 (seed 0)"}
    assert failure_note(table).endswith("own fails Square (seeds 0 and 1), eps 1 (seed 0).")
    assert failure_note(table[table["run"] != "own"]) == ""
    assert table[table["run"] == "theirs"]["check"].tolist() == ["steps", "square", "unbounded"]


def test_the_note_of_a_comparison_is_of_all_its_models_and_empty_where_nothing_is_checked():
    spec = {"ablation": {"alpha": [], "beta": []}, "substitution": [], "shares": []}
    spec |= {"runs": ["pgd-at"], "external": ["theirs"]}
    asked = []

    def maskings(runs):
        asked.append(runs)
        return {("pgd-at", 0): verdicts(), ("theirs", 0): verdicts(transfer=None, square=20)}

    prepared = SimpleNamespace(test_labels=np.arange(10).repeat(10))
    comparison = SimpleNamespace(
        spec=spec, maskings=maskings, folder=SimpleNamespace(prepared=prepared)
    )
    assert masking_note(comparison) == "" and asked == []
    comparison.spec = spec | {"masking": {}}
    assert masking_note(comparison).endswith("theirs fails Square (seed 0).")
    assert asked == [["pgd-at", "theirs"]]


def test_what_says_one_class_of_every_image_hides_no_gradient():
    spec = {"ablation": {"alpha": [], "beta": []}, "substitution": [], "shares": []}
    spec |= {"runs": ["mart"], "external": [], "masking": {}}
    constant = dict.fromkeys(("clean", "few", "many", "transfer", "square", "unbounded"), 70)
    prepared = SimpleNamespace(test_labels=np.repeat([0, 1], [140, 60]))
    comparison = SimpleNamespace(
        spec=spec,
        maskings=lambda runs: {("mart", 0): verdicts(**constant)},
        folder=SimpleNamespace(prepared=prepared),
    )
    assert masking_note(comparison) == ""
    prepared.test_labels = np.repeat([0, 1], 100)
    assert masking_note(comparison).endswith("MART fails eps 1 (seed 0).")

"""Verdicts over seeds and samples."""

import numpy as np
import pandas as pd
import pytest

from bat.intervals import crossed_mean, holm
from bat.report.crossed import beats_all, corrected, summary

RNG = np.random.default_rng(0)


def verdicts(share, seeds=(0, 1, 2), n=300):
    return pd.DataFrame(RNG.random((len(seeds), n)) < share, index=list(seeds))


def test_summary_pairs_common_seeds_and_samples():
    own, other = verdicts(0.7, (0, 1, 2, 3)), verdicts(0.6, (1, 2, 3, 4))
    row = summary(own, other)
    assert (row["n_seeds"], row["n_pairs"]) == (4, 3)
    assert row["mean"] == pytest.approx(own.to_numpy().mean())
    assert row["sd"] == pytest.approx(own.mean(axis=1).std(ddof=1))
    expected = crossed_mean(own.loc[[1, 2, 3]].to_numpy(float) - other.loc[[1, 2, 3]])
    found = [row[name] for name in ("difference", "difference_se", "low", "high", "p")]
    assert found == pytest.approx(
        [expected.mean, expected.standard_error, expected.low, expected.high, expected.p]
    )
    assert row["mean_low"] < row["mean"] < row["mean_high"]


def test_what_is_not_known_is_nan():
    one = summary(verdicts(0.5, (0,)), verdicts(0.5, (0,)))
    assert one["n_pairs"] == 1 and not np.isnan(one["difference"])
    assert np.isnan([one[name] for name in ("sd", "mean_low", "low", "high", "p")]).all()
    assert np.isnan(summary(verdicts(0.5), None)["difference"])
    empty = summary(verdicts(0.5, n=0), verdicts(0.5, n=0))
    assert empty["n_seeds"] == 3 and np.isnan([empty["mean"], empty["difference"]]).all()
    assert summary(verdicts(0.5), verdicts(0.5, (7,)))["n_pairs"] == 0


def test_intervals_stay_where_accuracies_can_be():
    row = summary(verdicts(0.5, (0, 1), 20), verdicts(0.5, (0, 1), 20))
    assert row["mean_low"] >= 0 and row["mean_high"] <= 1 and row["low"] >= -1 and row["high"] <= 1


def test_the_number_of_differences_is_corrected_for_and_the_reference_is_none():
    table = pd.DataFrame({"run": ["a", "b", "c"], "p": [1.0, 0.02, 0.03]})
    found = corrected(table, "a")
    assert np.isnan(found["p_holm"][0]) and np.isnan(found["p"][0])
    assert found["p_holm"][1:].tolist() == pytest.approx(holm([0.02, 0.03]))


def test_the_best_is_named_only_where_it_is_established():
    assert beats_all({"a": verdicts(0.9), "b": verdicts(0.5), "c": verdicts(0.6)}) == "a"
    assert beats_all({"a": verdicts(0.9), "b": verdicts(0.5), "twin": verdicts(0.9)}) is None
    assert beats_all({"a": verdicts(0.9)}) is None
    assert beats_all({"a": verdicts(0.9, (0,)), "b": verdicts(0.1, (0,))}) is None  # one seed


def test_equal_methods_have_a_best_in_one_of_twenty_at_most():
    named = sum(
        beats_all({name: verdicts(0.7, n=100) for name in "abc"}) is not None for _ in range(400)
    )
    assert named / 400 < 0.05

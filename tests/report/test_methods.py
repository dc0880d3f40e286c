"""Methods side by side, with differences paired by seed or by sample."""

import numpy as np
import pandas as pd
import pytest

import bat
from bat.intervals import crossed_mean
from bat.statistics import paired_difference

RNG = np.random.default_rng(0)


def verdicts(share, n=200):
    clean = RNG.random(n) < share
    return pd.DataFrame({"clean": clean, "mine": clean & (RNG.random(n) < 0.5)})


def test_several_seeds_are_paired_by_seed_and_sample():
    evaluations = {(m, s): verdicts(p) for m, p in (("a", 0.5), ("b", 0.8)) for s in range(3)}
    table = bat.compare(evaluations).set_index(["method", "attack"])
    a, b = (np.array([evaluations[m, s]["mine"] for s in range(3)], float) for m in "ab")
    row, expected = table.loc["b", "mine"], crossed_mean(b - a)
    assert (row["n"], row["n_seeds"], row["paired_by"]) == (200, 3, "seed and sample")
    assert row["mean"] == pytest.approx(b.mean())
    assert row["sd"] == pytest.approx(np.std(b.mean(axis=1), ddof=1))
    assert row["difference"] == pytest.approx(expected.mean)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert (table.loc["a"]["difference"] == 0).all()


def test_one_seed_is_paired_by_sample():
    first, second = verdicts(0.5), verdicts(0.8)
    table = bat.compare({"a": first, "b": second}, baseline="b").set_index(["method", "attack"])
    expected = paired_difference(first["clean"].astype(float), second["clean"].astype(float))
    row = table.loc["a", "clean"]
    assert row["paired_by"] == "sample" and np.isnan(row["sd"])
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


def test_without_a_common_seed_there_is_no_difference():
    table = bat.compare({("a", 0): verdicts(0.5), ("b", 1): verdicts(0.5)})
    assert table["difference"].isna().tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("evaluations", "words"),
    [
        ({}, "there is no evaluation"),
        ({"a": verdicts(0.5), "b": verdicts(0.5, 100)}, "has 100 samples"),
        ({"a": verdicts(0.5), "b": verdicts(0.5)[["clean"]]}, "the columns clean, and that"),
        ({"a": verdicts(0.5).astype("boolean").mask(RNG.random((200, 2)) < 0.1)}, "without a ver"),
    ],
)
def test_what_cannot_be_compared_is_refused(evaluations, words):
    with pytest.raises(bat.BatError, match=words):
        bat.compare(evaluations)
    with pytest.raises(bat.BatError, match="the baseline 'c' is none of a"):
        bat.compare({"a": verdicts(0.5)}, baseline="c")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (pd.DataFrame({"clean": [0.5, 1.0]}), "b holds other values than whether"),
        ({"clean": [True]}, "b is dict, expected a data frame"),
    ],
)
def test_what_is_no_evaluation_is_not_taken_for_one(wrong, words):
    right = pd.DataFrame({"clean": [True, False]})
    with pytest.raises(bat.BatError, match=words):
        bat.compare({"a": right, "b": wrong})

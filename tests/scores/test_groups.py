"""Groups at their thresholds, with and without significance."""

import doctest
import re

import numpy as np
import pytest

from bat.errors import BatError
from bat.scores import groups as splits


def table(*rows):
    columns = ("train_index", "test_index", "influence", "influence_se")
    values = np.array(rows, float).reshape(-1, 4).T
    pairs = dict(zip(columns, values, strict=True))
    return pairs | {name: pairs[name].astype(np.int32) for name in columns[:2]}


def test_doctests():
    assert doctest.testmod(splits).failed == 0


def test_train_groups_at_the_thresholds():
    scores = np.array([-0.1, 0.0, 0.0199, 0.02, 0.15, 0.1501, 1.0])
    typical, atypical = splits.train_groups(scores)
    assert typical.tolist() == [True, True, True, False, False, False, False]
    assert atypical.tolist() == [False, False, False, False, False, True, True]


def test_significance_narrows_the_atypical_group_only():
    scores, errors = np.array([0.0, 0.2, 0.2]), np.array([0.2, 0.11, 0.09])
    typical, atypical = splits.train_groups(scores, errors, significance=2.0)
    assert typical.tolist() == [True, False, False]
    assert atypical.tolist() == [False, False, True]


def test_groups_may_be_empty():
    typical, atypical = splits.train_groups(np.full(3, 0.1))
    assert not typical.any()
    assert not atypical.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memorization": np.array([0.0, np.nan])}, "memorization of sample 1 is nan"),
        ({"memorization": np.zeros(2), "typical_below": 0.2}, "typical_below = 0.2"),
        ({"memorization": np.zeros(2), "significance": 2}, "memorization_se, which is not known"),
    ],
)
def test_train_groups_refuse(arguments, message):
    with pytest.raises(BatError, match=message):
        splits.train_groups(**arguments)


PAIRS = table(
    (0, 0, 0.30, 0.05),  # atypical and touched
    (0, 1, 0.10, 0.03),  # touched
    (1, 2, 0.90, 0.01),  # from a training sample that is not atypical: nothing
    (0, 3, 0.20, 0.15),  # atypical in size, not significant
    (0, 5, 0.02, 0.01),  # at the threshold: not touched
)
ATYPICAL = np.array([True, False])
ACCURACY = np.array([1.0, 1.0, 1.0, 1.0, 0.79, 0.8])


def test_test_groups_at_the_thresholds():
    typical, atypical = splits.test_groups(6, PAIRS, ATYPICAL, ACCURACY, keep_above=0.01)
    assert np.flatnonzero(atypical).tolist() == [0, 3]
    assert np.flatnonzero(typical).tolist() == [2, 5]


def test_significance_asks_it_of_both_groups():
    typical, atypical = splits.test_groups(
        6, PAIRS, ATYPICAL, ACCURACY, keep_above=0.01, significance=2.0
    )
    assert np.flatnonzero(atypical).tolist() == [0]
    assert np.flatnonzero(typical).tolist() == [2, 3, 5]


def test_noise_alone_touches_without_significance_and_not_with_it():
    """500 tests x 100 atypical samples, no influence, 1,000 trials: the reason for the option."""
    rng = np.random.default_rng(0)
    error = 0.02
    influence = rng.normal(0, error, (100, 500))
    train, test = np.nonzero(influence > 0.02)
    pairs = {"train_index": train, "test_index": test, "influence": influence[train, test]}
    pairs["influence_se"] = np.full(len(train), error)
    arguments = (500, pairs, np.ones(100, bool), np.ones(500))
    plain, _ = splits.test_groups(*arguments, keep_above=0.02)
    assert plain.sum() == 0
    strict, atypical = splits.test_groups(*arguments, keep_above=0.02, significance=4.0)
    assert strict.sum() > 480  # 100 draws beyond 4 sd: 0.3 % of 500
    assert not atypical.any()


def test_a_memorization_equal_to_a_threshold_is_in_neither_group():
    scores = np.array([1 - 0.85, 0.3 - 0.28, 1 - 0.98])  # 0.15 and twice 0.02, but for rounding
    typical, atypical = splits.train_groups(scores)
    assert not typical.any()
    assert not atypical.any()


def test_a_rate_of_false_discoveries_narrows_the_training_group():
    scores, p = np.array([0.2, 0.2, 0.1, 0.0]), np.array([0.01, 0.2, 1e-9, 0.5])
    typical, atypical = splits.train_groups(scores, p=p, false_discovery=0.1)
    assert atypical.tolist() == [True, False, False, False]  # 0.1 is below the threshold
    assert typical.tolist() == [False, False, False, True]
    with pytest.raises(BatError, match="false_discovery needs p, which is not known"):
        splits.train_groups(scores, false_discovery=0.1)


def test_test_samples_stand_by_simes_and_benjamini_hochberg():
    pairs = table((0, 0, 0.3, 0.05), (0, 1, 0.3, 0.05), (0, 2, 0.1, 0.05), (1, 3, 0.9, 0.05))
    pairs["p"] = np.array([1e-3, 0.03, 1e-3, 1e-9])
    n_candidates = np.array([10, 10, 10, 10, 0, 0])
    rule = {"keep_above": 0.01, "n_candidates": n_candidates, "false_discovery": 0.1}
    typical, atypical = splits.test_groups(6, pairs, ATYPICAL, np.ones(6), **rule)
    # 10 x 1e-3 stands among four; 10 x 0.03 does not; 2 is touched only; 3 by no atypical sample
    assert np.flatnonzero(atypical).tolist() == [0]
    assert np.flatnonzero(typical).tolist() == [1, 3, 4, 5]
    rule["n_candidates"] = np.full(6, 1000)
    assert not splits.test_groups(6, pairs, ATYPICAL, np.ones(6), **rule)[1].any()
    with pytest.raises(BatError, match="n_candidates, which is not known"):
        splits.test_groups(6, pairs, ATYPICAL, np.ones(6), **rule | {"n_candidates": None})


def test_unknown_standard_errors_are_refused_where_they_are_needed():
    unknown = PAIRS | {"influence_se": np.full(len(PAIRS["influence"]), np.nan)}
    with pytest.raises(BatError, match="significance needs influence_se, which is not known"):
        splits.test_groups(6, unknown, ATYPICAL, ACCURACY, keep_above=0.01, significance=2.0)
    with pytest.raises(BatError, match="significance needs memorization_se"):
        splits.train_groups(np.zeros(3), np.full(3, np.nan), significance=2.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"memorization": np.zeros((3, 2))}, "shape (3, 2); expected one per sample"),
        ({"memorization": ["a", "b", "c"]}, "expected a number for each sample"),
        ({"memorization_se": np.ones(1), "significance": 2.0}, "expected (3,), as the scores have"),
        ({"p": np.ones(1), "false_discovery": 0.1}, "expected (3,), as the scores have"),
    ],
)
def test_values_of_other_shapes_are_not_spread_over_the_samples(given, words):
    with pytest.raises(BatError, match=re.escape(words)):
        splits.train_groups(**{"memorization": np.zeros(3)} | given)


def test_no_pairs_and_no_atypical_samples():
    for pairs, train in ((table(), ATYPICAL), (PAIRS, np.zeros(2, bool))):
        typical, atypical = splits.test_groups(6, pairs, train, ACCURACY, keep_above=0.01)
        assert np.flatnonzero(typical).tolist() == [0, 1, 2, 3, 5]
        assert not atypical.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep_above": 0.05}, "influence_touch = 0.02.*above 0.05.*lower keep_above"),
        ({"influence_above": 0.01}, "raise influence_above"),
        ({"n_test": 7}, r"expected \(7,\)"),
        ({"train_atypical": np.array([True])[:0]}, "another data set"),
        ({"train_atypical": np.zeros(2)}, "row of booleans"),
        ({"test_accuracy": np.full(6, np.nan)}, "test_accuracy of sample 0"),
        ({"pairs": {"influence": np.zeros(0)}}, r"lacks \['train_index', 'test_index'\]"),
        ({"pairs": PAIRS | {"influence": np.ones(1)}}, "one value of each for each pair"),
        ({"pairs": PAIRS | {"test_index": np.array([0])}}, "one value of each for each pair"),
    ],
)
def test_test_groups_refuse(change, message):
    arguments = {
        "n_test": 6,
        "pairs": PAIRS,
        "train_atypical": ATYPICAL,
        "test_accuracy": ACCURACY,
        "keep_above": 0.01,
    }
    with pytest.raises(BatError, match=message):
        splits.test_groups(**(arguments | change))


def test_a_data_frame_of_pairs_will_do():
    import pandas as pd

    frame = pd.DataFrame(PAIRS)
    for significance in (None, 2.0):
        for ours, theirs in zip(
            *(
                splits.test_groups(
                    6, p, ATYPICAL, ACCURACY, keep_above=0.01, significance=significance
                )
                for p in (PAIRS, frame)
            ),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)

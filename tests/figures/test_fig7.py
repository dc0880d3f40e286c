"""Figure 7: which pairs are shown, and where."""

import numpy as np
import pandas as pd
from drawn import IMAGES, overlapping, words

from bat.figures import fig7


def test_pairs_take_each_training_sample_once(memorization):
    influence = pd.DataFrame(
        {
            "train_index": [2, 2, 3, 4, 0],
            "test_index": [0, 1, 2, 2, 0],
            "influence": np.array([0.3, 0.5, 0.4, 0.15, 0.9], dtype=np.float32),
            "influence_se": np.float32(0.05),
            "q": np.float32([1, 0.9, 0.05, 1, 0.01]),
        }
    )
    test = pd.DataFrame({"index": [0, 1, 2], "label": [0, 0, 1]})
    table = fig7.influence_pairs(influence, memorization, test, ["cat", "dog"])
    # sample 0 is not memorized, and 0.15 is not above 0.15
    found = list(table[["train_index", "test_index"]].itertuples(index=False, name=None))
    assert found == [(3, 2), (2, 1)]  # the one that stands comes first
    assert list(table["stands"]) == [True, False]
    assert list(table["train_class"]) == ["dog", "cat"]
    assert list(table["test_class"]) == ["dog", "cat"]
    assert list(table["memorization"]) == [0.45, 0.95]
    names = ["cat", "dog"]
    assert len(fig7.influence_pairs(influence, memorization, test, names, n_pairs=1)) == 1
    assert fig7.influence_pairs(influence, memorization, test, names, atypical_above=0.95).empty
    assert fig7.influence_pairs(influence, memorization, test, names, influence_above=0.5).empty


def test_pairs_stand_by_margins_where_these_are_known(memorization):
    influence = pd.DataFrame(
        {
            "train_index": [2, 3, 3],
            "test_index": [1, 2, 0],
            "influence": np.float32([0.5, 0.4, 0.01]),  # the last is kept for its margins alone
            "influence_se": np.float32(0.05),
            "q": np.float32([0.05, 0.9, 1]),
            "q_margin": np.float32([0.2, 0.01, 0.01]),
        }
    )
    test = pd.DataFrame({"index": [0, 1, 2], "label": [0, 0, 1]})
    table = fig7.influence_pairs(influence, memorization, test, ["cat", "dog"])
    assert list(table["train_index"]) == [3, 2]
    assert list(table["stands"]) == [True, False]
    assert "stand by the margins, at a false" in fig7.caption(table, {})
    without = fig7.influence_pairs(
        influence.assign(q_margin=np.nan), memorization, test, ["cat", "dog"]
    )
    assert list(without["train_index"]) == [2, 3]
    assert "q_margin" not in without and "margins" not in fig7.caption(without, {})


def test_pairs_show_train_left_of_test(pairs):
    ax = fig7.plot_influence_pairs(pairs, IMAGES[:7, :1], IMAGES[7:14, :1])
    assert len(ax.images) == 14
    for place, pair in enumerate(pairs.itertuples()):
        train, test = ax.images[2 * place : 2 * place + 2]
        np.testing.assert_array_equal(train.get_array(), IMAGES[pair.train_index, 0])
        np.testing.assert_array_equal(test.get_array(), IMAGES[7 + pair.test_index, 0])
        assert train.get_extent()[1] < test.get_extent()[0]
    assert "a very long class…\nmem 0.91 ± 0.02" in words(ax)
    assert overlapping(ax.figure) == []


def test_no_pairs_is_said(pairs):
    ax = fig7.plot_influence_pairs(pairs[:0], IMAGES, IMAGES)
    assert words(ax) == ["No pair is above the threshold."]


def test_pairs_that_stand_are_marked(pairs):
    found = words(fig7.plot_influence_pairs(pairs, IMAGES, IMAGES))
    assert sum("★" in text for text in found) == 2
    assert "marked ★: 2 of them" in fig7.caption(pairs, {})
    assert "None of them stands" in fig7.caption(pairs.assign(stands=False), {})

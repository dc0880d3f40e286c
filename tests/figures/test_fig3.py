"""Figure 3: examples and the distribution of the scores."""

import numpy as np
import pandas as pd
import pytest

from bat.errors import BatError
from bat.figures import fig3


def scores_and_groups(n=60, n_atypical=20, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    scores = pd.DataFrame(
        {
            "index": np.arange(n),
            "label": labels,
            "predicted": (labels + rng.integers(1, 4, n)) % 4,
            "score": rng.random(n),
        }
    )
    atypical = np.arange(n) < n_atypical
    return scores, pd.DataFrame({"typical": ~atypical, "atypical": atypical})


NAMES = ("ant", "bee", "cat", "dog")


def test_examples_are_atypical_above_the_threshold_beside_typical_ones():
    scores, groups = scores_and_groups()
    chosen = fig3.examples(scores, groups, NAMES, above=0.5, n=100)
    by_index = scores.set_index("index")
    above = set(scores[:20].query("score > 0.5")["index"])
    shown = chosen[chosen["role"] == "atypical"]
    assert set(shown["index"]) == above
    assert shown["score"].is_monotonic_decreasing
    assert list(shown["place"]) == list(range(len(above)))
    assert (chosen["n_above"] == len(above)).all()
    for item in shown.itertuples():
        row, beside = by_index.loc[item.index], chosen[chosen["place"] == item.place]
        for role in ("label", "predicted"):
            samples = beside[beside["role"] == role]
            assert len(samples) == 3
            assert (samples["index"] >= 20).all()  # typical
            assert (by_index.loc[samples["index"], "label"] == row[role]).all()
            assert set(beside[role]) == {NAMES[int(row[role])]}


def test_a_class_without_typical_samples_is_named_all_the_same():
    scores, groups = scores_and_groups(n_atypical=30)
    groups["typical"] &= scores["label"] != 2
    chosen = fig3.examples(scores, groups, NAMES, above=0.5)
    place = chosen.loc[chosen["predicted"] == "cat", "place"].iloc[0]
    assert set(chosen.loc[chosen["place"] == place, "role"]) == {"atypical", "label"}
    ax = fig3.plot_examples(chosen, np.zeros((60, 3, 4, 4), np.uint8))
    texts = [text.get_text() for text in ax.texts]
    assert {"no typical sample", "cat"} <= set(texts)


def test_without_any_group_it_is_said_that_there_is_nothing_to_show():
    scores, groups = scores_and_groups()
    with pytest.raises(BatError, match="no training sample is typical and none is atypical"):
        fig3.distribution({0: scores}, groups & False)
    only = fig3.distribution({0: scores}, groups.assign(atypical=False))
    assert set(only["group"]) == {"typical"}


def test_fewer_examples_show_different_pairs_of_classes_first():
    scores, groups = scores_and_groups(n=400, n_atypical=300)
    chosen = fig3.examples(scores, groups, NAMES, n=12)
    shown = scores.loc[chosen.loc[chosen["role"] == "atypical", "index"]]
    assert not shown.duplicated(["label", "predicted"]).any()  # all 12 pairs once
    best = scores[:300].groupby(["label", "predicted"])["score"].max()
    assert set(shown["score"]) == set(best)


def test_the_distribution_is_a_share_of_each_group_over_seeds():
    scores, groups = scores_and_groups()
    other = scores.assign(score=1 - scores["score"])
    table = fig3.distribution({0: scores, 1: other}, groups, above=0.8, bins=10)
    for group, part in table.groupby("group"):
        assert part["mean"].sum() == pytest.approx(1)
        assert (part["n_seeds"] == 2).all()
        values = scores["score"][groups[group]]
        over = [(values > 0.8).mean(), (1 - values > 0.8).mean()]
        assert part["above"].iloc[0] == pytest.approx(np.mean(over))
        assert part["above_sd"].iloc[0] == pytest.approx(np.std(over, ddof=1))
        assert part["n_samples"].iloc[0] == len(values)


def test_the_legend_of_the_distribution_hides_no_data():
    scores, groups = scores_and_groups()
    other = scores.assign(score=1 - scores["score"])
    ax = fig3.plot_distribution(fig3.distribution({0: scores, 1: other}, groups))
    ax.figure.draw_without_rendering()
    legend, frame = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y0 >= frame.y1
    assert ax.figure.bbox.x0 <= legend.x0 < legend.x1 <= ax.figure.bbox.x1

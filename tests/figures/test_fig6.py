"""Figure 6: the counts, the share above, and its bounds."""

import numpy as np
import pandas as pd
import pytest
from drawn import words

from bat.errors import BatError
from bat.figures import fig6


def test_histogram_counts_every_sample_once(memorization):
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.uniform(-1, 1, 500), [-1.0, 0.0, 0.15, 1.0]])
    frame = pd.DataFrame({"memorization": scores, "memorization_se": 0.0})
    table = fig6.memorization_histogram(frame)
    assert table["count"].sum() == 504
    assert table["share"].sum() == pytest.approx(1)
    for row in table.itertuples():
        assert row.count == np.sum((scores > row.left) & (scores <= row.right))
    above = table.loc[table["left"] >= 0.15, "count"].sum()  # 0.15 itself is not above
    assert above == np.sum(scores > 0.15)
    assert table["share_above"].iloc[0] == np.mean(scores > 0.15)


def test_histogram_bounds_move_each_estimate_by_its_error(memorization):
    first = fig6.memorization_histogram(memorization).iloc[0]
    assert first["share_above"] == 3 / 6
    assert first["share_above_low"] == 2 / 6  # 0.16 - 1.96 * 0.02 is below 0.15
    assert first["share_above_high"] == 3 / 6
    wide = memorization.assign(memorization_se=0.1)
    first = fig6.memorization_histogram(wide).iloc[0]
    assert first["share_above_high"] == 5 / 6  # 0 + 0.196 is above, -0.05 + 0.196 is not
    assert first["share_above_low"] == 2 / 6


def test_histogram_of_nothing_is_refused(memorization):
    with pytest.raises(BatError, match="no rows"):
        fig6.memorization_histogram(memorization[:0])


def test_histogram_draws_the_counts(thirty):
    table = fig6.memorization_histogram(thirty)
    ax = fig6.plot_memorization_histogram(table)
    bars = sorted((bar.get_x(), bar.get_height()) for bar in ax.patches)
    assert bars == list(zip(table["left"], table["count"], strict=True))
    assert ax.get_yscale() == "log"
    share = "66.7\u00a0% above 0.15\n(66.7\u00a0% to 66.7\u00a0%)"
    assert words(ax) == [f"{share}\n0.1\u00a0% by chance"]

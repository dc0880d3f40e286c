"""The cheap metrics against memorization."""

import numpy as np
import pytest
from drawn import ALIGNMENT

from bat.errors import BatError
from bat.figures import alignment


def test_metric_values_mark_the_atypical(memorization):
    table = alignment.metric_values(memorization, {"disagreement": np.arange(6)})
    assert list(table.columns) == ["index", "memorization", "atypical", "disagreement"]
    assert list(table["atypical"]) == [False, False, True, True, True, False]
    with pytest.raises(BatError, match="'confidence' have 5 rows"):
        alignment.metric_values(memorization, {"confidence": np.arange(5)})


def test_alignment_draws_points_and_bars(values):
    fig = alignment.draw_alignment(values, ALIGNMENT)
    first, second, bars = fig.axes
    drawn = np.sort(np.concatenate([line.get_ydata() for line in first.lines]))
    np.testing.assert_array_equal(drawn, values["disagreement"])
    assert first.get_title(loc="left") == "Spearman 0.81, AUC 0.970"
    assert second.get_title(loc="left") == "Spearman 0.72"  # an undefined AUC is left out
    assert [bar.get_height() for bar in bars.patches[:3]] == [0.5, 0.6, 0.7]

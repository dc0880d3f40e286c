"""Means and spreads over seeds."""

import numpy as np
import pandas as pd
import pytest

from bat.errors import BatError
from bat.report.seeds import over_seeds


def test_over_seeds():
    frame = pd.DataFrame(
        {
            "series": ["b", "b", "b", "a"],
            "epoch": [1, 1, 1, 1],
            "seed": [0, 1, 2, 0],
            "accuracy": [0.1, 0.2, 0.3, 0.5],
        }
    )
    table = over_seeds(frame, ["series", "epoch"], "accuracy")
    assert list(table["series"]) == ["b", "a"]
    assert table["mean"].tolist() == pytest.approx([0.2, 0.5])
    assert table["sd"].iloc[0] == pytest.approx(0.1)
    assert np.isnan(table["sd"].iloc[1])
    assert table["n_seeds"].tolist() == [3, 1]
    with pytest.raises(BatError, match="more than once"):
        over_seeds(pd.concat([frame, frame[:1]]), ["series", "epoch"], "accuracy")

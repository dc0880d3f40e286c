"""The registry of scores: directions and ranges are those of the estimators."""

import numpy as np
import pytest

from bat.files import SCHEMAS
from bat.scores import SCORES
from bat.scores.ensembles import confidence, disagreement
from bat.scores.registry import default_sigmas


@pytest.mark.parametrize(
    ("name", "atypical", "typical"),
    [("memorization", [3], [0, 1]), ("disagreement", [3], [0, 1]), ("confidence", [0, 1], [3])],
)
def test_a_score_splits_samples_at_its_atypical_end(name, atypical, typical):
    """A sample at the threshold, to the rounding of 1 - 0.5, is on neither side."""
    sides = SCORES[name].split(np.array([0.1, 0.3, 1 - 0.5, 0.6]), 0.5)
    assert [np.flatnonzero(side).tolist() for side in sides] == [atypical, typical]


def test_ranges_are_those_of_the_estimators():
    """Models of one mind, and n that each see another class: log 2 but for their own pairs."""
    n = 8
    apart = np.stack([np.eye(n, dtype=np.float16)[[0, k]] for k in range(n)])  # model, sample
    found = disagreement(apart)
    low, high = SCORES["disagreement"].low, SCORES["disagreement"].high
    assert found.tolist() == pytest.approx([low, high * (1 - 1 / n)], abs=1e-6)
    found = confidence(apart[:, :1].repeat(2, axis=1), np.array([1, 0]))
    assert found.tolist() == [SCORES["confidence"].low, SCORES["confidence"].high]


def test_a_score_has_a_table_with_its_column_and_its_default_lies_in_its_range():
    for name, score in SCORES.items():
        assert name in SCHEMAS[name].names
        assert score.low < score.sigma < score.high


def test_default_thresholds_in_words():
    words = "0.15 for memorization, 0.1 for disagreement, 0.5 for confidence, where lower is"
    assert default_sigmas().startswith(words)

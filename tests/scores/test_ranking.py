"""Ends of scores by shares of the samples."""

import numpy as np
import pytest

from bat.scores.ranking import ends


@pytest.mark.parametrize(("kind", "high"), [("csl", True), ("aum", False), ("confidence", False)])
def test_the_atypical_end_is_that_of_the_score(kind, high):
    values = np.random.default_rng(0).random(50)
    atypical, typical = ends(kind, values, top=0.1, bottom=0.3)
    assert atypical.sum() == 5 and typical.sum() == 15
    least, most = (typical, atypical) if high else (atypical, typical)
    assert values[least].max() < values[~least].min() and values[most].min() > values[~most].max()


@pytest.mark.parametrize("n", range(1, 12))
def test_no_sample_is_at_both_ends(n):
    """Though three and seven tenths of five samples round to six."""
    for values in (np.zeros(n), np.arange(n)):
        atypical, typical = ends("csl", values, top=0.3, bottom=0.7)
        assert atypical.sum() == round(0.3 * n)
        assert not (atypical & typical).any() and typical.sum() <= round(0.7 * n)


def test_of_equal_values_the_first_are_the_more_atypical_ones():
    atypical, typical = ends("confidence", np.ones(4), top=0.25, bottom=0.5)
    assert atypical.tolist() == [True, False, False, False]
    assert typical.tolist() == [False, False, True, True]

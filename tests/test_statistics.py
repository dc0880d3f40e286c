"""Intervals and differences against closed forms and scipy."""

import doctest
import math

import numpy as np
import pytest
from scipy import stats

from bat import statistics
from bat.errors import BatError


def test_doctests():
    assert doctest.testmod(statistics).failed == 0


def test_single_value_has_no_spread():
    mean, sd, n = statistics.mean_and_sd([0.5])
    assert mean == 0.5
    assert math.isnan(sd)
    assert n == 1
    single = statistics.paired_difference([0.5], [0.4])
    assert single.mean == pytest.approx(0.1)
    assert all(math.isnan(x) for x in (single.sd, single.standard_error, single.low, single.high))


def test_paired_difference_is_the_paired_t_test():
    a, b = [0.62, 0.60, 0.65, 0.61], [0.60, 0.59, 0.61, 0.62]
    ours = statistics.paired_difference(a, b)
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    np.testing.assert_allclose([ours.low, ours.high], interval, rtol=1e-12)
    # shared seed effects cancel
    shifted = statistics.paired_difference(np.add(a, [1, 2, 3, 4]), np.add(b, [1, 2, 3, 4]))
    assert shifted.sd == pytest.approx(ours.sd)


@pytest.mark.parametrize("values", [[], [float("nan")], [[1.0]]])
def test_bad_values_are_refused(values):
    with pytest.raises(BatError, match="finite numbers"):
        statistics.mean_and_sd(values)


def test_unpaired_values_are_refused():
    with pytest.raises(BatError, match="same seeds"):
        statistics.paired_difference([1.0], [1.0, 2.0])


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (71, 2000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_interval_is_scipys(k, n, level):
    expected = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    np.testing.assert_allclose(
        statistics.wilson_interval(k, n, level=level), expected, rtol=1e-12, atol=1e-15
    )


def test_wilson_interval_refuses_impossible_counts():
    with pytest.raises(BatError, match="0 <= k <= n"):
        statistics.wilson_interval([1, 5], [2, 4])


@pytest.mark.parametrize(("se", "precision", "trials"), [(0.05, 0.05, 200), (0.06, 0.05, 288)])
def test_trials_needed(se, precision, trials):
    assert statistics.trials_needed(se, 200, precision) == trials


def test_trials_needed_refuses_zero():
    with pytest.raises(BatError, match="above 0"):
        statistics.trials_needed(0.1, 200, 0)


def test_correlation():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 20))
    assert statistics.correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert math.isnan(statistics.correlation(a, np.ones(20)))
    assert math.isnan(statistics.correlation(a[:0], b[:0]))


@pytest.mark.parametrize(("trials", "share"), [(20, 0.915), (60, 0.938)])
def test_standard_error_covers_where_counts_are_coarse(trials, share):
    """A label always right when seen, half the time when not, in subsets of 70 %: exact."""
    n_excluded = np.arange(1, trials)[:, None]
    n_included, b = trials - n_excluded, np.arange(trials)
    wrong = np.where(b <= n_excluded, b, 0)
    error = statistics.score_standard_error(n_included, n_included + wrong, n_included, n_excluded)
    inside = np.abs(1 - wrong / n_excluded - 0.5) <= stats.norm.ppf(0.975) * error
    weight = stats.binom.pmf(n_excluded, trials, 0.3) * stats.binom.pmf(b, n_excluded, 0.5)
    assert (weight * inside).sum() == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    ("n_included", "n_excluded", "least"), [(35, 15, 0.88), (70, 30, 0.92), (700, 300, 0.93)]
)
def test_standard_error_of_a_difference_covers(n_included, n_excluded, least):
    """Two standard errors hold the truth in about 95 % of cases: exact, over all counts.

    The least coverage is that at few trials, where counts are coarse.
    """
    a, b = np.arange(n_included + 1)[:, None], np.arange(n_excluded + 1)
    estimate = a / n_included - b / n_excluded
    ours = statistics.proportion_variance(a, n_included) + statistics.proportion_variance(
        b, n_excluded
    )
    plain = a * (n_included - a) / n_included**3 + b * (n_excluded - b) / n_excluded**3

    def coverage(variance, p_in, p_out):
        chance = stats.binom.pmf(a, n_included, p_in) * stats.binom.pmf(b, n_excluded, p_out)
        inside = np.abs(estimate - (p_in - p_out)) <= stats.norm.ppf(0.975) * np.sqrt(variance)
        return (chance * inside).sum()

    covered = [
        coverage(ours, p_in, p_out)
        for p_in in (1.0, 0.99, 0.9, 0.5)
        for p_out in (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)
    ]
    assert min(covered) > least
    assert np.mean(covered) > 0.945
    if n_excluded < 100:  # what the plain estimate gives for a label rarely missed
        assert coverage(plain, 1.0, 0.99) < 0.3

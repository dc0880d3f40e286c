"""Intervals over seeds and samples: known answers, a slow twin, and how often they are wrong."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from bat.errors import BatError
from bat.intervals import accuracy_interval, crossed_mean, difference_interval, holm
from bat.statistics import paired_difference, wilson_interval

RNG = np.random.default_rng(3)


def slow_error(values):
    """The standard error from the definition, by loops: variances of seeds, samples, the rest."""
    s, n = len(values), len(values[0])
    mean = sum(map(sum, values)) / (s * n)
    rows = [sum(row) / n for row in values]
    columns = [sum(row[i] for row in values) / s for i in range(n)]
    of_seeds = n * sum((row - mean) ** 2 for row in rows) / (s - 1)
    of_samples = s * sum((column - mean) ** 2 for column in columns) / (n - 1)
    left = sum(
        (values[t][i] - rows[t] - columns[i] + mean) ** 2 for t in range(s) for i in range(n)
    ) / ((s - 1) * (n - 1))
    seed_variance, sample_variance = (of_seeds - left) / n, (of_samples - left) / s
    assert seed_variance > 0 and sample_variance > 0
    return (seed_variance / s + sample_variance / n + left / (s * n)) ** 0.5


def test_the_standard_error_is_that_of_the_definition():
    values = RNG.normal(0, 1, (5, 1)) + RNG.normal(0, 1, (1, 20)) + RNG.normal(0, 1, (5, 20))
    found = crossed_mean(values)
    assert found.standard_error == pytest.approx(slow_error(values.tolist()))
    assert found.mean == pytest.approx(values.mean())
    assert found.low < found.mean < found.high
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_with_equal_samples_it_is_students_interval_of_the_seeds():
    of_seeds = RNG.normal(0.1, 1, 4)
    found, student = (
        crossed_mean(np.tile(of_seeds[:, None], 50)),
        paired_difference(of_seeds, [0] * 4),
    )
    assert (found.low, found.high) == pytest.approx((student.low, student.high))
    assert found.degrees == pytest.approx(3)


def test_with_equal_seeds_it_is_students_interval_of_the_samples():
    of_samples = RNG.normal(0.1, 1, 40)
    found, student = (
        crossed_mean(np.tile(of_samples, (6, 1))),
        paired_difference(of_samples, [0] * 40),
    )
    assert (found.low, found.high) == pytest.approx((student.low, student.high))


def test_one_seed_or_equal_values_leave_nothing_to_estimate():
    one = crossed_mean([[0, 1, 1]])
    assert one.mean == pytest.approx(2 / 3) and np.isnan([one.low, one.high, one.p]).all()
    same = crossed_mean(np.zeros((3, 5)))
    assert (same.low, same.high, same.p) == (0, 0, 1)
    for values in ([], [1.0, 2.0], [[np.nan, 1]]):
        with pytest.raises(BatError, match="expected a row of finite numbers"):
            crossed_mean(values)


def test_few_samples_that_all_differ_alike_are_not_without_chance():
    """Of four throws of a coin, two in 16 show one side throughout."""
    for n, p in ((4, 0.125), (6, 0.03125), (60, 2.0**-59)):
        found = crossed_mean(np.ones((3, n)))
        assert found.mean == 1 and found.p == p and found.high == 1
        assert (1 + found.low) / 2 == pytest.approx(0.025 ** (1 / n))  # Clopper and Pearson's
        assert (p < 0.05) == (found.low > 0)
        mirrored = crossed_mean(-np.ones((3, n)))
        assert (mirrored.low, mirrored.high, mirrored.p) == (-1, -found.low, p)
        alone = difference_interval(np.ones((1, n)), np.zeros((1, n)))
        assert alone == (1, found.low, found.high)
    nearly = np.ones((3, 10))
    nearly[:, 0] = 0  # less evidence than ten of ten, and no smaller p: Student's is 8e-6
    assert crossed_mean(nearly).p == 2.0**-9
    far = crossed_mean(np.full((3, 10), 2.0))  # of what may lie anywhere nothing is known
    assert far.mean == 2 and np.isnan([far.low, far.high]).all()


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_the_difference_of_verdicts_counts_seeds_where_there_are_several(n_seeds):
    own, other = RNG.random((2, n_seeds, 30)) < 0.7
    student = paired_difference(own[0] * 1.0, other[0] * 1.0)
    expected = student if n_seeds == 1 else crossed_mean(own * 1.0 - other)
    found = difference_interval(own, other)
    assert found == pytest.approx((expected.mean, expected.low, expected.high))
    assert difference_interval(own, own) == (0, 0, 0)
    one = difference_interval(own[:1, :1], ~own[:1, :1])
    assert abs(one[0]) == 1 and np.isnan(one[1:]).all()


@pytest.mark.parametrize("n", [2, 3])
def test_seeds_and_samples_that_are_alike_on_average_leave_what_is_left(n):
    values = np.eye(n)
    found = crossed_mean(values)
    left = ((values - 1 / n) ** 2).sum() / (n - 1) ** 2
    assert found.standard_error == pytest.approx((left / n**2) ** 0.5)
    assert found.degrees == pytest.approx((n - 1) ** 2)
    assert found.low < 0 < found.high and found.p > 0.2


def test_an_accuracy_of_0_or_1_is_not_without_chance():
    right, wrong = np.ones((3, 120), bool), np.zeros((3, 120), bool)
    assert accuracy_interval(wrong) == pytest.approx(tuple(map(float, wilson_interval(0, 120))))
    assert accuracy_interval(right) == pytest.approx(tuple(map(float, wilson_interval(120, 120))))
    one = wrong.copy()
    one[:, 0] = True
    found = crossed_mean(one)
    assert accuracy_interval(one) == (0, found.high) and found.low < 0
    assert np.isnan(accuracy_interval(one[:1])).all()


def equal_methods(n_seeds, n_samples, of_method, of_seed):
    """Differences of verdicts of two methods that are equal over all seeds and samples.

    What each method finds hard is its own (``of_method``), and each seed of it is better or
    worse as a whole (``of_seed``), all on the scale of a sample's own spread.
    """
    hard, verdicts = RNG.normal(0, 1.5, n_samples), []
    for _ in range(2):
        own = hard + RNG.normal(0, of_method, n_samples)
        seeds = RNG.normal(0, of_seed, (n_seeds, 1))
        verdicts.append(own + seeds + RNG.normal(0, 0.6, (n_seeds, n_samples)) > 0.5)
    return verdicts[0] * 1.0 - verdicts[1]


@pytest.mark.parametrize("n_seeds", [2, 3, 4, 10])
@pytest.mark.parametrize(("of_method", "of_seed"), [(0.6, 0.0), (0.6, 0.1), (0.0, 0.2)])
def test_equal_methods_differ_in_about_five_of_a_hundred(n_seeds, of_method, of_seed):
    n, wrong, of_seeds_alone = 1000, 0, 0
    for _ in range(n):
        values = equal_methods(n_seeds, 200, of_method, of_seed)
        found, alone = crossed_mean(values), paired_difference(values.mean(axis=1), [0] * n_seeds)
        wrong += not found.low <= 0 <= found.high
        of_seeds_alone += not alone.low <= 0 <= alone.high
    noise = 2.6 * (0.05 * 0.95 / n) ** 0.5  # of 1,000 draws at 5 %, in 99 of 100
    least, most = {2: (0, 0.05), 3: (0.01, 0.05)}.get(n_seeds, (0.02, 0.06))
    assert least <= wrong / n < most + noise
    if (n_seeds, of_seed) == (10, 0.0):  # what this is for: it was seeds alone before
        assert of_seeds_alone / n > 0.2


def mean_squares(values):
    """Those of seeds, samples and what is left of whole numbers, exactly."""
    s, n = values.shape
    of = [[Fraction(int(x)) for x in sums] for sums in (values.sum(axis=1), values.sum(axis=0))]
    mean = sum(of[0]) / (s * n)
    seeds = n * sum((total / n - mean) ** 2 for total in of[0])
    samples = s * sum((total / s - mean) ** 2 for total in of[1])
    left = sum((Fraction(int(x)) - mean) ** 2 for x in values.flat) - seeds - samples
    return seeds / (s - 1), samples / (n - 1), left / ((s - 1) * (n - 1))


def test_where_seeds_and_samples_differ_alike_rounding_decides_nothing():
    """Three seeds or 120 samples behind one and the same error: p is 0.05, or far below."""
    draws, found = np.random.default_rng(1), 0
    while found < 3:
        values = draws.choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=(3, 16))
        seeds, samples, left = mean_squares(values)
        if not seeds == samples < left:
            continue
        found += 1
        for _ in range(10):
            shuffled = draws.permutation(draws.permutation(values, axis=0), axis=1)
            assert crossed_mean(shuffled).degrees == pytest.approx(2)
            assert crossed_mean(shuffled * 0.1).degrees == pytest.approx(2)


@pytest.mark.parametrize("n_seeds", [2, 3, 4, 10])
def test_an_interval_is_never_narrower_than_students_of_the_seeds(n_seeds):
    for _ in range(200):
        values = equal_methods(n_seeds, 100, 0.3, 0.3)
        found, of_seeds = crossed_mean(values), values.mean(axis=1)
        alone = paired_difference(of_seeds, [0] * n_seeds)
        assert found.low <= alone.low + 1e-12 and found.high >= alone.high - 1e-12
        assert found.high - found.mean == pytest.approx(found.mean - found.low)
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
        if np.ptp(of_seeds):  # their standard deviation may be rounding alone
            assert found.p >= ttest_1samp(of_seeds, 0).pvalue - 1e-12


@pytest.mark.parametrize("n_seeds", [3, 4])
def test_a_small_p_is_as_rare_as_it_says(n_seeds):
    """What Holm's correction of a table of many differences goes by."""
    n = 3000
    p = np.array([crossed_mean(equal_methods(n_seeds, 200, 0.0, 0.2)).p for _ in range(n)])
    for level in (0.05, 0.005, 0.0005):
        assert (p < level).mean() <= level + 2.6 * (level / n) ** 0.5


def test_holm_against_its_definition():
    p = RNG.random(12) ** 3
    ordered = sorted(p)
    for value, found in zip(p, holm(p), strict=True):
        rank = ordered.index(value)
        assert found == pytest.approx(min(1, max((12 - j) * ordered[j] for j in range(rank + 1))))
    assert holm([0.01, np.nan, 0.04]).tolist() == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert holm([]).size == 0

"""P-values, q-values and what chance gives: known answers, exact twins, permuted trials."""

import doctest

import numpy as np
import pytest
from scipy import stats

from bat.errors import BatError
from bat.scores import chance, influence, memorization, significance
from bat.scores.chance import Counts, counts_of, memorization_by_chance
from bat.scores.significance import benjamini_hochberg, p_values, simes, trials_for_influence
from bat.scores.subsets import subset
from bat.statistics import above, below, score_from_counts, score_standard_error


def trials(n_trials=80, n_train=120, n_test=60, n_classes=3, seed=0):
    """Fixed-size subsets, and verdicts of models of differing quality that do not depend on them.

    Good models are right together, so verdicts of different samples are correlated.
    """
    rng = np.random.default_rng(seed)
    included = np.array([subset(seed, t, n_train, 0.7) for t in range(n_trials)])
    quality = rng.normal(size=(n_trials, 1))
    ease = rng.normal(1, 1, (2, n_train + n_test))[0]
    right = ease + 0.7 * quality + rng.normal(size=(n_trials, n_train + n_test)) > 0
    labels = rng.integers(n_classes, size=n_train + n_test)
    return (
        included,
        right[:, :n_train],
        right[:, n_train:],
        labels[:n_train],
        labels[n_train:],
    )


def counts(included, correct, test_correct, labels, test_labels, pairs="same_class"):
    scores = memorization(included, correct)
    table = vars(scores) | {"label": labels}
    test = {"label": test_labels, "accuracy": test_correct.mean(axis=0)}
    return counts_of(table, test, {"influence": {"pairs": pairs}})


def test_doctests():
    assert doctest.testmod(significance).failed == 0
    assert doctest.testmod(chance).failed == 0


# -- p-values -------------------------------------------------------------------------------


def test_p_values_are_fishers():
    rng = np.random.default_rng(1)
    n_trials = 90
    n_included, total = rng.integers(30, 80, 400), rng.integers(0, 91, 400)
    right = rng.hypergeometric(total, n_trials - total, n_included)
    right = np.minimum(right + rng.integers(0, 12, 400), np.minimum(n_included, total))
    found = p_values(right, total, n_included, n_trials)
    exact = stats.hypergeom.sf(right - 1, n_trials, total, n_included)
    more = right > n_included * total / n_trials
    assert more.sum() > 300
    np.testing.assert_allclose(found[more], np.maximum(exact[more], 3.4e-29), rtol=1e-9)
    assert (found >= exact - 1e-12).all()  # 1 where the score is not above 0
    some = np.flatnonzero(more)[0]
    cells = [right[some], total[some] - right[some]]
    table = [cells, [n_included[some] - cells[0], n_trials - n_included[some] - cells[1]]]
    assert found[some] == pytest.approx(stats.fisher_exact(table, "greater").pvalue)


def test_tails_beyond_the_table_are_not_too_small():
    """Far out a p-value is that of the last column: too large, never too small."""
    n_trials, n_included, total = 4000, 2800, np.array([2000])
    low, tails = significance.upper_tails(n_included, total, n_trials)
    counts = low[:, None] + np.arange(tails.shape[1])
    exact = stats.hypergeom.sf(counts - 1, n_trials, total[:, None], n_included)
    assert (tails >= exact * (1 - 1e-8)).all()
    assert tails[0, -1] < 1e-16
    assert p_values([2000], [2000], [2800], 4000)[0] <= tails[0, -1]


def test_chance_above_is_the_sum_over_all_outcomes():
    n_trials, n_included, totals = 40, 27, np.arange(41)
    counts = np.arange(41)[:, None]
    with np.errstate(divide="ignore"):
        weight = stats.hypergeom.pmf(counts, n_trials, totals, n_included)
    cells = counts, totals, n_included, n_trials - n_included
    score = score_from_counts(*cells, np.float32)
    for threshold in (0.0, 0.02, 0.15, 0.5):
        expected = (weight * above(score, threshold)).sum(axis=0)
        found = significance.chance_above([n_included], totals, n_trials, threshold)[0]
        np.testing.assert_allclose(found, expected, atol=1e-12)
    possible = (weight > 0) & above(score, 0.15)
    error = np.where(possible, score_standard_error(*(np.where(possible, c, 1) for c in cells)), 9)
    expected = (weight * (possible & (score > 2 * error))).sum(axis=0)
    found = significance.chance_above([n_included], totals, n_trials, 0.15, 2.0)[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)


# -- many at once ---------------------------------------------------------------------------


def test_benjamini_hochberg_is_scipys():
    p = np.random.default_rng(0).random(200) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    assert benjamini_hochberg([]).size == 0


def test_simes_is_its_definition():
    rng = np.random.default_rng(0)
    p, group, n_tests = (
        rng.random(50) ** 2,
        rng.integers(5, size=50),
        np.array([20, 20, 40, 20, 20, 3]),
    )
    found = simes(p, group, n_tests)
    for number, n in enumerate(n_tests):
        own = np.sort(np.append(p[group == number], np.ones(n - (group == number).sum())))
        assert found[number] == pytest.approx(min(1, (n * own / np.arange(1, n + 1)).min()))


@pytest.mark.parametrize("keep_above", [0.0, 0.1])
def test_q_values_are_over_all_candidates(keep_above):
    """Kept pairs have the q-value that all candidates together give, rounded up by 0.1 %."""
    included, correct, test_correct, labels, test_labels = trials()
    test_correct[:, :5] = included[:, [np.flatnonzero(labels == c)[0] for c in test_labels[:5]]]
    data = included, test_correct, labels, test_labels
    every = influence(*data, keep_above=-1.0)
    assert len(every.q) == (labels[:, None] == test_labels).sum()
    counted = counts(included, correct, test_correct, labels, test_labels)
    p = counted.influence_p(every.train_index, every.test_index, every.influence)
    exact = benjamini_hochberg(p)
    kept = influence(*data, keep_above=keep_above)
    strong = every.influence > np.float32(keep_above)
    np.testing.assert_array_equal(kept.q, every.q[strong])
    ratio = kept.q / exact[strong]
    assert ratio.min() > 1 - 1e-6
    assert ratio.max() < 1.0011
    assert kept.chance["standing"] == (exact[strong] <= 0.1).sum() > 0


# -- chance ---------------------------------------------------------------------------------


def test_expected_pairs_are_those_of_permuted_trials():
    """The null is exact given the counts: permuted verdicts have the stated mean."""
    included, correct, test_correct, labels, test_labels = trials()
    stated = influence(included, test_correct, labels, test_labels).chance
    counted = counts(included, correct, test_correct, labels, test_labels)
    chosen = np.arange(len(labels)) % 3 == 0
    pairs, samples = counted.by_chance(chosen, 0.15)
    rng = np.random.default_rng(0)
    observed, carried, of_chosen = [], [], []
    for _ in range(200):
        mixed = test_correct[rng.permutation(len(included))]
        found = influence(included, mixed, labels, test_labels)
        observed.append(found.chance["observed"])
        assert found.chance["expected"] == stated["expected"]
        strong = chosen[found.train_index] & (found.influence > np.float32(0.15))
        of_chosen.append(strong.sum())
        carried.append(np.isin(np.arange(len(test_labels)), found.test_index[strong]))
    observed = np.array(observed)
    spread = observed.std(axis=0) / np.sqrt(len(observed)) + 1e-3
    assert (np.abs(observed.mean(axis=0) - stated["expected"]) < 5 * spread).all()
    assert stated["expected"][3] > 10
    assert abs(np.mean(of_chosen) - pairs) < 5 * np.std(of_chosen) / np.sqrt(200)
    # subsets of a fixed size and common test samples bind the pairs of one sample hardly at all
    assert np.mean(carried) == pytest.approx(samples.mean(), abs=0.03)


@pytest.mark.parametrize(
    ("accuracy", "threshold", "significance", "called"),
    [
        (0.9, 0.15, None, 0.74),
        (0.9, 0.15, 2.0, 0.67),
        (0.8, 0.15, None, 0.99),
        (0.8, 0.15, 2.0, 0.94),
    ],
)
def test_most_test_samples_are_called_atypical_by_noise(accuracy, threshold, significance, called):
    """What the documents say of 120 trials and 180 atypical samples without any influence."""
    by_total, weight = _called(120, accuracy, threshold, significance)
    assert weight @ by_total == pytest.approx(called, abs=0.01)


def test_at_a_thousand_trials_one_threshold_is_clean_and_the_other_is_not():
    for accuracy in (0.8, 0.9):
        by_total, weight = _called(1000, accuracy, 0.15)
        assert weight @ by_total < 1e-3
        by_total, weight = _called(1000, accuracy, 0.02)
        assert weight @ by_total > 0.99


def _called(n_trials, accuracy, threshold, significance=None):
    """Chance to be called by total, and the chance of each total."""
    n_included = np.random.default_rng(0).binomial(n_trials, 0.7, 180)
    totals, none = np.arange(n_trials + 1), np.zeros(180, int)
    counted = Counts(n_trials, n_included, none, none, totals, none, np.zeros_like(totals))
    _, called = counted.by_chance(np.ones(180, bool), threshold, significance)
    return called, stats.binom.pmf(totals, n_trials, accuracy)


def test_memorization_by_chance_is_what_its_standard_errors_give():
    errors = np.full(1000, 0.1)
    assert memorization_by_chance({"memorization_se": errors}, 0.15) == pytest.approx(
        1000 * stats.norm.sf(1.5)
    )
    assert memorization_by_chance({"memorization_se": errors}, 0.15, 2.0) == pytest.approx(
        1000 * stats.norm.sf(2.0)
    )
    assert memorization_by_chance({"memorization_se": [0.1, np.nan]}, 0.15) is None
    included, correct, *_ = trials(n_trials=200, n_train=2000)
    scores = memorization(included, correct)
    expected = memorization_by_chance(vars(scores), 0.15)
    assert above(scores.memorization, 0.15).sum() == pytest.approx(expected, rel=0.25)


def test_memorization_by_chance_with_few_trials_is_what_permuted_trials_give():
    """Samples that are always right are above no threshold by chance, whatever their error."""
    rng = np.random.default_rng(0)
    included = rng.random((40, 3000)) < 0.7
    correct = rng.random((40, 3000)) < np.where(np.arange(3000) % 10 == 0, 0.9, 1.0)
    scores = memorization(included, correct)
    normal = memorization_by_chance({"memorization_se": scores.memorization_se}, 0.15)
    found = memorization_by_chance(vars(scores), 0.15)
    observed = above(scores.memorization, 0.15).sum()
    assert found == pytest.approx(observed, rel=0.35)
    assert normal > 2 * found


def test_counts_that_are_not_known_give_none():
    data = trials()
    table = vars(memorization(*data[:2])) | {"label": data[3]}
    test = {"label": data[4], "accuracy": np.full(60, np.nan)}
    assert counts_of(table, test, {"influence": {}}) is None


def test_standard_errors_at_other_trials_keep_each_samples_shares():
    """A sample that is always right has an error that falls as 1 / T."""
    none = np.zeros(1, int)
    counted = Counts(100, np.array([70]), np.array([70]), np.array([100]), none, none, none)
    assert counted.standard_errors(100)[0] == pytest.approx(score_standard_error(70, 100, 70, 30))
    ratio = counted.standard_errors(1000)[0] / counted.standard_errors(10_000)[0]
    assert ratio == pytest.approx(10, rel=0.02)


def test_false_discoveries_of_test_samples_stay_at_the_rate():
    """60 trials, 40 candidates for each of 60 test samples, 6 of which are carried."""
    rng = np.random.default_rng(0)
    n_trials, false, found = 60, [], 0
    for repeat in range(200):
        included = np.array([subset(repeat, t, 200, 0.7)[:40] for t in range(n_trials)])
        verdicts = rng.random((n_trials, 60)) < 0.8
        verdicts[:, :6] = included[:, :6] | (rng.random((n_trials, 6)) < 0.4)
        right = included.astype(int).T @ verdicts
        n_included, total = included.sum(axis=0), verdicts.sum(axis=0)
        train, test = np.indices(right.shape).reshape(2, -1)
        p = p_values(right.ravel(), total[test], n_included[train], n_trials)
        called = benjamini_hochberg(simes(p, test, np.full(60, 40))) <= 0.1
        found += called[:6].sum()
        false.append(called[6:].sum() / max(called.sum(), 1))
    assert np.mean(false) < 0.1 + 3 * np.std(false) / np.sqrt(len(false))
    assert found / (6 * 200) > 0.8


# -- trials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [0.5, 0.8, 0.95])
def test_trials_for_influence_stand_and_fewer_do_not(accuracy):
    n = trials_for_influence(0.15, accuracy, 1_000_000, 0.7)
    spread = np.sqrt(accuracy * (1 - accuracy) / 0.21)
    normal = (stats.norm.isf(1e-7) * spread / 0.15) ** 2
    assert n == pytest.approx(normal, rel=0.25)


def test_trials_for_influence_grow_with_candidates_and_refuse_the_impossible():
    assert trials_for_influence(0.15, 0.8, 1000, 0.7) < trials_for_influence(0.15, 0.8, 10**6, 0.7)
    with pytest.raises(BatError, match="not possible at an accuracy"):
        trials_for_influence(0.5, 0.99, 1000, 0.7)


# -- thresholds -----------------------------------------------------------------------------


def test_rounding_puts_nothing_above_or_below_a_threshold():
    for n in (20, 100, 300):
        for threshold in (0.02, 0.15):
            a, b = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
            scores, exact = a / n - b / n, a - b - round(threshold * n)
            if exact[0, 0] + round(threshold * n) == 0 and (threshold * n) % 1 < 1e-9:
                np.testing.assert_array_equal(above(scores, threshold), exact > 0)
                np.testing.assert_array_equal(below(scores, threshold), exact < 0)
    assert not above(np.array([np.nan]), 0.1)[0]
    assert not above(np.float32([0.15]), 0.15)[0]

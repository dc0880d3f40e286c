"""Memorization and influence: closed forms, slow twins, invariances, errors."""

import doctest
from dataclasses import astuple
from math import comb

import numpy as np
import pytest

import bat
from bat.errors import BatError
from bat.scores import (
    _convergence,
    _influence,
    _memorization,
    convergence,
    counts,
    estimates,
    influence,
    influence_convergence,
    memorization,
    trials_for_coverage,
)
from bat.scores.subsets import subset


def study(n_trials=60, n_train=37, n_test=23, n_classes=4, seed=0):
    """Random masks and correctness with effects, constants and an unmatched class."""
    rng = np.random.default_rng(seed)
    included = rng.random((n_trials, n_train)) < 0.7
    train_labels = rng.integers(n_classes, size=n_train)
    test_labels = rng.integers(n_classes + 1, size=n_test)
    correct = rng.random((n_trials, n_train)) < np.where(included, 0.95, 0.6)
    test_correct = rng.random((n_trials, n_test)) < rng.random(n_test)
    test_correct[:, 0], test_correct[:, 1] = True, False
    return included, correct, test_correct, train_labels, test_labels


def twin(included, correct, i, j):
    """Influence (equation 2) and the Agresti-Caffo error of one pair, from the definition."""
    seen = [bool(c[j]) for m, c in zip(included, correct, strict=True) if m[i]]
    unseen = [bool(c[j]) for m, c in zip(included, correct, strict=True) if not m[i]]
    value = sum(seen) / len(seen) - sum(unseen) / len(unseen)
    variance = 0.0
    for outcomes in (seen, unseen):
        q = (sum(outcomes) + 1) / (len(outcomes) + 2)
        variance += q * (1 - q) / len(outcomes)
    return value, variance**0.5


def above(value, threshold):
    """Influences compare as float32, so that rounding decides no tie."""
    return np.float32(value) > np.float32(threshold)


def test_doctests():
    for module in (_convergence, _influence, _memorization, counts):
        assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_lookup_learner_has_its_closed_form(copies):
    """A learner that knows exactly the images of its subset, with copies of one image.

    Without sample i, the label is right if another copy is among the m of n - 1
    others: memorization is C(n - k, m) / C(n - 1, m), and so is the influence of a
    copy on a test image equal to it.
    """
    n, m, trials = 30, 21, 3000
    image = np.arange(n)
    image[:copies] = 0
    included = np.array([subset(copies, trial, n, m / n) for trial in range(trials)])
    correct = np.array([[image[i] in image[mask] for i in range(n)] for mask in included])
    k = np.where(image == 0, copies, 1)
    expected = np.array([comb(n - c, m) / comb(n - 1, m) for c in k])

    scores = memorization(included, correct)
    assert (np.abs(scores.memorization - expected) < 5 * scores.memorization_se).all()
    assert (scores.memorization[k == 1] == 1).all()

    labels = np.zeros(n, int)
    pairs = influence(included, correct, labels, labels, keep_above=-1)
    same = image[pairs.train_index] == image[pairs.test_index]
    truth = np.where(same, expected[pairs.train_index], 0)
    # without replacement, having i leaves less room for the copies of j != i
    for j in range(n):
        c = k[j]
        with_i = 1 - comb(n - 1 - c, m - 1) / comb(n - 1, m - 1)
        without_i = 1 - comb(n - 1 - c, m) / comb(n - 1, m)
        truth[~same & (pairs.test_index == j)] = with_i - without_i
    assert (np.abs(pairs.influence - truth) < 5 * pairs.influence_se).all()


def test_memorization_is_the_definition():
    included, correct, *_ = study()
    scores = memorization(included, correct)
    for i in range(included.shape[1]):
        value, error = twin(included, correct, i, i)
        assert scores.memorization[i] == pytest.approx(value, abs=1e-12)
        assert scores.memorization_se[i] == pytest.approx(error, rel=1e-12)
    np.testing.assert_array_equal(scores.n_included, included.sum(axis=0))
    np.testing.assert_array_equal(scores.n_excluded, (~included).sum(axis=0))
    np.testing.assert_array_equal(
        scores.memorization, scores.accuracy_included - scores.accuracy_excluded
    )
    assert scores.n_included.dtype == np.int32


def test_counts_do_not_overflow_bytes():
    included = np.arange(1500)[:, None] % 3 != np.array([0, 1])
    scores = memorization(included, included)
    np.testing.assert_array_equal(scores.n_included, [1000, 1000])
    np.testing.assert_array_equal(scores.memorization, [1, 1])


@pytest.mark.parametrize("pairs", ["same_class", "all"])
@pytest.mark.parametrize("keep_above", [-0.1, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("block", [1, 50, 2**20])
def test_influence_is_the_definition(pairs, keep_above, block):
    included, _, correct, train_labels, test_labels = study()
    found = influence(
        included,
        correct,
        train_labels,
        test_labels,
        pairs=pairs,
        keep_above=keep_above,
        block=block,
    )
    kept = []
    for j, label in enumerate(test_labels):
        candidates = np.flatnonzero(train_labels == label) if pairs == "same_class" else range(37)
        values = {i: twin(included, correct, i, j) for i in candidates}
        kept += [(i, j, *value) for i, value in values.items() if above(value[0], keep_above)]
        if not values:
            assert np.isnan(found.max_influence[j])
            assert found.max_influence_train_index[j] == -1
            continue
        highest = max(np.float32(value) for value, _ in values.values())
        assert found.max_influence[j] == highest
        assert found.max_influence_train_index[j] == min(
            i for i, (value, _) in values.items() if np.float32(value) == highest
        )
    kept = np.array(sorted(kept)).reshape(-1, 4)
    np.testing.assert_array_equal(found.train_index, kept[:, 0])
    np.testing.assert_array_equal(found.test_index, kept[:, 1])
    np.testing.assert_allclose(found.influence, kept[:, 2], atol=1e-7)
    np.testing.assert_allclose(found.influence_se, kept[:, 3], rtol=1e-6)
    np.testing.assert_allclose(found.test_accuracy, correct.mean(axis=0))
    assert found.train_index.dtype == found.test_index.dtype == np.int32
    assert found.influence.dtype == found.influence_se.dtype == np.float32


def test_an_influence_equal_to_the_threshold_is_not_kept():
    # n_included = n_excluded = 100 and influences k / 100, of which many round up in float64
    included = np.tile([True, False], 100)[:, None]
    correct = np.zeros((200, 100), bool)
    for k in range(100):
        correct[np.arange(0, 2 * k, 2), k] = True  # right in k of the trials with the sample
    labels = np.zeros(1, int), np.zeros(100, int)
    for threshold in range(1, 100):
        found = influence(included, correct, *labels, keep_above=threshold / 100)
        assert found.test_index.tolist() == list(range(threshold + 1, 100))


def test_int8_and_float32_products_agree_bit_for_bit(monkeypatch):
    data = study(n_trials=301, n_train=203, n_test=101)
    included, _, correct, train_labels, test_labels = data
    results = []
    for product in (_influence._float32_product, _influence._int8_product):
        monkeypatch.setattr(_influence, "_product", lambda work, chosen=product: chosen)
        results.append(influence(included, correct, train_labels, test_labels, pairs="all"))
    for a, b in zip(astuple(results[0]), astuple(results[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert results[0].influence.size > 100


def test_order_and_grouping_of_trials_change_nothing():
    included, correct, test_correct, *labels = study(n_trials=90)
    shards = np.split(np.arange(90), [10, 15, 60])
    order = np.concatenate([shards[k] for k in (2, 0, 3, 1)])
    for once, shuffled in (
        (memorization(included, correct), memorization(included[order], correct[order])),
        (
            influence(included, test_correct, *labels),
            influence(included[order], test_correct[order], *labels),
        ),
    ):
        for a, b in zip(astuple(once), astuple(shuffled), strict=True):
            np.testing.assert_array_equal(a, b)


def test_standard_error_covers_in_simulation():
    rng = np.random.default_rng(0)
    n, trials = 4000, 100
    included = rng.random((trials, n)) < 0.7
    p_in, p_out = 1 - rng.beta(1, 20, n), rng.random(n)
    correct = rng.random((trials, n)) < np.where(included, p_in, p_out)
    scores = memorization(included, correct)
    inside = np.abs(scores.memorization - (p_in - p_out)) < 1.96 * scores.memorization_se
    # a binomial share of 4,000: five of its own standard deviations are 0.017
    assert abs(inside.mean() - 0.95) < 0.017 + 0.01


@pytest.mark.parametrize("fill", [True, False])
def test_an_undefined_score_is_an_error(fill):
    included, correct, test_correct, *labels = study()
    included[:, [5, 9]] = fill
    where = "2 are in every" if fill else "2 in none"
    with pytest.raises(BatError, match=f"{where}.*example sample 5.*trials") as error:
        memorization(included, correct)
    assert f"{trials_for_coverage(37, included.mean())} trials" in str(error.value)
    with pytest.raises(BatError, match=where):
        influence(included, test_correct, *labels)


def test_constant_subsets_are_an_error():
    everything = np.ones((4, 3), bool)
    with pytest.raises(BatError, match="leave some samples out"):
        memorization(everything, everything)


def test_trials_for_coverage_is_the_least():
    n, ratio = 1437, 0.7
    trials = trials_for_coverage(n, ratio)
    assert n * (0.7**trials + 0.3**trials) < 0.01 <= n * (0.7 ** (trials - 1) + 0.3 ** (trials - 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(included=d["included"].astype(float)), "included is float64"),
        (lambda d: d.update(test_correct=d["test_correct"][:5]), "60 trials but test_correct 5"),
        (lambda d: d.update(test_labels=d["test_labels"][:5]), "test_labels has shape"),
        (lambda d: d.update(pairs="some"), "same_class"),
    ],
)
def test_bad_input_is_refused(change, message):
    names = ["included", "correct", "test_correct", "train_labels", "test_labels"]
    data = dict(zip(names, study(), strict=True))
    del data["correct"]
    change(data)
    with pytest.raises(BatError, match=message):
        influence(**data)


def test_shapes_of_memorization_must_agree():
    included, correct, *_ = study()
    with pytest.raises(BatError, match="included has shape"):
        memorization(included, correct[:, 1:])
    with pytest.raises(BatError, match="included has shape"):
        convergence(included, correct[:, 1:], steps=[4], repeats=1, seed=0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_no_trials_or_samples_are_refused_by_their_number(shape):
    with pytest.raises(BatError, match="at least one of each"):
        memorization(np.zeros(shape, bool), np.zeros(shape, bool))


def test_labels_of_two_kinds_are_refused():
    included, _, test_correct, train_labels, test_labels = study()
    names = np.array(["cat", "dog", "owl"])[train_labels % 3]
    with pytest.raises(BatError, match="no class in common"):
        estimates.influence(included, test_correct, names, test_labels)


def test_convergence_follows_the_reliability_of_the_halves():
    """Scores with variance v and error variance e correlate v / (v + e) between halves."""
    rng = np.random.default_rng(1)
    n, trials = 3000, 800
    included = rng.random((trials, n)) < 0.7
    p_out = rng.random(n)
    correct = included | (rng.random((trials, n)) < p_out)
    steps = [100, 400, 800]
    rows = convergence(included, correct, steps=steps, repeats=4, seed=0)
    for row, step in zip(rows, steps, strict=True):
        assert row["n_trials"] == step
        error = (p_out * (1 - p_out)).mean() / (0.3 * step / 2)
        expected = p_out.var() / (p_out.var() + error)
        # 1 / sqrt(n) per repeat; 1 / n_excluded is above 1 / (0.3 t) by some per cent at t = 50
        assert row["split_half_correlation"] == pytest.approx(expected, abs=0.01)
        assert row["undefined"] == 0
        assert row["se_mean"] < row["se_p95"]
    shrink = rows[0]["se_p95"] / rows[1]["se_p95"]
    assert shrink == pytest.approx(2, rel=0.1)
    assert rows == convergence(included, correct, steps=steps, repeats=4, seed=0)


def test_convergence_leaves_out_undefined_samples():
    included = np.random.default_rng(0).random((8, 400)) < 0.7
    correct = np.random.default_rng(1).random((8, 400)) < 0.5
    (row,) = convergence(included, correct, steps=[8], repeats=1, seed=0)
    assert 0.2 < row["undefined"] < 0.8
    assert np.isfinite(row["split_half_correlation"])
    assert np.isnan(row["split_half_correlation_sd"])


@pytest.mark.parametrize("n_trials", [1, 3])
def test_convergence_of_too_few_trials_is_refused(n_trials):
    included = np.eye(n_trials, 4, dtype=bool)
    with pytest.raises(BatError, match=f"halves of {n_trials} trials say nothing .* 4 or more"):
        bat.convergence(included, included)
    assert len(bat.convergence(np.eye(4, dtype=bool), np.eye(4, dtype=bool))) == 1


def test_convergence_of_influence_counts_what_influence_does():
    included, correct, test_correct, *labels = study(n_trials=90, n_train=60)
    rows = influence_convergence(
        included, correct, test_correct, *labels, steps=[40, 90], seed=0, repeats=2
    )
    chosen = memorization(included, correct).memorization > 0.15
    assert 5 < chosen.sum() < 60
    found = influence(
        included[:, chosen], test_correct, labels[0][chosen], labels[1], keep_above=0.15
    )
    assert rows[1] == {
        "influence_candidates": found.chance["candidates"],
        "influence_above": found.influence.size,
        "influence_by_chance": pytest.approx(found.chance["expected"][0]),
    }
    assert rows[0]["influence_by_chance"] > rows[1]["influence_by_chance"]
    (none,) = influence_convergence(
        included, included | True, test_correct, *labels, steps=[40], seed=0
    )
    assert np.isnan(none["influence_above"])


@pytest.mark.parametrize("steps", [[3], [4, 61]])
def test_convergence_refuses_impossible_steps(steps):
    included, correct, *_ = study()
    with pytest.raises(BatError, match="from 4 to 60"):
        convergence(included, correct, steps=steps, repeats=1, seed=0)

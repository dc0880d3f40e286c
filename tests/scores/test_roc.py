"""How well members are told, against scikit-learn, the definition, and repetition."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from bat.errors import BatError
from bat.scores.roc import Curve, roc


@pytest.fixture
def attacked():
    """Scores of 24 trials in 3 folds, with ties, and some that are not known."""
    rng = np.random.default_rng(0)
    included = rng.random((24, 30)) < 0.6
    scores = rng.normal(1.5 * included).round(1).astype(np.float32)
    scores[:, 4] = np.nan
    return included, scores, np.arange(24) % 3


def folds(attacked):
    included, scores, fold = attacked
    for number in range(3):
        known = np.isfinite(scores[fold == number])
        yield included[fold == number][known], scores[fold == number][known]


def test_the_curve_is_that_of_scikit_learn(attacked):
    for member, scores in folds(attacked):
        expected = roc_curve(member, scores, drop_intermediate=False)
        for ours, theirs in zip(roc(member, scores), expected, strict=False):
            np.testing.assert_allclose(ours, theirs)


def test_rates_and_area_are_means_over_the_folds(attacked):
    levels, found, areas = [0.02, 0.1, 0.5, 1.0], [], []
    for member, scores in folds(attacked):
        fpr, tpr = roc(member, scores)
        found.append([tpr[fpr <= level].max() for level in levels])
        areas.append(roc_auc_score(member, scores))
    curve = Curve(*attacked)
    np.testing.assert_allclose(curve.rates(levels), np.mean(found, axis=0))
    assert curve.area()[0] == pytest.approx(np.mean(areas))


def test_a_rate_that_too_few_can_show_is_not_known(attacked):
    curve = Curve(*attacked)
    fewest = min((~member).sum() for member, _ in folds(attacked))
    assert curve.resolution == pytest.approx(1 / fewest)
    below, at = curve.rates([0.99 / fewest, 1 / fewest])
    assert np.isnan(below) and at > 0
    low, high = curve.rate_intervals([0.99 / fewest], np.random.default_rng(0), repeats=5)
    assert np.isnan(low).all() and np.isnan(high).all()


def test_trials_drawn_again_count_as_often_as_they_were_drawn(attacked):
    """Weights of trials give what copies of their rows do."""
    included, scores, fold = attacked
    rng = np.random.default_rng(2)
    chosen = np.sort(np.concatenate([rng.choice(np.flatnonzero(fold == f), 8) for f in range(3)]))
    weights = [np.bincount(chosen, minlength=24)[fold == f] for f in range(3)]
    levels = [0.05, 0.2]
    copied = Curve(included[chosen], scores[chosen], fold[chosen]).rates(levels)
    np.testing.assert_allclose(Curve(*attacked)._rates(levels, weights), copied)


def test_intervals_hold_what_another_run_gives():
    """Trials differ from each other as a whole, so that samples of one are no repetitions."""
    rng, fold = np.random.default_rng(5), np.arange(60) % 5

    def attacked(n_trials):
        included = rng.random((n_trials, 40)) < 0.7
        strength = rng.normal(1.0, 0.5, size=(n_trials, 1))
        return included, rng.normal(strength * included)

    included, scores = attacked(20_000)
    whole = Curve(included, scores, np.zeros(20_000, int))
    area, rate = whole.area()[0], whole.rates([0.1])[0]
    covered = []
    for _ in range(200):
        curve = Curve(*attacked(60), fold)
        _, low, high = curve.area()
        ends = curve.rate_intervals([0.1], rng, repeats=60)
        covered.append([low <= area <= high, ends[0][0] <= rate <= ends[1][0]])
    assert np.mean(covered, axis=0) == pytest.approx(0.95, abs=0.05)


def test_one_side_alone_has_no_curve():
    with pytest.raises(BatError, match="only one of them"):
        roc(np.ones((2, 2), bool), np.zeros((2, 2)))
    curve = Curve(np.ones((2, 2), bool), np.zeros((2, 2)), np.zeros(2, int))
    assert np.isnan(curve.rates([0.5])).all() and np.isnan(curve.area()).all()

"""Membership inference against its definition, trial by trial."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from bat.errors import BatError
from bat.scores.margins import shrinkage
from bat.scores.privacy import FOLDS, membership_attack, rates, rates_with_intervals, roc


@pytest.fixture
def trials():
    rng = np.random.default_rng(0)
    included = rng.random((24, 30)) < 0.6
    spread = rng.gamma(4, 0.25, size=30)
    return included, rng.normal(1.0 + 1.5 * included, spread)


def prior(chosen, margins):
    values = [margins[chosen[:, i], i] for i in range(margins.shape[1])]
    return shrinkage(
        np.array([v.var(ddof=1) for v in values]), np.array([len(v) - 1 for v in values])
    )


def test_a_trial_is_attacked_with_those_of_other_folds(trials):
    included, margins = trials
    priors = {side: prior(included == side, margins) for side in (True, False)}
    attack = membership_attack(included, margins)
    for t in range(0, 24, 5):
        for i in range(30):
            density = {}
            for side in (True, False):
                others = (included[:, i] == side) & (np.arange(24) % FOLDS != t % FOLDS)
                values, (freedom, pooled) = margins[others, i], priors[side]
                n = len(values)
                variance = (freedom * pooled + (n - 1) * values.var(ddof=1)) / (freedom + n - 1)
                scale = np.sqrt(variance * (1 + 1 / n))
                density[side] = norm.logpdf(margins[t, i], values.mean(), scale)
            assert attack.scores[t, i] == pytest.approx(density[True] - density[False], abs=1e-4)


def test_the_curve_and_its_areas_are_those_of_scikit_learn(trials):
    included, margins = trials
    attack = membership_attack(included, margins)
    found = []
    for number in range(FOLDS):
        member, scores = included[attack.fold == number], attack.scores[attack.fold == number]
        expected = roc_curve(member.ravel(), scores.ravel(), drop_intermediate=False)
        for ours, theirs in zip(roc(member, scores), expected, strict=False):
            np.testing.assert_allclose(ours, theirs)
        found.append(expected[1][expected[0] <= 0.1].max())
    assert rates(included, attack.scores, attack.fold, [0.1])[0] == pytest.approx(np.mean(found))
    for i in range(30):
        areas, pairs = [], []
        for number in range(FOLDS):
            member = included[attack.fold == number, i]
            if 0 < member.sum() < member.size:
                areas.append(roc_auc_score(member, attack.scores[attack.fold == number, i]))
                pairs.append(member.sum() * (~member).sum())
        assert attack.sample_auc[i] == pytest.approx(np.average(areas, weights=pairs))


def test_nothing_is_given_away_by_margins_of_noise():
    rng = np.random.default_rng(1)
    included = rng.random((60, 400)) < 0.7
    attack = membership_attack(included, rng.normal(size=(60, 400)))
    rows = rates_with_intervals(attack, included, (0.01, 0.1), generator=rng, repeats=50)
    for row in rows:
        assert row["low"] <= row["tpr"] <= row["high"]
        assert row["tpr"] == pytest.approx(row["fpr"], abs=0.02)
    assert attack.sample_auc.mean() == pytest.approx(0.5, abs=0.02)


def test_what_cannot_be_attacked_has_no_score():
    included = np.array([[True, True], [True, False], [True, True], [True, False], [True, False]])
    attack = membership_attack(included, np.arange(10.0).reshape(5, 2))
    assert np.isnan(attack.scores[:, 0]).all() and np.isnan(attack.sample_auc[0])
    with pytest.raises(BatError, match="only one of them"):
        roc(np.ones((2, 2), bool), np.zeros((2, 2)))

"""Membership inference against its definition, trial by trial."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from bat.errors import BatError
from bat.scores import privacy
from bat.scores.margins import shrinkage
from bat.scores.privacy import FOLDS, membership_attack


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
    attack = membership_attack(included, margins)
    for t in range(0, 24, 5):
        fit = np.arange(24) % FOLDS != t % FOLDS
        priors = {side: prior(included[fit] == side, margins[fit]) for side in (True, False)}
        for i in range(30):
            density = {}
            for side in (True, False):
                others = (included[:, i] == side) & fit
                values, (freedom, pooled) = margins[others, i], priors[side]
                n = len(values)
                variance = (freedom * pooled + (n - 1) * values.var(ddof=1)) / (freedom + n - 1)
                scale = np.sqrt(variance * (1 + 1 / n))
                density[side] = norm.logpdf(margins[t, i], values.mean(), scale)
            assert attack.scores[t, i] == pytest.approx(density[True] - density[False], abs=1e-4)


def test_the_attacked_trials_are_in_no_part_of_the_fit(trials):
    included, margins = trials
    attacked = np.arange(24) % FOLDS == 2
    others = membership_attack(included, margins)
    inside = margins.copy()
    inside[attacked, 1:] += 1000  # sample 0 is attacked with what it was attacked with
    changed = membership_attack(included, inside)
    np.testing.assert_array_equal(changed.scores[attacked, 0], others.scores[attacked, 0])


def test_the_area_of_a_sample_and_its_error_pair_by_pair(trials):
    included, margins = trials
    scores = np.round(membership_attack(included, margins).scores)  # with ties
    fold = np.arange(24) % FOLDS
    areas, errors = privacy._auc_by_sample(included, scores, fold)
    for i in range(30):
        found, pairs, of_members, of_others = [], [], [0.0, 1.0], [0.0, 1.0]
        for number in range(FOLDS):
            member, values = included[fold == number, i], scores[fold == number, i]
            if not 0 < member.sum() < member.size:
                continue
            found.append(roc_auc_score(member, values))
            pairs.append(member.sum() * (~member).sum())
            won = (values[member][:, None] > values[~member]) * 1.0
            won += (values[member][:, None] == values[~member]) / 2
            of_members += won.mean(axis=1).tolist()
            of_others += won.mean(axis=0).tolist()
        assert areas[i] == pytest.approx(np.average(found, weights=pairs))
        parts = [np.var(values) / (len(values) - 2) for values in (of_members, of_others)]
        assert errors[i] == pytest.approx(np.sqrt(sum(parts)))


@pytest.mark.parametrize(("shift", "coverage"), [(0.0, 0.89), (1.0, 0.97), (3.0, 0.99)])
def test_how_often_the_error_of_an_area_covers(shift, coverage):
    """Below 95 % where nothing is given away: the folds' fits are taken as given."""
    rng = np.random.default_rng(3)
    included = rng.random((100, 3000)) < 0.7
    attack = membership_attack(included, rng.normal(shift * included))
    error = np.abs(attack.sample_auc - attack.sample_auc.mean())
    covered = (error < 1.96 * attack.sample_auc_se).mean()
    assert covered == pytest.approx(coverage, abs=0.02)


def test_samples_are_attacked_in_blocks_of_any_size(trials, monkeypatch):
    included, margins = trials
    margins = margins.astype(np.float16)
    whole = membership_attack(included, margins)
    monkeypatch.setattr(privacy, "_SAMPLES", 7)
    for name, values in vars(membership_attack(included, margins)).items():
        np.testing.assert_array_equal(values, getattr(whole, name))


def test_nothing_is_given_away_by_margins_of_noise():
    rng = np.random.default_rng(1)
    included = rng.random((60, 400)) < 0.7
    attack = membership_attack(included, rng.normal(size=(60, 400)))
    assert attack.sample_auc.mean() == pytest.approx(0.5, abs=0.02)


def test_what_cannot_be_attacked_has_no_score():
    included = np.array([[True, True], [True, False], [True, True], [True, False], [True, False]])
    attack = membership_attack(included, np.arange(10.0).reshape(5, 2))
    assert np.isnan(attack.scores[:, 0]).all() and np.isnan(attack.sample_auc[0])
    assert np.isnan(attack.sample_auc_se[0])
    with pytest.raises(BatError, match="the margin of sample 1 in trial 2 is nan"):
        membership_attack(included, np.where(np.arange(10).reshape(5, 2) == 5, np.nan, 0.0))

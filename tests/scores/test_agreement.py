"""What margins are worth in trials: known answers, and slow twins from the definitions."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from bat.scores import agreement, discoveries, influence, memorization
from bat.scores._agreement import worth
from bat.scores.margin_influence import influence_from_margins
from bat.scores.margins import memorization_from_margins
from bat.statistics import above
from bat.streams import generator

N_TRIALS = 120


@pytest.fixture(scope="module")
def normal():
    """Masks, and margins that are normal without a sample; all are right with it."""
    rng = np.random.default_rng(4)
    included = rng.random((N_TRIALS, 2000)) < 0.7
    own = rng.normal(0.3, 1.0, 2000)
    margins = np.where(included, 4.0, own + rng.normal(size=included.shape))
    return included, margins.astype(np.float16)


def test_agreement_is_that_of_the_definition(normal):
    included, margins = normal
    correct = margins > 0
    (row,) = agreement(included, correct, margins, steps=[80], repeats=1, seed=7)
    draw = generator(7, 0, "agreement").permutation(N_TRIALS)
    few, other = draw[:40], draw[60:]
    reference = memorization(included[other], correct[other]).memorization
    reliability = np.corrcoef(
        reference, memorization(included[draw[:60]], correct[draw[:60]]).memorization
    )[0, 1]
    bits = memorization(included[few], correct[few]).memorization
    by_margins = memorization_from_margins(included[few], margins[few]).memorization_margin
    for name, found in (("bits", bits), ("margins", by_margins)):
        pearson = np.corrcoef(found, reference)[0, 1] / np.sqrt(reliability)
        assert row[f"agreement_{name}_pearson"] == pytest.approx(pearson)
        spearman = spearmanr(found, reference).statistic
        assert row[f"agreement_{name}_spearman"] == pytest.approx(spearman)
        assert row[f"agreement_{name}_auc"] == pytest.approx(
            roc_auc_score(above(reference, 0.15), found)
        )
    assert (row["estimate_trials"], row["reference_trials"]) == (40, 60)
    assert row["agreement_bits_pearson_low"] == row["agreement_bits_pearson"]


def test_the_noise_of_the_reference_is_taken_out(normal):
    """The agreement that is stated is the correlation with the true scores."""
    included, margins = normal
    rng = np.random.default_rng(4)
    rng.random((N_TRIALS, 2000))
    own = rng.normal(0.3, 1.0, 2000)  # as in the fixture
    truth = 1 - ndtr(own)
    rows = agreement(included, margins > 0, margins, steps=[40, 80], repeats=10, seed=0)
    for row in rows:
        n, found = row["estimate_trials"], []
        for repeat in range(10):
            draw = generator(0, repeat, "agreement").permutation(N_TRIALS)[:n]
            scores = memorization_from_margins(included[draw], margins[draw]).memorization_margin
            known = np.isfinite(scores)
            found.append(np.corrcoef(scores[known], truth[known])[0, 1])
        assert row["agreement_margins_pearson"] == pytest.approx(np.mean(found), abs=0.01)


def test_bits_are_worth_themselves_and_margins_more(normal):
    included, margins = normal
    steps = [20, 30, 44, 66, 120]
    same = worth([10, 20, 40], [0.5, 0.7, 0.9], [0.5, 0.7, 0.9])
    assert same.tolist() == pytest.approx([1, 1, 1])
    rows = agreement(included, margins > 0, margins, steps=steps, repeats=5, seed=1)
    found = [row["margins_worth"] for row in rows]
    assert min(found[:2]) > 1.3 and np.isnan(found[-1])
    again = agreement(included, margins > 0, margins, steps=steps, repeats=5, seed=1)
    np.testing.assert_equal(again, rows)


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.0, 3.0])
def test_what_margins_are_worth_follows_spearman_and_brown(factor):
    sizes = np.array([5, 8, 12, 20, 30, 50])

    def correlation(trials):
        return np.sqrt(trials / (trials + 15))

    found = worth(sizes, correlation(sizes), correlation(factor * sizes))
    inside = factor * sizes <= 50
    assert found[inside] == pytest.approx(factor)
    assert np.isnan(found[~inside]).all()


def test_what_margins_are_worth_is_unknown_where_nothing_is_known():
    nothing = np.full(3, np.nan)
    assert np.isnan(worth([5, 10, 20], nothing, nothing)).all()
    assert np.isnan(worth([5, 10, 20], [-0.1, -0.2, 0.3], [0.1, 0.2, 0.3])).all()


def test_with_next_to_no_trials_agreement_is_not_known():
    included = np.eye(4, dtype=bool)
    margins = np.where(included, 3.0, -1.0)
    (row,) = agreement(included, margins > 0, margins, steps=[4], repeats=2, seed=0)
    assert np.isnan(row["agreement_bits_pearson"]) and np.isnan(row["margins_worth"])


def test_pairs_that_stand_are_those_of_both_searches():
    rng = np.random.default_rng(0)
    included = rng.random((200, 30)) < 0.7
    train, test = np.arange(30) % 3, np.arange(12) % 3
    margins = rng.normal(1.0, 1.0, (200, 12)) + 3.0 * included[:, :12] - 2.0
    correct = margins > 0
    rows = discoveries(included, correct, margins, train, test, steps=[50, 200], seed=0, repeats=2)
    by_bits = influence(included, correct, train, test, keep_above=0.0)
    by_margins = influence_from_margins(included, margins, train, test)
    all_trials = rows[1]
    assert all_trials["standing_bits"] == np.count_nonzero(by_bits.q <= 0.1) >= 12
    assert all_trials["standing_margins"] == by_margins.standing >= 12
    assert all_trials["standing_candidates"] == by_margins.candidates == 120
    assert rows[0]["standing_bits"] < rows[0]["standing_margins"]


def test_without_any_influence_next_to_no_pair_stands():
    rng = np.random.default_rng(1)
    included = rng.random((100, 60)) < 0.7
    margins = rng.normal(size=(100, 50))
    labels = np.zeros(60, int), np.zeros(50, int)
    (row,) = discoveries(included, margins > 0, margins, *labels, steps=[100], seed=0)
    assert max(row["standing_bits"], row["standing_margins"]) <= 2

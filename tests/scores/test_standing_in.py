"""How cheap scores are compared with memorization: against the definitions, and known answers."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from bat.errors import BatError
from bat.scores.standing_in import MEASURES, spearman_brown, standing_in


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).random(400) ** 4


def noisy(truth, sd, seeds=1, seed=1):
    return truth + sd * np.random.default_rng(seed).normal(size=(seeds, len(truth)))


def test_measures_are_those_of_the_definitions(truth):
    score, wrong = noisy(truth, 0.2), np.arange(len(truth)) % 7 == 0
    (row,) = standing_in(truth, {"score": score}, wrong=wrong, draws=2)
    assert row["spearman"] == pytest.approx(spearmanr(truth, score[0]).statistic)
    assert row["pearson"] == pytest.approx(np.corrcoef(truth, score[0])[0, 1])
    assert row["auc"] == pytest.approx(roc_auc_score(truth > 0.15, score[0]))
    assert row["auc_wrong"] == pytest.approx(roc_auc_score(wrong, score[0]))
    for top, n in ((10, 40), (20, 80), (40, 160)):
        best = {*np.argsort(-truth)[:n]} & {*np.argsort(-score[0])[:n]}
        assert row[f"overlap_{top}"] == pytest.approx(len(best) / n)


def test_a_score_of_several_seeds_is_their_mean(truth):
    scores = noisy(truth, 0.5, seeds=3)
    (of_three,) = standing_in(truth, {"score": scores}, draws=2)
    (of_mean,) = standing_in(truth, {"score": scores.mean(axis=0)}, draws=2)
    assert of_three["n_seeds"] == 3 and of_mean["n_seeds"] == 1
    for measure in MEASURES[:-1]:
        assert of_three[measure] == of_mean[measure]


def test_intervals_hold_the_value_of_the_population():
    """0.8 of all correlations lies in 95 % of the intervals, up to the noise of 60 draws."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(60):
        both = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=150)
        (row,) = standing_in(both[:, 0], {"score": both[:, 1]}, draws=100)
        held += row["pearson_low"] <= 0.8 <= row["pearson_high"]
    assert 52 <= held <= 60


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_over_seeds_hold_the_value_of_their_mean(seeds):
    """Where seeds differ by noise alone, the mean of each so many correlates alike."""
    rng, held = np.random.default_rng(0), 0
    value = 1 / np.sqrt(1 + 1 / seeds)
    for _ in range(60):
        truth = rng.normal(size=150)
        (row,) = standing_in(truth, {"s": truth + rng.normal(size=(seeds, 150))}, draws=100)
        held += row["pearson_low"] <= value <= row["pearson_high"]
    assert 52 <= held <= 60


@pytest.mark.parametrize("seeds", [1, 2, 5, 20])
def test_intervals_hold_what_was_measured(truth, seeds):
    scores = {"s": noisy(truth, 1.0, seeds), "constant": np.zeros((seeds, len(truth)))}
    first, constant = standing_in(truth, scores, wrong=truth > 0.9, draws=50)
    for name in MEASURES:
        assert first[f"{name}_low"] <= first[name] <= first[f"{name}_high"] <= 1
    assert np.isnan(constant["spearman"]) and np.isnan(constant["spearman_low"])
    assert constant["auc_low"] == constant["auc"] == constant["auc_high"] == 0.5


def test_seeds_of_other_worth_widen_the_interval(truth):
    alike = noisy(truth, 0.3, seeds=3)
    apart = truth + np.array([[0.05], [0.3], [3.0]]) * (alike - truth) / 0.3
    widths = [
        row["pearson_high"] - row["pearson_low"]
        for row in standing_in(truth, {"alike": alike, "apart": apart}, draws=50)
    ]
    assert widths[1] > 2 * widths[0]


def test_the_noise_of_the_reference_is_taken_out():
    """Spearman's formula: of two measures of one thing, without the noise of one."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    reference, again = (truth + rng.normal(size=truth.size) for _ in range(2))
    reliability = {"pearson": np.corrcoef(reference, again)[0, 1]}
    (row,) = standing_in(reference, {"truth": truth}, reliability=reliability, draws=2)
    assert row["pearson"] == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert row["pearson_true"] == pytest.approx(1, abs=0.02)


def test_no_correlation_is_beyond_1_with_the_noise_out(truth):
    reliability = {"spearman": 0.3, "pearson": 0.2}
    rows = standing_in(truth, {"up": truth, "down": -truth}, reliability=reliability, draws=2)
    assert [[row[f"{name}_true"] for name in reliability] for row in rows] == [[1, 1], [-1, -1]]


def test_shares_are_not_below_nothing(truth):
    (row,) = standing_in(truth, {"down": -noisy(truth, 0.01, seeds=3)}, draws=50)
    assert row["overlap_10"] == row["overlap_10_low"] == row["auc_low"] == 0


def test_halves_say_what_wholes_would():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=50_000)
    four = truth + 2 * rng.normal(size=(4, truth.size))
    of_halves = np.corrcoef(four[0], four[1])[0, 1]
    of_wholes = np.corrcoef(four[:2].mean(axis=0), four[2:].mean(axis=0))[0, 1]
    assert spearman_brown(of_halves) == pytest.approx(of_wholes, abs=0.02)


def test_what_cannot_be_compared_is_refused_by_name(truth):
    with pytest.raises(BatError, match=r"short has shape \(1, 3\)"):
        standing_in(truth, {"short": truth[:3]})
    with pytest.raises(BatError, match="holes"):
        standing_in(truth, {"holes": np.where(truth > 0.5, np.nan, truth)})


def test_nothing_planted_has_no_area(truth):
    (row,) = standing_in(truth, {"score": truth}, draws=2)
    assert np.isnan(row["auc_wrong"]) and np.isnan(row["auc_wrong_low"])

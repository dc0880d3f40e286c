"""Disagreement, confidence and alignment against scipy, scikit-learn and closed forms."""

import doctest

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from bat.errors import BatError
from bat.scores import ensembles
from bat.scores.ensembles import alignment, confidence, disagreement, predictions


def ensemble(m=9, n=40, k=5, seed=0):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(k, 0.3), size=(m, n)).astype(np.float32)
    probabilities[0, 0] = np.eye(k)[0]  # exact zeros
    held_out = rng.random((m, n)) < 0.5
    held_out[:2] = True
    return probabilities, held_out, rng.integers(k, size=n)


def test_doctests():
    assert doctest.testmod(ensembles).failed == 0


@pytest.mark.parametrize("in_sample", [True, False])
@pytest.mark.parametrize("block", [1, 200, 2**18])
def test_disagreement_is_the_definition(in_sample, block, monkeypatch):
    monkeypatch.setattr(ensembles, "_BLOCK", block)
    probabilities, held_out, _ = ensemble()
    found = disagreement(probabilities, None if in_sample else held_out)
    if in_sample:
        held_out = np.ones_like(held_out)
    for i in range(probabilities.shape[1]):
        chosen = probabilities[held_out[:, i], i].astype(np.float64)
        pairs = [jensenshannon(p, q) ** 2 for p in chosen for q in chosen]
        assert found[i] == pytest.approx(np.mean(pairs), abs=2e-6)


def test_disagreement_at_its_ends():
    same = np.tile(np.array([0.2, 0.8], np.float32), (5, 1, 1))
    assert disagreement(same) == pytest.approx(0, abs=1e-7)
    m = 6  # each model certain of its own class: only the m pairs j = p agree
    certain = np.eye(m, dtype=np.float16)[:, None]
    assert disagreement(certain) == pytest.approx((1 - 1 / m) * np.log(2), abs=1e-6)


def test_float16_is_enough():
    probabilities, held_out, labels = ensemble()
    half = probabilities.astype(np.float16)
    np.testing.assert_allclose(
        disagreement(half, held_out), disagreement(probabilities, held_out), atol=1e-3
    )
    np.testing.assert_allclose(
        confidence(half, labels, held_out), confidence(probabilities, labels, held_out), atol=1e-3
    )


def test_order_of_models_and_samples_changes_nothing():
    probabilities, held_out, _ = ensemble()
    once = disagreement(probabilities, held_out)
    models = np.random.default_rng(1).permutation(9)
    np.testing.assert_allclose(
        disagreement(probabilities[models], held_out[models]), once, atol=1e-6
    )
    np.testing.assert_allclose(disagreement(probabilities[:, ::-1], held_out[:, ::-1]), once[::-1])


def test_predictions_are_those_of_the_models_that_left_a_sample_out():
    probabilities, held_out, _ = ensemble(k=4)
    held_out[:, 7] = False
    for wanted in (2, 6):  # fewer classes than there are, and more
        classes, shares = predictions(probabilities, held_out, wanted)
        for i in range(len(classes)):
            counts = np.bincount(probabilities[held_out[:, i], i].argmax(-1), minlength=4)
            order = [c for c in np.argsort(-counts, kind="stable") if counts[c]][:wanted]
            lacking = wanted - len(order)
            assert classes[i].tolist() == order + [-1] * lacking
            np.testing.assert_allclose(
                shares[i], [*(counts[order] / max(counts.sum(), 1)), *[0] * lacking]
            )


def test_confidence_is_the_definition():
    probabilities, held_out, labels = ensemble()
    for mask in (held_out, None):
        found = confidence(probabilities, labels, mask)
        for i, label in enumerate(labels):
            chosen = (
                probabilities[:, i, label] if mask is None else probabilities[mask[:, i], i, label]
            )
            assert found[i] == pytest.approx(chosen.mean(), rel=1e-6)


def test_too_few_models_is_an_error():
    probabilities, held_out, labels = ensemble()
    held_out[:, 7] = np.arange(9) == 4
    with pytest.raises(BatError, match=r"1 of 40.*fewer than 2 of the 9.*sample 7 by 1.*models"):
        disagreement(probabilities, held_out)
    confidence(probabilities, labels, held_out)  # one is enough here
    held_out[:, 7] = False
    with pytest.raises(BatError, match="sample 7 by 0"):
        confidence(probabilities, labels, held_out)
    with pytest.raises(BatError, match="at least two models"):
        disagreement(probabilities[:1])


@pytest.mark.parametrize("needed", [1, 2])
def test_the_advised_number_of_models_is_the_least(needed):
    n, share = 500, 0.3
    models = int(ensembles._advice(n, share, needed).split(", ")[1].split()[0])

    def chance(m):
        few = (1 - share) ** m + (needed == 2) * m * share * (1 - share) ** (m - 1)
        return n * few

    assert chance(models) <= 0.01 < chance(models - 1)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.ones((2, 3, 4), np.float32), "not logits"),
        (np.full((2, 3, 4), np.nan, np.float32), "sum to nan"),
        (np.ones((2, 3), np.float32), r"expected \(m, n, k\)"),
    ],
)
def test_what_are_no_probabilities_is_refused(probabilities, message):
    with pytest.raises(BatError, match=message):
        disagreement(probabilities)


def test_wrong_masks_and_labels_are_refused():
    probabilities, held_out, labels = ensemble()
    with pytest.raises(BatError, match="held_out is"):
        disagreement(probabilities, held_out[:, 1:])
    with pytest.raises(BatError, match="values 0 to 4"):
        confidence(probabilities, labels + 1)
    with pytest.raises(BatError, match="expected integers"):
        confidence(probabilities, labels.astype(float))


def test_alignment_against_scipy_and_sklearn():
    rng = np.random.default_rng(0)
    score = np.maximum(rng.normal(0, 0.3, 200), 0)  # half of them tied at 0
    metrics = {"disagreement": score + rng.normal(0, 0.2, 200), "doubt": score.round(1)}
    rows = alignment(score, metrics)
    assert [(row["metric_a"], row["metric_b"]) for row in rows] == [
        ("memorization", "disagreement"),
        ("memorization", "doubt"),
        ("disagreement", "doubt"),
    ]
    for row, name in zip(rows, ["disagreement", "doubt"], strict=False):
        assert row["spearman"] == pytest.approx(spearmanr(score, metrics[name])[0])
        assert row["auc"] == pytest.approx(roc_auc_score(score > 0.15, metrics[name]))
        assert row["note"] == ""
    assert np.isnan(rows[2]["auc"])


def test_overlap():
    a = np.arange(100.0)
    rows = alignment(a, {"same": 3 * a, "reverse": -a, "flat": np.zeros(100)})
    same, reverse, flat = rows[:3]
    assert [same[f"overlap_{top}"] for top in (10, 20, 40)] == [1, 1, 1]
    assert [reverse[f"overlap_{top}"] for top in (10, 20, 40)] == [0, 0, 0]
    # a constant metric says nothing: each sample is in its top set with the same chance
    assert [flat[f"overlap_{top}"] for top in (10, 20, 40)] == pytest.approx([0.1, 0.2, 0.4])
    assert np.isnan(flat["spearman"])
    assert "constant" in flat["note"]


@pytest.mark.parametrize(("level", "word"), [(0.0, "no sample"), (1.0, "every sample")])
def test_auc_without_both_kinds_is_nan_with_its_reason(level, word):
    (row,) = alignment(np.full(5, level), {"doubt": np.arange(5.0)})
    assert np.isnan(row["auc"])
    assert f"{word} has memorization > 0.15" in row["note"]


def test_alignment_refuses_unmatched_scores():
    with pytest.raises(BatError, match="doubt has shape"):
        alignment(np.zeros(5), {"doubt": np.zeros(4)})
    with pytest.raises(BatError, match="finite"):
        alignment(np.zeros(2), {"doubt": np.array([np.nan, 0])})

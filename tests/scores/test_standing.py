"""Pairs by bits and by margins in one table, against a slow twin."""

import numpy as np
import pytest

from bat.scores import influence
from bat.scores.margin_influence import influence_from_margins
from bat.scores.significance import benjamini_hochberg, p_values
from bat.scores.standing import standing_pairs


@pytest.fixture(scope="module")
def trials():
    """80 trials of 30 training and 14 test samples of 2 classes; pairs show in margins alone."""
    rng = np.random.default_rng(5)
    included = rng.random((80, 30)) < 0.7
    labels = np.arange(30) % 2, np.arange(14) % 2
    margins = rng.normal(3, 1, (80, 14))
    margins[:, 4] += 1.5 * included[:, 2]  # right in nearly all trials: no bit tells
    margins[:, 7] += 3.0 * included[:, 5] - 4.0
    return included, margins.astype(np.float16), labels


def test_pairs_are_those_of_both_and_each_says_both(trials):
    included, margins, labels = trials
    correct = margins > 0
    both = standing_pairs(included, correct, margins, *labels, keep_above=0.1)
    bits = influence(included, correct, *labels, keep_above=0.1)
    alone = influence_from_margins(included, margins, *labels)
    pairs = list(zip(both.margins.train_index, both.margins.test_index, strict=True))
    by_bits = set(zip(bits.train_index, bits.test_index, strict=True))
    standing = {
        pair
        for pair, q in zip(
            zip(alone.train_index, alone.test_index, strict=True), alone.q_margin, strict=True
        )
        if q <= 0.1
    }
    assert pairs == sorted(by_bits | standing)
    assert (2, 4) in standing - by_bits
    assert (5, 7) in standing & by_bits
    assert both.margins.standing == alone.standing == len(standing)
    candidates = [(i, j) for i in range(30) for j in range(14) if i % 2 == j % 2]
    i, j = np.transpose(candidates)
    right = np.array([(included[:, a] & correct[:, b]).sum() for a, b in candidates])
    slow_q = benjamini_hochberg(p_values(right, correct.sum(0)[j], included.sum(0)[i], 80))
    for row, (a, b) in enumerate(pairs):
        with_it = included[:, a]
        slow = correct[with_it, b].mean() - correct[~with_it, b].mean()
        assert both.influence[row] == pytest.approx(slow, abs=1e-6)
        shares = [(correct[m, b].sum() + 1) / (m.sum() + 2) for m in (with_it, ~with_it)]
        counts = with_it.sum(), (~with_it).sum()
        error = np.sqrt(sum(s * (1 - s) / n for s, n in zip(shares, counts, strict=True)))
        assert both.influence_se[row] == pytest.approx(error, rel=1e-5)
        assert both.q[row] == pytest.approx(slow_q[candidates.index((a, b))], rel=2e-3)


def test_pairs_of_bits_stay_what_they_are(trials):
    included, margins, labels = trials
    both = standing_pairs(included, margins > 0, margins, *labels, pairs="all", keep_above=0.0)
    bits = influence(included, margins > 0, *labels, pairs="all", keep_above=0.0)
    kept = both.influence > 0
    for name in ("influence", "influence_se", "q"):
        assert np.array_equal(getattr(both, name)[kept], getattr(bits, name))
    assert both.bits.chance == bits.chance

"""Subsets and streams depend on (seed, trial, stream) alone."""

import doctest

import numpy as np
import pytest

from bat import streams
from bat.errors import BatError
from bat.files import bits
from bat.scores import subsets, trials_for_coverage


def test_doctests():
    assert doctest.testmod(subsets).failed == 0


@pytest.mark.parametrize(("n", "ratio", "size"), [(10, 0.7, 7), (1437, 0.7, 1006), (3, 0.5, 2)])
def test_subset_has_exactly_its_size(n, ratio, size):
    for trial in range(5):
        assert subsets.subset(0, trial, n, ratio).sum() == size


def test_subset_is_pinned():
    # a change of these numbers would silently change every study made before it
    assert np.flatnonzero(subsets.subset(1, 2, 10, 0.5)).tolist() == [1, 2, 4, 5, 9]
    assert streams.torch_seed(1, 2, "init") == 663921920116740202


def test_trials_seeds_and_streams_differ():
    draws = {
        tuple(streams.generator(*key).integers(2**32, size=4))
        for key in [(0, 0, "a"), (0, 1, "a"), (1, 0, "a"), (0, 0, "b"), (2**32 - 1, 0, "a")]
    }
    assert len(draws) == 5


def test_inclusion_is_uniform_and_independent_between_trials():
    n, trials, ratio = 50, 4000, 0.7
    masks = np.array([subsets.subset(3, trial, n, ratio) for trial in range(trials)])
    # inclusion counts are binomial; with 50 of them 5 sd is never reached by chance
    assert np.abs(masks.mean(axis=0) - ratio).max() < 5 * (ratio * (1 - ratio) / trials) ** 0.5
    # within a trial: sampling without replacement has correlation -1 / (n - 1)
    within = np.corrcoef(masks.T)[np.triu_indices(n, 1)]
    assert abs(within.mean() + 1 / (n - 1)) < 1e-3
    assert np.abs(within).max() < 6 / trials**0.5
    # between consecutive trials: none
    between = np.corrcoef(masks[:-1].ravel(), masks[1:].ravel())[0, 1]
    assert abs(between) < 5 / masks[1:].size ** 0.5


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "0"])
def test_bad_seed_is_refused(seed):
    with pytest.raises(BatError, match="seed is"):
        streams.generator(seed, 0, "a")


@pytest.mark.parametrize(("n", "ratio"), [(10, 0.0), (10, 1.0), (10, float("nan")), (10, 7)])
def test_bad_ratio_is_refused(n, ratio):
    with pytest.raises(BatError, match="ratio"):
        subsets.subset(0, 0, n, ratio)
    with pytest.raises(BatError, match="ratio"):  # of which no number of trials would do
        trials_for_coverage(n, ratio)


@pytest.mark.parametrize(("n", "ratio"), [(1, 0.7), (2, 0.9), (0, 0.7), (10, 0.01)])
def test_empty_or_complete_subset_is_refused(n, ratio):
    with pytest.raises(BatError, match="use more samples"):
        subsets.subset(0, 0, n, ratio)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 1437])
def test_pack_round_trip(n):
    mask = streams.generator(0, n, "mask").random(n) < 0.5
    packed = bits.pack(mask)
    assert len(packed) == -(-n // 8)
    np.testing.assert_array_equal(bits.unpack(packed, n), mask)


def test_damaged_bytes_are_refused():
    with pytest.raises(BatError, match="found 2 bytes; expected 1"):
        bits.unpack(b"\x00\x00", 8)
    with pytest.raises(BatError, match="damaged"):
        bits.unpack(b"\x08", 3)
    with pytest.raises(BatError, match="one row"):
        bits.pack(np.zeros((2, 3), bool))

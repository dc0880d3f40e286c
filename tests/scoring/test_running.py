"""Trials with one's own training function: subsets, estimates, files, kills, and joining."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import comb

import bat
from bat import scoring
from bat.errors import ArtifactError, BatError
from bat.files import read_table

N, N_TEST = 12, 5
CLASSES = np.arange(N) // 3  # of three copies each; test sample j is another of class j
TEST_CLASSES = np.arange(N_TEST) % 4


def lookup(index, trial):
    """A learner that knows a class once it saw one of its copies."""
    known = np.unique(CLASSES[index])
    return np.isin(CLASSES, known), np.isin(TEST_CLASSES, known)


def same(a, b):
    names = ("number", "included", "train_correct", "test_correct", "seconds")
    assert a.recipe == b.recipe
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names[:4])


@pytest.fixture(scope="module")
def trials():
    return bat.run_trials(lookup, n_train=N, n_trials=3000, ratio=0.25)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ratio": 1.0}, "subset ratio is 1.0"),
        ({"ratio": 2}, "subset ratio is 2"),
        ({"n_trials": 3.0}, "n_trials is 3.0"),
        ({"n_trials": 0}, "n_trials is 0;"),
        ({"settings": {"lr": np.float32(1)}}, "settings are .*expected values that JSON can hold"),
        ({"settings": {"lr": float("inf")}}, "expected values that JSON can hold"),
    ],
)
def test_what_makes_no_trials_is_refused_at_once(change, words):
    with pytest.raises(BatError, match=words):
        bat.run_trials(lookup, **{"n_train": N, "n_trials": 3} | change)


def test_labels_of_two_kinds_are_refused(trials):
    with pytest.raises(BatError, match="no class in common"):
        trials.influence(CLASSES, np.array(list("abcde")))


# -- what is estimated ----------------------------------------------------------------------


def test_a_lookup_learner_is_memorized_as_often_as_its_copies_are_left_out(trials):
    """C(n - k, m) / C(n - 1, m) for k copies of a sample and subsets of m of n."""
    expected = comb(N - 3, 3) / comb(N - 1, 3)
    scores = trials.memorization()
    assert np.abs(scores.memorization - expected).max() < 4 * scores.memorization_se.max()
    assert (scores.accuracy_included == 1).all()


def test_influence_and_groups_are_those_of_the_copies(trials):
    pairs = trials.influence(CLASSES, TEST_CLASSES, keep_above=0.02).to_frame(CLASSES)
    assert len(pairs) == 3 * N_TEST
    assert (pairs["label"] == TEST_CLASSES[pairs["test_index"]]).all()
    groups = trials.groups(CLASSES, TEST_CLASSES)
    assert groups.train.atypical.all()
    assert groups.test.atypical.all()
    assert list(groups.test.to_frame().columns) == ["index", "typical", "atypical"]


def test_convergence_of_trials_is_a_table(trials):
    table = trials.convergence(steps=[20, 3000], repeats=3)
    assert table["n_trials"].tolist() == [20, 3000]
    assert table["se_mean"].is_monotonic_decreasing


def test_subsets_are_those_of_seed_and_number(trials):
    assert (trials.included[7] == bat.subset(seed=0, trial=7, n=N, ratio=0.25)).all()


def test_margins_above_zero_are_right(trials):
    def fit(index, trial):
        return tuple(np.where(right, 3.5, -0.25) for right in lookup(index, trial))

    found = bat.run_trials(fit, n_train=N, n_trials=3000, ratio=0.25)
    assert same(found, trials)
    assert (found.train_margin == np.where(found.train_correct, 3.5, -0.25)).all()
    assert trials.train_margin is None and trials.test_margin is None


# -- margins --------------------------------------------------------------------------------


def by_margins(index, trial):
    """Margins of the learner; the largest is beyond half precision, the least rounds to 0."""
    rng = np.random.default_rng(trial)
    found = [np.where(r, 1, -1) * rng.uniform(0.1, 2, len(r)) for r in lookup(index, trial)]
    found[0][0] *= 1e6
    found[0][1] *= 1e-12
    return tuple(found)


def test_margins_are_kept_and_estimated_from(tmp_path):
    settings = {"n_train": N, "ratio": 0.25}
    found = bat.run_trials(by_margins, n_trials=60, out=tmp_path, **settings)
    bits = bat.run_trials(lookup, n_trials=60, **settings)
    assert same(found, bits)
    again = bat.Trials.read(tmp_path)
    for name in ("train_margin", "test_margin"):
        kept = getattr(found, name)
        assert kept.dtype == np.float16 and np.isfinite(kept).all()
        assert np.array_equal(getattr(again, name), kept)
    assert np.abs(found.train_margin).max() == np.finfo(np.float16).max
    scores, plain = found.memorization(), bits.memorization()
    direct = bat.memorization_from_margins(found.included, found.train_margin)
    assert np.array_equal(scores.memorization_margin, direct.memorization_margin)
    frame = scores.to_frame()
    assert list(frame.columns[-2:]) == ["memorization_margin", "memorization_margin_se"]
    assert frame[plain.to_frame().columns].equals(plain.to_frame())
    pairs, of_bits = (t.influence(CLASSES, TEST_CLASSES) for t in (found, bits))
    assert list(pairs.to_frame().columns[-3:]) == [
        "influence_margin",
        "influence_margin_se",
        "q_margin",
    ]
    above = pairs.to_frame()[pairs.influence > 0.02].reset_index(drop=True)
    assert above[of_bits.to_frame().columns].equals(of_bits.to_frame())
    assert pairs.chance == of_bits.chance
    assert "q_margin" not in of_bits.to_frame()
    assert found.groups(CLASSES, TEST_CLASSES).test.atypical.all()


def test_trials_with_and_without_margins_are_joined(tmp_path):
    settings = {"n_train": N, "ratio": 0.25}
    first = bat.run_trials(lookup, n_trials=40, out=tmp_path, **settings)
    assert "train_margin" not in read_table(tmp_path / "own.parquet", "trials")[1]["content"]
    mixed = bat.run_trials(by_margins, n_trials=60, out=tmp_path, **settings)
    lacking = [row is None for row in mixed.margin_rows("test_margin")]
    assert lacking == [True] * 40 + [False] * 20
    assert mixed.memorization().memorization_margin is None  # not of twenty trials alone
    assert mixed.influence(CLASSES, TEST_CLASSES).q_margin is None
    more = bat.run_trials(by_margins, n_trials=range(30, 80), **settings)
    whole = bat.run_trials(by_margins, n_trials=80, **settings)
    for parts in ((mixed, more), (more, first, mixed)):
        joined = bat.merge_trials(*parts)
        lacking = [row is None for row in joined.margin_rows("train_margin")]
        assert lacking == [True] * 30 + [False] * 50
        assert np.array_equal(joined.train_margin[30:], whole.train_margin[30:])
    joined.save(tmp_path / "joined.parquet")
    again = bat.Trials.read(tmp_path / "joined.parquet")
    assert np.array_equal(again.test_margin, joined.test_margin, equal_nan=True)


def test_two_margins_of_one_trial_are_not_joined():
    settings = {"n_train": N, "n_trials": 3, "ratio": 0.25}
    ours = bat.run_trials(by_margins, **settings)

    def others(index, trial):
        train, test = by_margins(index, trial)
        return train, 2 * test

    with pytest.raises(ArtifactError, match="trial 0 is there twice, with another test_margin"):
        bat.merge_trials(ours, bat.run_trials(others, **settings))


def test_margins_of_one_split_alone_are_bits():
    def fit(index, trial):
        train, test = by_margins(index, trial)
        return train, test > 0

    found = bat.run_trials(fit, n_train=N, n_trials=5, ratio=0.25)
    assert found.train_margin is None and found.test_margin is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (lambda right: (right, [True, True, False]), "test_correct has shape (3,); expected (5,)"),
        (lambda right: (right[:-1], [True] * N_TEST), "train_correct has shape (11,)"),
        (lambda right: (np.arange(N), [True] * N_TEST), "expected truth values"),
        (lambda right: (np.full(N, 0.3), np.full(N_TEST, 0.9)), "look like probabilities"),
        (lambda right: (np.where(right, 2.0, np.nan), np.ones(N_TEST)), "the first is sample"),
        (lambda right: right, "expected the pair (train_correct, test_correct)"),
    ],
)
def test_what_is_no_outcome_is_refused_with_its_trial_and_what_was_done_is_kept(
    found, words, tmp_path
):
    def fit(index, trial):
        right = lookup(index, trial)
        return found(right[0]) if trial == 4 else right

    with pytest.raises(BatError, match="trial 4") as caught:
        bat.run_trials(fit, n_train=N, n_trials=6, ratio=0.25, out=tmp_path)
    assert words in str(caught.value)
    assert bat.Trials.read(tmp_path).number.tolist() == [0, 1, 2, 3]


def test_few_trials_are_warned_of_before_any_training(caplog):
    with caplog.at_level(logging.WARNING, "bat"):
        bat.run_trials(lookup, n_train=N, n_trials=2, ratio=0.25)
    assert "have no score yet" in caplog.text


# -- files ----------------------------------------------------------------------------------

KILLED = """
import os, sys
import numpy as np
import bat
from bat.scoring import running

class Clock:  # a fast machine's: a trial takes 0.15 s, writing no time
    now = 0.0
    monotonic = classmethod(lambda clock: clock.now)

running.time = Clock

def fit(index, trial):
    Clock.now += 0.15
    if trial == 12:
        os.kill(os.getpid(), 9)
    return np.isin(np.arange(12) // 3, np.arange(12)[index] // 3), np.ones(5, bool)

bat.run_trials(fit, n_train=12, n_trials=2, ratio=0.25)
bat.run_trials(fit, n_train=12, n_trials=20, ratio=0.25, out=sys.argv[1])
"""


def test_a_killed_run_goes_on_with_what_it_had(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert "trials of own: 2 of 2 in " in done.stderr  # though nobody set up logging
    kept = len(bat.Trials.read(tmp_path))
    assert kept == 8  # written after the first trial, and when more than a second had passed
    trained = []

    def fit(index, trial):
        trained.append(trial)
        return lookup(index, trial)

    found = bat.run_trials(fit, n_train=N, n_trials=20, ratio=0.25, out=tmp_path)
    assert trained == list(range(kept, 20))
    assert found.number.tolist() == list(range(20))
    assert same(found, bat.Trials.read(tmp_path / "own.parquet"))


def test_more_trials_are_added_and_fewer_leave_the_file_as_it_is(tmp_path):
    settings = {"n_train": N, "ratio": 0.25, "out": tmp_path / "some" / "place.parquet"}
    bat.run_trials(lookup, n_trials=8, **settings)
    assert len(bat.run_trials(lookup, n_trials=12, **settings)) == 12
    time = settings["out"].stat().st_mtime_ns
    assert bat.run_trials(lookup, n_trials=[3, 5], **settings).number.tolist() == [3, 5]
    assert settings["out"].stat().st_mtime_ns == time


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed: 0, and 1 there"),
        ({"ratio": 0.5}, "subset_ratio"),
        ({"n_train": 9}, "n_train"),
        ({"settings": {"lr": 0.2}}, "training.lr"),
    ],
)
def test_a_file_of_other_settings_is_refused(change, words, tmp_path):
    settings = {"n_train": N, "ratio": 0.25, "out": tmp_path, "settings": {"lr": 0.1}}
    bat.run_trials(lookup, n_trials=3, **settings)
    with pytest.raises(ArtifactError, match="trials of other settings") as caught:
        bat.run_trials(lookup, n_trials=3, **settings | change)
    assert words in str(caught.value)


def test_settings_that_a_file_gives_back_as_others_go_on(tmp_path):
    """A tuple comes back as a list, the number of a key as text."""
    settings = {"n_train": N, "ratio": 0.25, "out": tmp_path, "settings": {"sizes": (1, 2), 3: 4}}
    first = bat.run_trials(lookup, n_trials=2, **settings)
    assert same(bat.run_trials(lookup, n_trials=2, **settings), first)


def test_tensors_of_a_training_are_taken():
    """With a gradient, or in bfloat16, which numpy lacks."""

    def fit(index, trial):
        margins = torch.where(torch.from_numpy(np.isin(np.arange(N), index)), 2.0, -1.0)
        return margins.requires_grad_(), torch.tensor([0.5, -0.5]).bfloat16()

    trials = bat.run_trials(fit, n_train=N, n_trials=2)
    assert (trials.train_correct == trials.included).all()
    assert trials.test_correct.tolist() == [[True, False]] * 2


def test_order_and_grouping_of_what_is_joined_change_nothing(tmp_path):
    parts = [
        bat.run_trials(lookup, n_train=N, n_trials=numbers, ratio=0.25)
        for numbers in (range(9, 30), [0, 8, 3], range(1, 12))
    ]
    parts[1].save(tmp_path / "second.parquet")
    whole = bat.run_trials(lookup, n_train=N, n_trials=30, ratio=0.25)
    for order in ((0, 1, 2), (2, 0, 1)):
        joined = bat.merge_trials(*(parts[i] for i in order))
        assert same(joined, whole)
        assert (joined.memorization().memorization == whole.memorization().memorization).all()
    assert same(bat.merge_trials(parts[0], tmp_path / "second.parquet", parts[2]), whole)


def test_two_recipes_or_two_contents_are_not_joined():
    settings = {"n_train": N, "n_trials": 4, "ratio": 0.25}
    ours = bat.run_trials(lookup, **settings)
    with pytest.raises(ArtifactError, match=r"two recipes.*architecture: other, and own there"):
        bat.merge_trials(ours, bat.run_trials(lookup, name="other", **settings))
    other = bat.run_trials(lambda i, t: (lookup(i, t)[0], [False] * N_TEST), **settings)
    with pytest.raises(ArtifactError, match="trial 0 is there twice, with another test_correct"):
        bat.merge_trials(ours, other)


def test_tables_are_made_of_them_as_of_the_workflows_own(few_digits, tmp_path):
    """And read back, with what is joined by position."""
    labels, test_labels = few_digits.train_labels, few_digits.test_labels

    def fit(index, trial):
        hard = np.arange(len(labels)) % 4 == 0
        known = np.isin(np.arange(len(labels)), index)
        return known | ~hard, np.arange(len(test_labels)) % (2 + trial % 2) == 0

    trials = bat.run_trials(fit, data=few_digits, n_trials=25, out=tmp_path / "trials")
    shard = tmp_path / "trials" / "own.parquet"
    spec = {
        "trials": 25,
        "dataset": "digits",
        "recipe": read_table(shard, "trials")[1]["recipe"],
        "influence": {"pairs": "same_class", "keep_above": 0.02},
        "min_included_accuracy": 0.99,
    }
    scoring.write_scores([shard], few_digits, spec, tmp_path / "scores", command="a test")
    tables = bat.read_scores(tmp_path, few_digits)
    ours = trials.memorization().to_frame(labels)
    assert tables.memorization[ours.columns].equals(ours.astype({"label": "int32"}))
    pairs = trials.influence(labels, test_labels).to_frame()
    assert tables.influence[pairs.columns].equals(pairs)
    assert tables.influence.drop(columns=pairs.columns).isna().all(axis=None)  # no margins here
    assert (tables.memorization["source_index"] == few_digits.train_source_index).all()
    again = bat.Trials.read(tmp_path, few_digits)
    assert same(again, trials)
    assert again.fingerprint == few_digits.fingerprint

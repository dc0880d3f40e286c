"""Accuracy of groups along training, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from bat.errors import BatError
from bat.files.bits import pack
from bat.report import along_training
from bat.scores.subsets import followed_samples, measured_samples

INFO = {"n_train": 41, "n_test": 23}


def groups_of(rng):
    frames = {}
    for split in ("train", "test"):
        kind = rng.integers(3, size=INFO[f"n_{split}"])
        frames[split] = pd.DataFrame(
            {"index": np.arange(len(kind)), "typical": kind == 0, "atypical": kind == 1}
        )
    return frames


def test_an_unset_budget_is_2000_and_was_everything():
    """The length of the verdicts tells a history of version 0.1.0 from one of today."""
    info = {"n_train": 5001, "n_test": 1999}
    bits = {split: bytes(-(-n // 8)) for split, n in (("train", 5001), ("test", 1999))}
    old = followed_samples(info, None, bits)
    assert [len(index) for index in old.values()] == [5001, 1999]
    new = followed_samples(info, None, bits | {"train": bytes(250)})
    assert [len(index) for index in new.values()] == [2000, 1999]
    for limit, n in ((None, 2000), (2000, 2000), ("all", 5001), (30, 30)):
        size = {"train": bytes(-(-n // 8)), "test": bytes(250)}
        assert len(followed_samples(info, limit, size)["train"]) == n


@pytest.mark.parametrize("max_samples", [None, 30])
def test_along_training_equals_a_count_by_hand(max_samples):
    rng = np.random.default_rng(0)
    groups, measured = groups_of(rng), measured_samples(INFO, max_samples)
    histories, expected = {}, {}
    for run, seed in (("pgd-at", 0), ("pgd-at", 1), ("trades", 0)):
        rows = []
        for epoch in (1, 2, 3, 4):
            row = {"epoch": epoch, "loss": 1.0}
            for split in ("train", "test"):
                for attack in ("clean", "pgd"):
                    if epoch % 2:
                        row[f"{split}_{attack}"] = None
                        continue
                    correct = rng.random(len(measured[split])) < 0.6
                    row[f"{split}_{attack}"] = pack(correct)
                    for group in ("all", "typical", "atypical"):
                        right = n = 0
                        for place, sample in enumerate(measured[split]):
                            if group == "all" or groups[split].loc[sample, group]:
                                n += 1
                                right += bool(correct[place])
                        expected[run, seed, epoch, split, group, attack] = (right / n, n)
            rows.append(row)
        histories[run, seed] = pd.DataFrame(rows)
    table = along_training.along_training(histories, groups, INFO, max_samples)
    found = {row[:6]: row[6:] for row in table.itertuples(index=False, name=None)}
    assert len(found) == len(table) == len(expected) == 3 * 2 * 2 * 3 * 2
    for key, (accuracy, n) in expected.items():
        assert found[key] == (pytest.approx(accuracy), n)


def test_measured_samples_are_a_sorted_draw():
    chosen = measured_samples(INFO, 10)
    for split, n in (("train", 41), ("test", 23)):
        assert len(set(chosen[split])) == 10
        assert (np.diff(chosen[split]) > 0).all()
        assert chosen[split].max() < n
    everything = measured_samples(INFO, 30)
    assert everything["test"].tolist() == list(range(23))
    assert set(chosen["train"]) < set(everything["train"])
    assert measured_samples(INFO, None)["train"].tolist() == list(range(41))


def test_along_training_of_an_empty_group_is_no_number():
    groups = groups_of(np.random.default_rng(0))
    groups["test"]["atypical"] = False
    bits = {f"train_{a}": [pack(np.ones(41, bool))] for a in ("clean", "pgd")}
    bits |= {f"test_{a}": [pack(np.ones(23, bool))] for a in ("clean", "pgd")}
    history = pd.DataFrame({"epoch": [5], **bits})
    table = along_training.along_training({("mart", 3): history}, groups, INFO, None)
    empty = table[table["n"] == 0]
    assert list(zip(empty["split"], empty["group"], strict=True)) == [("test", "atypical")] * 2
    assert empty["accuracy"].isna().all()
    assert (table.drop(empty.index)["accuracy"] == 1).all()
    assert set(table["epoch"]) == {5}


def test_along_training_refuses_what_is_of_another_size():
    groups = groups_of(np.random.default_rng(0))
    history = pd.DataFrame({"epoch": [1], "train_clean": [pack(np.ones(50, bool))]})
    with pytest.raises(BatError, match="7 bytes; expected 6"):
        along_training.along_training({("mart", 0): history}, groups, INFO, None)
    with pytest.raises(BatError, match="40 rows and the data set has 41 train samples"):
        other = groups | {"train": groups["train"][1:]}
        along_training.along_training({("mart", 0): history}, other, INFO, None)
    with pytest.raises(BatError, match="train at least one run"):
        along_training.along_training({}, groups, INFO, None)

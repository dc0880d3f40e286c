"""Trials as the ground truth of datamodels, in one npz."""

import json
import shutil

import numpy as np
import pytest
import torch

from bat import config
from bat.__main__ import main
from bat.devices import Runtime
from bat.errors import ArtifactError
from bat.files.bits import unpack
from bat.plan.specifications import trial_recipe
from bat.scores.subsets import subset
from bat.scoring.datamodels import export_datamodels
from bat.training import trials
from bat.validation import read_checked

TRAINING = {"epochs": 1, "batch_size": 50, "augmentation": {"crop": 0, "flip": False}}
SCORES = config.Scores(architecture="small_cnn-4", training=TRAINING)
RECIPE = trial_recipe("small_cnn-4", SCORES)


def train(few_digits, folder, first, last, **settings):
    out = folder / "trials" / f"small_cnn-4-{first:06d}-{last:06d}.parquet"
    given = {"device": Runtime(torch.device("cpu")), "command": "a test"}
    trials.run_shard(out, few_digits, RECIPE, first, last, 0, **given, **settings)
    return out


def test_masks_and_margins_are_those_of_the_shards(few_digits, tmp_path):
    later = train(few_digits, tmp_path / "b", 2, 3)
    earlier = train(few_digits, tmp_path / "a", 0, 1)
    out = tmp_path / "digits.npz"
    shards = ["--shards", str(later), str(tmp_path / "a")]
    data = ["--data", str(few_digits.folder), "--out", str(out)]
    assert not main(["scores", "export-datamodels", *shards, *data])
    with np.load(out, allow_pickle=False) as found:
        arrays = dict(found)
    n, n_test = len(few_digits.train_labels), len(few_digits.test_labels)
    assert arrays["masks"].dtype == bool and arrays["margins"].dtype == np.float16
    assert arrays["margins"].shape == (4, n_test)
    assert arrays["trials"].tolist() == [0, 1, 2, 3]
    expected = [subset(RECIPE["seed"], t, n, RECIPE["subset_ratio"]) for t in range(4)]
    np.testing.assert_array_equal(arrays["masks"], expected)
    at = 0
    for shard in (earlier, later):
        table, _ = read_checked(shard, "trials", few_digits)
        for row in table.to_pylist():
            right = unpack(row["test_correct"], n_test)
            margins = arrays["margins"][at]
            assert margins.tobytes() == row["test_margin"]
            assert (margins[right] >= 0).all() and (margins[~right] <= 0).all()
            at += 1
    np.testing.assert_array_equal(arrays["labels"], few_digits.train_labels)
    np.testing.assert_array_equal(arrays["test_labels"], few_digits.test_labels)
    assert json.loads(str(arrays["recipe"])) == RECIPE
    assert str(arrays["fingerprint"]) == few_digits.fingerprint


def test_shards_without_margins_and_double_trials_are_refused(few_digits, tmp_path):
    out = tmp_path / "digits.npz"
    bare = train(few_digits, tmp_path / "a", 0, 0, margins=False)
    with pytest.raises(ArtifactError, match=r"000000\.parquet: holds no margins of trial 0"):
        export_datamodels([bare], few_digits, out)
    shard = train(few_digits, tmp_path / "b", 1, 1)
    copy = tmp_path / "c" / shard.name
    copy.parent.mkdir()
    shutil.copy(shard, copy)
    with pytest.raises(ArtifactError, match="trial 1 is also in another shard"):
        export_datamodels([shard, copy], few_digits, out)
    assert not out.exists()

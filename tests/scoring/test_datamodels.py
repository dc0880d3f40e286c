"""Trials as the ground truth of datamodels, in one npz."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import bat
from bat import config
from bat.__main__ import main
from bat.devices import Runtime
from bat.errors import ArtifactError
from bat.files import write_table
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


def test_trials_of_one_architecture_are_taken_from_those_of_an_ensemble(few_digits, tmp_path):
    shard = train(few_digits, tmp_path, 0, 1)
    table, about = read_checked(shard, "trials", few_digits)
    other = RECIPE | {"architecture": "small_cnn-5"}
    about = {"fingerprint": about["fingerprint"], "recipe": other, "command": "a test"}
    write_table(shard.with_name("other.parquet"), "trials", table, **about)
    out = tmp_path / "digits.npz"
    with pytest.raises(ArtifactError, match="of several architectures and name one of them"):
        export_datamodels([tmp_path], few_digits, out)
    with pytest.raises(ArtifactError, match=r"no trials of resnet9; the shards are of small_cnn-4"):
        export_datamodels([tmp_path], few_digits, out, architecture="resnet9")
    where = ["--shards", tmp_path, "--data", few_digits.folder, "--out", out]
    words = ["scores", "export-datamodels", "--architecture", "small_cnn-5", *where]
    assert not main(list(map(str, words)))
    with np.load(out, allow_pickle=False) as file:
        assert json.loads(str(file["recipe"])) == other
        assert file["trials"].tolist() == [0, 1]


# -- the linear datamodeling score ----------------------------------------------------------


def linear_datamodeling_score(masks, targets, score):
    """Its definition, test sample by test sample: predictions are sums over the subsets."""
    found = []
    for j in range(targets.shape[1]):
        predicted = [score[mask, j].sum() for mask in masks]
        found.append(spearmanr(predicted, targets[:, j]).statistic)
    return np.array(found)


@pytest.fixture(scope="module")
def linear(few_digits, tmp_path_factory):
    """The npz of trials whose margins are sums over their subset, and as much noise; weights."""
    n, n_test = len(few_digits.train_labels), len(few_digits.test_labels)
    weights = np.random.default_rng(0).normal(size=(n, n_test))
    chosen = round(0.7 * n)
    deviation = weights.std(axis=0, ddof=1) * np.sqrt(chosen * (n - chosen) / n)

    def fit(index, trial):
        noise = np.random.default_rng([1, trial]).normal(0, deviation)
        return np.isin(np.arange(n), index) - 0.5, weights[index].sum(axis=0) + noise

    folder = tmp_path_factory.mktemp("linear")
    bat.run_trials(fit, n_trials=120, data=few_digits, out=folder / "trials" / "a.parquet")
    export_datamodels([folder], few_digits, folder / "linear.npz")
    with np.load(folder / "linear.npz", allow_pickle=False) as file:
        return file["masks"], file["margins"].astype(np.float64), weights


def attribution(masks, margins):
    """Influence by margins of every training on every test sample."""
    shape = masks.shape[1], margins.shape[1]
    every = tuple(np.indices(shape).reshape(2, -1))
    labels = np.zeros(shape[0]), np.zeros(shape[1])
    found = bat.influence_from_margins(masks, margins, *labels, keep=every)
    return found.influence_margin.reshape(shape)


def test_true_weights_have_the_score_that_their_share_of_the_variance_gives(linear):
    """Spearman's correlation of normal values with Pearson's r is 6 / pi asin(r / 2)."""
    masks, margins, weights = linear
    expected = 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)
    found = linear_datamodeling_score(masks, margins, weights)
    assert found.mean() == pytest.approx(expected, abs=0.02)


def test_influence_by_margins_predicts_trials_that_it_has_not_seen(linear):
    masks, margins, _ = linear
    score = attribution(masks[:80], margins[:80])
    found = linear_datamodeling_score(masks[80:], margins[80:], score)
    others = linear_datamodeling_score(masks[80:], margins[80:], np.roll(score, 1, axis=0))
    error = found.std() / np.sqrt(len(found))
    assert found.mean() > 5 * error and abs(others.mean()) < 4 * error


DATTRI = """
dattri==0.3.0 --hash=sha256:49b60efdff0b79a4b76b083648184f0cd0d0f2d32978982ed0457244442ecf9f
tqdm==4.67.1 --hash=sha256:26445eca388f82e72884e0d580d5464cd801a3ea01e63e5601bdff9ba6a48de2
"""
"""Installed for its test alone: it brings packages that are named `test`, `docs` and `examples`."""

SCORE = """
import sys
import numpy as np
import torch
from dattri.metric import lds

with np.load(sys.argv[1], allow_pickle=False) as file:
    arrays = {name: torch.tensor(file[name]) for name in file}
found, _ = lds(arrays["score"], (arrays["targets"], arrays["indices"]))
np.save(sys.argv[2], found.numpy())
"""


@pytest.fixture(scope="module")
def dattri(tmp_path_factory):
    """A folder with dattri, from the registry."""
    folder = tmp_path_factory.mktemp("dattri")
    (folder / "wanted.txt").write_text(DATTRI)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*pip, "--target", folder / "packages", "-r", folder / "wanted.txt"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"dattri cannot be had here: {done.stderr.strip().splitlines()[-1]}")
    return folder / "packages"


def test_a_library_of_others_gives_the_same_score(linear, dattri, tmp_path):
    masks, margins, _ = linear
    score, held_out = attribution(masks[:80], margins[:80]), slice(80, None)
    indices = np.stack([np.flatnonzero(mask) for mask in masks[held_out]])
    given, taken = tmp_path / "given.npz", tmp_path / "taken.npy"
    np.savez(given, score=score, targets=margins[held_out], indices=indices)
    subprocess.run(
        [sys.executable, "-c", SCORE, given, taken],
        env=os.environ | {"PYTHONPATH": str(dattri)},
        check=True,
    )
    expected = linear_datamodeling_score(masks[held_out], margins[held_out], score)
    np.testing.assert_allclose(np.load(taken, allow_pickle=False), expected, atol=1e-6)

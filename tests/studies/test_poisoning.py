"""Poisoning scores of training samples, and figure 3."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_scores import write_results
from torch import nn

from bat import files
from bat.devices import Runtime
from bat.errors import ArtifactError
from bat.files import read_table
from bat.models import build_model
from bat.objectives import poisoning_weights
from bat.studies import poisoning
from bat.validation import groups_inputs

CPU = Runtime(torch.device("cpu"))


# -- scores ---------------------------------------------------------------------------------


def test_the_wrong_class_is_the_likeliest_that_is_not_the_label():
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 200.0]])
    score, predicted = poisoning.wrong_class(logits, torch.tensor([0, 2, 2]))
    odds = np.exp([2.0, 1.0, 0.0])
    np.testing.assert_allclose(score, [*(odds / odds.sum())[[1, 0]], 0.0], rtol=1e-6)
    assert predicted[:2].tolist() == [1, 0]
    assert int(predicted[2]) != 2  # though the probabilities of both others are 0


def test_scores_are_those_that_weigh_the_loss():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 5, generator=generator)
    y = torch.randint(5, (50,), generator=generator)
    weights, reweighted = poisoning_weights(logits, y, torch.ones(50, dtype=torch.bool), alpha=2.0)
    score, predicted = poisoning.wrong_class(logits, y)
    assert 0 < reweighted.sum() < 50
    torch.testing.assert_close(-weights[reweighted].log() / 2, score[reweighted])
    assert torch.equal(predicted[reweighted], logits.argmax(dim=1)[reweighted])


def linear(weight):
    """Two classes whose logits differ by ``weight`` times the sum of two pixels."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.0, 0.0], [weight, weight]]))
    return model


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_attack_reaches_the_edge_for_samples_right_and_wrong(batch_size):
    """On a linear model: sigmoid of the margin with every pixel eps towards the wrong class."""
    images = np.array([[[[200, 100]]], [[[200, 100]]], [[[0, 255]]]], np.uint8)
    labels = np.array([0, 1, 1])
    found = poisoning.poisoning_scores(
        linear(3.0), images, labels, eps=0.1, step=0.05, steps=10, seed=0, batch_size=batch_size
    )
    pixels = images.reshape(3, 2) / 255
    towards = np.where(labels == 0, 1, -1)[:, None]
    margin = 3.0 * np.clip(pixels + 0.1 * towards, 0, 1).sum(axis=1)
    expected = 1 / (1 + np.exp(-margin * towards[:, 0]))
    np.testing.assert_allclose(found["score"], expected, atol=1e-6)
    assert list(found["predicted"]) == list(found["predicted_clean"]) == [1, 0, 0]


def test_the_model_is_left_as_it_was_and_batches_change_nothing(few_digits):
    model = build_model("small_cnn-4", n_classes=10, channels=1, seed=0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    part = (few_digits.train_images[:12], few_digits.train_labels[:12])
    attack = {"eps": 0.1, "step": 0.025, "steps": 3}
    counts = []
    first = poisoning.poisoning_scores(
        model, *part, **attack, seed=1, batch_size=5, report=counts.append
    )
    again = poisoning.poisoning_scores(model, *part, **attack, seed=1, batch_size=12)
    assert counts == [5, 10, 12]
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    np.testing.assert_allclose(first["score"], again["score"], atol=1e-5)
    other = poisoning.poisoning_scores(model, *part, **attack, seed=2)
    assert (other["score"] != again["score"]).any()  # another random start


SPEC = {
    "dataset": "digits",
    "architecture": "small_cnn-4",
    "run": "pgd-at",
    "seed": 3,
    "adversary": {"eps": 0.1, "step": 0.025},
    "history": {"steps": 2},
}


@pytest.fixture(scope="module")
def scored(few_digits, tmp_path_factory, run_bat):
    """The table of a model that was not trained, made by the command."""
    folder = tmp_path_factory.mktemp("scored")
    model = build_model("small_cnn-4", n_classes=10, channels=1, seed=0)
    files.write_torch(folder / "best.pt", model.state_dict())
    files.write_json(folder / "spec.json", SPEC)
    run_bat(
        *("poisoning", "score", "--checkpoint", folder / "best.pt", "--spec", folder / "spec.json"),
        *("--data", few_digits.folder, "--out", folder / "seed3.parquet", "--device", "cpu"),
    )
    return folder / "seed3.parquet"


def test_the_table_says_what_it_is(scored, few_digits):
    table, metadata = read_table(scored, "poisoning", fingerprint=few_digits.fingerprint)
    frame = table.to_pandas()
    assert list(frame["index"]) == list(range(200))
    assert list(frame["label"]) == list(few_digits.train_labels)
    assert (frame["predicted"] != frame["label"]).all()
    assert (frame["predicted_clean"] != frame["label"]).all()
    assert frame["score"].between(0, 1).all()
    assert metadata["recipe"] == SPEC
    assert metadata["attack"] == {"eps": 0.1, "step": 0.025, "steps": 2}
    assert metadata["checkpoint_sha256"] == files.sha256_of(scored.parent / "best.pt")


def test_a_foreign_checkpoint_is_refused(few_digits, tmp_path):
    model = build_model("small_cnn-5", n_classes=10, channels=1, seed=0)
    files.write_torch(tmp_path / "best.pt", model.state_dict())
    with pytest.raises(ArtifactError, match="not a state dict of small_cnn-4 with 10 classes"):
        poisoning.score_checkpoint(
            tmp_path / "best.pt", few_digits, SPEC, tmp_path / "x.parquet", device=CPU, command=""
        )
    assert not (tmp_path / "x.parquet").exists()


# -- figure 3 -------------------------------------------------------------------------------


@pytest.mark.parametrize("raised", [True, False])
def test_the_figure_on_disk(scored, few_digits, tmp_path, run_bat, raised):
    """With samples above the threshold, and without any, which the figure says."""
    table, metadata = read_table(scored, "poisoning")
    frame = table.to_pandas()
    frame["score"] = np.linspace(0, 1, 200) if raised else 0.5
    place = write_results(tmp_path / "digits", few_digits)
    facts = {"fingerprint": few_digits.fingerprint, "command": "test"}
    columns = {name: frame[name].to_numpy() for name in files.SCHEMAS["poisoning"].names}
    files.write_table(
        place / "small_cnn-4" / "poisoning" / "pgd-at" / "seed3.parquet",
        "poisoning",
        columns,
        recipe=SPEC,
        attack=metadata["attack"],
        **facts,
    )
    atypical = np.arange(200) % 3 == 0
    files.write_table(
        place / "groups" / "train.parquet",
        "groups",
        {"index": np.arange(200), "typical": ~atypical, "atypical": atypical},
        recipe={},
        inputs=groups_inputs(place / "scores", {}),
        **facts,
    )
    out = tmp_path / "fig3"
    comparison = {"dataset": "digits", "architecture": "small_cnn-4", "seeds": [3], "external": []}
    comparison |= {"runs": ["pgd-at"], "substitution": [], "shares": []}
    files.write_json(tmp_path / "spec.json", comparison | {"ablation": {"alpha": [], "beta": []}})
    run_bat("report", "fig3", "--spec", tmp_path / "spec.json", "--dataset", place, "--out", out)
    assert out.with_suffix(".pdf").read_bytes()[:5] == b"%PDF-"
    assert out.with_suffix(".png").stat().st_size > 10_000
    chosen = pd.read_csv(out.with_suffix(".csv"))
    assert (chosen["role"] == "atypical").sum() == (12 if raised else 0)
    spread = pd.read_csv(tmp_path / "fig3_distribution.csv").drop_duplicates("group")
    assert list(spread["n_samples"]) == [133, 67]

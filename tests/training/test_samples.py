"""Runs on samples of their own choice: which they are, and that nothing else is changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from short_runs import files, specification, train

from bat.errors import BatError
from bat.files import read_metadata, write_table
from bat.training import Inputs, Training, read_inputs
from bat.training.inputs import training_index

ATYPICAL = set(range(0, 200, 5))
METHODS = ["erm", "pgd-at", "trades", "mart", "gairat", "mail-at", "mail-trades", "mail-mart"]


def of_samples(samples, method="pgd-at", **settings):
    run = {"method": method, "samples": samples} | settings
    return specification("mine", runs={"mine": run})


@pytest.fixture
def scored(few_digits, inputs, tmp_path):
    """Groups with samples in neither, and scores that differ, 0.001 more from sample to sample."""
    n = few_digits.info["n_train"]
    provenance = {"fingerprint": few_digits.fingerprint, "recipe": {}, "command": "test"}
    atypical = np.arange(n) % 5 == 0
    columns = {"index": np.arange(n), "typical": np.arange(n) % 5 > 1, "atypical": atypical}
    write_table(tmp_path / "groups" / "train.parquet", "groups", columns, **provenance)
    for kind in ("memorization", "confidence"):
        columns = {"index": np.arange(n), "label": few_digits.train_labels}
        columns[kind] = np.arange(n) / 1000
        if kind == "memorization":
            rest = ("memorization_se", "n_included", "n_excluded")
            columns |= {name: [None] * n for name in (*rest, "accuracy_included")}
            columns |= {"accuracy_excluded": [None] * n}
        write_table(tmp_path / "scores" / f"{kind}.parquet", kind, columns, **provenance)
    return Inputs(tmp_path / "groups", tmp_path / "scores")


def chosen(few_digits, spec, inputs):
    return training_index(few_digits, spec, read_inputs(few_digits, spec, inputs)).tolist()


def test_each_way_to_choose_gives_the_samples_it_says(few_digits, scored, tmp_path):
    everything = list(range(200))
    (tmp_path / "mine.csv").write_text("index,why\n7,a\n\n3,b\n150,c\n")
    expected = [
        ("all", everything),
        ("typical", [i for i in everything if i % 5 > 1]),
        ({"drop": "atypical"}, [i for i in everything if i not in ATYPICAL]),
        ({"drop": {"score": "memorization", "top": 0.1}}, everything[:180]),
        ({"drop": {"score": "memorization", "sigma": 0.04}}, everything[:41]),
        ({"drop": {"score": "memorization"}}, everything[:151]),
        ({"drop": {"score": "confidence", "top": 0.25}}, everything[50:]),
        ({"keep": str(tmp_path / "mine.csv")}, [3, 7, 150]),
    ]
    for samples, index in expected:
        assert chosen(few_digits, of_samples(samples), scored) == index, samples


def test_words_for_what_train_on_says_are_the_same_run():
    for samples, train_on in (("all", {}), ("typical", {"atypical": 0})):
        run = {"method": "pgd-at", "train_on": train_on}
        assert of_samples(samples) == specification("mine", runs={"mine": run})
    assert "samples" not in of_samples("typical")


@pytest.mark.parametrize(("method", "settings"), [("pgd-at", {}), ("bat", {"score": "confidence"})])
def test_a_run_on_a_list_is_a_run_on_a_data_set_made_of_it_by_hand(
    method, settings, few_digits, scored, tmp_path
):
    """Bit for bit, where both normalize their images alike."""
    index = np.flatnonzero(np.arange(200) % 3)
    (tmp_path / "list.csv").write_text("\n".join(map(str, index[::-1])))
    settings |= {"sigma": 0.1} if method == "bat" else {}
    spec = of_samples({"keep": str(tmp_path / "list.csv")}, method, **settings)
    train(tmp_path / "listed", few_digits, spec, scored)

    info = few_digits.info | {"n_train": len(index), "fingerprint": "0" * 64}
    by_hand = dataclasses.replace(
        few_digits,
        info=info,
        train_images=few_digits.train_images[index],
        train_labels=few_digits.train_labels[index],
    )
    provenance = {"fingerprint": "0" * 64, "recipe": {}, "command": "test"}
    columns = {"index": np.arange(len(index)), "label": by_hand.train_labels}
    columns["confidence"] = index / 1000
    path = tmp_path / "cut" / "confidence.parquet"
    write_table(path, "confidence", columns, **provenance)
    plain = specification("mine", runs={"mine": {"method": method} | settings})
    train(tmp_path / "cut", by_hand, plain, Inputs(scores=tmp_path / "cut"))
    for name in ("last.pt", "best.pt"):
        one, other = (
            torch.load(tmp_path / folder / name, weights_only=True)["state_dict"]
            for folder in ("listed", "cut")
        )
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_without_the_atypical_samples_and_sees_none(
    method, few_digits, inputs, tmp_path, monkeypatch
):
    step, seen = Training._take_step, set()

    def watched(self, index):
        seen.update(index.tolist())
        step(self, index)

    monkeypatch.setattr(Training, "_take_step", watched)
    spec = of_samples({"drop": "atypical"}, method, training={"epochs": 1, "milestones": []})
    train(tmp_path, few_digits, spec, inputs)
    assert seen and not seen & ATYPICAL


def test_a_stopped_run_on_a_list_goes_on_bit_for_bit(few_digits, inputs, tmp_path, stop):
    (tmp_path / "list.csv").write_text("\n".join(map(str, range(20, 190))))
    spec = of_samples({"keep": str(tmp_path / "list.csv")})
    train(tmp_path / "whole", few_digits, spec, inputs)
    with stop(before=3):
        train(tmp_path / "parts", few_digits, spec, inputs)
    train(tmp_path / "parts", few_digits, spec, inputs)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_changed_scores_train_again_where_samples_are_left_out_by_them(
    few_digits, scored, tmp_path
):
    spec = of_samples({"drop": {"score": "confidence", "top": 0.25}})
    train(tmp_path / "run", few_digits, spec, scored)
    metadata = read_metadata(tmp_path / "run" / "history.parquet", "history")
    assert metadata["inputs"].keys() == {"data", "confidence"}
    before = files(tmp_path / "run")["last.pt"]
    columns = {"index": np.arange(200), "label": few_digits.train_labels}
    columns["confidence"] = np.arange(200)[::-1] / 1000
    provenance = {"fingerprint": few_digits.fingerprint, "recipe": {}, "command": "test"}
    path = scored.scores / "confidence.parquet"
    write_table(path, "confidence", columns, **provenance)
    train(tmp_path / "run", few_digits, spec, scored)
    assert files(tmp_path / "run")["last.pt"] != before


def test_a_list_that_changed_since_is_refused(few_digits, inputs, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("1\n2\n3\n")
    spec = of_samples({"keep": str(path)})
    path.write_text("index\n3\n2\n1\n")  # the same samples
    assert chosen(few_digits, spec, inputs) == [1, 2, 3]
    path.write_text("1\n2\n4\n")
    with pytest.raises(BatError, match=r"list\.csv: lists other samples than when the run mine"):
        chosen(few_digits, spec, inputs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1, "beta": 0}, "none is atypical; set alpha: 0"),
        ({"alpha": 0, "beta": 0.2}, None),
        ({"alpha": 0, "beta": 0.2, "typical": True}, "none is typical; set beta: 0"),
    ],
)
def test_bat_is_refused_where_a_loss_has_no_samples(
    settings, message, few_digits, inputs, tmp_path
):
    memorized = settings.pop("typical", False)
    path = tmp_path / "list.csv"
    path.write_text("\n".join(str(i) for i in range(200) if (i % 5 == 0) == memorized))
    spec = of_samples({"keep": str(path)}, "bat", **settings)
    if message is None:
        train(tmp_path / "run", few_digits, spec, inputs)
    else:
        with pytest.raises(BatError, match=message):
            train(tmp_path / "run", few_digits, spec, inputs)


def test_a_threshold_that_leaves_none_or_all_out_is_refused(few_digits, scored):
    spec = of_samples({"drop": {"score": "memorization", "sigma": 0.9}})
    with pytest.raises(BatError, match=r"beyond sigma = 0\.9, which are none of the 200"):
        chosen(few_digits, spec, scored)
    spec = of_samples({"drop": {"score": "memorization", "top": 0.999}})
    with pytest.raises(BatError, match=r"are all of the 200; set another threshold"):
        chosen(few_digits, spec, scored)


@pytest.mark.parametrize("method", [*METHODS, "bat"])
def test_every_method_trains_with_a_warm_up_and_most_with_smooth_labels(
    method, few_digits, inputs, tmp_path
):
    training = {"epochs": 2, "milestones": [], "schedule": "cosine", "warmup_epochs": 1}
    if method not in ("mart", "mail-mart"):
        training["label_smoothing"] = 0.1
    spec = specification("mine", runs={"mine": {"method": method, "training": training}})
    train(tmp_path, few_digits, spec, inputs)
    recipe = read_metadata(tmp_path / "history.parquet", "history")["recipe"]
    assert recipe["training"]["warmup_epochs"] == 1
    assert ("label_smoothing" in recipe["objective"]) == ("label_smoothing" in training)

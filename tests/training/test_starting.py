"""Runs that start from trained weights, of another run or of a file."""

from __future__ import annotations

import pytest
import torch
from short_runs import files, specification, train
from torch import nn
from torch.optim.swa_utils import AveragedModel

from bat.errors import ArtifactError, BatError
from bat.files import read_metadata, write_torch
from bat.models import build_for
from bat.training import Inputs, Training, starting

SHORT = {"epochs": 2, "milestones": []}
METHODS = ["erm", "pgd-at", "trades", "mart", "gairat", "mail-at", "mail-trades", "mail-mart"]


@pytest.fixture(scope="module")
def first(few_digits, inputs, tmp_path_factory):
    """A run from which others start."""
    folder = tmp_path_factory.mktemp("first") / "small_cnn-4" / "runs" / "erm-all" / "seed0"
    train(folder, few_digits, specification("erm-all"), inputs)
    return folder / "best.pt"


def started(start, method="trades", **changes):
    run = {"method": method, "start_from": str(start), "training": SHORT}
    return specification("mine", runs={"mine": run}, **changes)


def given(inputs, start):
    return Inputs(inputs.groups, inputs.scores, start)


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("by", ["run", "file"])
def test_it_is_the_plain_run_on_a_model_that_was_filled_by_hand(
    by, first, few_digits, inputs, tmp_path, monkeypatch
):
    if by == "run":
        train(tmp_path / "one", few_digits, started("erm-all"), given(inputs, first))
    else:
        torch.save(weights(first), tmp_path / "plain.pt")
        train(tmp_path / "one", few_digits, started(tmp_path / "plain.pt"), inputs)
    plain = specification("mine", runs={"mine": {"method": "trades", "training": SHORT}})
    assert "start_from" not in plain
    train(tmp_path / "drawn", few_digits, plain, inputs)

    def by_hand(*arguments, **settings):
        model = build_for(*arguments, **settings)
        state = model.state_dict()
        for name, value in weights(first).items():
            state[name].copy_(value)
        return model

    monkeypatch.setattr(starting, "build_for", by_hand)
    train(tmp_path / "other", few_digits, plain, inputs)
    for name in ("last.pt", "best.pt"):
        one, other, drawn = (weights(tmp_path / f / name) for f in ("one", "other", "drawn"))
        kept = [key for key in one if not key.endswith("num_batches_tracked")]
        assert all(torch.equal(one[key], other[key]) for key in kept)
        assert not all(torch.equal(one[key], drawn[key]) for key in kept)


@pytest.mark.parametrize("method", [*METHODS, "bat"])
def test_every_method_starts_from_a_run(method, first, few_digits, inputs, tmp_path):
    spec = started("erm-all", method)
    train(tmp_path, few_digits, spec, given(inputs, first))
    metadata = read_metadata(tmp_path / "history.parquet", "history")
    assert "start" in metadata["inputs"] and metadata["recipe"]["start_from"] == {"run": "erm-all"}


def test_a_stopped_run_goes_on_bit_for_bit(first, few_digits, inputs, tmp_path, stop):
    spec, made_of = started("erm-all"), given(inputs, first)
    train(tmp_path / "whole", few_digits, spec, made_of)
    with stop(before=4):
        train(tmp_path / "parts", few_digits, spec, made_of)
    train(tmp_path / "parts", few_digits, spec, made_of)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_it_is_trained_again_where_the_first_run_is_another(
    first, few_digits, inputs, tmp_path, monkeypatch
):
    spec = started("erm-all")
    train(tmp_path / "mine", few_digits, spec, given(inputs, first))
    before = files(tmp_path / "mine")
    with monkeypatch.context() as patch:
        patch.setattr(Training, "run_epoch", None)  # training again would fail
        train(tmp_path / "mine", few_digits, spec, given(inputs, first))
    other = tmp_path / "small_cnn-4" / "runs" / "erm-all" / "seed0"
    longer = specification("erm-all", studies={"training": {"epochs": 4}})
    train(other, few_digits, longer, inputs)
    train(tmp_path / "mine", few_digits, spec, given(inputs, other / "best.pt"))
    assert files(tmp_path / "mine")["last.pt"] != before["last.pt"]


def changed(first, path, **changes):
    content = torch.load(first, weights_only=True)
    content.pop("digest")
    write_torch(path, content | {"identity": {}} | changes)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet9"}, "a model with the architecture resnet9, asked for with"),
        ({"class_names": ["a", "b"]}, "a model with the class names"),
        ({"normalization": {"mean": [0.5], "std": [0.25]}}, "start from one that was trained on"),
        ({"state_dict": {"weight": torch.zeros(3)}}, "not a state dict of small_cnn-4 with 10"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_by_name(
    changes, message, first, few_digits, inputs, tmp_path
):
    path = changed(first, tmp_path / "theirs.pt", **changes)
    with pytest.raises(ArtifactError, match=rf"theirs\.pt: (.|\n)*{message}"):
        train(tmp_path / "mine", few_digits, started(path), inputs)
    assert not (tmp_path / "mine" / "last.pt").exists()


def fewer(state):
    return state | {name: state[name][:7] for name in ("head.weight", "head.bias")}


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda w: {"net": w, "ema": {k: v + 1 for k, v in w.items()}}, "and they differ; keep"),
        (lambda w: w | {"projector.weight": torch.ones(3)}, "the whole model, keep those"),
        (lambda w: w | {"mean": [0.0], "std": [255.0]}, r"take them out of the file\Z"),
        (fewer, r"head\.bias has shape \(7,\), expected \(10,\)"),
    ],
)
def test_anyones_file_that_does_not_do_is_refused_with_advice_that_can_be_followed(
    wrap, message, first, few_digits, inputs, tmp_path
):
    path = tmp_path / "theirs.pt"
    torch.save(wrap(weights(first)), path)
    with pytest.raises(ArtifactError, match=rf"theirs\.pt: .*{message}") as refused:
        train(tmp_path / "mine", few_digits, started(path), inputs)
    assert "--" not in str(refused.value)


@pytest.mark.parametrize("wrap", [nn.DataParallel, AveragedModel])
def test_the_state_dict_of_a_wrapper_is_the_plain_one(
    wrap, first, few_digits, inputs, tmp_path, caplog
):
    model = build_for("small_cnn-4", few_digits.info)
    model.load_state_dict(weights(first))
    for name, state in (("plain", model.state_dict()), ("wrapped", wrap(model).state_dict())):
        torch.save(state, tmp_path / f"{name}.pt")
        train(tmp_path / name, few_digits, started(tmp_path / f"{name}.pt"), inputs)
        assert f"{name}.pt: does not say how its images were normalized" in caplog.text
    one, other = (weights(tmp_path / name / "last.pt") for name in ("plain", "wrapped"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_file_that_changed_or_is_gone_is_refused(first, few_digits, inputs, tmp_path):
    path = changed(first, tmp_path / "theirs.pt")
    spec = started(path)
    changed(first, path, epoch=77)
    with pytest.raises(ArtifactError, match=r"theirs\.pt: is another file than when the run mine"):
        train(tmp_path / "mine", few_digits, spec, inputs)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"theirs\.pt: is no file"):
        train(tmp_path / "mine", few_digits, spec, inputs)
    with pytest.raises(BatError, match=r"starts from the run erm-all.*--start"):
        train(tmp_path / "mine", few_digits, started("erm-all"), inputs)

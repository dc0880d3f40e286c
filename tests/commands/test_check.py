"""``check`` says in one call all that can be known to be wrong."""

from __future__ import annotations

import pytest
import yaml

from bat.__main__ import main
from bat.config import load_config
from bat.plan.sizes import coverage_problems

ABSENT = {
    "data": {"source": "image_folder", "path": "nowhere"},
    "scores": {"source": "gone.zip"},
    "external": {"theirs": {"checkpoint": "theirs.pt"}},
}
FILES = ["data.path", "scores.source", "external.theirs.checkpoint"]
BEAR = {
    "mine": {"method": "m.py:Mine"},
    "list": {"method": "erm", "samples": {"keep": "list.csv"}},
    "start": {"method": "erm", "start_from": "w.pt"},
}


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ({"sedes": [0]}, ["sedes", *FILES]),
        (
            {"runs": {3: {"method": "erm"}, "mine": BEAR["mine"]}},
            ["runs.3", *FILES, "runs.mine.method"],
        ),
        ({"seeds": [1, -1], "training": {"epochs": -1}}, ["training.epochs", "seeds.1", *FILES]),
        ({"runs": {"x": {"method": "bat", "score": "confidence"}}}, ["", *FILES]),
        ({"baseline": "no"}, ["", *FILES]),
        ({"training": {"warmup": 0.3}}, ["training.warmup", *FILES]),
        (
            {"training": {"warmup": 0.3}, "only": {"resnet18": ["no"]}, "runs": BEAR},
            [
                *("training.warmup", *FILES, "runs.mine.method", "only.resnet18"),
                *("runs.list.samples.keep", "runs.start.start_from"),
            ],
        ),
        ({"data": {"source": "image_folder"}}, ["data.path", *FILES[1:]]),
    ],
)
def test_files_are_looked_for_beside_every_other_mistake(
    settings, keys, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    config = {"datasets": {"d": ABSENT | settings}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["check", "c.yaml"]) != 0
    _, *lines = capsys.readouterr().err.splitlines()
    found = [line.strip().split(": ")[0].removeprefix("datasets.d").lstrip(".") for line in lines]
    assert sorted(found) == sorted(keys)


def few(**changes):
    """A data set whose trials and members leave some scores undefined."""
    return {
        "data": {"source": "digits", "subsample": {"train": 300}},
        "scores": {"architecture": "small_cnn-4", "trials": 16},
        "ensemble": {"architectures": ["small_cnn-4", "small_cnn-6"], "members": 8},
        "architectures": ["small_cnn-4"],
    } | changes


def test_too_few_trials_are_told_where_the_number_of_samples_is_known(tmp_path, monkeypatch):
    def problems(**changes):
        raw = {"results": str(tmp_path), "datasets": {"d": few(**changes)}}
        return [line.split(": ")[0] for line in coverage_problems(load_config(raw))]

    assert problems() == ["datasets.d.scores.trials = 16", "datasets.d.ensemble.members = 8"]
    assert problems(ensemble={"architectures": ["small_cnn-4", "wrn-10-1"], "members": 60}) == [
        "datasets.d.scores.trials = 16"
    ]
    assert (
        problems(
            scores={"architecture": "small_cnn-4", "trials": 60},
            ensemble={"samples": "in_sample", "members": 8},
        )
        == []
    )
    nobody_knows = {"source": "image_folder", "path": "nowhere"}
    assert problems(data=nobody_knows) == []
    prepared = {"source": "image_folder", "n_train": 300, "n_test": 9, "shape": [1, 8, 8]}
    prepared |= {"class_names": ["a", "b"]}
    monkeypatch.setattr("bat.plan.sizes.read_info", lambda folder: prepared)
    assert len(problems(data=nobody_knows)) == 2
    assert problems(data=nobody_knows | {"drop": "list.csv"}) == []
    prepared["subsample"] = {"train": 300}
    assert problems(data=nobody_knows) == []  # they will be prepared again


def test_check_refuses_too_few_trials(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"datasets": {"d": few()}}))
    assert main(["check", str(tmp_path / "c.yaml")]) != 0
    assert "datasets.d.scores.trials = 16: the random subsets hold" in capsys.readouterr().err

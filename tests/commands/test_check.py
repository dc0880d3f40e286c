"""``check`` says in one call all that can be known to be wrong."""

from __future__ import annotations

import pytest
import yaml

from bat.__main__ import main

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

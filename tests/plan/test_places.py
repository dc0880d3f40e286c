"""What `check` says of files that a configuration names: missing, or made use of already."""

import json
import os
import shlex
import stat
import sys
from pathlib import Path

import pytest

from bat.__main__ import main
from bat.config import load_config
from bat.plan import places

URL = "https://example.org/scores.zip"


def found(tmp_path, **sections) -> list[str]:
    raw = {"results": str(tmp_path / "results"), "datasets": {"d": sections}}
    return places.absent(load_config(raw))


def pets(folder):
    for name in ("train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "test/dog/4.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"source": "image_folder", "path": "gone"}, "data.path: gone"),
        ({"source": "tiny_imagenet", "path": "gone", "download": False}, "data.path: gone"),
        ({"source": "cifar10", "folder": "gone", "download": False}, "data.folder: gone"),
        ({"source": "parquet", "train": "gone.parquet", "test": "t"}, "data: gone.parquet"),
        ({"source": "parquet", "train": "gone/*.parquet", "test": "t"}, "data: no file matches"),
    ],
)
def test_data_that_are_not_there(data, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (problem,) = found(tmp_path, data=data)
    assert problem.startswith(f"datasets.d.{key}")


@pytest.mark.parametrize(
    "data", [{"source": "digits"}, {"source": "tiny_imagenet"}, {"source": "cifar100"}]
)
def test_what_comes_with_a_library_or_is_downloaded_is_not_looked_up(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert found(tmp_path, data=data, scores={"source": URL, "sha256": "0" * 64}) == []


def test_a_folder_without_a_split_is_said_before_anything_runs(tmp_path):
    data = {"source": "image_folder", "path": str(pets(tmp_path / "pets"))}
    assert found(tmp_path, data=data) == []
    (tmp_path / "pets" / "test").rename(tmp_path / "pets" / "other")
    (problem,) = found(tmp_path, data=data)
    assert problem.startswith("datasets.d.data.path: ") and "holds no test/" in problem


def test_what_was_made_use_of_already_may_be_away(tmp_path):
    sections = {
        "data": {"source": "image_folder", "path": str(tmp_path / "gone")},
        "scores": {"source": str(tmp_path / "gone.zip")},
        "architectures": ["resnet20"],
        "external": {"theirs": {"checkpoint": str(tmp_path / "gone.pt")}},
    }
    keys = [problem.split(": ")[0] for problem in found(tmp_path, **sections)]
    wanted = ["data.path", "scores.source", "external.theirs.checkpoint"]
    assert keys == [f"datasets.d.{key}" for key in wanted]
    made = ("data/dataset.json", "scores/memorization.parquet")
    for name in (*made, "resnet20/evaluations/theirs/seed0.parquet"):
        path = tmp_path / "results" / "d" / name
        path.parent.mkdir(parents=True)
        path.touch()
    assert found(tmp_path, **sections) == []
    (problem,) = found(tmp_path, **sections, evaluation={"masking": {}})
    assert problem.startswith("datasets.d.external.theirs.checkpoint")  # it is to be checked


def test_check_names_the_file_and_the_key(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    data = {"source": "image_folder", "path": str(tmp_path / "gone")}
    path.write_text(json.dumps({"datasets": {"d": {"data": data}}}))
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"datasets.d.data.path: {tmp_path / 'gone'} does not exist" in said


def test_the_command_that_check_prints_is_found_by_a_shell(tmp_path, monkeypatch, capsys):
    path = tmp_path / "c.yaml"
    path.write_text("datasets: {d: {data: {source: digits}}}")
    program = tmp_path / "an environment" / "bin" / "snakemake"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))

    def printed() -> str:
        assert main(["check", str(path)]) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        return shlex.split(line.removeprefix("to make everything: "))[0]

    monkeypatch.setenv("PATH", str(program.parent))
    assert printed() == "snakemake"
    monkeypatch.setenv("PATH", os.defpath)
    assert Path(printed()) == program
    monkeypatch.chdir(tmp_path)
    assert printed() == "an environment/bin/snakemake"

"""A prepared folder takes its place whole, whoever else writes there."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bat import config, data
from bat.data import writing
from bat.errors import DataError


def test_other_content_and_damaged_content_are_replaced(tmp_path):
    out = tmp_path / "data"
    out.mkdir()  # as a workflow makes it
    data.prepare(config.DigitsData(), out)
    info = data.prepare(config.DigitsData(n_test=100), out)
    assert data.load(out, verify=True).info == info
    with open(out / "train_images.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    data.prepare(config.DigitsData(n_test=100), out)
    assert data.load(out, verify=True).info == info
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_arrays_that_are_the_same_are_kept_as_they_lie(tmp_path):
    out = tmp_path / "data"
    data.prepare(config.DigitsData(), out)
    before = {name: (out / f"{name}.npy").stat() for name in data.ARRAYS}
    (out / "dataset.json").unlink()  # as a workflow does before it prepares again
    info = data.prepare(config.DigitsData(), out)
    for name, stat in before.items():
        now = (out / f"{name}.npy").stat()
        assert (now.st_ino, now.st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    data.prepare(config.DigitsData(subsample={"test": 100}), out)
    assert (out / "train_images.npy").stat().st_ino == before["train_images"].st_ino
    assert data.load(out, verify=True).info["n_test"] == 100 != info["n_test"]


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(DataError, match=r"thesis\.txt"):
        data.prepare(config.DigitsData(), tmp_path)
    with pytest.raises(DataError, match="is a file"):
        data.prepare(config.DigitsData(), tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "sync", lambda file: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        data.prepare(config.DigitsData(), tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_later(tmp_path):
    old, new = tmp_path / ".data.0123.tmp", tmp_path / ".data.4567.tmp"
    old.mkdir()
    new.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    data.prepare(config.DigitsData(), tmp_path / "data")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".data.4567.tmp", "data"]


def test_several_writers_of_one_folder_are_harmless(tmp_path):
    out = tmp_path / "data"
    settings = [config.DigitsData(n_test=100 + i % 2) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        infos = list(pool.map(lambda s: data.prepare(s, out), settings))
    assert data.load(out, verify=True).info in infos
    assert [p.name for p in tmp_path.iterdir()] == ["data"]

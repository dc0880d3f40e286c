"""File names beside prepared data follow their samples, and are no part of what the data are."""

import os
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from samples import encode, pets, pixels, tiny, tiny_files, write_pets, write_zip

from bat import config, data
from bat.data import read_names
from bat.data.names import NAMES, names_of
from bat.errors import DataError


def prepared(settings, out):
    data.prepare(settings, out, workers=1)
    return data.load(out)


@pytest.fixture
def animals(tmp_path):
    return write_pets(tmp_path / "pets")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"subsample": {"train": 4, "test": 2}, "label_noise": {"share": 0.5}},
    ],
)
def test_names_are_those_of_the_files_that_the_images_are_of(animals, tmp_path, settings):
    found = prepared(pets(animals, **settings), tmp_path / "out")
    names = read_names(found)
    for split in ("train", "test"):
        images = getattr(found, f"{split}_images")
        assert len(names[split]) == len(images)
        for name, image in zip(names[split], images, strict=True):
            _, kind, number = name.split("/")
            seed = 100 * ("cat", "dog").index(kind) + int(number.removesuffix(".png"))
            assert name.startswith(f"{split}/")
            np.testing.assert_array_equal(image, np.moveaxis(pixels(seed), -1, 0))


def test_names_follow_a_held_out_test_set_and_samples_left_out(tmp_path):
    write_pets(tmp_path / "pets")
    folder = tmp_path / "pets" / "train"
    settings = pets(folder, held_out={"share": 0.25})
    found = prepared(settings, tmp_path / "whole")
    names = read_names(found)
    assert sorted(names["train"] + names["test"]) == sorted(
        f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(4)
    )
    row = found.train_source_index[1]
    verdicts = f"source_index,label,verdict\n{row},{found.train_labels[1]},wrong\n"
    (tmp_path / "review.csv").write_text(verdicts)
    left = pets(folder, held_out={"share": 0.25}, drop=tmp_path / "review.csv")
    kept = read_names(prepared(left, tmp_path / "left"))
    assert kept["train"] == [name for i, name in enumerate(names["train"]) if i != 1]
    assert kept["test"] == names["test"]


def test_names_of_a_source_in_another_order():
    raw = SimpleNamespace(names={"train": ["c", "a", "b"]}, train_source_index=np.array([7, 2, 5]))
    assert names_of(raw, {"train_source_index": np.array([2, 7])}) == {"train": ["a", "c"]}


def test_names_of_an_archive_and_of_digits(tmp_path):
    archive = write_zip(tmp_path / "t.zip", tiny_files())
    names = read_names(prepared(tiny(archive), tmp_path / "t"))
    assert names["train"][0] == "train/n01/images/n01_0.JPEG"
    assert names["test"] == ["val/images/val_0.JPEG", "val/images/val_2.JPEG"]
    assert read_names(prepared(config.DigitsData(subsample={"train": 50}), tmp_path / "d")) is None


@pytest.mark.parametrize("paths", [["x.png", None, "z.png", "ä.png"], [None] * 4, None])
def test_names_in_parquet(tmp_path, paths):
    images = [{"bytes": encode(pixels(i))} for i in range(4)]
    if paths is not None:
        images = [image | {"path": path} for image, path in zip(images, paths, strict=True)]
    kind = [("bytes", pa.binary()), *([("path", pa.string())] if paths is not None else [])]
    table = pa.table({"image": pa.array(images, pa.struct(kind)), "label": [0, 1, 0, 1]})
    for split in ("train", "test"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    settings = config.ParquetData(
        source="parquet", train=tmp_path / "train.parquet", test=tmp_path / "test.parquet"
    )
    names = read_names(prepared(settings, tmp_path / "out"))
    if not any(paths or ()):
        assert names is None
    else:
        assert names["train"] == names["test"] == ["x.png", "", "z.png", "ä.png"]


def test_names_that_are_no_text(animals, tmp_path):
    os.rename(animals / "train/cat/0.png", os.fsencode(animals) + b"/train/cat/\xff\n.png")
    names = read_names(prepared(pets(animals), tmp_path / "out"))
    assert [name.encode() for name in names["train"]]
    assert not any("\n" in name for name in names["train"])


def test_folders_without_names_stay_valid_and_gain_them(animals, tmp_path):
    out = tmp_path / "out"
    before = prepared(pets(animals), out).info
    (out / NAMES).unlink()
    files = {path.name: path.stat() for path in out.iterdir()}
    assert read_names(data.load(out, verify=True)) is None
    data.prepare(pets(animals), out, workers=1)
    found = data.load(out)
    assert found.info == before and len(read_names(found)["train"]) == 8
    for name in (f"{array}.npy" for array in data.ARRAYS):
        assert (out / name).stat().st_mtime_ns == files[name].st_mtime_ns


METADATA = {
    "unsigned": {"bat": "{}"},
    "silent": None,
    "deep": {"bat": '{"a":' * 100_000},
    "list": {"bat": "[1]"},
}
DAMAGES = [
    "bytes",
    "other",
    "values",
    "unsigned",
    "silent",
    "deep",
    "list",
    "kind",
    "folder",
    "link",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_names_that_are_damaged_or_of_other_data_are_refused(animals, tmp_path, damage):
    found = prepared(pets(animals), tmp_path / "out")
    path = tmp_path / "out" / NAMES
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:-30])
    elif damage in METADATA:
        pq.write_table(pq.read_table(path).replace_schema_metadata(METADATA[damage]), path)
    elif damage == "kind":
        pq.write_table(pa.table({"index": [0, 1]}, metadata=pq.read_schema(path).metadata), path)
    elif damage in ("folder", "link"):
        path.unlink()
        path.mkdir() if damage == "folder" else path.symlink_to("nowhere")
    elif damage == "values":
        table = pq.read_table(path)
        names = ["changed", *table.column("name").to_pylist()[1:]]
        pq.write_table(table.set_column(2, "name", pa.array(names)), path)
    else:
        other = prepared(pets(animals, subsample={"train": 6}), tmp_path / "other")
        path.write_bytes((other.folder / NAMES).read_bytes())
    with pytest.raises(DataError, match=NAMES) as refusal:
        read_names(found)
    assert "\n" not in str(refusal.value) and "object is not" not in str(refusal.value)

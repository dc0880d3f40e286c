"""Layouts: data sets as people have them, and whatever lies among the images."""

import os
import shutil
import socket

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from samples import encode, pets, pixels, refused, write_pets

from bat import config
from bat.data import layouts
from bat.data.layouts import image_folder, image_names, split_of
from bat.data.sources import read_source
from bat.errors import DataError
from bat.escaping import shown


@pytest.fixture
def folder(tmp_path):
    return write_pets(tmp_path / "pets")


def same_images(one, other):
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# -- image folders ---------------------------------------------------------------------------


def test_what_is_no_image_is_left_out_and_counted(folder):
    clean = read_source(pets(folder))
    cat = folder / "train" / "cat"
    (cat / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (cat / "boxes.txt").write_text("0.png 0 0 1 1")
    (cat / "README").write_text("photographs of cats")
    (cat / ".hidden.png").write_bytes(b"")
    (cat / "empty folder").mkdir()
    (cat / "old.png").mkdir()
    for place in (folder / "train", folder / "test", cat):
        (place / ".ipynb_checkpoints").mkdir()
        (place / ".ipynb_checkpoints" / "0-checkpoint.png").write_bytes(encode(pixels(0)))
    (folder / "train" / "labels.csv").write_text("file,label")
    (folder / "train" / "__MACOSX").mkdir()
    os.mkfifo(cat / "feed")
    raw = read_source(pets(folder))
    same_images(raw, clean)
    assert raw.files == clean.files
    (note,) = [note for note in raw.notes if "left out" in note]
    assert note.startswith("12 files or folders") and "labels.csv" in note


def test_an_image_is_known_by_its_content_where_its_name_does_not_tell(folder):
    clean = read_source(pets(folder))
    for name in ("0.png", "1.png"):
        path = folder / "train" / "cat" / name
        path.rename(path.with_suffix("" if name == "0.png" else ".dat"))
    same_images(read_source(pets(folder)), clean)


def test_a_class_folder_without_images_is_refused_by_name(folder):
    for split in ("train", "test"):
        (folder / split / "notes").mkdir()
        (folder / split / "notes" / "list.txt").write_text("cat, dog")
    refused(pets(folder), "no training images", "'notes'")


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "Test", "testing"])
def test_the_test_set_under_its_usual_names(folder, name):
    clean = read_source(pets(folder))
    (folder / "test").rename(folder / name)
    raw = read_source(pets(folder))
    same_images(raw, clean)
    is_val = name.lower().startswith("val")
    assert is_val == any("is the test set" in note for note in raw.notes)
    assert image_names(folder, "test")[0] == f"{name}/cat/0.png"


def test_val_beside_test_is_not_used(folder):
    clean = read_source(pets(folder))
    shutil.copytree(folder / "test", folder / "val")
    raw = read_source(pets(folder))
    same_images(raw, clean)
    assert any("val/ is not used" in note for note in raw.notes)
    shutil.copytree(folder / "test", folder / "TEST")
    refused(pets(folder), "TEST/ and test/", "Leave one")


@pytest.mark.parametrize("place", ["train", "."])
def test_a_test_set_is_held_out_by_seed(folder, place):
    shutil.rmtree(folder / "test")
    refused(pets(folder), "data.held_out: {share: 0.2}")
    root = folder / "train" if place == "." else folder
    raw = read_source(pets(root, held_out={"share": 0.25, "seed": 1}))
    again = read_source(pets(root, held_out={"share": 0.25, "seed": 1}))
    same_images(raw, again)
    assert raw.train_labels.tolist() == [0] * 3 + [1] * 3 and raw.test_labels.tolist() == [0, 1]
    index = np.concatenate([raw.train_source_index, raw.test_source_index])
    assert sorted(index) == list(range(8))
    names = image_names(root, "test")
    assert names == image_names(root, "train") and len(names) == 8
    with Image.open(root / names[raw.test_source_index[0]]) as image:
        np.testing.assert_array_equal(np.asarray(image).transpose(2, 0, 1), raw.test_images[0])
    others = [read_source(pets(root, held_out={"samples": 4, "seed": s})) for s in range(5)]
    assert all(raw.test_labels.tolist() == [0, 0, 1, 1] for raw in others)
    assert len({tuple(raw.test_source_index) for raw in others}) > 1


def test_holding_out_more_than_there_is(folder):
    refused(pets(folder, held_out={"share": 0.2}), "holds test/", "remove data.held_out")
    shutil.rmtree(folder / "test")
    refused(pets(folder, held_out={"samples": 9}), "data.held_out.samples", "8")
    refused(pets(folder, held_out={"samples": 8}), "no training images")
    with pytest.raises(ValueError, match="share or samples"):
        config.HeldOut(share=0.2, samples=3)


def test_a_split_inside_the_other_is_refused(folder):
    shutil.rmtree(folder / "test")
    (folder / "test").symlink_to(folder / "train")
    refused(pets(folder), "test lies inside", "trained on")


# -- files that are none ---------------------------------------------------------------------


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        old = os.getcwd()
        os.chdir(path.parent)  # its path may have 107 bytes only
        try:
            server.bind(path.name)
        finally:
            os.chdir(old)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, ("a named pipe",)),
        (make_socket, ("a socket",)),
        (lambda p: p.symlink_to("/dev/zero"), ("a device",)),
        (lambda p: p.symlink_to("nowhere"), ("leads to no file",)),
        (lambda p: p.symlink_to(p.name), ("leads to no file",)),
    ],
    ids=["pipe", "socket", "device", "dangling link", "link to itself"],
)
@pytest.mark.timeout(20)
def test_what_is_no_file_is_refused_before_it_is_opened(folder, make, words):
    path = folder / "train" / "cat" / "1.png"
    path.unlink()
    make(path)
    refused(pets(folder), str(path), *words)
    shard = folder / "train.parquet"
    make(shard)
    write(folder / "x.parquet", [0, 1])
    refused(parquet(shard, folder / "x.parquet"), "train.parquet", *words)


def test_links_that_lead_in_a_circle_end(folder):
    (folder / "train" / "cat" / "loop").symlink_to(folder / "train" / "cat")
    refused(pets(folder), "cat/loop/0.png", "not directly")
    (folder / "train" / "cat" / "loop").unlink()
    (folder / "train" / "loop").symlink_to("loop")
    assert read_source(pets(folder)).class_names == ("cat", "dog")


def test_what_may_not_be_read_is_named(folder, monkeypatch):
    def closed(path, *arguments):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path, *arguments)

    scandir = os.scandir
    monkeypatch.setattr(layouts.os, "scandir", closed)
    refused(pets(folder), "train/dog cannot be listed (Permission denied)")


def test_odd_names_of_files_and_classes(folder):
    cat = folder / "train" / "cat"
    (cat / "0.png").rename(cat / "a\nb.png")
    (cat / "1.png").rename(cat / ("x" * 250 + ".png"))
    os.rename(bytes(cat / "2.png"), bytes(cat) + b"/caf\xe9.png")
    for split in ("train", "test"):
        os.rename(bytes(folder / split / "cat"), bytes(folder / split) + b"/c\xe4t\n")
    raw = read_source(pets(folder))
    assert raw.class_names == ("c\\xe4t\\n", "dog") and len(raw.train_labels) == 8
    broken = bytes(folder / "train") + b"/c\xe4t\n/caf\xe9.png"
    with open(broken, "wb") as file:
        file.write(b"no image")
    refused(pets(folder), "c\\xe4t\\n/caf\\xe9.png does not decode")


def test_paths_are_shown_without_control_characters():
    assert shown("a b/é.png") == "a b/é.png"
    assert shown("a\x1b[2J\u202e\udcff") == "a\\x1b[2J\\u202e\\xff"


# -- Parquet ---------------------------------------------------------------------------------


def write(path, seeds, labels=None, kind=None, label_type=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    blobs = pa.array([encode(pixels(seed)) for seed in seeds], kind or pa.binary())
    labels = [seed % 2 for seed in seeds] if labels is None else labels
    pq.write_table(pa.table({"image": blobs, "label": pa.array(labels, label_type)}), path)


@pytest.fixture
def hub(tmp_path):
    """The hub's layout: the shards of all splits in one folder."""
    write(tmp_path / "hub/data/train-00000-of-00002.parquet", [0, 1, 2])
    write(tmp_path / "hub/data/train-00001-of-00002.parquet", [3, 4])
    write(tmp_path / "hub/data/validation-00000-of-00001.parquet", [20, 21])
    write(tmp_path / "hub/data/test-00000-of-00001.parquet", [10, 11])
    return tmp_path / "hub"


def parquet(train, test=None, **settings):
    return config.ParquetData(source="parquet", train=train, test=test, **settings)


def seeds_of(images):
    known = {encode(pixels(seed)): seed for seed in range(30)}
    return [known[encode(image.transpose(1, 2, 0))] for image in images]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/train-*.parquet", "data/test-*.parquet"),
        ("data", "data"),
        (".", "."),
        ("data/*.parquet", "data"),
        ("**/*.parquet", "data/test-00000-of-00001.parquet"),
        (
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
            "data/test*",
        ),
    ],
)
def test_every_way_to_name_the_shards_of_the_hub(hub, train, test):
    trains = [hub / t for t in train] if isinstance(train, list) else hub / train
    raw = read_source(parquet(trains, hub / test))
    assert seeds_of(raw.train_images) == [0, 1, 2, 3, 4]
    assert seeds_of(raw.test_images) == [10, 11]
    chosen = [note for note in raw.notes if note.startswith("train:")]
    assert bool(chosen) == (train in ("data", ".", "data/*.parquet", "**/*.parquet"))
    if chosen:
        assert chosen[0].startswith("train: 2 of the 4 Parquet files")


def test_validation_where_there_is_no_test(hub):
    (hub / "data/test-00000-of-00001.parquet").unlink()
    raw = read_source(parquet(hub / "data", hub / "data"))
    assert seeds_of(raw.test_images) == [20, 21]
    assert any(n.startswith("test: 1 of the 3") and "'val'" in n for n in raw.notes)
    raw = read_source(parquet(hub / "data/train-*", hub / "data/validation-*"))
    assert seeds_of(raw.test_images) == [20, 21]


def test_folders_named_after_the_split(tmp_path):
    write(tmp_path / "default/train/0000.parquet", [0, 1, 2])
    write(tmp_path / "default/test/0000.parquet", [10, 11])
    raw = read_source(parquet(tmp_path, tmp_path))
    assert seeds_of(raw.train_images) == [0, 1, 2] and seeds_of(raw.test_images) == [10, 11]
    raw = read_source(parquet(tmp_path / "default/train", tmp_path / "default/test"))
    assert seeds_of(raw.train_images) == [0, 1, 2] and seeds_of(raw.test_images) == [10, 11]


def test_shards_are_held_out_from(tmp_path, hub):
    raw = read_source(parquet(hub / "data", held_out={"share": 0.4}))
    assert sorted(seeds_of([*raw.train_images, *raw.test_images])) == [0, 1, 2, 3, 4]
    assert seeds_of(raw.test_images) == raw.test_source_index.tolist()
    with pytest.raises(ValueError, match="held_out"):
        parquet(hub)
    with pytest.raises(ValueError, match="one of them"):
        parquet(hub, hub, held_out={"share": 0.4})


def test_shards_that_are_refused(tmp_path, hub):
    refused(parquet(hub / "data/x-*.parquet", hub), "no file matches", "x-*.parquet")
    refused(parquet(hub / "none", hub), "none is no Parquet file")
    one = hub / "data/train-00000-of-00002.parquet"
    refused(parquet([one, one], hub), "named twice")
    for name in ("a", "b"):
        write(tmp_path / f"flat/{name}.parquet", [0, 1])
    refused(parquet(tmp_path / "flat", tmp_path / "flat/b.parquet"), "b.parquet", "of train and of")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "flat/a.parquet")
    refused(parquet(tmp_path / "flat/a.parquet", tmp_path / "link.parquet"), "of train and of test")
    write(tmp_path / "only/test-0.parquet", [0, 1])
    refused(parquet(tmp_path / "only", hub), "no shards of train", "only of test")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00001.parquet", "train"),
        ("cifar10_test.parquet", "test"),
        ("my-dev-set.parquet", "val"),
        ("constrained.parquet", None),
        ("trainer/0000.parquet", None),
        ("training/0000.parquet", "train"),
        ("train/part-eval.parquet", "test"),
    ],
)
def test_split_names_are_whole_words(tmp_path, name, split):
    assert split_of((tmp_path / name).relative_to(tmp_path)) == split


@pytest.mark.parametrize(
    "kind",
    [
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int32(), pa.binary()),
        pa.struct([("bytes", pa.large_binary())]),
        pa.struct([("bytes", pa.binary_view())]),
    ],
    ids=str,
)
def test_every_type_of_bytes(tmp_path, kind):
    blobs = [encode(pixels(seed)) for seed in range(4)]
    if pa.types.is_struct(kind):
        column = pa.array([{"bytes": blob} for blob in blobs], kind)
    elif pa.types.is_dictionary(kind):
        column = pa.array(blobs).dictionary_encode()
    else:
        column = pa.array(blobs, kind)
    pq.write_table(pa.table({"image": column, "label": [0, 1, 0, 1]}), tmp_path / "a.parquet")
    write(tmp_path / "b.parquet", [5, 6])
    raw = read_source(parquet(tmp_path / "a.parquet", tmp_path / "b.parquet"))
    assert seeds_of(raw.train_images) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        ([[0], [1, 2]], None, ("'label'", "holds list<", "one class for each image")),
        ([[0], [1]], pa.list_(pa.int64(), 1), ("holds fixed_size_list<",)),
        ([[], []], pa.large_list(pa.string()), ("holds large_list<",)),
        ([{"a": 0}, {"a": 1}], None, ("holds struct<",)),
        ([b"a", b"b"], None, ("holds binary",)),
        ([True, False], None, ("holds bool",)),
        ([None, None], pa.null(), ("holds null",)),
    ],
)
def test_labels_that_are_none_are_refused_by_name(tmp_path, labels, kind, words):
    write(tmp_path / "a.parquet", [0, 1], labels, label_type=kind)
    write(tmp_path / "b.parquet", [5, 6])
    refused(parquet(tmp_path / "a.parquet", tmp_path / "b.parquet"), "a.parquet", *words)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["x", "y"], pa.string()),
        (["x", "y"], pa.large_string()),
        (["x", "y"], pa.string_view()),
        (["x", "y"], pa.dictionary(pa.int8(), pa.string())),
        ([7, 9], pa.uint8()),
    ],
    ids=str,
)
def test_labels_of_every_type(tmp_path, labels, kind):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", [0, 1], labels, label_type=kind)
    raw = read_source(parquet(tmp_path / "a.parquet", tmp_path / "b.parquet"))
    assert raw.class_names == tuple(map(str, labels)) and raw.train_labels.tolist() == [0, 1]


def test_shards_without_rows_and_of_different_labels(tmp_path):
    write(tmp_path / "train/0.parquet", [])
    write(tmp_path / "train/1.parquet", [0, 1], label_type=pa.int64())
    write(tmp_path / "test.parquet", [5, 6])
    settings = parquet(tmp_path / "train", tmp_path / "test.parquet")
    refused(settings, "0.parquet", "holds null")
    write(tmp_path / "train/0.parquet", [], label_type=pa.int64())
    assert seeds_of(read_source(settings).train_images) == [0, 1]
    write(tmp_path / "train/2.parquet", [2, 3], ["x", "y"])
    refused(settings, "1.parquet holds integers", "2.parquet strings")
    write(tmp_path / "test.parquet", [], label_type=pa.int64())
    (tmp_path / "train/2.parquet").unlink()
    refused(settings, "test.parquet: no rows")
    write(tmp_path / "test.parquet", [5, 6], ["x", "y"])
    refused(settings, "test labels ['x', 'y'] do not occur")


def test_class_names_that_only_some_shards_know(tmp_path):
    import json

    def name(path, names):
        metadata = {"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}})}
        pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)

    write(tmp_path / "train/0.parquet", [0, 1])
    write(tmp_path / "train/1.parquet", [2, 3])
    write(tmp_path / "test.parquet", [5, 6])
    settings = parquet(tmp_path / "train", tmp_path / "test.parquet")
    name(tmp_path / "train/1.parquet", ["cat", "dog"])
    assert read_source(settings).class_names == ("cat", "dog")
    name(tmp_path / "test.parquet", ["dog", "cat"])
    refused(settings, "1.parquet", "test.parquet", "different classes")


def test_large_folders_are_listed_quickly(tmp_path):
    """No more than a look at each entry: 100,000 images take less than a second."""
    import time

    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(250):
                (tmp_path / split / name / f"{i}.jpg").touch()
    start = time.process_time()
    layout = image_folder(tmp_path, held_out=False)
    assert len(layout.images["train"]) == 500
    assert time.process_time() - start < 0.25
    with pytest.raises(DataError):
        read_source(pets(tmp_path))

"""Parquet: what it gives, and how each wrong file is refused."""

import hashlib
import json
import os

import numpy as np
import pytest
from samples import encode, pixels, refused

from bat import config
from bat.data.sources import read_source


def write_parquet(path, labels, names=("a", "b"), *, binary=False, blobs=None):
    import pyarrow as pa
    import pyarrow.parquet as pq

    blobs = blobs or [encode(pixels(i)) for i in range(len(labels))]
    if binary:
        image = pa.array(blobs, pa.binary())
    else:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        image = pa.array([{"bytes": b, "path": "x.png"} for b in blobs], kind)
    table = pa.table({"image": image, "label": pa.array(labels)})
    if names:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    pq.write_table(table, path)


def parquet(path, **settings):
    return config.ParquetData(
        source="parquet", train=path / "train.parquet", test=path / "test.parquet", **settings
    )


@pytest.mark.parametrize("binary", [False, True])
def test_parquet(tmp_path, binary):
    write_parquet(tmp_path / "train.parquet", [1, 0, 1, 0], ("cat", "dog"), binary=binary)
    write_parquet(tmp_path / "test.parquet", [0, 1], ("cat", "dog"), binary=binary)
    raw = read_source(parquet(tmp_path))
    assert raw.class_names == ("cat", "dog") and raw.train_labels.tolist() == [1, 0, 1, 0]
    expected = np.stack([pixels(i) for i in range(4)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(raw.train_images, expected)
    digest = hashlib.sha256((tmp_path / "train.parquet").read_bytes()).hexdigest()
    assert raw.files[0]["sha256"] == digest
    assert any("official" in note for note in raw.notes)


def test_parquet_shards_and_classes_without_metadata(tmp_path):
    (tmp_path / "train").mkdir()
    for i in range(2):
        blobs = [encode(pixels(2 * i + j)) for j in range(2)]
        write_parquet(tmp_path / "train" / f"{i}.parquet", [7, 3], None, blobs=blobs)
    write_parquet(tmp_path / "test.parquet", [3, 7], None)
    raw = read_source(parquet(tmp_path).model_copy(update={"train": (tmp_path / "train",)}))
    assert raw.class_names == ("3", "7") and raw.train_labels.tolist() == [1, 0, 1, 0]
    assert raw.test_labels.tolist() == [0, 1] and len(raw.files) == 3
    expected = np.stack([pixels(i) for i in range(4)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(raw.train_images, expected)
    write_parquet(tmp_path / "test.parquet", ["x", "y"], None)
    write_parquet(tmp_path / "train.parquet", ["y", "x"], None)
    assert read_source(parquet(tmp_path)).train_labels.tolist() == [1, 0]


def truncate(path):
    os.truncate(path, path.stat().st_size - 20)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: (p / "test.parquet").unlink(), ("test.parquet", "no Parquet file")),
        (lambda p: truncate(p / "train.parquet"), ("train.parquet", "truncated or damaged")),
        (lambda p: (p / "train.parquet").write_bytes(b""), ("train.parquet", "truncated")),
        (lambda p: write_parquet(p / "train.parquet", [0, 2]), ("out of range", "0 to 1")),
        (lambda p: write_parquet(p / "test.parquet", [0, -1]), ("out of range", "row 1")),
        (lambda p: write_parquet(p / "test.parquet", [0, None]), ("1 rows without a label",)),
        (lambda p: write_parquet(p / "test.parquet", [0.5, 1.5]), ("holds double",)),
        (lambda p: write_parquet(p / "test.parquet", ["0", "1"]), ("must hold integers",)),
        (lambda p: write_parquet(p / "train.parquet", [0, 0]), ("no training images", "'b'")),
        (lambda p: write_parquet(p / "test.parquet", [1, 1]), ("no test images", "'a'")),
        (lambda p: write_parquet(p / "test.parquet", [0, 1], "ac"), ("different classes",)),
        (
            lambda p: write_parquet(p / "test.parquet", [0, 1], blobs=[encode(pixels(0)), None]),
            ("test.parquet: row 1", "no image bytes"),
        ),
        (
            lambda p: write_parquet(p / "test.parquet", [0, 1], blobs=[encode(pixels(0)), b"??"]),
            ("test.parquet: row 1", "does not decode"),
        ),
    ],
)
def test_wrong_parquet(tmp_path, damage, words):
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [0, 1])
    damage(tmp_path)
    refused(parquet(tmp_path), *words)


def test_wrong_parquet_columns(tmp_path):
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [0, 1])
    refused(parquet(tmp_path, image_column="img"), "no column 'img'", "'image', 'label'")
    refused(parquet(tmp_path, label_column="fine"), "no column 'fine'")
    refused(parquet(tmp_path, image_column="label"), "holds int64")
    for split, labels in (("train", [0, 1]), ("test", [0, 5])):
        write_parquet(tmp_path / f"{split}.parquet", labels, None)
    refused(parquet(tmp_path), "test labels [5] do not occur")

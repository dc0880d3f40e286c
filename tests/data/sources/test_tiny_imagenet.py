"""Tiny ImageNet: from a zip or a folder, and how each incomplete copy is refused."""

import hashlib
import zipfile

import numpy as np
import pytest
from samples import refused, tiny, tiny_files, write_zip

from bat.data.sources import read_source


def test_tiny_imagenet_from_zip_and_folder(tmp_path):
    files = tiny_files()
    path = write_zip(tmp_path / "tiny.zip", files)
    raw = read_source(tiny(path))
    assert raw.class_names == ("crane (n01)", "crane (n02)")
    assert raw.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.test_labels.tolist() == [1, 0] and raw.test_source_index.tolist() == [0, 2]
    grey = raw.train_images[0]
    assert (grey == grey[:1]).all()
    assert raw.files[0]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "not the official archive" in raw.notes[0]

    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    for folder in (tmp_path / "tiny-imagenet-200", tmp_path):
        other = read_source(tiny(folder))
        np.testing.assert_array_equal(raw.train_images, other.train_images)
        np.testing.assert_array_equal(raw.test_images, other.test_images)

    by_list = read_source(tiny(path, class_order="wnids"))
    assert by_list.class_names == ("goldfish", "crane")
    np.testing.assert_array_equal(by_list.train_images[3:], raw.train_images[:3])


def test_fewer_classes_than_asked_for(tmp_path):
    files = {k: v for k, v in tiny_files().items() if "/train/n03/" not in k}
    path = write_zip(tmp_path / "tiny.zip", files)
    assert len(read_source(tiny(path)).class_names) == 2
    refused(tiny(path, classes=3), "2 of the first 3 classes", "n03")
    refused(tiny(path, classes=2, class_order="wnids"), "1 of the first 2 classes", "n03")
    refused(tiny(path, classes=200), "2 of the first 200")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("train/n01/images/n01_1.JPEG", ("n01_1.JPEG is missing", "n01_boxes.txt")),
        ("val/images/val_2.JPEG", ("val_2.JPEG is missing", "val_annotations.txt")),
        ("val/val_annotations.txt", ("val_annotations.txt is missing",)),
        ("words.txt", ("words.txt is missing",)),
        ("wnids.txt", ("holds no wnids.txt",)),
    ],
)
def test_incomplete_tiny_imagenet(tmp_path, missing, words):
    files = tiny_files()
    del files[f"tiny-imagenet-200/{missing}"]
    refused(tiny(write_zip(tmp_path / "tiny.zip", files)), *words)

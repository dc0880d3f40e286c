"""Folders of images: what they give, and how each wrong one is refused."""

import shutil

import numpy as np
import pytest
from samples import encode, pets, pixels, refused, write_pets

from bat.data.sources import read_source


@pytest.fixture
def folder(tmp_path):
    return write_pets(tmp_path / "pets")


def test_image_folder(folder):
    (folder / "train" / "cat" / ".DS_Store").write_bytes(b"\0")
    seen = []
    raw = read_source(pets(folder), progress=lambda *step: seen.append(step))
    assert raw.class_names == ("cat", "dog")
    assert raw.train_labels.tolist() == [0] * 4 + [1] * 4 and raw.test_labels.tolist() == [
        0,
        0,
        1,
        1,
    ]
    expected = np.stack([pixels(100 * c + i) for c in range(2) for i in range(4)])
    np.testing.assert_array_equal(raw.train_images, expected.transpose(0, 3, 1, 2))
    assert seen[-1] == (12, 12)
    record = raw.files[0]["sha256"]
    (folder / "train" / "dog" / "3.png").write_bytes(encode(pixels(999)))
    assert read_source(pets(folder)).files[0]["sha256"] != record


def test_wrong_folders(folder, tmp_path):
    refused(pets(tmp_path / "none"), "none is no folder", "train/ and test/")
    (folder / "train" / "bird").mkdir()
    refused(pets(folder), "only train/ has 'bird'")
    (folder / "test" / "bird").mkdir()
    refused(pets(folder), "no training images", "'bird'")
    (folder / "train" / "bird" / "0.png").write_bytes(encode(pixels(0)))
    refused(pets(folder), "no test images", "'bird'")
    (folder / "test" / "bird" / "old").mkdir()
    (folder / "test" / "bird" / "old" / "0.png").write_bytes(encode(pixels(0)))
    refused(pets(folder), "bird/old/0.png", "not directly")
    shutil.rmtree(folder / "test")
    refused(pets(folder), f"{folder} holds no test/", "data.held_out")
    shutil.rmtree(folder / "train")
    refused(pets(folder), f"{folder} holds no train/", "data.held_out")


def test_one_class_is_not_enough(folder):
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "dog")
    refused(pets(folder), "found 1 class")

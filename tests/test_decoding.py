"""Decoding: the same arrays from any number of processes, and every wrong image named."""

import os
import re

import numpy as np
import pytest
from samples import encode, pets, pixels, refused, write_pets

from bat import decoding
from bat.rawdata import DataError
from bat.sources import read_source


@pytest.fixture
def folder(tmp_path):
    return write_pets(tmp_path / "pets")


def test_grey_images_become_rgb_and_back(folder):
    grey = pixels(5, (6, 6))
    (folder / "train" / "cat" / "0.png").write_bytes(encode(grey))
    raw = read_source(pets(folder))
    np.testing.assert_array_equal(raw.train_images[0], np.stack([grey] * 3))
    raw = read_source(pets(folder, channels=1))
    assert raw.train_images.shape == (8, 1, 6, 6)
    np.testing.assert_array_equal(raw.train_images[0, 0], grey)


def test_several_processes_give_the_same_arrays(folder, monkeypatch):
    monkeypatch.setattr(decoding, "IN_PROCESS", 0)
    monkeypatch.setattr(decoding, "CHUNK", 1)
    one, two = (read_source(pets(folder), workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.train_images, two.train_images)
    np.testing.assert_array_equal(one.test_images, two.test_images)
    bad = folder / "test" / "cat" / "1.png"
    bad.write_bytes(b"no image")
    with pytest.raises(DataError, match=re.escape(str(bad))):
        read_source(pets(folder), workers=2)


@pytest.mark.parametrize("chunk", [1, 256])
def test_mixed_sizes_need_a_resize(folder, monkeypatch, chunk):
    monkeypatch.setattr(decoding, "CHUNK", chunk)
    (folder / "train" / "dog" / "2.png").write_bytes(encode(pixels(0, (6, 9, 3))))
    refused(pets(folder), "mixed sizes", "dog/2.png 9 x 6", "data.resize")
    raw = read_source(pets(folder, resize=5))
    assert raw.train_images.shape == (8, 3, 5, 5)


def test_test_images_of_another_size_are_refused(folder):
    for path in (folder / "test").rglob("*.png"):
        path.write_bytes(encode(pixels(0, (8, 8, 3))))
    refused(pets(folder), "test/cat/0.png", "8 x 8")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an image",
        encode(pixels(0))[:-30],
        encode(pixels(0, (64, 64, 3)), "JPEG")[:900],
        encode(np.zeros((6, 6), np.int32), "TIFF"),
    ],
    ids=["empty", "text", "truncated PNG", "truncated JPEG", "32-bit"],
)
def test_an_image_that_does_not_decode_is_named(folder, content):
    (folder / "test" / "dog" / "1.png").write_bytes(content)
    refused(pets(folder), str(folder / "test" / "dog" / "1.png"), "does not decode")


def test_an_enormous_image_is_not_decoded(folder, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 35)
    refused(pets(folder), "cat/0.png", "too many")


def test_more_images_than_memory_are_not_decoded(folder, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 30)
    refused(pets(folder), "12 images", "cat/0.png, 6 x 6 pixels", "data.resize")

"""Decoding: the same arrays from any number of processes, and every wrong image named."""

import io
import os
import re
import warnings

import numpy as np
import pytest
from PIL import Image
from samples import encode, pets, pixels, refused, write_pets

from bat.data import decoding
from bat.data.sources import read_source
from bat.errors import DataError


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
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"not an image", "a format that is not known here"),
        (encode(pixels(0))[:-30], "("),
        (encode(pixels(0, (64, 64, 3)), "JPEG")[:900], "("),
        (encode(np.zeros((6, 6), np.int32), "TIFF"), "more than 8 bits"),
    ],
    ids=["empty", "text", "truncated PNG", "truncated JPEG", "32-bit"],
)
def test_an_image_that_does_not_decode_is_named(folder, content, reason):
    (folder / "test" / "dog" / "1.png").write_bytes(content)
    refused(pets(folder), str(folder / "test" / "dog" / "1.png"), "does not decode", reason)


@pytest.mark.parametrize(("chunk", "workers"), [(1, 2), (3, 1), (256, 1)])
def test_images_that_do_not_decode_are_named_and_counted(folder, monkeypatch, chunk, workers):
    monkeypatch.setattr(decoding, "CHUNK", chunk)
    monkeypatch.setattr(decoding, "IN_PROCESS", 0)
    bad = sorted(folder.rglob("cat/*.png")) + sorted((folder / "train" / "dog").glob("[12].png"))
    for path in bad[:3]:
        path.write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        read_source(pets(folder), workers=workers)
    first, *lines = str(caught.value).splitlines()
    assert first == "3 of 12 images do not decode:"
    assert sorted(line.split()[0] for line in lines) == sorted(map(str, bad[:3]))
    for path in bad:
        path.write_bytes(encode(pixels(0))[:-30])
    with pytest.raises(DataError) as caught:
        read_source(pets(folder), workers=workers)
    first, *lines = str(caught.value).splitlines()
    assert (first, len(lines)) == ("8 of 12 images do not decode, the first 5 of them:", 5)


def test_an_enormous_image_is_not_decoded(folder, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 35)
    refused(pets(folder), "12 of 12 images", "cat/0.png", "too many")


def test_more_images_than_memory_are_not_decoded(folder, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 30)
    refused(pets(folder), "12 images", "cat/0.png, 6 x 6 pixels", "data.resize")


# -- turned images and odd modes --------------------------------------------------------------


def turned(image, orientation, kind):
    """A file whose EXIF data ask for this orientation."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[decoding.ORIENTATION] = orientation
    Image.fromarray(image).save(buffer, kind, exif=exif, **LOSSLESS.get(kind, {}))
    return buffer.getvalue()


LOSSLESS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_viewers_do(folder, kind, orientation):
    blob = turned(pixels(3, (6, 6, 3)), orientation, kind)
    (folder / "train" / "cat" / "0.png").write_bytes(blob)
    with Image.open(io.BytesIO(blob)) as image:
        stored = np.asarray(image.convert("RGB"))
    moved = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }
    raw = read_source(pets(folder))
    np.testing.assert_array_equal(raw.train_images[0], moved[orientation].transpose(2, 0, 1))
    assert ("1 images were turned upright" in "".join(raw.notes)) == (orientation != 1)


def test_turning_comes_before_sizes_are_compared(folder):
    for path in folder.rglob("*.png"):
        path.write_bytes(encode(pixels(0, (6, 4, 3))))
    (folder / "train" / "cat" / "1.png").write_bytes(turned(pixels(1, (4, 6, 3)), 6, "PNG"))
    assert read_source(pets(folder)).train_images.shape == (8, 3, 6, 4)


def test_damaged_exif_data_turn_nothing(folder):
    blob = bytearray(turned(pixels(3), 6, "JPEG"))
    at = blob.index(b"Exif")
    blob[at + 6 : at + 30] = b"\xff" * 24
    (folder / "train" / "cat" / "0.png").write_bytes(blob)
    assert "turned" not in "".join(read_source(pets(folder)).notes)


def with_mode(mode, kind="PNG", **settings):
    buffer = io.BytesIO()
    Image.fromarray(pixels(3)).convert(mode).save(buffer, kind, **settings)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "blob",
    [
        with_mode("P"),
        with_mode("P", transparency=b"\x00\x80\xff"),
        with_mode("RGBA"),
        with_mode("LA"),
        with_mode("1"),
        with_mode("CMYK", "JPEG"),
        with_mode("YCbCr", "JPEG"),
        with_mode("RGB", "GIF", save_all=True, append_images=[Image.fromarray(pixels(4))]),
        with_mode("RGB", "PNG", save_all=True, append_images=[Image.fromarray(pixels(4))]),
    ],
    ids=["palette", "transparent", "RGBA", "LA", "bits", "CMYK", "YCbCr", "GIF", "APNG"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_what_pillow_makes_of_it(folder, blob, channels):
    (folder / "train" / "cat" / "0.png").write_bytes(blob)
    raw = read_source(pets(folder, channels=channels))
    with warnings.catch_warnings(), Image.open(io.BytesIO(blob)) as image:
        warnings.simplefilter("ignore")
        expected = np.asarray(image.convert({1: "L", 3: "RGB"}[channels]))
    expected = expected[None] if channels == 1 else expected.transpose(2, 0, 1)
    np.testing.assert_array_equal(raw.train_images[0], expected)


def test_sixteen_bits_are_refused(folder):
    blob = io.BytesIO()
    Image.fromarray(np.arange(36, dtype=np.uint16).reshape(6, 6)).save(blob, "PNG")
    (folder / "train" / "cat" / "0.png").write_bytes(blob.getvalue())
    refused(pets(folder), "cat/0.png", "more than 8 bits a channel")

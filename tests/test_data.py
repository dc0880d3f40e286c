"""Data sets: what every source gives, and how each wrong one is refused."""

import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bat import config, data

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BAT_SHARED_DATA", ROOT.parent / "shared" / "data"))
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def pixels(seed, shape=(6, 6, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(image, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def refused(settings, *words):
    """The settings' source is refused, and the message has each of these words."""
    with pytest.raises(data.DataError) as caught:
        data.read_source(settings, workers=1)
    for word in words:
        assert word in str(caught.value)


# -- digits, and what is done to every source -------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "data"
    data.prepare(config.DigitsData(), folder)
    return data.load(folder)


def test_digits_are_the_rows_that_source_index_names(digits):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    for split in ("train", "test"):
        index = getattr(digits, f"{split}_source_index")
        images = getattr(digits, f"{split}_images")
        assert images.dtype == np.uint8 and images.shape[1:] == (1, 8, 8) == digits.shape
        np.testing.assert_array_equal(images[:, 0], np.round(bunch.images[index] * 255 / 16))
        np.testing.assert_array_equal(getattr(digits, f"{split}_labels"), bunch.target[index])
    index = np.concatenate([digits.train_source_index, digits.test_source_index])
    np.testing.assert_array_equal(np.sort(index), np.arange(1797))
    np.testing.assert_array_equal(np.bincount(digits.test_labels), np.full(10, 50))


def test_dataset_json_describes_the_arrays(digits):
    info = digits.info
    assert info["source"] == "digits"
    assert (info["n_train"], info["n_test"], info["shape"]) == (1297, 500, [1, 8, 8])
    assert info["class_names"] == [str(i) for i in range(10)]
    arrays = [getattr(digits, name) for name in data.FINGERPRINTED]
    assert info["fingerprint"] == data.fingerprint(*arrays)
    scaled = digits.train_images / 255
    np.testing.assert_allclose(info["mean"], scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(info["std"], scaled.std(axis=(0, 2, 3)), rtol=1e-12)


def test_seed_of_the_split_changes_the_split_only():
    one, two = (data.read_source(config.DigitsData(seed=seed)) for seed in (0, 1))
    assert not np.array_equal(one.test_source_index, two.test_source_index)
    assert len(one.test_labels) == len(two.test_labels) == 500


def test_fingerprint_sees_pixels_labels_order_shape_and_dtype():
    images, labels = pixels(0, (4, 1, 2, 6)), np.array([0, 1, 0, 1])
    base = data.fingerprint(images, labels, images, labels)
    assert base == data.fingerprint(images.copy(), labels, images, labels)
    other_pixel, other_label = images.copy(), labels.copy()
    other_pixel[3, 0, 1, 5] ^= 1
    other_label[3] = 0
    changed = [
        data.fingerprint(other_pixel, labels, images, labels),
        data.fingerprint(images, other_label, images, labels),
        data.fingerprint(images[::-1], labels, images, labels),
        data.fingerprint(images.reshape(4, 1, 6, 2), labels, images, labels),
        data.fingerprint(images, labels.astype(np.int32), images, labels),
        data.fingerprint(images, labels, other_pixel, labels),
        data.fingerprint(images[:3], labels[:3], images, labels),
    ]
    assert len({base, *changed}) == len(changed) + 1


def test_preparing_twice_gives_the_same_bytes_and_leaves_the_folder(tmp_path):
    settings = config.DigitsData(label_noise={"share": 0.1}, subsample={"train": 200})
    data.prepare(settings, tmp_path / "a")
    data.prepare(settings, tmp_path / "b")
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert files == sorted(["dataset.json", *(f"{name}.npy" for name in data.ARRAYS)])
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    before = (tmp_path / "a").stat().st_ino
    data.prepare(settings, tmp_path / "a")
    assert (tmp_path / "a").stat().st_ino == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


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


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(data.DataError, match=r"thesis\.txt"):
        data.prepare(config.DigitsData(), tmp_path)
    with pytest.raises(data.DataError, match="is a file"):
        data.prepare(config.DigitsData(), tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_sync", lambda file: 1 / 0)
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


def test_loading_and_preparing_import_no_torch(tmp_path):
    script = (
        "import sys\nfrom bat import config, data\n"
        f"data.prepare(config.DigitsData(), {str(tmp_path / 'data')!r})\n"
        f"data.load({str(tmp_path / 'data')!r}, verify=True)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def change_object_dtype(folder):
    np.save(folder / "test_labels.npy", np.array([print, None], dtype=object), allow_pickle=True)


def change_json(folder, key, value):
    info = json.loads((folder / "dataset.json").read_text())
    info[key] = value
    (folder / "dataset.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: (f / "train_images.npy").unlink(), "train_images.npy is missing"),
        (lambda f: os.truncate(f / "train_images.npy", 5000), "train_images.npy cannot be read"),
        (lambda f: os.truncate(f / "test_labels.npy", 0), "test_labels.npy cannot be read"),
        (change_object_dtype, "test_labels.npy cannot be read"),
        (lambda f: np.save(f / "test_labels.npy", np.zeros(500, np.int32)), "test_labels.npy"),
        (lambda f: np.save(f / "test_labels.npy", np.zeros(5, np.int64)), "test_labels.npy"),
        (lambda f: (f / "dataset.json").unlink(), "dataset.json is missing"),
        (lambda f: (f / "dataset.json").write_text('{"cut'), "dataset.json cannot be read"),
        (lambda f: change_json(f, "format_version", 99), "format version 1"),
        (lambda f: change_json(f, "fingerprint", "0" * 64), "fingerprint does not match"),
        (lambda f: change_json(f, "arrays", {}), "train_images.npy"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(digits, tmp_path, damage, named):
    folder = shutil.copytree(digits.folder, tmp_path / "data")
    damage(folder)
    with pytest.raises(data.DataError, match=re.escape(named)):
        data.load(folder)


def test_changed_values_are_found_by_verify(digits, tmp_path):
    folder = shutil.copytree(digits.folder, tmp_path / "data")
    labels = np.array(digits.test_source_index)
    np.save(folder / "test_source_index.npy", labels[::-1].copy())
    data.load(folder)
    with pytest.raises(data.DataError, match=r"test_source_index\.npy.*checksum"):
        data.load(folder, verify=True)


def test_loaded_arrays_are_read_only(digits):
    with pytest.raises(ValueError, match="read-only"):
        digits.train_images[0] = 0


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_label_noise_is_recorded_and_reversible(digits, tmp_path, share):
    info = data.prepare(config.DigitsData(label_noise={"share": share, "seed": 3}), tmp_path / "n")
    noisy = data.load(tmp_path / "n")
    changed = np.array(info["label_noise"]["changed"])
    assert len(changed) == round(share * 1297)
    different = np.flatnonzero(noisy.train_labels != digits.train_labels)
    np.testing.assert_array_equal(different, changed)
    restored = np.array(noisy.train_labels)
    restored[changed] = info["label_noise"]["original_labels"]
    np.testing.assert_array_equal(restored, digits.train_labels)
    np.testing.assert_array_equal(noisy.test_labels, digits.test_labels)
    assert info["fingerprint"] != digits.fingerprint
    other = data.prepare(config.DigitsData(label_noise={"share": share, "seed": 4}), tmp_path / "o")
    assert other["fingerprint"] != info["fingerprint"]


def test_wrong_labels_are_uniform_over_the_other_classes():
    labels = np.repeat(np.arange(5), 4000)
    changed, wrong = data._wrong_labels(labels, 5, 1.0, seed=0)
    counts = np.zeros((5, 5))
    np.add.at(counts, (labels[changed], wrong), 1)
    assert (np.diag(counts) == 0).all()
    off = counts[~np.eye(5, dtype=bool)]
    assert np.abs(off - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)  # five standard deviations


def test_noise_follows_subsampling(tmp_path):
    subsample = {"train_per_class": 20, "seed": 1}
    plain = data.prepare(config.DigitsData(subsample=subsample), tmp_path / "p")
    info = data.prepare(
        config.DigitsData(subsample=subsample, label_noise={"share": 0.1}), tmp_path / "n"
    )
    assert plain["n_train"] == info["n_train"] == 200
    assert len(info["label_noise"]["changed"]) == 20
    np.testing.assert_array_equal(
        data.load(tmp_path / "p").train_source_index, data.load(tmp_path / "n").train_source_index
    )


@pytest.mark.parametrize(
    ("subsample", "train", "test"),
    [
        ({"train_per_class": 30, "test_per_class": 7}, [30] * 10, [7] * 10),
        ({"train": 100, "test": 50}, [10] * 10, [5] * 10),
        ({"train": 57}, [5, 6], [50] * 10),
    ],
)
def test_subsample_takes_equally_from_every_class(tmp_path, digits, subsample, train, test):
    data.prepare(config.DigitsData(subsample=subsample), tmp_path / "data")
    part = data.load(tmp_path / "data")
    counts = np.bincount(part.train_labels)
    if len(train) == 10:
        np.testing.assert_array_equal(counts, train)
    else:
        assert counts.sum() == 57 and set(counts) == set(train)
    np.testing.assert_array_equal(np.bincount(part.test_labels), test)
    assert (np.diff(part.train_source_index) > 0).all()
    position = np.searchsorted(digits.train_source_index, part.train_source_index)
    np.testing.assert_array_equal(part.train_images, digits.train_images[position])


def test_draw_fills_up_from_larger_classes_and_grows():
    labels = np.array([0] * 3 + [1] * 50 + [2] * 50)
    small, large = (data._draw(labels, np.random.default_rng(0), "k", total=n) for n in (30, 60))
    np.testing.assert_array_equal(np.sort(np.bincount(labels[large])), [3, 28, 29])
    assert set(small) < set(large)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"subsample": {"train": 5000}}, ("data.subsample.train", "1297")),
        ({"subsample": {"test_per_class": 60}}, ("data.subsample.test_per_class", "class 0", "50")),
        ({"subsample": {"test": 4}}, ("6 of 10 classes have no test images",)),
        ({"n_test": 1797}, ("no training images",)),
        ({"n_test": 2000}, ("data.n_test", "1797")),
    ],
)
def test_asking_for_more_than_there_is(tmp_path, settings, words):
    with pytest.raises(data.DataError) as caught:
        data.prepare(config.DigitsData(**settings), tmp_path / "data")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_resize_of_arrays(tmp_path):
    info = data.prepare(config.DigitsData(resize=16), tmp_path / "data")
    assert info["shape"] == [1, 16, 16] and info["resize"] == 16


# -- on the device ----------------------------------------------------------------------------


@pytest.fixture
def torch():
    import torch

    torch.set_num_threads(1)
    return torch


def test_to_device_holds_the_same_values(digits, torch):
    device = data.to_device(digits, "cpu")
    assert device.train_images.dtype == torch.uint8 and device.train_labels.dtype == torch.int64
    for name in data.FINGERPRINTED:
        np.testing.assert_array_equal(getattr(device, name).numpy(), getattr(digits, name))


def test_as_float_is_exact_on_every_level(torch):
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    scaled = data.as_float(levels)
    assert scaled.dtype == torch.float32
    assert torch.equal(scaled.flatten(), torch.arange(256) / 255)
    batch = data.as_float(torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 10, 14)])
@pytest.mark.parametrize("crop", [0, 1, 4])
def test_windows_are_cut_from_the_padded_image(torch, shape, crop):
    images = torch.from_numpy(pixels(1, (40, *shape)))
    rng = np.random.default_rng(2)
    top, left = torch.from_numpy(rng.integers(0, 2 * crop + 1, (2, 40)))
    mirrored = torch.from_numpy(rng.integers(0, 2, 40))
    windows = data.crop_windows(images, top, left, mirrored, crop)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (crop, crop), (crop, crop)))
    for i in range(40):
        rows = slice(int(top[i]), int(top[i]) + shape[1])
        columns = slice(int(left[i]), int(left[i]) + shape[2])
        window = padded[i, :, rows, columns]
        expected = window[:, :, ::-1] if mirrored[i] else window
        np.testing.assert_array_equal(windows[i].numpy(), expected)


def test_augmentation_follows_its_generator_alone(torch):
    images = torch.from_numpy(pixels(0, (64, 3, 12, 12)))

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        return [data.augment(images, generator, crop=2, flip=True) for _ in range(2)]

    torch.manual_seed(5)
    first = run(0)
    torch.manual_seed(6)
    again, other = run(0), run(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], other[0])
    assert first[0].dtype == torch.uint8 and first[0].shape == images.shape
    unchanged = data.augment(images, torch.Generator(), crop=0, flip=False)
    assert unchanged is images


def test_half_is_mirrored_and_every_shift_is_as_likely(torch):
    n, crop = 20_000, 1
    image = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    image[0, 0, 2, 2], image[0, 0, 2, 1] = 2, 1  # a dot, and another left of it
    batch = data.augment(
        image.expand(n, 1, 5, 5), torch.Generator().manual_seed(0), crop=crop, flip=True
    ).numpy()
    rows, columns = np.divmod((batch.reshape(n, 25) == 2).argmax(axis=1), 5)
    right = batch[np.arange(n), 0, rows, columns + 1] == 1
    assert abs(right.mean() - 0.5) < 5 * np.sqrt(0.25 / n)
    counts = np.zeros((3, 3))
    np.add.at(counts, (rows - 1, columns - 1), 1)
    assert np.abs(counts / n - 1 / 9).max() < 5 * np.sqrt(8 / 81 / n)


def test_without_flip_nothing_is_mirrored(torch):
    image = torch.arange(6, dtype=torch.uint8).expand(500, 1, 6, 6)
    batch = data.augment(image, torch.Generator().manual_seed(0), crop=2, flip=False)
    inner = batch[:, 0, 2:4].to(torch.int64)
    steps = inner.diff(dim=-1)
    assert ((steps == 1) | (inner[..., 1:] == 0)).all()


# -- image folders ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for split, n in (("train", 4), ("test", 2)):
        for c, name in enumerate(("cat", "dog")):
            place = tmp_path / "pets" / split / name
            place.mkdir(parents=True)
            for i in range(n):
                (place / f"{i}.png").write_bytes(encode(pixels(100 * c + i)))
    return tmp_path / "pets"


def pets(folder, **settings):
    return config.ImageFolderData(source="image_folder", path=folder, **settings)


def test_image_folder(folder):
    (folder / "train" / "cat" / ".DS_Store").write_bytes(b"\0")
    seen = []
    raw = data.read_source(pets(folder), progress=lambda *step: seen.append(step))
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
    assert data.read_source(pets(folder)).files[0]["sha256"] != record


def test_grey_images_become_rgb_and_back(folder):
    grey = pixels(5, (6, 6))
    (folder / "train" / "cat" / "0.png").write_bytes(encode(grey))
    raw = data.read_source(pets(folder))
    np.testing.assert_array_equal(raw.train_images[0], np.stack([grey] * 3))
    raw = data.read_source(pets(folder, channels=1))
    assert raw.train_images.shape == (8, 1, 6, 6)
    np.testing.assert_array_equal(raw.train_images[0, 0], grey)


def test_several_processes_give_the_same_arrays(folder, monkeypatch):
    monkeypatch.setattr(data, "IN_PROCESS", 0)
    monkeypatch.setattr(data, "CHUNK", 1)
    one, two = (data.read_source(pets(folder), workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.train_images, two.train_images)
    np.testing.assert_array_equal(one.test_images, two.test_images)
    bad = folder / "test" / "cat" / "1.png"
    bad.write_bytes(b"no image")
    with pytest.raises(data.DataError, match=re.escape(str(bad))):
        data.read_source(pets(folder), workers=2)


@pytest.mark.parametrize("chunk", [1, 256])
def test_mixed_sizes_need_a_resize(folder, monkeypatch, chunk):
    monkeypatch.setattr(data, "CHUNK", chunk)
    (folder / "train" / "dog" / "2.png").write_bytes(encode(pixels(0, (6, 9, 3))))
    refused(pets(folder), "mixed sizes", "dog/2.png 9 x 6", "data.resize")
    raw = data.read_source(pets(folder, resize=5))
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
    monkeypatch.setattr(data, "MAX_PIXELS", 35)
    refused(pets(folder), "cat/0.png", "too many")


def test_more_images_than_memory_are_not_decoded(folder, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 30)
    refused(pets(folder), "12 images", "cat/0.png, 6 x 6 pixels", "data.resize")


def test_an_enormous_file_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(data, "MAX_FILE", 100)
    refused(pets(folder), "cat/0.png", "larger than")


def test_wrong_folders(folder, tmp_path):
    refused(pets(tmp_path / "none"), "none/train", "is no folder")
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
    refused(pets(folder), f"{folder / 'test'} is no folder")


def test_one_class_is_not_enough(folder):
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "dog")
    refused(pets(folder), "found 1 class")


# -- Parquet ----------------------------------------------------------------------------------


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
    raw = data.read_source(parquet(tmp_path))
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
    raw = data.read_source(parquet(tmp_path).model_copy(update={"train": tmp_path / "train"}))
    assert raw.class_names == ("3", "7") and raw.train_labels.tolist() == [1, 0, 1, 0]
    assert raw.test_labels.tolist() == [0, 1] and len(raw.files) == 3
    expected = np.stack([pixels(i) for i in range(4)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(raw.train_images, expected)
    write_parquet(tmp_path / "test.parquet", ["x", "y"], None)
    write_parquet(tmp_path / "train.parquet", ["y", "x"], None)
    assert data.read_source(parquet(tmp_path)).train_labels.tolist() == [1, 0]


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


# -- Tiny ImageNet ----------------------------------------------------------------------------

WNIDS = ("n03", "n01", "n02")


def tiny_files(per_class=3):
    """The official layout with three classes; one training image is grey."""
    root = "tiny-imagenet-200/"
    files = {
        "wnids.txt": "\n".join(WNIDS).encode() + b"\n",
        "words.txt": b"n01\tcrane, big bird\nn02\tcrane\nn03\tgoldfish, Carassius auratus\n",
    }
    for c, wnid in enumerate(sorted(WNIDS)):
        boxes = ""
        for i in range(per_class):
            image = pixels(10 * c + i, (8, 8) if i == 0 else (8, 8, 3))
            files[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = encode(image, "JPEG")
            boxes += f"{wnid}_{i}.JPEG\t0\t0\t7\t7\n"
        files[f"train/{wnid}/{wnid}_boxes.txt"] = boxes.encode()
    rows = [("val_0.JPEG", "n02"), ("val_1.JPEG", "n03"), ("val_2.JPEG", "n01")]
    for name, _ in rows:
        files[f"val/images/{name}"] = encode(pixels(len(name), (8, 8, 3)), "JPEG")
    files["val/val_annotations.txt"] = "".join(
        f"{name}\t{wnid}\t0\t0\t7\t7\n" for name, wnid in rows
    ).encode()
    return {root + name: content for name, content in files.items()}


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tiny(path, **settings):
    settings = {"classes": 2, "download": False} | settings
    return config.TinyImagenetData(source="tiny_imagenet", path=path, **settings)


def test_tiny_imagenet_from_zip_and_folder(tmp_path):
    files = tiny_files()
    path = write_zip(tmp_path / "tiny.zip", files)
    raw = data.read_source(tiny(path))
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
        other = data.read_source(tiny(folder))
        np.testing.assert_array_equal(raw.train_images, other.train_images)
        np.testing.assert_array_equal(raw.test_images, other.test_images)

    by_list = data.read_source(tiny(path, class_order="wnids"))
    assert by_list.class_names == ("goldfish", "crane")
    np.testing.assert_array_equal(by_list.train_images[3:], raw.train_images[:3])


def test_fewer_classes_than_asked_for(tmp_path):
    files = {k: v for k, v in tiny_files().items() if "/train/n03/" not in k}
    path = write_zip(tmp_path / "tiny.zip", files)
    assert len(data.read_source(tiny(path)).class_names) == 2
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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute"),
        ("tiny-imagenet-200/../../x", "leads out"),
        ("C:/x", "absolute"),
        ("a\\b", "another system"),
    ],
)
def test_an_archive_with_unsafe_paths(tmp_path, name, reason):
    path = write_zip(tmp_path / "tiny.zip", tiny_files() | {name: b"x"})
    refused(tiny(path), "tiny.zip", reason)


def test_an_archive_with_a_link(tmp_path):
    path = write_zip(tmp_path / "tiny.zip", tiny_files())
    link = zipfile.ZipInfo("tiny-imagenet-200/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(tiny(path), "tiny.zip", "is a link")


def test_an_archive_that_grows_too_large(tmp_path, monkeypatch):
    bomb = {"tiny-imagenet-200/bomb": bytes(2 << 20)}
    path = write_zip(tmp_path / "tiny.zip", tiny_files() | bomb)
    monkeypatch.setattr(data, "MAX_ARCHIVE", 2 << 20)
    refused(tiny(path), "tiny.zip", "would unpack to")
    monkeypatch.setattr(data, "MAX_FILE", 1 << 20)
    refused(tiny(path), "tiny.zip", "bomb", "2 MiB")


def test_a_damaged_archive(tmp_path):
    path = write_zip(tmp_path / "tiny.zip", tiny_files())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(tiny(path), "tiny.zip", "truncated or damaged")
    with zipfile.ZipFile(write_zip(path, tiny_files())) as archive:
        name = "tiny-imagenet-200/train/n02/images/n02_1.JPEG"
        at = archive.getinfo(name).header_offset + 30 + len(name) + 40
    path.write_bytes(
        whole[:at] + bytes(byte ^ 255 for byte in whole[at : at + 20]) + whole[at + 20 :]
    )
    refused(tiny(path), "n02_1.JPEG", "archive is damaged")


def test_a_missing_archive_says_where_to_put_it(tmp_path):
    refused(tiny(tmp_path / "none.zip"), str(tmp_path / "none.zip"), "Put tiny-imagenet-200.zip")


# -- downloads --------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content, ranges = self.server.content, self.headers.get("Range")
        self.server.requests.append(ranges)
        start = int(ranges[6:-1]) if ranges and self.server.resumes else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.server.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content = write_zip(tmp_path / "source.zip", tiny_files()).read_bytes()
    server.requests, server.resumes, server.cut = [], True, None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(data, "TINY_URL", f"http://127.0.0.1:{server.server_port}/tiny.zip")
    monkeypatch.setattr(data, "TINY_MD5", hashlib.md5(server.content).hexdigest())
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_is_checked_and_used(server, tmp_path):
    path = tmp_path / "new" / "tiny.zip"
    seen = []
    raw = data.read_source(tiny(path, download=True), progress=lambda *step: seen.append(step))
    assert raw.notes[0] == "the official archive"
    assert (len(server.content), len(server.content)) in seen
    assert path.read_bytes() == server.content
    assert [p.name for p in path.parent.iterdir()] == ["tiny.zip"]
    data.read_source(tiny(path, download=True))
    assert server.requests == [None]


@pytest.mark.parametrize("resumes", [True, False])
def test_an_interrupted_download_continues(server, tmp_path, resumes):
    path = tmp_path / "tiny.zip"
    server.cut, server.resumes = 1000, resumes
    refused(tiny(path, download=True), "connection ended after 1000", "Run again")
    assert not path.exists()
    server.cut = None
    data.read_source(tiny(path, download=True))
    assert path.read_bytes() == server.content
    assert server.requests == [None, "bytes=1000-"]


def test_a_download_that_was_complete_but_not_renamed(server, tmp_path):
    (tmp_path / "tiny.zip.part").write_bytes(server.content)
    data.read_source(tiny(tmp_path / "tiny.zip", download=True))
    assert not (tmp_path / "tiny.zip.part").exists()


def test_a_download_with_another_checksum_is_removed(server, tmp_path):
    server.content += b"!"
    refused(tiny(tmp_path / "tiny.zip", download=True), "does not have the md5")
    assert [p.name for p in tmp_path.iterdir()] == ["source.zip"]


def test_a_failed_download_names_the_address(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "TINY_URL", "http://127.0.0.1:9/tiny.zip")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    refused(tiny(tmp_path / "t.zip", download=True), "http://127.0.0.1:9", str(tmp_path / "t.zip"))


# -- torchvision's data sets ------------------------------------------------------------------


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def cifar100(tmp_path, monkeypatch):
    """CIFAR-100's official files in small, with their own list of checksums."""
    from torchvision.datasets import CIFAR100

    base = tmp_path / "cifar-100-python"
    base.mkdir()
    names = [f"class {i}" for i in range(3)]
    contents = {"meta": {"fine_label_names": names, "coarse_label_names": ["all"]}}
    for split, n in (("train", 9), ("test", 3)):
        contents[split] = {
            "filenames": [f"{i}.png" for i in range(n)],
            "batch_label": f"{split}ing batch 1 of 1",
            "fine_labels": [i % 3 for i in range(n)],
            "coarse_labels": [0] * n,
            "data": pixels(n, (n, 3072)),
        }
    sums = {}
    for name, content in contents.items():
        blob = pickle.dumps(content, protocol=2)
        (base / name).write_bytes(blob)
        sums[name] = md5(blob)
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": sums["meta"]})
    return tmp_path


def vision(source, folder, **settings):
    settings = {"download": False} | settings
    return config.TorchvisionData(source=source, folder=folder, **settings)


def test_cifar100_official_format(cifar100, tmp_path):
    raw = data.read_source(vision("cifar100", cifar100))
    assert raw.class_names == ("class 0", "class 1", "class 2")
    assert raw.train_labels.tolist() == [0, 1, 2] * 3
    np.testing.assert_array_equal(raw.train_images.reshape(9, 3072), pixels(9, (9, 3072)))
    np.testing.assert_array_equal(raw.test_images.reshape(3, 3072), pixels(3, (3, 3072)))
    assert [f["name"] for f in raw.files] == ["train", "test", "meta"]
    info = data.prepare(vision("cifar100", cifar100), tmp_path / "data")
    assert data.load(tmp_path / "data", verify=True).fingerprint == info["fingerprint"]


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_cifar_with_a_wrong_checksum_is_never_unpickled(cifar100, name):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(cifar100 / "unpickled"),)

    path = cifar100 / "cifar-100-python" / name
    path.write_bytes(pickle.dumps(Bomb()))
    refused(vision("cifar100", cifar100), str(path), "damaged", "data.download")
    assert not (cifar100 / "unpickled").exists()
    path.unlink()
    refused(vision("cifar100", cifar100), str(path), "missing", "cifar-100-python.tar.gz")


def test_cifar_is_unpacked_from_its_archive_without_network(cifar100, monkeypatch):
    from torchvision.datasets import CIFAR100

    archive = cifar100 / CIFAR100.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(cifar100 / "cifar-100-python", "cifar-100-python")
    shutil.rmtree(cifar100 / "cifar-100-python")
    refused(vision("cifar100", cifar100), "missing")  # the archive's checksum is unknown
    monkeypatch.setattr(CIFAR100, "tgz_md5", md5(archive.read_bytes()))
    assert len(data.read_source(vision("cifar100", cifar100)).train_labels) == 9


def test_a_failed_download_of_torchvision(cifar100, monkeypatch):
    from torchvision.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "url", "http://127.0.0.1:9/cifar.tar.gz")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (cifar100 / "cifar-100-python" / "train").unlink()
    refused(vision("cifar100", cifar100, download=True), "train is missing", "download failed")


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    labels = np.arange(10, dtype=np.uint8)
    arrays = [pixels(0, (20, 28, 28)), np.tile(labels, 2), pixels(1, (10, 28, 28)), labels]
    contents = dict(zip(data.IDX_MD5, map(idx, arrays), strict=True))
    monkeypatch.setattr(data, "IDX_MD5", {name: md5(c) for name, c in contents.items()})
    for name, content in contents.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path, contents


def test_fashion_mnist_from_any_place_and_form(fashion):
    folder, contents = fashion
    raw = data.read_source(vision("fashion_mnist", folder))
    np.testing.assert_array_equal(raw.train_images[:, 0], pixels(0, (20, 28, 28)))
    assert raw.test_labels.tolist() == list(range(10)) and raw.class_names[9] == "Ankle boot"
    for path in folder.glob("*.gz"):
        path.unlink()
    (folder / "FashionMNIST" / "raw").mkdir(parents=True)
    for name, content in contents.items():
        (folder / "FashionMNIST" / "raw" / name).write_bytes(content)
    again = data.read_source(vision("fashion_mnist", folder))
    np.testing.assert_array_equal(raw.train_images, again.train_images)


def test_wrong_fashion_mnist(fashion, tmp_path):
    folder, contents = fashion
    name = next(iter(contents))
    path = folder / f"{name}.gz"
    whole = path.read_bytes()
    for content in (whole[:-100], b"", gzip.compress(contents[name] + b"x")):
        path.write_bytes(content)
        refused(vision("fashion_mnist", folder), str(path), "damaged")
    path.unlink()
    words = (str(folder), f"{name}.gz", "dataset-fashion-mnist", "data.download")
    refused(vision("fashion_mnist", folder), *words)


def test_class_names_are_torchvisions():
    from torchvision.datasets import FashionMNIST

    assert list(data.FASHION_CLASSES) == FashionMNIST.classes
    assert [f"{name}.gz" for name in data.IDX_MD5] == [name for name, _ in FashionMNIST.resources]


@pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_fashion_mnist_of_debian():
    raw = data.read_source(vision("fashion_mnist", DEBIAN))
    assert raw.train_images.shape == (60000, 1, 28, 28)
    np.testing.assert_array_equal(np.bincount(raw.train_labels), np.full(10, 6000))
    np.testing.assert_array_equal(np.bincount(raw.test_labels), np.full(10, 1000))


# -- checks on every source -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_labels": np.array([0, 1, 2, 1])}, "1 training labels out of range, the first 2"),
        ({"train_labels": np.array([0, 1, 0])}, "4 train images but 3 labels"),
        ({"test_images": np.zeros((2, 1, 5, 5), np.uint8)}, "1x4x4, test images 1x5x5"),
        ({"train_images": np.zeros((4, 1, 4, 4))}, "float64"),
        ({"class_names": ("a", "b", "c")}, "1 of 3 classes have no training images ('c')"),
    ],
)
def test_inconsistent_arrays(change, words):
    images, labels = np.zeros((4, 1, 4, 4), np.uint8), np.array([0, 1, 0, 1])
    fields = {
        "train_images": images,
        "train_labels": labels,
        "test_images": images[:2],
        "test_labels": labels[:2],
        "class_names": ("a", "b"),
    }
    data._check(data.RawData(**fields), "x")
    with pytest.raises(data.DataError, match=re.escape(words)):
        data._check(data.RawData(**(fields | change)), "x")


# -- the real files ---------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared data sets")
def test_all_images_of_cifar10_and_tiny_imagenet():
    cifar = data.read_source(
        config.ParquetData(
            source="parquet",
            train=SHARED / "cifar10-jpeg-train.parquet",
            test=SHARED / "cifar10-jpeg-test.parquet",
        )
    )
    assert cifar.train_images.shape == (50000, 3, 32, 32)
    assert cifar.class_names[0] == "airplane"
    np.testing.assert_array_equal(np.bincount(cifar.train_labels), np.full(10, 5000))
    np.testing.assert_array_equal(np.bincount(cifar.test_labels), np.full(10, 1000))
    tiny_imagenet = data.read_source(tiny(SHARED / "tiny-imagenet-50.zip", classes=50))
    assert tiny_imagenet.train_images.shape == (25000, 3, 64, 64)
    assert tiny_imagenet.class_names[0] == "goldfish"
    np.testing.assert_array_equal(np.bincount(tiny_imagenet.train_labels), np.full(50, 500))
    np.testing.assert_array_equal(np.bincount(tiny_imagenet.test_labels), np.full(50, 50))
    refused(tiny(SHARED / "tiny-imagenet-50.zip", classes=51), "50 of the first 51")

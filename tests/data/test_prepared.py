"""Prepared data: what is written and read back, how a damaged folder is refused, batches."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from samples import encode, pets, pixels, write_pets

from bat import config, data
from bat.data import preparing, writing
from bat.data.sources import read_source
from bat.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


# -- digits, and what is done to every source ------------------------------------------------


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
    one, two = (read_source(config.DigitsData(seed=seed)) for seed in (0, 1))
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


def change_json(folder, key, value, *, old=True):
    """Change a value; as in a file of an older version, or with the checksum left in."""
    info = json.loads((folder / "dataset.json").read_text())
    info[key] = value
    if old:
        del info["checksum"]
    (folder / "dataset.json").write_text(json.dumps(info))


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


def claim_too_much(path):
    """The header of an array of 745 GiB."""
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (800_000_000_000,)}
        np.lib.format.write_array_header_1_0(file, header)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: (f / "train_images.npy").unlink(), "train_images.npy is missing"),
        (lambda f: os.truncate(f / "train_images.npy", 5000), "train_images.npy cannot be read"),
        (lambda f: os.truncate(f / "test_labels.npy", 0), "test_labels.npy cannot be read"),
        (change_object_dtype, "test_labels.npy cannot be read"),
        (lambda f: claim_too_much(f / "train_images.npy"), "train_images.npy cannot be read"),
        (lambda f: make_pipe(f / "train_images.npy"), "train_images.npy is no regular file"),
        (lambda f: make_pipe(f / "dataset.json"), "dataset.json cannot be read"),
        (lambda f: np.save(f / "test_labels.npy", np.zeros(500, np.int32)), "test_labels.npy"),
        (lambda f: np.save(f / "test_labels.npy", np.zeros(5, np.int64)), "test_labels.npy"),
        (lambda f: (f / "dataset.json").unlink(), "dataset.json is missing"),
        (lambda f: (f / "dataset.json").write_text('{"cut'), "dataset.json cannot be read"),
        (lambda f: (f / "dataset.json").write_text("[" * 100_000), "dataset.json cannot be read"),
        (lambda f: (f / "dataset.json").write_bytes(b"\xff{}"), "dataset.json cannot be read"),
        (lambda f: (f / "dataset.json").write_text("[1]"), "format version 1"),
        (lambda f: change_json(f, "format_version", 99), "format version 1"),
        (lambda f: change_json(f, "fingerprint", "0" * 64), "fingerprint does not match"),
        (lambda f: change_json(f, "fingerprint_parts", {}), "fingerprint does not match"),
        (lambda f: change_json(f, "arrays", {}), "train_images.npy"),
        (lambda f: change_json(f, "arrays", []), "dataset.json: arrays"),
        (lambda f: change_json(f, "arrays", {"train_images": 5}), "arrays.train_images"),
        (lambda f: change_json(f, "n_test", 499), "n_test is 499, and the arrays say 500"),
        (lambda f: change_json(f, "n_train", "1297"), "dataset.json: n_train"),
        (lambda f: change_json(f, "n_train", True), "dataset.json: n_train"),
        (lambda f: change_json(f, "shape", [1, 8, 9]), "shape is [1, 8, 9]"),
        (lambda f: change_json(f, "class_names", ["0"] * 9), "names 9 classes"),
        (lambda f: change_json(f, "class_names", list(range(10))), "class_names.0"),
        (lambda f: change_json(f, "mean", [0.1, 0.2]), "one value for each channel"),
        (lambda f: change_json(f, "mean", [float("nan")]), "cannot be read"),
        (lambda f: change_json(f, "std", [-0.1]), "std.0"),
        (lambda f: change_json(f, "notes", None), "dataset.json: notes"),
    ],
)
@pytest.mark.timeout(20)
def test_a_damaged_folder_is_refused_by_name(digits, tmp_path, damage, named):
    folder = shutil.copytree(digits.folder, tmp_path / "data")
    damage(folder)
    with pytest.raises(DataError, match=re.escape(named)):
        data.load(folder)


def test_any_edit_of_dataset_json_is_found(digits, tmp_path):
    folder = shutil.copytree(digits.folder, tmp_path / "data")
    for key, value in digits.info.items():
        if key in ("format_version", "checksum"):
            continue
        other = value + 1 if isinstance(value, int) else [value]
        change_json(folder, key, other, old=False)
        with pytest.raises(DataError, match=r"dataset\.json"):
            data.load(folder)
        shutil.copy(digits.folder / "dataset.json", folder / "dataset.json")
    change_json(folder, "mean", [0.3], old=False)
    with pytest.raises(DataError, match="belies its checksum"):
        data.load(folder)


def test_a_folder_of_version_0_1_0_is_read_and_checked_as_far_as_it_goes(digits, tmp_path):
    folder = shutil.copytree(digits.folder, tmp_path / "data")
    info = json.loads((folder / "dataset.json").read_text())
    del info["checksum"], info["duplicates"]
    (folder / "dataset.json").write_text(json.dumps(info))
    assert data.load(folder, verify=True).fingerprint == digits.fingerprint
    for key in ("mean", "std"):
        (folder / "dataset.json").write_text(json.dumps(info | {key: [0.25]}))
        data.load(folder)
        with pytest.raises(DataError, match="mean and std"):
            data.load(folder, verify=True)


@pytest.mark.parametrize("name", data.ARRAYS)
def test_changed_values_are_found(digits, tmp_path, name):
    """Labels and source indices always, images where they are verified."""
    folder = shutil.copytree(digits.folder, tmp_path / "data")
    np.save(folder / f"{name}.npy", np.array(getattr(digits, name))[::-1].copy())
    is_image = name.endswith("images")
    if is_image:
        data.load(folder)
    with pytest.raises(DataError, match=rf"{name}\.npy.*checksum"):
        data.load(folder, verify=is_image)


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
    changed, wrong = preparing._wrong_labels(labels, 5, 1.0, seed=0)
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
    with pytest.raises(DataError) as caught:
        data.prepare(config.DigitsData(**settings), tmp_path / "data")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_resize_of_arrays(tmp_path):
    info = data.prepare(config.DigitsData(resize=16), tmp_path / "data")
    assert info["shape"] == [1, 16, 16] and info["resize"] == 16


# -- what is said at preparation --------------------------------------------------------------


def write_channels(path, channels):
    """Pets with some channels replaced by a constant."""
    for file in write_pets(path).rglob("*.png"):
        image = pixels(int(hashlib.sha256(bytes(file)).hexdigest()[:8], 16))
        for channel, value in channels.items():
            image[..., channel] = value
        file.write_bytes(encode(image))
    return path


def test_constant_channels_are_said_and_can_be_trained_on(tmp_path, caplog):
    import torch

    from bat.models import build_model

    folder = write_channels(tmp_path / "pets", {0: 17, 2: 0})
    info = data.prepare(pets(folder), tmp_path / "data")
    assert info["std"][0] == info["std"][2] == 0 < info["std"][1]
    notes = [note for note in info["notes"] if "channel is" in note]
    assert [note.split(" in every")[0] for note in notes] == [
        "the red channel is 17 of 255",
        "the blue channel is 0 of 255",
    ]
    assert all(note in caplog.text for note in notes)
    model = build_model("small_cnn-4", n_classes=2, mean=info["mean"], std=info["std"], seed=0)
    images = torch.from_numpy(data.load(tmp_path / "data").train_images / np.float32(255))
    assert torch.isfinite(model(images)).all()
    normalized = (images - model.mean) / model.std
    assert normalized[:, 0].abs().max() < 1e-6

    folder = write_channels(tmp_path / "even", {0: 17, 1: 17, 2: 17})
    info = data.prepare(pets(folder), tmp_path / "data")
    assert any("nothing can be learned" in note for note in info["notes"])
    assert any(note.startswith("all of the 4 test images are in") for note in info["notes"])


# -- on the device ---------------------------------------------------------------------------


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

"""The prepared folder: what it says, and how each damage is refused."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from samples import pixels

from bat import data
from bat.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


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

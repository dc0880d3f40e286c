"""What is done to every source: subsamples, label noise, sizes; what is said of it."""

import hashlib

import numpy as np
import pytest
from samples import encode, pets, pixels, write_pets

from bat import config, data
from bat.data import preparing
from bat.data.sources import read_source
from bat.errors import DataError


def test_seed_of_the_split_changes_the_split_only():
    one, two = (read_source(config.DigitsData(seed=seed)) for seed in (0, 1))
    assert not np.array_equal(one.test_source_index, two.test_source_index)
    assert len(one.test_labels) == len(two.test_labels) == 500


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

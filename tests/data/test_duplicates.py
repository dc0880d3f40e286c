"""Duplicates: exact copies are counted, within splits and across them."""

import numpy as np
import pytest
from samples import encode, pets, pixels, write_pets

from bat import data
from bat.config import load_config
from bat.data.duplicates import N_EXAMPLES, count_duplicates, duplicate_notes
from bat.report.summary import summary
from bat.tables import paper_page


def images_of(seeds):
    return np.stack([pixels(seed, (1, 4, 4)) for seed in seeds])


def count(train, train_labels, test, test_labels):
    images = images_of(train), images_of(test)
    return count_duplicates(*images, np.array(train_labels), np.array(test_labels))


def test_known_counts():
    found = count([1, 2, 1, 3, 1, 2], [0, 1, 0, 1, 1, 1], [9, 3, 2, 9], [0, 0, 1, 0])
    assert found["train"] == {
        "repeated": 3,
        "other_label": 1,
        "examples": [[0, 4], [0, 2], [1, 5]],
    }
    assert found["test"] == {"repeated": 1, "other_label": 0, "examples": [[0, 3]]}
    assert found["across"] == {"repeated": 2, "other_label": 1, "examples": [[3, 1], [1, 2]]}
    assert duplicate_notes(found, 4) == [
        "2 of the 4 test images are in the training set too, pixel by pixel, 1 with another label",
        "3 training images repeat an earlier one pixel by pixel, 1 with another label",
        "1 test images repeat an earlier one pixel by pixel",
    ]


def test_a_test_image_with_one_of_several_training_labels_is_no_contradiction():
    found = count([1, 1, 2], [0, 1, 0], [1, 1, 2], [1, 0, 0])
    assert found["across"]["other_label"] == 0 and found["train"]["other_label"] == 1


def test_against_comparing_every_pair():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 2, (n, 1, 1, 4), dtype=np.uint8) for n in (40, 30)]
    labels = [rng.integers(0, 3, n) for n in (40, 30)]
    found = count_duplicates(*images, *labels)
    for split, x in zip(("train", "test"), images, strict=True):
        same = (x[:, None] == x[None]).all((2, 3, 4))
        assert found[split]["repeated"] == np.tril(same, -1).any(1).sum()
    same = (images[1][:, None] == images[0][None]).all((2, 3, 4))
    assert found["across"]["repeated"] == same.any(1).sum()
    agrees = (same & (labels[1][:, None] == labels[0][None])).any(1)
    assert found["across"]["other_label"] == (same.any(1) & ~agrees).sum()
    assert len(found["train"]["examples"]) == N_EXAMPLES


def test_none_are_not_spoken_of():
    found = count([1, 2], [0, 1], [3, 4], [0, 1])
    assert duplicate_notes(found, 2) == []
    assert [found[key]["examples"] for key in found] == [[], [], []]


@pytest.mark.parametrize("noise", [0, 1])
def test_they_are_recorded_and_label_noise_makes_none(tmp_path, caplog, noise):
    folder = write_pets(tmp_path / "pets")  # its test images repeat the first training ones
    (folder / "train" / "dog" / "3.png").write_bytes(encode(pixels(0)))
    info = data.prepare(pets(folder, label_noise={"share": noise}), tmp_path / "data")
    assert info["duplicates"]["across"]["repeated"] == 4
    assert info["duplicates"]["across"]["other_label"] == 0
    assert info["duplicates"]["train"] == {"repeated": 1, "other_label": 1, "examples": [[0, 7]]}
    assert "all of the 4 test images are in the training set too" in caplog.text
    assert data.load(tmp_path / "data").info["duplicates"] == info["duplicates"]


def test_the_summary_and_the_paper_page_say_them(tmp_path):
    folder = write_pets(tmp_path / "pets")
    raw = {"source": "image_folder", "path": str(folder)}
    settings = load_config({"results": str(tmp_path), "datasets": {"d": {"data": raw}}})
    assert summary(settings) == ["d", "-", "no scores yet"]
    data.prepare(settings.datasets["d"].data, tmp_path / "d" / "data", workers=1)
    line = "Duplicates: all of the 4 test images are in the training set too, pixel by pixel."
    assert summary(settings) == ["d", "-", line, "no scores yet"]
    (row,) = paper_page._on_disk(tmp_path, ["d"], [])
    assert row["Test images also in training"] == "4"

"""Data sets from arrays in memory are what the same images from files are."""

import numpy as np
import pytest

import bat

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 3, 8, 8)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 2, 1, 0])


def test_it_is_the_data_set_that_files_give(few_digits):
    arrays = ("train_images", "train_labels", "test_images", "test_labels")
    data = bat.from_arrays(*(getattr(few_digits, name) for name in arrays))
    for key in ("fingerprint", "mean", "std", "class_names", "shape", "n_train", "n_test"):
        assert data.info[key] == few_digits.info[key], key
    assert (data.train_source_index == np.arange(200)).all()


def test_layouts_and_kinds_of_numbers_say_the_same():
    forms = [IMAGES, IMAGES.transpose(0, 2, 3, 1), IMAGES / 255, (IMAGES / 255).tolist()]
    found = {bat.from_arrays(form, LABELS, IMAGES, LABELS).fingerprint for form in forms}
    assert len(found) == 1


def test_grey_images_and_names_of_classes():
    names = np.array(["dog", "cat", "emu"])[LABELS]
    data = bat.from_arrays(IMAGES[:, 0], names, IMAGES[:, 1], names)
    assert data.shape == (1, 8, 8)
    assert data.class_names == ["cat", "dog", "emu"]
    assert np.array(data.class_names)[data.train_labels].tolist() == names.tolist()


def test_settings_are_those_of_a_configuration():
    data = bat.from_arrays(
        IMAGES, LABELS, IMAGES, LABELS, ["a", "b", "c"], resize=4, label_noise={"share": 0.5}
    )
    assert data.shape == (3, 4, 4)
    assert (data.train_labels != LABELS).sum() == 3
    assert data.class_names == ["a", "b", "c"]
    with pytest.raises(ValueError, match="read-only"):
        data.train_labels[0] = 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_images": IMAGES * 2.0}, "train_images go from"),
        ({"train_images": IMAGES.astype(int)}, "train_images are int64"),
        ({"test_images": IMAGES[:, :2]}, r"test_images have shape \(6, 2, 8, 8\)"),
        ({"train_labels": LABELS[:5]}, "6 train images but 5 labels"),
        ({"train_labels": LABELS / 2}, "train_labels are float64"),
        ({"test_labels": LABELS % 2}, "1 of 3 classes have no test images"),
        ({"train_labels": ["x"] * 6, "class_names": ["a", "b"]}, "hold 'x'"),
        ({"resise": 32}, "resise: unknown; did you mean 'resize'"),
        ({"resize": 1}, "resize: .* greater than or equal to 4 .found 1."),
    ],
)
def test_what_is_wrong_is_refused_by_name(change, words):
    arguments = {"train_images": IMAGES, "train_labels": LABELS}
    arguments |= {"test_images": IMAGES, "test_labels": LABELS}
    with pytest.raises(bat.BatError, match=words):
        bat.from_arrays(**arguments | change)

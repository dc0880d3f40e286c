"""Data sets from arrays in memory are what the same images from files are."""

import numpy as np
import pytest
import torch

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
        ({"train_labels": ["a", "b", None] * 2}, "train_labels hold values of NoneType .missing"),
        ({"train_labels": ["a", "b", float("nan")] * 2}, "train_labels hold values of float"),
        ({"train_labels": np.array([b"a", b"b"] * 3)}, r"train_labels are \|S1"),
        ({"class_names": {1: "b", 0: "a", 2: "c"}}, "class_names is dict, expected a list"),
        ({"class_names": {"a", "b", "c"}}, "class_names is set, expected a list"),
        ({"class_names": "abc"}, "class_names is str, expected a list"),
        ({"class_names": ["a", "b", "b"]}, "class_names has a name twice"),
        ({"resise": 32}, "resise: unknown; did you mean 'resize'"),
        ({"resize": 1}, "resize: .* greater than or equal to 4 .found 1."),
    ],
)
def test_what_is_wrong_is_refused_by_name(change, words):
    arguments = {"train_images": IMAGES, "train_labels": LABELS}
    arguments |= {"test_images": IMAGES, "test_labels": LABELS}
    with pytest.raises(bat.BatError, match=words):
        bat.from_arrays(**arguments | change)


def test_numbers_as_objects_are_class_numbers():
    """Not names, which would be sorted as text: 10 before 2."""
    labels = np.arange(24) % 12
    images = np.zeros((24, 1, 8, 8), np.uint8)
    data = bat.from_arrays(images, labels.astype(object), images, labels)
    assert data.train_labels.tolist() == labels.tolist()
    assert data.class_names == [str(number) for number in range(12)]


def test_tensors_that_numpy_does_not_take_as_they_are():
    images = torch.linspace(0, 1, 6 * 64).view(6, 1, 8, 8)
    known = bat.from_arrays(images.bfloat16().float().numpy(), LABELS, images.numpy(), LABELS)
    found = bat.from_arrays(
        images.bfloat16(), torch.tensor(LABELS), images.clone().requires_grad_(), LABELS
    )
    assert found.fingerprint == known.fingerprint

"""What is refused of any source, and balanced parts."""

import re

import numpy as np
import pytest

from bat.data.raw import RawData, check, draw_balanced
from bat.errors import DataError


def test_draw_fills_up_from_larger_classes_and_grows():
    labels = np.array([0] * 3 + [1] * 50 + [2] * 50)
    small, large = (draw_balanced(labels, np.random.default_rng(0), "k", total=n) for n in (30, 60))
    np.testing.assert_array_equal(np.sort(np.bincount(labels[large])), [3, 28, 29])
    assert set(small) < set(large)


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
    check(RawData(**fields), "x")
    with pytest.raises(DataError, match=re.escape(words)):
        check(RawData(**(fields | change)), "x")

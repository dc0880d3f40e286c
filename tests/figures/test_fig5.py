"""Figure 5: which images are shown, and where."""

import numpy as np
import pandas as pd
import pytest
from drawn import IMAGES, overlapping, words

from bat.errors import BatError
from bat.figures import fig5


def test_examples_are_the_nearest_of_each_class(memorization):
    table = fig5.memorization_examples(memorization, ["cat", "dog"], columns=2)
    found = list(table[["row", "column", "index"]].itertuples(index=False, name=None))
    # class 0: the tie at 0 goes to the smaller error; nothing near 0.5, as 1 has nothing near 1
    assert found == [(0, 0, 1), (0, 1, 5), (1, 1, 3), (2, 0, 2)]
    assert list(table["class_name"]) == ["cat", "dog", "dog", "cat"]
    assert list(table["level"]) == [0.0, 0.0, 0.5, 1.0]


def test_examples_give_few_classes_several_columns(memorization):
    table = fig5.memorization_examples(memorization, ["cat", "dog"], levels=[0.0], columns=4)
    assert list(table["column"]) == [0, 1, 2, 3]
    assert list(table["index"]) == [1, 0, 5, 4]


def test_examples_prefer_classes_that_come_near_every_level():
    scores = pd.DataFrame(
        {
            "index": np.arange(5),
            "label": [0, 1, 1, 2, 2],
            "memorization": [0.0, 0.1, 0.9, 0.0, 1.0],
            "memorization_se": 0.01,
        }
    )
    table = fig5.memorization_examples(scores, ["a", "b", "c"], levels=[0, 1], columns=2)
    assert sorted(set(table["class_name"])) == ["b", "c"]
    assert table["column"].max() == 1


def test_examples_leave_out_a_level_that_nothing_is_near(memorization):
    table = fig5.memorization_examples(memorization, ["cat", "dog"], levels=[0, 0.7, 1])
    assert table[["row", "level"]].drop_duplicates().to_numpy().tolist() == [[0, 0], [1, 1]]
    with pytest.raises(BatError, match=r"within 0.1 of 0.7"):
        fig5.memorization_examples(memorization, ["cat", "dog"], levels=[0.7], tolerance=0.1)


def test_examples_show_each_image_at_its_place(examples):
    ax = fig5.plot_memorization_examples(examples, IMAGES)
    assert len(ax.images) == len(examples) == 29
    for image, item in zip(ax.images, examples.itertuples(), strict=True):
        np.testing.assert_array_equal(image.get_array(), IMAGES[item.index].transpose(1, 2, 0))
    left = [image.get_extent()[0] for image in ax.images]
    assert np.argsort(left[:10]).tolist() == list(range(10))
    assert words(ax).count("none") == 1
    assert words(ax)[0] == "−0.03 ± 0.05\na very long…"
    assert {"mem ≈ 0", "mem ≈ 0.5", "mem ≈ 1"} <= set(words(ax))
    assert overlapping(ax.figure) == []


def test_images_of_another_data_set_are_refused(examples):
    with pytest.raises(BatError, match=r"sample 28, but there are 20 training images"):
        fig5.plot_memorization_examples(examples, IMAGES[:20])
    with pytest.raises(BatError, match=r"float64; expected uint8"):
        fig5.plot_memorization_examples(examples, IMAGES / 255)
    with pytest.raises(BatError, match=r"shape \(30, 8, 8, 3\)"):
        fig5.plot_memorization_examples(examples, IMAGES.transpose(0, 2, 3, 1))

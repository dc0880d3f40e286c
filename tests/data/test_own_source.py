"""Data by a function of somebody's own: through the same checks as every source."""

import sys

import numpy as np
import pytest

from bat import config, data
from bat.errors import BatError

SOURCE = """
import numpy as np


def load(
    n=40, shape=(1, 8, 8), first=0, kind="uint8", classes=("a", "b"), without=(), labels=None
):
    rng = np.random.default_rng(0)
    found = {"class_names": classes}
    for split in ("train", "test"):
        found[f"{split}_images"] = rng.integers(0, 256, (n, *shape)).astype(kind)
        found[f"{split}_labels"] = first + np.arange(n, dtype=np.int32) % 2
    if labels == "column":
        found["train_labels"] = found["train_labels"][:, None]
    if labels == "masked":
        found["train_labels"] = np.ma.array(found["train_labels"], mask=np.arange(n) == 3)
    if labels == "grey":
        found["test_images"] = found["test_images"].repeat(3, axis=1)
    return {name: value for name, value in found.items() if name not in without}
"""


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mydata.py").write_text(SOURCE)

    def prepared(settings=None, **more):
        section = config.OwnData(
            source="own", load="mydata.py:load", settings=settings or {}, **more
        )
        data.prepare(section, tmp_path / "data", workers=1)
        return data.load(tmp_path / "data", verify=True)

    return prepared


def test_arrays_are_prepared_as_they_are_given(prepared):
    found = prepared(subsample={"train": 20})
    assert found.train_images.shape == (20, 1, 8, 8)
    assert found.test_labels.dtype == np.int64
    assert found.class_names == ["a", "b"]
    assert "mydata.py:load (sha256 " in found.info["notes"][0]
    assert prepared(resize=16, settings={"shape": [3, 8, 8]}).shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"first": 1}, r"own \(mydata.py:load\): .* training labels out of range, the first 2"),
        ({"kind": "float32"}, "train_images is float32; expected uint8 images"),
        ({"kind": "int64"}, "expected uint8 images"),
        ({"shape": [8, 8]}, r"train_images has shape \(40, 8, 8\), expected \(n, channels"),
        ({"shape": [2, 8, 8]}, "with 1 or 3 channels"),
        ({"without": ["class_names"]}, "expected a mapping of class_names, test_images"),
        ({"classes": ["a", "a"]}, "class_names has a name twice"),
        ({"classes": {"0": "a", "1": "b"}}, "class_names is dict, expected a list of names"),
        ({"classes": ["a", "b", "c"]}, "1 of 3 classes have no training images"),
        ({"labels": "column"}, r"train_labels has shape \(40, 1\), expected \(n,\)"),
        ({"labels": "masked"}, "train_labels has masked values"),
        ({"labels": "grey"}, "1x8x8, test images 3x8x8 .*; give both the same channels"),
        ({"number": 3}, "settings.number is no argument"),
    ],
)
def test_what_does_not_fit_is_refused(prepared, settings, words):
    with pytest.raises(BatError, match=words):
        prepared(settings)

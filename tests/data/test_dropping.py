"""Training samples that a person found wrong are left out, and nothing else changes."""

import json
import os

import numpy as np
import pytest

from bat import config, data
from bat.config import load_config
from bat.data.revisions import data_revision
from bat.errors import DataError
from bat.plan.places import absent
from bat.plan.specifications import all_specifications

HEAD = "split,index,source_index,label,class,verdict"


def review(path, prepared, verdicts, split="train"):
    """What the page saves of verdicts by index."""
    lines = [HEAD]
    for index, verdict in verdicts.items():
        source = getattr(prepared, f"{split}_source_index")[index]
        label = getattr(prepared, f"{split}_labels")[index]
        lines.append(f"{split},{index},{source},{label},{label},{verdict}")
    path.write_text("".join(f"{line}\r\n" for line in lines))
    return path


def test_wrong_ones_are_left_out_and_the_others_stay(digits, tmp_path):
    path = review(tmp_path / "r.csv", digits, {3: "wrong", 5: "keep", 9: "unsure", 700: "wrong"})
    with path.open("a") as file:
        file.write(f"test,4,{digits.test_source_index[4]},0,0,wrong\r\n")
    info = data.prepare(config.DigitsData(drop=path), tmp_path / "data")
    found, kept = data.load(tmp_path / "data", verify=True), np.ones(1297, bool)
    kept[[3, 700]] = False
    for name in ("train_images", "train_labels", "train_source_index"):
        np.testing.assert_array_equal(getattr(found, name), getattr(digits, name)[kept])
    np.testing.assert_array_equal(found.test_images, digits.test_images)
    assert info["dropped"] == {"source_index": digits.train_source_index[[3, 700]].tolist()}
    assert info["fingerprint"] != digits.fingerprint


def test_noise_and_subsample_are_those_of_before(tmp_path):
    given = {"label_noise": {"share": 0.2}, "subsample": {"train": 300}}
    data.prepare(config.DigitsData(**given), tmp_path / "whole")
    whole = data.load(tmp_path / "whole")
    changed = whole.info["label_noise"]["changed"]
    gone = [changed[0], changed[7], next(i for i in range(300) if i not in changed)]
    path = review(tmp_path / "r.csv", whole, dict.fromkeys(gone, "wrong"))
    info = data.prepare(config.DigitsData(drop=path, **given), tmp_path / "part")
    part, kept = data.load(tmp_path / "part"), np.ones(300, bool)
    kept[gone] = False
    np.testing.assert_array_equal(part.train_source_index, whole.train_source_index[kept])
    np.testing.assert_array_equal(part.train_labels, whole.train_labels[kept])
    noisy = np.zeros(300, bool)
    noisy[changed] = True
    assert info["label_noise"]["changed"] == np.flatnonzero(noisy[kept]).tolist()
    before = dict(zip(changed, whole.info["label_noise"]["original_labels"], strict=True))
    left = [before[i] for i in changed if kept[i]]
    assert info["label_noise"]["original_labels"] == left


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("index,verdict\n3,wrong\n", "no column source_index; expected a CSV file"),
        (f"{HEAD}\ntrain,3,x,0,0,wrong\n", "line 2: 'x' is no index"),
        (f"{HEAD}\ntrain,3,-1,0,0,wrong\n", "line 2: '-1' is no index"),
        (f"{HEAD}\ntrain,3\n", "line 2: more or fewer cells than columns"),
        (f"{HEAD}\ntrain,3,3,0,a,b,wrong\n", "line 2: more or fewer cells than columns"),
        (f"{HEAD}\ntrain,3,3,0,0,Wrong\n", "line 2: 'Wrong' is no verdict .known: keep, wrong"),
        (f"{HEAD}\nvalidation,3,3,0,0,wrong\n", "line 2: 'validation' is no split"),
        (f"{HEAD.replace('v', 'V')}\ntrain,3,3,0,0,keep\n", "'Verdict' is to be called verdict"),
        (f"{HEAD}\ntrain,3,3,0,0,wrong\ntrain,3,3,0,0,keep\n", "line 3: sample 3 is there"),
        (f"{HEAD}\ntrain,3,{'9' * 5000},0,0,wrong\n", "line 2: '9{40}' is no index"),
        ("source_index\n99999\n", "99999 is no index of a training sample in the source"),
    ],
)
def test_what_is_no_such_list_is_refused(tmp_path, text, words):
    path = tmp_path / "r.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        data.prepare(config.DigitsData(drop=path), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_another_label_is_refused(digits, tmp_path):
    source, label = digits.train_source_index[3], digits.train_labels[3]
    path = tmp_path / "r.csv"
    path.write_text(f"source_index,label\n{source},{label + 1}\n")
    with pytest.raises(DataError, match=f"label {label + 1}, and {label} in the source"):
        data.prepare(config.DigitsData(drop=path), tmp_path / "data")


def raw(tmp_path, **given):
    data_set = {"source": "digits"} | given
    return {"results": str(tmp_path / "results"), "datasets": {"d": {"data": data_set}}}


def test_it_is_looked_up_before_anything_runs(tmp_path):
    given = load_config(raw(tmp_path, drop=str(tmp_path / "none.csv")))
    (problem,) = absent(given)
    assert problem.startswith("datasets.d.data: ") and "does not exist" in problem
    (tmp_path / "none.csv").write_text("a,b\n")
    assert "no column source_index" in absent(given)[0]


def test_without_it_specifications_are_as_they_were_and_an_edit_is_noticed(digits, tmp_path):
    def spec(**given):
        return all_specifications(load_config(raw(tmp_path, **given)))["d", "data"]

    assert "drop" not in json.dumps(spec())
    path = review(tmp_path / "r.csv", digits, {3: "wrong"})
    first, folder = spec(drop=str(path)), tmp_path / "results" / "d" / "data"
    assert first["data"]["drop"] == str(path)
    settings = config.DigitsData(drop=path)
    data.prepare(settings, folder)
    assert spec(drop=str(path)) == first
    os.utime(path, ns=(1, 1))
    assert data_revision(settings, folder) == {}  # the same content
    review(path, digits, {3: "wrong", 4: "wrong"})
    assert data_revision(settings, folder).keys() == {"sources"}
    assert spec(drop=str(path)) != first

"""Histories of runs are taken only where they are of what lies there now."""

import shutil

import numpy as np
import pytest
from short_runs import CPU, specification, train

from bat.errors import ArtifactError
from bat.files import write_table
from bat.report.comparison import Comparison
from bat.report.folder import Folder
from bat.training import Inputs, train_run

SHORT = {"epochs": 1, "batch_size": 100, "milestones": []}
RUNS = {
    "first": {"method": "erm", "training": SHORT},
    "then": {"method": "erm", "training": SHORT, "start_from": "first"},
    "ranked": {
        "method": "bat",
        "training": SHORT,
        "score": "csl",
        "top": 0.1,
        "samples": {"drop": {"score": "aum", "top": 0.1}},
    },
}
PROXIES = {"names": ["csl", "aum"]}


def specified(run, **changes):
    return specification(run, runs=RUNS, proxies=PROXIES, **changes)


def write_proxies(scores, prepared, seed):
    """A made-up table of scores of single trainings."""
    values = np.random.default_rng(seed).random((2, prepared.info["n_train"]))
    columns = {"index": np.arange(values.shape[1]), "label": prepared.train_labels}
    about = {"fingerprint": prepared.fingerprint, "recipe": {"seeds": [0]}, "command": "test"}
    columns |= dict(zip(PROXIES["names"], values, strict=True))
    cost = dict.fromkeys(PROXIES["names"], 1.0)
    write_table(scores / "proxies.parquet", "proxies", columns, cost=cost, **about)


@pytest.fixture(scope="module")
def folder(few_digits, tmp_path_factory):
    """A results folder with runs that start from another, or go by scores of single trainings."""
    place = tmp_path_factory.mktemp("results") / "digits"
    shutil.copytree(few_digits.folder, place / "data")
    write_proxies(place / "scores", few_digits, seed=0)
    runs = place / "small_cnn-4" / "runs"
    inputs = Inputs(None, place / "scores", runs / "first" / "seed0" / "best.pt")
    for run in RUNS:
        train(runs / run / "seed0", few_digits, specified(run), inputs)
    return place


def comparison(place):
    spec = {"dataset": "digits", "architecture": "small_cnn-4", "seeds": [0], "external": {}}
    return Comparison(Folder(place), spec, [specified(run) for run in RUNS])


def test_runs_that_start_from_another_or_go_by_single_trainings_are_followed(folder):
    found = comparison(folder).histories(RUNS)
    assert [of for of, history in found.items() if len(history) == 1] == [(r, 0) for r in RUNS]


def test_a_run_whose_start_is_another_now_is_refused(folder, few_digits, tmp_path):
    place = tmp_path / "digits"
    shutil.copytree(folder, place)
    first = place / "small_cnn-4" / "runs" / "first" / "seed0"
    changed = specified("first") | {"training": specified("first")["training"] | {"lr": 0.01}}
    train_run(first, few_digits, changed, Inputs(), device=CPU, command="test")
    with pytest.raises(ArtifactError, match="made of other start than those that lie there now"):
        comparison(place).histories(["then"])


def test_a_run_of_other_scores_of_single_trainings_is_refused(folder, few_digits, tmp_path):
    place = tmp_path / "digits"
    shutil.copytree(folder, place)
    write_proxies(place / "scores", few_digits, seed=1)
    comparison(place).histories(["first", "then"])
    with pytest.raises(ArtifactError, match=r"made of other (csl|aum) and (csl|aum)"):
        comparison(place).histories(["ranked"])


def test_captions_say_which_score_the_groups_of_runs_go_by_and_how_its_models_fitted(
    few_digits, tmp_path
):
    shutil.copytree(few_digits.folder, tmp_path / "digits" / "data")
    index = np.arange(few_digits.info["n_train"])
    columns = {"index": index, "typical": index >= 30, "atypical": index < 30}
    about = {"fingerprint": few_digits.fingerprint, "recipe": {}, "command": "test"}
    path = tmp_path / "digits" / "groups" / "train.parquet"
    thresholds = {"score": "csl", "top": 0.1, "bottom": 0.5}
    write_table(path, "groups", columns, thresholds=thresholds, **about)
    runs = {"x": {"method": "erm", "training": SHORT, "samples": "typical"}}
    spec = {"dataset": "digits", "architecture": "small_cnn-4", "seeds": [0], "external": {}}
    seen = Comparison(Folder(tmp_path / "digits"), spec, [specification("x", runs=runs)])
    text = seen.noted("A caption.", ["x"])
    assert text.startswith("A caption. Training samples are grouped by csl: atypical are the 10")
    assert seen.noted(text, ["x"]) == text  # said once

"""Runs: what the configuration leaves open is settled before a job starts."""

from __future__ import annotations

import pytest

from bat.config import load_config
from bat.plan import runs


def dataset(**settings):
    return load_config({"datasets": {"x": {"data": {"source": "cifar10"}, **settings}}}).datasets[
        "x"
    ]


def objective(run: str, architecture: str = "resnet18", **settings) -> dict:
    """The resolved method of one of the default runs, or of those in ``settings``."""
    chosen = dataset(**settings)
    return runs.objective(chosen.runs[run], architecture, chosen)


def test_keys_of_later_versions_are_in_a_specification_where_they_are_set():
    smooth = {"training": {"label_smoothing": 0.1, "warmup_epochs": 5, "schedule": "cosine"}}
    chosen = dataset(runs={"pgd-at": smooth})
    assert objective("pgd-at", runs={"pgd-at": smooth})["label_smoothing"] == 0.1
    written = {name: run.training.model_dump(mode="json") for name, run in chosen.runs.items()}
    assert {"label_smoothing", "warmup_epochs"} <= written["pgd-at"].keys()
    assert not {"label_smoothing", "warmup_epochs"} & written["trades"].keys()
    assert "label_smoothing" not in objective("trades")
    cell = runs.all_runs(chosen)["bat-1-0.1"]  # of the ablation, which takes PGD-AT's training
    assert cell.training.label_smoothing == 0.1


@pytest.mark.parametrize(
    ("architecture", "beta"), [("resnet18", 5.0), ("wrn-28-10", 6.0), ("small_cnn", 5.0)]
)
def test_beta_of_mart_is_the_references_for_the_architecture(architecture, beta):
    assert objective("mart", architecture)["beta"] == beta
    mine = {"mart": {"method": "mart", "beta": 2.5}}
    assert objective("mart", architecture, runs=mine)["beta"] == 2.5


def test_step_of_the_references_follows_eps():
    adversary = {"eps": "4/255", "step": "1/255", "steps": 7}
    for run in ("trades", "mart", "gairat"):
        found = objective(run, adversary=adversary)
        assert found["step"] / found["eps"] == pytest.approx(0.007 / 0.031)
        assert found["steps"] == 7
    for run in ("pgd-at", "bat-1-0.2"):
        assert objective(run, adversary=adversary)["step"] == pytest.approx(1 / 255)


def test_gairat_begins_after_its_share_of_the_epochs():
    assert objective("gairat", training={"epochs": 30, "milestones": [20]})["begin_epoch"] == 15


@pytest.mark.parametrize("method", ["mail-at", "mail-trades", "mail-mart"])
def test_mail_weighs_after_its_share_of_the_epochs(method):
    def resolved(**settings):
        return objective("m", "wrn-28-10", runs={"m": {"method": method, **settings}}, **brief)

    brief = {"training": {"epochs": 120}}
    assert resolved()["begin_epoch"] == 76  # as in the reference
    assert resolved(begin=0)["begin_epoch"] == 1
    assert resolved(begin=0.99)["begin_epoch"] == 120
    assert resolved()["step"] / resolved()["eps"] == pytest.approx(0.007 / 0.031)
    assert resolved().get("beta") == {"mail-trades": 5.0, "mail-mart": 6.0}.get(method)


def test_an_external_model_belongs_to_one_architecture():
    models = {"a": {"checkpoint": "a.pt"}, "b": {"checkpoint": "b.pt", "architecture": "resnet9"}}
    chosen = dataset(architectures=["resnet18", "resnet9"], external=models)
    assert runs.external_models(chosen, "resnet18") == ["a"]
    assert runs.external_models(chosen, "resnet9") == ["b"]

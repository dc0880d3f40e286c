"""Specifications hold what a stage depends on, and nothing else."""

from __future__ import annotations

from bat.config import load_config
from bat.plan.specifications import STAGES, all_specifications


def test_sizes_of_jobs_change_no_specification():
    def specs(**settings):
        configured = {"data": {"source": "cifar10"}, **settings}
        return all_specifications(load_config({"datasets": {"x": configured}}))

    assert specs(scores={"trials_per_job": 7}) == specs(scores={"trials_per_job": 11})
    assert specs()["x", "poisoning"]["stage_version"] == STAGES["poisoning"]


def test_margins_change_no_recipe_and_by_default_no_specification():
    def specs(**settings):
        scores = {"architecture": "small_cnn", **settings}
        configured = {"data": {"source": "digits"}, "scores": scores}
        return all_specifications(load_config({"datasets": {"x": configured}}))

    default, without = specs(), specs(margins=False)
    assert specs(margins=True) == default
    name = ("x", "trials-small_cnn")
    assert "margins" not in default[name]  # the specifications of before have no such key
    assert without[name] == default[name] | {"margins": False}
    assert without[name]["recipe"] == default[name]["recipe"]


def test_averaged_weights_are_in_the_specification_of_their_run_alone():
    def specs(**settings):
        runs = {"pgd-at": {"method": "pgd-at", "training": {"epochs": 200}, **settings}}
        configured = {"data": {"source": "cifar10"}, "runs": runs}
        return all_specifications(load_config({"datasets": {"x": configured}}))

    default, name = specs(), ("x", "resnet18-run-pgd-at")
    assert specs(averaging=None) == default
    assert "averaging" not in default[name]  # the specifications of before have no such key
    ema = specs(averaging={"kind": "ema"})
    settings = {"kind": "ema", "decay": 0.999, "begin_epoch": 1}
    assert ema[name] == default[name] | {"averaging": settings}
    changed = {key for key in default if ema[key] != default[key]}
    cells = {key for key in default if key[1].startswith("resnet18-run-bat")}
    assert changed <= {name} | cells
    swa = specs(averaging={"kind": "swa"})[name]["averaging"]
    assert swa == {"kind": "swa", "begin_epoch": 56}  # as in the reference

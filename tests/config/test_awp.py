"""``awp`` on a run: which methods take it, what it is where it is left open, what is refused."""

from __future__ import annotations

import pytest

from bat import config
from bat.config import ConfigError
from bat.objectives import build_objective
from bat.plan.runs import all_runs
from bat.plan.specifications import all_specifications

METHODS = ["pgd-at", "trades", "mart", "gairat", "mail-at", "mail-trades", "mail-mart", "bat"]


def load(run, epochs=200, **settings):
    training = {"epochs": epochs, "milestones": []}
    raw = {"data": {"source": "digits"}, "architectures": ["small_cnn"], "training": training}
    return config.load_config({"datasets": {"x": raw | {"runs": {"mine": run}} | settings}})


def objective(run, epochs=200):
    specs = all_specifications(load(run, epochs))
    return specs["x", "small_cnn-run-mine"]["objective"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_that_attacks_takes_it_as_the_authors_do(method):
    trades = method in ("trades", "mail-trades")
    settings = objective({"method": method, "awp": {}})
    assert settings["awp"] == {"gamma": 0.005 if trades else 0.01, "warmup": 10 if trades else 0}
    assert build_objective(settings).objective.name == method
    given = objective({"method": method, "awp": {"gamma": 0.02, "warmup": 3}})
    assert given["awp"] == {"gamma": 0.02, "warmup": 3}


def test_a_default_warm_up_leaves_most_of_a_short_training():
    assert objective({"method": "trades", "awp": {}}, epochs=6)["awp"]["warmup"] == 0
    assert objective({"method": "trades", "awp": {}}, epochs=40)["awp"]["warmup"] == 2


@pytest.mark.parametrize("method", METHODS)
def test_a_specification_has_it_where_it_is_set_alone(method):
    plain, switched = objective({"method": method}), objective({"method": method, "awp": {}})
    assert "awp" not in plain
    assert plain == {key: value for key, value in switched.items() if key != "awp"}
    assert plain == objective({"method": method, "awp": None})


def test_it_changes_the_run_that_sets_it_and_no_other():
    plain = all_specifications(load({"method": "bat"}))
    switched = all_specifications(load({"method": "bat", "awp": {}}))
    changed = [name for name in plain if plain[name] != switched[name]]
    assert changed == [("x", "small_cnn-run-mine")]


def test_the_ablation_follows_the_run_that_it_starts_from():
    """Its cells are those of `pgd-at` with a weight and a loss more."""
    runs = {"pgd-at": {"awp": {"gamma": 0.02}}}
    dataset = load(None, runs=runs, ablation={"alpha": [0, 2], "beta": [0.4]}).datasets["x"]
    assert all_runs(dataset)["bat-2-0.4"].awp.gamma == 0.02


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"method": "erm", "awp": {}}, "runs.mine: awp moves the weights .* erm has none"),
        ({"method": "bat", "awp": {"gama": 1}}, "runs.mine.awp.gama: unknown key; did you mean"),
        ({"method": "bat", "awp": {"gamma": -1}}, "runs.mine.awp.gamma: .* greater than or equal"),
        ({"method": "bat", "awp": {"warmup": -1}}, "runs.mine.awp.warmup: .* greater than or"),
        ({"method": "bat", "awp": {"warmup": 200}}, "warmup is 200 of 200 epochs, so awp would"),
        ({"method": "m.py:Mine", "awp": {"warmup": 201}}, "warmup is 201 of 200 epochs"),
    ],
)
def test_what_has_no_meaning_is_refused(run, words):
    with pytest.raises(ConfigError, match=words):
        load(run)

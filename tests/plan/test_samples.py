"""Samples that runs choose, and what they start from: in specifications, as inputs, refused."""

from __future__ import annotations

from hashlib import sha256

import pytest
import torch

from bat.config import load_config
from bat.devices import Runtime
from bat.errors import BatError
from bat.files.indices import indices_digest
from bat.plan import inputs
from bat.plan.runs import all_runs
from bat.plan.samples import sample_problems
from bat.plan.specifications import all_specifications, run_specification
from bat.plan.stages import Place
from bat.plan.starting import start_problems


def configured(tmp_path, runs, **settings):
    digits = {"data": {"source": "digits"}, "architectures": ["small_cnn-4"], "runs": runs}
    raw = {"results": str(tmp_path / "results"), "datasets": {"digits": digits | settings}}
    return load_config(raw)


def specified(config, run="x"):
    dataset = config.datasets["digits"]
    return run_specification("digits", dataset, "small_cnn-4", run, all_runs(dataset)[run])


def test_a_list_is_in_the_specification_by_its_samples_and_a_score_by_its_threshold(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("5\n3\n")
    bat = {"method": "bat", "samples": {"drop": {"score": "confidence"}}}
    config = configured(
        tmp_path,
        {
            "x": {"method": "pgd-at", "samples": {"keep": str(path)}},
            "y": bat,
            "z": {"method": "erm", "samples": {"drop": "atypical"}},
        },
    )
    keep = {"file": str(path), "sha256": indices_digest([3, 5])}
    assert specified(config)["samples"] == {"keep": keep}
    assert specified(config, "y")["samples"] == {"drop": {"kind": "confidence", "sigma": 0.5}}
    assert inputs.run_inputs(specified(config)) == {}
    assert inputs.run_inputs(specified(config, "y")) == {
        "scores": "scores/memorization.parquet",
        "dropped": "scores/confidence.parquet",
    }
    assert inputs.run_inputs(specified(config, "z")) == {"groups": "groups/train.parquet"}
    assert "samples" not in specified(config, "trades")
    all_specifications(config)


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (
            {"samples": {"keep": "absent.csv"}},
            "x.samples.keep: absent.csv: the file does not exist",
        ),
        ({"samples": {"keep": "large.csv"}}, "no sample 1297 among the 1,297 training samples"),
        ({"method": "bat", "samples": {"drop": "atypical"}}, "x.samples: bat lets poisoning"),
        (
            {"method": "bat", "samples": {"drop": {"score": "memorization", "sigma": 0.15}}},
            "leave none of them in",
        ),
        (
            {
                "method": "bat",
                "top": 0.1,
                "samples": {"drop": {"score": "memorization", "top": 0.1}},
            },
            "leave none of them in",
        ),
        (
            {
                "method": "bat",
                "score": "confidence",
                "samples": {"drop": {"score": "confidence", "sigma": 0.6}},
            },
            "leave none of them in",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_runs(run, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large.csv").write_text("index\n0\n1297\n")
    config = configured(tmp_path, {"x": {"method": "pgd-at"} | run})
    (found,) = sample_problems(config)
    assert found.startswith("datasets.digits.runs.x.samples") and problem in found
    with pytest.raises(BatError, match=r"runs\.x\.samples"):
        all_specifications(config)


@pytest.mark.parametrize(
    "run",
    [
        {"alpha": 0, "samples": {"drop": "atypical"}},
        {"samples": {"drop": {"score": "memorization", "sigma": 0.5}}},
        {"top": 0.2, "samples": {"drop": {"score": "memorization", "top": 0.1}}},
        {"score": "confidence", "samples": {"drop": {"score": "confidence", "sigma": 0.4}}},
        {"train_on": {"atypical": 0}},
    ],
)
def test_bat_with_memorized_samples_left_is_not_refused(run, tmp_path):
    assert sample_problems(configured(tmp_path, {"x": {"method": "bat"} | run})) == []


@pytest.mark.parametrize(
    ("run", "groups"),
    [
        ({}, {"false_discovery": 0.1}),  # the group holds but those that stand
        ({}, {"significance": 2}),
        ({}, {"atypical_above": 0.3}),
        ({"score": "confidence"}, {}),
        ({"sigma": 0.1}, {}),
    ],
)
def test_memorized_samples_beside_the_atypical_group_are_some_to_weigh(run, groups, tmp_path):
    runs = {"x": {"method": "bat", "samples": {"drop": "atypical"}} | run}
    assert sample_problems(configured(tmp_path, runs, groups=groups)) == []


def test_bat_without_what_the_groups_call_atypical_by_its_own_score(tmp_path):
    groups = {"score": "confidence", "top": 0.1}
    run = {"method": "bat", "score": "confidence", "samples": {"drop": "atypical"}}
    found = sample_problems(configured(tmp_path, {"x": run | {"top": 0.1}}, groups=groups))
    assert len(found) == 1 and "leave none of them in" in found[0]
    for other in ({"top": 0.2}, {"sigma": 0.5}, {"score": "memorization"}):
        assert sample_problems(configured(tmp_path, {"x": run | other}, groups=groups)) == []


@pytest.mark.parametrize(
    ("base", "samples", "where"),
    [
        ("pgd-at", {"drop": "atypical"}, "figure 4 makes BAT of this run"),
        (
            "bat-1-0.2",
            {"drop": {"score": "confidence", "sigma": 0.6}},
            "the table of substitutions makes BAT of this run",
        ),
    ],
)
def test_runs_that_studies_make_are_refused_once_at_the_key_they_come_from(
    base, samples, where, tmp_path
):
    (problem,) = sample_problems(configured(tmp_path, {base: {"samples": samples}}))
    assert problem.startswith(f"datasets.digits.runs.{base}.samples: {where}")


def test_the_plan_counts_the_samples_that_are_left(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("\n".join(map(str, range(50))))
    config = configured(
        tmp_path,
        {
            "listed": {"method": "pgd-at", "samples": {"keep": str(path)}},
            "cut": {
                "method": "pgd-at",
                "samples": {"drop": {"score": "memorization", "top": 0.1}},
            },
        },
    )
    cpu = Runtime(torch.device("cpu"))
    place = Place(config, "digits", config.datasets["digits"], cpu)
    runs = config.datasets["digits"].runs
    counts = {name: place.seconds.trained_on(runs[name]) for name in ("listed", "cut", "pgd-at")}
    assert counts == {"listed": 50, "cut": 1297 - 130, "pgd-at": 1297}


# -- what runs start from -------------------------------------------------------------------


def test_what_a_run_starts_from_is_in_its_specification_and_among_its_inputs(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    config = configured(
        tmp_path,
        {
            "x": {"method": "trades", "start_from": "erm-all"},
            "y": {"method": "trades", "start_from": str(path)},
        },
    )
    assert specified(config)["start_from"] == {"run": "erm-all"}
    found = inputs.run_inputs(specified(config), 3)
    assert found == {"start": "small_cnn-4/runs/erm-all/seed3/best.pt"}
    file = {"file": str(path), "sha256": sha256(b"weights").hexdigest()}
    assert specified(config, "y")["start_from"] == file
    assert inputs.run_inputs(specified(config, "y")) == {}
    assert "start_from" not in specified(config, "trades")
    assert start_problems(config) == []


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        ({"x": "absent.pt"}, "runs.x.start_from: absent.pt is no file"),
        ({"x": "nobody"}, "runs.x.start_from: 'nobody' is no run; expected a file or one of"),
        ({"x": "x"}, "runs.x.start_from: goes round in a circle (x -> x)"),
        ({"x": "y", "y": "x"}, "runs.x.start_from: goes round in a circle (x -> y -> x)"),
    ],
)
def test_a_start_that_is_none_is_refused_before_anything_runs(runs, problem, tmp_path):
    runs = {name: {"method": "erm", "start_from": start} for name, start in runs.items()}
    config = configured(tmp_path, runs)
    assert f"datasets.digits.{problem}" in start_problems(config)[0]
    with pytest.raises(BatError, match="start_from"):
        all_specifications(config)

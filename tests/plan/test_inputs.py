"""What figures, tables and jobs are made from, against the workflow's own graph of jobs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bat.config import ConfigError, load_config
from bat.errors import BatError
from bat.plan import inputs
from bat.plan.catalogue import read_catalogue
from bat.plan.costs import plan
from bat.plan.specifications import all_specifications

SOME = {
    "data": {"source": "digits"},
    "scores": {"architecture": "small_cnn-4", "trials": 60, "trials_per_job": 40},
    "ensemble": {"architectures": ["small_cnn-4", "wrn-10-1"], "members": 40},
    "architectures": ["small_cnn-4", "small_cnn-6"],
    "seeds": [3, 1],
    "training": {"epochs": 3, "schedule": "cosine"},
    "ablation": {"alpha": [0.5], "beta": [0, 0.2]},
    "runs": {
        "bat-c": {"method": "bat", "score": "confidence"},
        "typical-only": {"method": "erm", "train_on": {"atypical": 0.5}, "start_from": "bat-c"},
        "fewer": {"method": "erm", "samples": {"drop": {"score": "disagreement"}}},
    },
    "studies": {"atypical": [0.2, 0.5], "scores": ["confidence"]},
}


@pytest.fixture
def some(tmp_path):
    """A configuration in which no study is another one's, and an external model of the second."""
    (tmp_path / "theirs.pt").touch()
    theirs = {"checkpoint": str(tmp_path / "theirs.pt"), "architecture": "small_cnn-6"}
    raw = {
        "results": str(tmp_path / "results"),
        "compute": {"device": "cpu"},
        "datasets": {"d": SOME | {"external": {"theirs": theirs}}},
    }
    return raw, load_config(raw)


@pytest.fixture
def comparison(some):
    """The specification of what compares the runs of the second architecture."""
    return all_specifications(some[1])["d", "comparison-small_cnn-6"]


def test_runs_are_those_that_each_figure_or_table_shows(comparison):
    def runs(artefact):
        return inputs.runs_of(read_catalogue()[artefact].runs, comparison)

    assert runs("methods")[-3:] == ["typical-only", "fewer", "theirs"]
    trained = inputs.trained_runs(read_catalogue()["methods"], comparison)
    assert trained == runs("history") == runs("methods")[:-1]
    assert runs("fig4") == ["bat-0.5-0", "bat-0.5-0.2"]
    assert runs("substitution") == ["bat-1-0.2", "bat-1-0.2-confidence"]
    assert (runs("fig1"), runs("fig8")) == (["pgd-at-all"], ["erm-all"])
    assert runs("fig2") == ["pgd-at-atypical-20", "pgd-at-atypical-50"]
    assert runs("typical") == runs("representation") == runs("fig14") + runs("fig2")
    assert inputs.annotation_job(comparison) == ("pgd-at-atypical-0", 3)
    scored = inputs.jobs("poisoning", comparison)
    assert sorted(scored) == [("pgd-at", 1), ("pgd-at", 3), ("pgd-at-atypical-0", 3)]


def test_files_are_of_every_seed_and_of_the_scores_that_runs_go_by(some, comparison):
    specs = all_specifications(some[1])

    def files(artefact):
        entry = read_catalogue()[artefact]
        runs = inputs.trained_runs(entry, comparison)
        found = [specs["d", f"small_cnn-6-run-{run}"] for run in runs]
        return inputs.inputs_of(entry, comparison, found)

    theirs = [file for file in files("methods") if "theirs" in file]
    assert theirs == ["small_cnn-6/evaluations/theirs/seed0.parquet"]
    by_memorization = ["scores/memorization.parquet", "groups/train.parquet", "groups/test.parquet"]
    assert files("substitution")[-3:] == by_memorization
    assert files("fig4")[-1] == by_memorization[0]
    by_confidence = [specs["d", "small_cnn-6-run-bat-c"]]
    assert not set(by_memorization) & set(
        inputs.inputs_of(read_catalogue()["substitution"], comparison, by_confidence)
    )
    only = {"d": {"data": {"source": "digits"}, "runs": {"x": {"method": "pgd-at"}}}}
    groups, confidence = set(by_memorization[1:]), "scores/confidence.parquet"
    for samples, behind in (
        ("all", set()),
        ({"drop": {"score": "confidence"}}, {confidence}),
        ({"drop": {"score": "memorization", "top": 0.1}}, set(by_memorization)),
        ({"drop": "atypical"}, groups),
        ("typical", groups),
    ):
        only["d"]["runs"]["x"]["samples"] = samples
        run = all_specifications(load_config({"datasets": only}))["d", "resnet18-run-x"]
        made_of = inputs.inputs_of(read_catalogue()["methods"], comparison, [run])
        assert set(made_of) & {*by_memorization, confidence} == behind, samples
    assert files("fig1") == [
        "groups/train.parquet",
        "groups/test.parquet",
        "small_cnn-6/runs/pgd-at-all/seed3/history.parquet",
        "small_cnn-6/runs/pgd-at-all/seed1/history.parquet",
    ]


def test_a_run_is_made_from_the_groups_and_scores_that_it_uses(some):
    specs = all_specifications(some[1])

    def made_from(run):
        return inputs.run_inputs(specs["d", f"small_cnn-4-run-{run}"])

    assert made_from("trades") == {}
    assert made_from("bat-c") == {"scores": "scores/confidence.parquet"}
    assert made_from("pgd-at-atypical-20") == {"groups": "groups/train.parquet"}


def test_figures_without_their_tables_are_not_drawn():
    source = {"source": "tables.zip", "tables": ["confidence"]}
    raw = {"datasets": {"d": {"data": {"source": "digits"}, "scores": source}}}
    dataset = load_config(raw).datasets["d"]
    assert inputs.absent_tables(dataset) == {"disagreement", "convergence", "privacy"}
    of_dataset = {
        name: entry for name, entry in read_catalogue().items() if entry.scope == "dataset"
    }
    drawn = [name for name, entry in of_dataset.items() if inputs.is_drawn(dataset, entry)]
    assert drawn == ["browse", "fig5", "fig6", "fig7", "groups"]
    used = inputs.used_files(dataset, of_dataset["browse"])
    assert used == ["scores/confidence.parquet"]
    assert inputs.score_files(dataset)[-1] == "scores/confidence.parquet"


def test_only_what_is_asked_for_of_an_architecture_has_jobs(some):
    raw, config = some
    raw["datasets"]["d"]["only"] = {"small_cnn-4": ["fig1", "methods"], "small_cnn-6": []}
    specs = all_specifications(load_config(raw))
    some_of, nothing = (specs["d", f"comparison-small_cnn-{width}"] for width in (4, 6))
    trained = dict(inputs.jobs("runs", some_of))
    assert {"pgd-at-all", "trades", "bat-c"} <= trained.keys()
    assert not {"erm-all", "pgd-at-atypical-0", "bat-0.5-0"} & trained.keys()
    assert {run for run, _ in inputs.jobs("evaluations", some_of)} == {*some_of["runs"]}
    assert inputs.jobs("poisoning", some_of) == inputs.jobs("representation", some_of) == []
    assert not any(inputs.jobs(kind, nothing) for kind in inputs.NEEDS)
    before = all_specifications(config)
    changed = {key for key in before if specs[key] != before[key]}
    assert changed == {("d", "comparison-small_cnn-4"), ("d", "comparison-small_cnn-6")}


def test_last_epochs_are_judged_where_it_is_asked_for(some):
    raw, config = some
    raw["datasets"]["d"]["evaluation"] = {"last": True}
    raw["datasets"]["d"]["baseline"] = "theirs"
    specs, before = all_specifications(load_config(raw)), all_specifications(config)
    changed = {key for key in before if specs[key] != before[key]}
    assert changed == {("d", "comparison-small_cnn-4"), ("d", "comparison-small_cnn-6")}
    asked, plain = (of["d", "comparison-small_cnn-6"] for of in (specs, before))
    assert asked["baseline"] == "theirs" and "baseline" not in plain
    jobs = inputs.jobs("evaluations-last", asked)
    assert jobs == [(run, seed) for run in asked["runs"] for seed in (3, 1)]
    assert inputs.jobs("evaluations-last", plain) == []
    files = inputs.inputs_of(read_catalogue()["methods"], asked)
    assert "small_cnn-6/evaluations/trades/seed3-last.parquet" in files
    assert not any("theirs" in file for file in files if "last" in file)
    rows = {row.stage: row for row in plan(load_config(raw))}
    assert rows["evaluation of last, small_cnn-6"].jobs == len(jobs)


def test_only_names_what_is_made_of_the_runs_of_an_architecture(some, run_bat, tmp_path):
    raw, _ = some
    raw["datasets"]["d"]["only"] = {"small_cnn-4": ["fig1", "fig6"]}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(BatError, match="fig6 is no figure or table of runs; expected some of"):
        all_specifications(load_config(raw))
    refused = run_bat("check", tmp_path / "config.json", check=False)
    assert "datasets.d.only.small_cnn-4: fig6 is no figure or table" in refused.stderr
    raw["datasets"]["d"]["only"] = {"resnet18": ["fig1"]}
    with pytest.raises(ConfigError, match="resnet18 is not among architectures"):
        load_config(raw)


def test_only_that_leaves_a_target_nothing_is_said(some, repository, tmp_path):
    raw, _ = some
    raw["datasets"]["d"]["only"] = {"small_cnn-4": ["fig1"], "small_cnn-6": ["fig1", "fig4"]}
    listed = dry_run(raw, repository, tmp_path, "fig4")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert re.search(r"^draw_fig4 +1$", listed.stdout, re.M)
    refused = dry_run(raw, repository, tmp_path, "fig2")
    assert "fig2 is made of no architecture: every `only`" in refused.stdout + refused.stderr


def test_a_run_that_starts_from_another_waits_for_it_and_is_given_it(some, repository, tmp_path):
    raw, _ = some
    raw["datasets"]["d"]["only"] = {"small_cnn-4": ["fig1"], "small_cnn-6": []}
    runs = raw["datasets"]["d"]["runs"] | {"pgd-at": {"start_from": "typical-only"}}
    raw["datasets"]["d"] |= {"runs": runs, "ablation": {"alpha": [0], "beta": [0]}}
    comparison = all_specifications(load_config(raw))["d", "comparison-small_cnn-4"]
    starts = {"pgd-at": "typical-only", "typical-only": "bat-c"}
    assert comparison["starts"] == starts
    assert inputs.jobs("runs", comparison) == [("pgd-at-all", 3), ("pgd-at-all", 1)]
    shown = comparison | {"only": ["fig4"], "seeds": [3]}
    assert inputs.jobs("runs", shown) == [("pgd-at", 3), ("typical-only", 3), ("bat-c", 3)]
    folder = tmp_path / "results" / "d" / "small_cnn-4" / "runs"
    listed = dry_run(raw, repository, tmp_path, folder / "typical-only" / "seed3" / "last.pt")
    first = folder / "bat-c" / "seed3" / "best.pt"
    assert f"--start {first}" in listed.stdout, listed.stdout + listed.stderr
    assert re.search("^train +2$", listed.stdout, re.M)


def dry_run(raw: dict, repository, folder, target: str | Path) -> subprocess.CompletedProcess:
    """What Snakemake would run for a target of a configuration."""
    (folder / "config.json").write_text(json.dumps(raw))
    command = [sys.executable, "-m", "snakemake", "--dry-run", "-p", "--cores", "1", target]
    command += ["--snakefile", repository / "workflow" / "Snakefile", "--directory", folder]
    command += ["--configfile", folder / "config.json"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.mark.parametrize("scores", [{}, {"source": "a.zip", "tables": ["proxies"]}])
def test_the_figure_of_single_trainings_says_that_it_needs_these(scores, repository, tmp_path):
    (tmp_path / "a.zip").touch()
    raw = {"datasets": {"d": {"data": {"source": "digits"}, "scores": scores}}}
    refused = dry_run(raw, repository, tmp_path, "proxies")
    assert "write proxies: {} in a data set to train them" in refused.stdout + refused.stderr


@pytest.mark.parametrize("only", [{}, {"small_cnn-6": ["fig3", "typical"], "small_cnn-4": []}])
def test_jobs_that_are_planned_are_those_that_the_workflow_would_run(
    some, repository, tmp_path, only
):
    raw, _ = some
    raw["datasets"]["d"] |= {"only": only, "proxies": {"seeds": [0, 1]}}
    config = load_config(raw)
    done = dry_run(raw, repository, tmp_path, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    listed = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.M))
    rules = {"training": "train", "evaluation": "evaluate", "poisoning scores": "poisoning_scores"}
    rules |= {"representation": "represent", "prepare": "prepare"}
    rules |= {"watched training": "watched_training"}
    planned = Counter()
    for row in plan(config):
        stage = re.sub(r"^\d+ ", "", row.stage).split(",")[0]
        planned[rules.get(stage, stage)] += row.jobs
    del planned["tables and groups"]
    assert planned == {rule: int(listed[rule]) for rule in planned}


@pytest.mark.parametrize(
    ("given", "checked"), [(None, 2 / 255), (4 / 255, 4 / 255), (0.8 / 255, 1.6 / 255)]
)
def test_few_steps_of_the_checks_of_gradient_masking_cross_the_ball(given, checked):
    """Else a hundred break more than ten of any model, which would be called masked."""
    raw = SOME | {"evaluation": {"pgd_step": given, "masking": {}}}
    attack = all_specifications(load_config({"datasets": {"d": raw}}))["d", "masking"]["attack"]
    assert attack["step"] == pytest.approx(checked)
    assert attack["few"] * attack["step"] >= 2 * attack["eps"] * (1 - 1e-9)


def test_checks_of_gradient_masking_are_asked_for_where_they_are_configured(
    some, repository, tmp_path
):
    raw, config = some
    before = all_specifications(config)
    entry = read_catalogue()["masking"]
    assert ("d", "masking") not in before
    assert not any("masking" in spec for spec in before.values())
    assert not inputs.is_made(entry, before["d", "comparison-small_cnn-6"])
    refused = dry_run(raw, repository, tmp_path, "masking")
    assert (
        "masking shows checks that no configured data set makes" in refused.stdout + refused.stderr
    )

    raw["datasets"]["d"]["evaluation"] = {"max_samples": 50, "masking": {"queries": 7}}
    after = all_specifications(load_config(raw))
    spec = after["d", "masking"]
    assert (spec["max_samples"], spec["attack"]["queries"]) == (50, 7)
    assert (spec["attack"]["eps"], spec["attack"]["step"]) == (8 / 255, 2 / 255)
    unlimited = all_specifications(
        load_config({"datasets": {"d": raw["datasets"]["d"] | {"evaluation": {"masking": {}}}}})
    )
    assert unlimited["d", "masking"]["max_samples"] == 200
    # what stands on disk stays as it is: only the comparisons and the number of samples differ
    changed = {stage for _, stage in before if before["d", stage] != after["d", stage]}
    widths = ("comparison-small_cnn-4", "comparison-small_cnn-6")
    assert changed == {"evaluation", "evaluation-ablation", *widths}
    plain = {key for key in before if before[key] != unlimited[key]}
    assert plain == {("d", name) for name in widths}

    comparison = after["d", "comparison-small_cnn-6"]
    methods = read_catalogue()["methods"]
    assert inputs.is_made(methods, before["d", "comparison-small_cnn-6"])
    made_of = inputs.inputs_of(methods, comparison)
    assert "small_cnn-6/masking/pgd-at/seed3.parquet" in made_of
    asked = inputs.jobs("masking", comparison)
    assert sorted(asked) == sorted(inputs.jobs("evaluations", comparison_of_tables(comparison)))
    assert ("theirs", 0) in asked and ("pgd-at", 3) in asked
    assert inputs.other_seed(3, "pgd-at", comparison) == 1
    assert inputs.other_seed(1, "pgd-at", comparison) == 3
    assert inputs.other_seed(0, "theirs", comparison) is None
    listed = dry_run(raw, repository, tmp_path, "masking")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    (count,) = set(re.findall(r"^check_masking +(\d+)$", listed.stdout, re.M))
    both = [inputs.jobs("masking", after["d", f"comparison-small_cnn-{n}"]) for n in (4, 6)]
    assert int(count) == sum(map(len, both))
    planned = {row.stage: row for row in plan(load_config(raw))}
    row = planned["masking, small_cnn-6"]
    assert row.jobs == len(asked) and 0 < row.hours < planned["evaluation, small_cnn-6"].hours
    raw["datasets"]["d"]["only"] = {"small_cnn-4": ["masking"], "small_cnn-6": []}
    assert load_config(raw)
    del raw["datasets"]["d"]["evaluation"]["masking"]
    with pytest.raises(BatError, match="small_cnn-4: masking shows checks that are not made; add"):
        all_specifications(load_config(raw))


def comparison_of_tables(comparison):
    """The same that asks for the table of methods alone, whose models are checked."""
    return comparison | {"only": ["methods"]}

"""Plans: known costs, measured times in place of assumed ones, what is done."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bat.config import Compute, ErmRun, History, Selection, Training, load_config, read_config
from bat.errors import BatError
from bat.files import SCHEMAS, write_table
from bat.plan.costs import plan, planned_device
from bat.plan.pace import SPEEDS, START, STEP_CALLS, Pace, Pass, Step
from bat.plan.runs import all_runs, study_runs
from bat.plan.seconds import CORRECT
from bat.plan.sizes import trials_to_stand
from bat.plan.specifications import trial_recipe
from bat.plan.stages import Place, Row
from bat.plan.timings import read_benchmark, seconds_per_trial


@pytest.fixture
def config(tmp_path):
    return load_config(
        {
            "results": str(tmp_path / "results"),
            "compute": {"device": "cpu"},
            "datasets": {
                "digits": {
                    "data": {"source": "digits"},
                    "scores": {"architecture": "small_cnn", "trials": 40, "trials_per_job": 15},
                    "ensemble": {"architectures": ["small_cnn", "wrn-10-1"], "members": 10},
                    "architectures": ["small_cnn"],
                }
            },
        }
    )


def rows(config) -> dict[str, Row]:
    """The plan by stage."""
    return {row.stage: row for row in plan(config)}


def write_shard(config, first: int, last: int, seconds: float, **changes) -> None:
    """A shard with the configured recipe, or another one, and nothing in its masks."""
    dataset = config.datasets["digits"]
    recipe = trial_recipe("small_cnn", dataset.scores) | changes
    n = last - first + 1
    columns = {field.name: [None] * n for field in SCHEMAS["trials"]}
    columns |= {"trial": np.arange(first, last + 1), "seconds": [seconds] * n}
    path = config.results / f"digits/trials/small_cnn-{first:06d}-{last:06d}.parquet"
    write_table(path, "trials", columns, fingerprint="", recipe=recipe, command="")


def test_trials_that_an_influence_needs_are_told_before_any_is_trained(config, tmp_path):
    dataset = config.datasets["digits"]
    text = trials_to_stand(dataset, tmp_path)
    assert "64,850 candidate pairs after about 766 trials by right and wrong" in text
    groups = dataset.groups.model_copy(update={"influence_above": 0.9})
    rare = dataset.model_copy(update={"groups": groups})
    assert "accuracy 0.73" in trials_to_stand(rare, tmp_path)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.7, 0.9])
@pytest.mark.parametrize("influence", [0.15, 0.9, 0.95, 1.0])
def test_every_influence_is_looked_for_at_an_accuracy_that_it_can_have(
    config, tmp_path, influence, ratio
):
    dataset = config.datasets["digits"]
    groups = dataset.groups.model_copy(update={"influence_above": influence})
    scores = dataset.scores.model_copy(update={"subset_ratio": ratio})
    text = trials_to_stand(
        dataset.model_copy(update={"groups": groups, "scores": scores}), tmp_path
    )
    least, most = influence * ratio, 1 - influence * (1 - ratio)
    accuracy = float(text.split("accuracy ")[1].split()[0])
    assert least - 1e-3 <= accuracy <= most + 1e-3
    assert accuracy == pytest.approx(0.8, abs=1e-3) or not least < 0.8 < most


def test_nothing_done(config):
    found = rows(config)
    trials = found["40 trials, small_cnn"]
    assert (trials.jobs, trials.done) == (3, 0)
    assert trials.hours == trials.hours_left > 0
    assert trials.basis == "assumed"
    # 908 of 1,297 samples for 30 epochs of 3 batches, then all 1,797 once; three jobs
    recipe, device = config.datasets["digits"].scores.training, planned_device(config)
    here = Pace(device, 10, (1, 8, 8))
    step = Step("small_cnn", device.precision("auto"), 256, "erm", (), recipe)
    each = 30 * 3 * here(step) + 1797 * here(Pass("small_cnn", "float32", 1000, 0))
    assert trials.hours * 3600 == pytest.approx(40 * each + 3 * here.start)
    bits, probabilities = 40 * (2 * 1297 + 500) / 8, 10 * 2 * 1297 * 10
    assert trials.bytes == pytest.approx(bits + probabilities + 40 * 2 * (1297 + 500))
    scores = config.datasets["digits"].scores.model_copy(update={"margins": False})
    digits = config.datasets["digits"].model_copy(update={"scores": scores})
    less = rows(config.model_copy(update={"datasets": {"digits": digits}}))["40 trials, small_cnn"]
    assert less.bytes == pytest.approx(bits + probabilities)
    assert found["10 trials, wrn-10-1"].jobs == 1
    dataset = config.datasets["digits"]
    runs, studied = all_runs(dataset), study_runs(dataset)
    assert found["training, small_cnn"].jobs == len(runs)
    assert found["evaluation, small_cnn"].jobs == len(runs.keys() - studied.keys())
    assert found["poisoning scores, small_cnn"].jobs == 2
    assert found["representation, small_cnn"].jobs == 6  # ERM and PGD-AT, three shares


def test_shards_tell_their_own_time(config):
    write_shard(config, 0, 14, seconds=36.0)
    trials = rows(config)["40 trials, small_cnn"]
    assert (trials.jobs, trials.done, trials.basis) == (3, 1, "measured (15)")
    assert trials.hours == pytest.approx((40 * 36 + 3 * START["cpu"]) / 3600)
    assert trials.hours_left == pytest.approx((25 * 36 + 2 * START["cpu"]) / 3600)
    assert seconds_per_trial(config) == {"digits": {"small_cnn": pytest.approx(36.0)}}


def test_shards_of_another_recipe_do_not_count(config):
    write_shard(config, 0, 14, seconds=36.0, seed=7)
    trials = rows(config)["40 trials, small_cnn"]
    assert (trials.done, trials.basis) == (0, "assumed")
    assert trials.hours_left == trials.hours


def test_damaged_shard_is_left_to_its_job(config):
    write_shard(config, 0, 14, seconds=36.0)
    path = config.results / "digits/trials/small_cnn-000000-000014.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert rows(config)["40 trials, small_cnn"].basis == "assumed"


@pytest.mark.parametrize("content", ["{}", "[]", '{"class_names": 3}', "\x00"])
def test_a_damaged_description_of_the_data_is_left_to_who_prepares_them(config, content):
    expected = rows(config)
    path = config.results / "digits" / "data" / "dataset.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    found = rows(config)
    assert {s: row.hours for s, row in found.items()} == {
        s: row.hours for s, row in expected.items()
    }


def test_configured_seconds_set_the_jobs(config):
    dataset = config.datasets["digits"]
    scores = dataset.scores.model_copy(
        update={"seconds_per_trial": {"small_cnn": 60.0}, "job_minutes": 8}
    )
    dataset = dataset.model_copy(update={"scores": scores})
    config = config.model_copy(update={"datasets": {"digits": dataset}})
    trials = rows(config)["40 trials, small_cnn"]
    assert (trials.jobs, trials.basis) == (5, "configured")  # eight trials in each
    assert trials.hours == pytest.approx(40 / 60 + 5 * START["cpu"] / 3600)
    write_shard(config, 0, 7, seconds=600.0)  # slower than configured: the bounds stay
    assert rows(config)["40 trials, small_cnn"].jobs == 5


def test_benchmarks_of_runs_scale_the_others(config):
    expected = rows(config)["training, small_cnn"]
    run = config.results / "digits/small_cnn/runs/pgd-at/seed0/history.parquet"
    run.parent.mkdir(parents=True)
    run.touch()
    benchmark = config.logs / "digits/small_cnn/runs/pgd-at-seed0.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\n7200.0\t2:00:00\n")
    measured = rows(config)["training, small_cnn"]
    assert (measured.done, measured.basis) == (1, "measured (1)")
    assert measured.hours - measured.hours_left == pytest.approx(2.0)
    assert measured.hours / expected.hours == pytest.approx(
        2.0 / run_hours(config, "pgd-at"), rel=1e-6
    )


@pytest.mark.parametrize("content", ["s\th:m:s\n", "s\th:m:s\n\t0:1\n", "h:m:s\ts\n0:1\n"])
@pytest.mark.parametrize("more", ["", "nan\t1\n", "inf\t1\n", "-5\t1\n", "\0\n"])
def test_a_benchmark_that_tells_no_time_is_none(tmp_path, content, more):
    (tmp_path / "run.tsv").write_text(content + more)
    assert read_benchmark(tmp_path / "run.tsv") is None


def run_hours(config, name: str, **changes) -> float:
    """Hours of one run, with some of the data set's settings changed."""
    dataset = config.datasets["digits"].model_copy(update=changes)
    device = planned_device(config)
    place = Place(config, "digits", dataset, device)
    run = all_runs(dataset)[name]
    return place.seconds.run("small_cnn", run) / 3600


def test_selection_and_history_cost_what_their_attacks_do(config):
    none = {"selection": Selection(by="last"), "history": History(every=0, max_samples=1)}
    alone = run_hours(config, "pgd-at", **none)
    selected = run_hours(config, "pgd-at", **none | {"selection": Selection(by="test", steps=10)})
    followed = run_hours(config, "pgd-at", **none | {"history": History(every=1, steps=10)})
    device = planned_device(config)
    attack = Pace(device, 10, (1, 8, 8))(Pass("small_cnn", device.precision("auto"), 250, 10))
    each = CORRECT * attack / 3600
    assert selected - alone == pytest.approx(160 * 500 * each, rel=0.001)
    assert followed - alone == pytest.approx(160 * 1797 * each, rel=0.001)


def test_perturbed_weights_cost_what_is_trained_on_once_more(config):
    """After the warm-up: a pass of PGD-AT, two of TRADES, and no second attack."""
    none = {"selection": Selection(by="last"), "history": History(every=0, max_samples=1)}

    def hours(**run) -> float:
        training = {"epochs": 10, "milestones": []}
        runs = {"mine": {"training": training} | run}
        raw = {"data": {"source": "digits"}, "architectures": ["small_cnn"], "runs": runs}
        found = load_config({"datasets": {"digits": raw}}).datasets["digits"].runs
        return run_hours(config, "mine", runs=found, **none)

    device = planned_device(config)
    precision, recipe = device.precision("auto"), Training()
    step = Pace(device, 10, (1, 8, 8))(Step("small_cnn", precision, 128, "erm", (), recipe))
    each = 10 * (step - STEP_CALLS * SPEEDS["cpu", precision].overhead) / 3600  # of an epoch
    for method, trained in (("pgd-at", 1), ("trades", 2)):
        plain = hours(method=method)
        assert hours(method=method, awp={"gamma": 0}) == plain
        for warmup in (0, 4):
            more = hours(method=method, awp={"warmup": warmup}) - plain
            assert more == pytest.approx((10 - warmup) * trained * each)


def test_averaging_over_epochs_costs_one_pass_for_each(config):
    averaged = (
        load_config(
            {
                "datasets": {
                    "digits": {
                        "data": {"source": "digits"},
                        "runs": {
                            f"start-{start}": {
                                "method": "erm",
                                "averaging": {"kind": "swa", "start": start},
                            }
                            for start in (0.5, 0.75)
                        }
                        | {"ema": {"method": "erm", "averaging": {"kind": "ema"}}},
                    }
                }
            }
        )
        .datasets["digits"]
        .runs
    )
    runs = config.datasets["digits"].runs | averaged | {"plain": ErmRun()}
    half, quarter, ema, plain = (
        run_hours(config, name, runs=runs, selection=Selection(by="last"))
        for name in ("start-0.5", "start-0.75", "ema", "plain")
    )
    device = planned_device(config)
    each = Pace(device, 10, (1, 8, 8))(Pass("small_cnn", "float32", 128, 0)) / 3600
    assert half - quarter == pytest.approx(40 * 1297 * each, rel=0.001)
    assert quarter - plain == pytest.approx(40 * 1297 * each, rel=0.001)
    assert ema == plain


def test_a_gpu_is_planned_where_there_is_one_or_one_is_asked_for(config, monkeypatch):
    auto = config.model_copy(update={"compute": Compute()})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert planned_device(auto).device.type == "cpu"
    assert planned_device(auto, "cuda").device.type == "cuda"
    assert planned_device(config, "auto").device.type == "cpu"
    working = {
        kind: sum(
            row.hours - row.jobs * START[kind] / 3600
            for row in plan(auto, device=kind)
            if row.hours
        )
        for kind in ("cuda", "cpu")
    }
    assert 0 < working["cuda"] < working["cpu"]


def test_a_network_that_images_are_too_small_for(config):
    dataset = config.datasets["digits"]
    data = dataset.data.model_copy(update={"resize": 2})
    small = dataset.model_copy(update={"data": data})
    with pytest.raises(BatError, match="small_cnn cannot take images of 1x2x2"):
        plan(config.model_copy(update={"datasets": {"digits": small}}))


def test_measuring_takes_its_time_and_says_so(config, run_bat, tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(f"results: {tmp_path}/results\ncompute: {{device: cpu}}\n" + ONE_OF_EACH)
    printed = run_bat("plan", path, "--measure", "--seconds", 8, cwd=tmp_path).stdout
    for stage in ("8 trials", "training", "evaluation", "poisoning", "representation"):
        (line,) = (line for line in printed.splitlines() if stage in line)
        assert line.endswith("measured here"), line
    assert "in seconds of the processor" in printed
    assert "assumed" not in printed
    assert not (tmp_path / "results").exists()


ONE_OF_EACH = """
datasets:
  digits:
    data: {source: digits, subsample: {train: 200, test: 100}}
    scores: {architecture: small_cnn-4, trials: 8, training: {epochs: 2}}
    ensemble: {architectures: [small_cnn-4, small_cnn-5], members: 2}
    architectures: [small_cnn-4]
    evaluation: {autoattack: none}
"""


def test_plan_takes_files_as_check_does(repository, run_bat, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(ONE_OF_EACH)
    (tmp_path / "more.yaml").write_text("datasets: {digits: {scores: {trials: 9}}}")
    files = ["config/config.yaml", "more.yaml"]
    named, default = run_bat("plan", *files, cwd=tmp_path), run_bat("plan", cwd=tmp_path)
    assert "9 trials, small_cnn-4" in named.stdout
    assert "8 trials, small_cnn-4" in default.stdout
    assert run_bat("plan", "--configfile", *files, cwd=tmp_path).stdout == named.stdout
    wrong = run_bat("plan", tmp_path / "none.yaml", cwd=tmp_path, check=False)
    assert (wrong.returncode, "does not exist" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "most", "networks"),
    [("paper", 3700, {"resnet18", "resnet32", "wrn-28-10"}), ("paper-lite", 300, {"resnet18"})],
)
def test_configurations_of_the_paper_pass_the_check_and_cost_what_they_say(
    repository, run_bat, tmp_path, name, most, networks
):
    run_bat("check", f"config/{name}.yaml", cwd=repository)
    raw = read_config(repository / "config" / f"{name}.yaml")
    changes = {"results": tmp_path, "compute": Compute(device="cuda")}
    found = plan(raw.model_copy(update=changes))
    assert 100 < sum(row.hours for row in found) < most
    trained = {row.stage.split(", ")[1] for row in found if row.stage.startswith("training")}
    assert trained == networks
    assert any("of last" in row.stage for row in found) == (name == "paper-lite")
    of_runs = {row.stage for row in found if row.dataset == "cifar10" and "wrn-28" in row.stage}
    assert of_runs <= {"training, wrn-28-10", "representation, wrn-28-10"}


def test_paper_is_planned_for_gpus(repository, run_bat):
    printed = run_bat("plan", "config/paper.yaml", "--device", "cuda", cwd=repository).stdout
    for word in ("cifar100", "1000 trials, resnet9", "GPU hours", "assumed:", "total"):
        assert word in printed


def test_planning_is_loaded_without_torch():
    code = "import sys, bat.plan.costs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_single_trainings_cost_their_looks_and_tell_their_time(config):
    def watched(**proxies):
        raw = config.model_dump(mode="json", exclude_unset=True)
        raw["datasets"]["digits"]["proxies"] = {"seeds": [0, 3]} | proxies
        return rows(load_config(raw))["watched training, small_cnn"]

    assert not any("watched" in stage for stage in rows(config))
    cheap, forgotten = watched(names=["csl", "aum"]), watched(names=["aum", "ssft"])
    steep = watched(names=["csl", "curvature"])
    assert (cheap.jobs, cheap.done, cheap.hours_left) == (2, 0, cheap.hours)
    assert cheap.hours < watched(names=["loss_sensitivity"]).hours < steep.hours
    start = 2 * START["cpu"] / 3600
    assert forgotten.hours - start > 2 * (cheap.hours - start)
    folder, logs = config.results / "digits" / "proxies", config.logs / "digits"
    for place in (folder, logs / "proxies"):
        place.mkdir(parents=True)
    (folder / "small_cnn-seed3.parquet").touch()
    (logs / "proxies" / "small_cnn-seed3.tsv").write_text("s\n36\n")
    known = watched()
    assert (known.done, known.basis) == (1, "measured (1)")
    assert (known.hours, known.hours_left) == pytest.approx((0.02, 0.01))

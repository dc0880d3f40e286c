"""Plans: known costs, measured times in place of assumed ones, what is done."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bat import artifacts, planning, studies
from bat.config import load_config
from bat.planning import Size, multiplications, parameter_count, plan

CIFAR = Size(50_000, 10_000, 10, (3, 32, 32))
ARCHITECTURES = [
    *("small_cnn", "small_cnn-4", "resnet9", "resnet9-16", "resnet18", "resnet18-8", "resnet34"),
    *("resnet20", "resnet32", "wrn-10-1", "wrn-16-2", "wrn-28-10"),
]


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


def rows(config, logs=None) -> dict[str, planning.Row]:
    """The plan by stage."""
    return {row.stage: row for row in plan(config, logs or config.results / "logs")}


def write_shard(config, first: int, last: int, seconds: float, **changes) -> None:
    """A shard with the configured recipe, or another one, and nothing in its masks."""
    dataset = config.datasets["digits"]
    recipe = studies.trial_recipe("small_cnn", dataset.scores) | changes
    n = last - first + 1
    columns = {field.name: [None] * n for field in artifacts.SCHEMAS["trials"]}
    columns |= {"trial": np.arange(first, last + 1), "seconds": [seconds] * n}
    path = config.results / f"digits/trials/small_cnn-{first:06d}-{last:06d}.parquet"
    artifacts.write_table(path, "trials", columns, fingerprint="", recipe=recipe, command="")


def test_trials_that_an_influence_needs_are_told_before_any_is_trained(config, tmp_path):
    dataset = config.datasets["digits"]
    text = planning.trials_to_stand(dataset, tmp_path)
    assert "64,850 candidate pairs after about 766 trials, and 40 are configured" in text
    groups = dataset.groups.model_copy(update={"influence_above": 0.9})
    rare = dataset.model_copy(update={"groups": groups})
    assert "accuracy 0.73" in planning.trials_to_stand(rare, tmp_path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_multiplications_are_those_of_the_model(architecture):
    import torch

    from bat.models import build_model

    model = build_model(architecture, n_classes=10, channels=3).eval()
    counted = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda layer, _, out: counted.append(layer.weight.numel() * out[0, 0].numel())
            )
    with torch.no_grad(), torch.device("meta"):
        model.to("meta")(torch.empty(1, 3, 32, 32))
    assert multiplications(architecture, CIFAR) == sum(counted)
    weights = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    assert parameter_count(architecture, CIFAR) == weights


def test_nothing_done(config):
    found = rows(config)
    trials = found["40 trials, small_cnn"]
    assert (trials.jobs, trials.done) == (3, 0)
    assert trials.hours == trials.hours_left > 0
    assert trials.basis == "assumed"
    # 908 of 1,297 samples for 30 epochs, three passes each, then all 1,797 once
    passes = 3 * 908 * 30 + 1797
    cost = 2 * multiplications("small_cnn", Size(1297, 500, 10, (1, 8, 8))) * passes
    assert trials.hours * 3600 == pytest.approx(40 * cost / planning.CPU_SPEED)
    bits, probabilities = 40 * (2 * 1297 + 500) / 8, 10 * 2 * 1297 * 10
    assert trials.bytes == pytest.approx(bits + probabilities)
    assert found["10 trials, wrn-10-1"].jobs == 1
    dataset = config.datasets["digits"]
    runs, studied = studies.runs(dataset), studies.study_runs(dataset)
    assert found["training, small_cnn"].jobs == len(runs)
    assert found["evaluation, small_cnn"].jobs == len(runs.keys() - studied.keys())
    assert found["poisoning scores, small_cnn"].jobs == 2
    assert found["representation, small_cnn"].jobs == 6  # ERM and PGD-AT, three shares


def test_shards_tell_their_own_time(config):
    write_shard(config, 0, 14, seconds=36.0)
    trials = rows(config)["40 trials, small_cnn"]
    assert (trials.jobs, trials.done, trials.basis) == (3, 1, "measured (15)")
    assert trials.hours == pytest.approx(40 * 36 / 3600)
    assert trials.hours_left == pytest.approx(25 * 36 / 3600)
    assert planning.seconds_per_trial(config) == {"digits": {"small_cnn": pytest.approx(36.0)}}


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


def test_configured_seconds_set_the_jobs(config):
    dataset = config.datasets["digits"]
    scores = dataset.scores.model_copy(
        update={"seconds_per_trial": {"small_cnn": 60.0}, "job_minutes": 8}
    )
    dataset = dataset.model_copy(update={"scores": scores})
    config = config.model_copy(update={"datasets": {"digits": dataset}})
    trials = rows(config)["40 trials, small_cnn"]
    assert (trials.jobs, trials.basis) == (5, "configured")  # eight trials in each
    assert trials.hours == pytest.approx(40 / 60)
    write_shard(config, 0, 7, seconds=600.0)  # slower than configured: the bounds stay
    assert rows(config)["40 trials, small_cnn"].jobs == 5


def test_benchmarks_of_runs_scale_the_others(config, tmp_path):
    expected = rows(config)["training, small_cnn"]
    run = config.results / "digits/small_cnn/runs/pgd-at/seed0/history.parquet"
    run.parent.mkdir(parents=True)
    run.touch()
    logs = tmp_path / "logs"
    benchmark = logs / "digits/small_cnn/runs/pgd-at-seed0.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\n7200.0\t2:00:00\n")
    measured = rows(config, logs)["training, small_cnn"]
    assert (measured.done, measured.basis) == (1, "measured (1)")
    assert measured.hours - measured.hours_left == pytest.approx(2.0)
    passes = 160 * 1297 * 0.98 * 23  # ten steps at two passes each, and three to train
    cost = 2 * multiplications("small_cnn", Size(1297, 500, 10, (1, 8, 8))) * passes
    assumed = cost / planning.CPU_SPEED / 3600
    assert measured.hours / expected.hours == pytest.approx(2.0 / assumed)


def test_paper_is_planned_at_once_and_without_torch(repository):
    script = (
        "import sys; from bat.__main__ import main; "
        "main(['plan', '--configfile', 'config/paper.yaml']); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'scipy')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for word in ("cifar100", "1000 trials, resnet9", "GPU hours", "assumed:", "total"):
        assert word in done.stdout

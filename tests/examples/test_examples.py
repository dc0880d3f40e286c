"""The examples, by the commands that their READMEs give."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from short_runs import files, specification, train

from bat import extensions
from bat.attacks import check_adversarial
from bat.files import read_json, read_table
from bat.models import build_model
from bat.objectives import Batch


class Example:
    """A copy of an example's folder."""

    def __init__(self, repository, folder, name):
        self.repository, self.folder = repository, folder / name
        shutil.copytree(repository / "examples" / name, self.folder)
        self.data = self.folder / "results" / "digits"

    def snakemake(self, *arguments, succeeds=True):
        """Run in the folder; what was printed."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        command += ["--snakefile", self.repository / "workflow" / "Snakefile"]
        command += ["--configfile", "config.yaml"]
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.folder,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert (done.returncode == 0) is succeeds, done.stdout
        return done.stdout

    def planned(self, target):
        """Rules that would run."""
        stats = self.snakemake("--dry-run", target).partition("Job stats:")[2].partition("total")[0]
        return set(re.findall(r"^(\w+) +\d+", stats, re.M)) - {"write_specification"}


@pytest.fixture
def example(repository, tmp_path):
    return lambda name: Example(repository, tmp_path, name)


def loaded(repository, file, attribute):
    given = (*extensions.ATTACK_GIVEN, *extensions.OBJECTIVE_GIVEN)
    return extensions.load(extensions.record(f"{repository / file}:{attribute}", {}, given))


@pytest.mark.slow
@pytest.mark.xdist_group("examples")
def test_own_network(example):
    """Scores, BAT on them, an evaluation; nothing of it is run while the workflow is read."""
    tiny = example("own_network")
    target = "results/digits/tiny/evaluations/bat-1-0.2/seed0.parquet"
    tiny.snakemake(target)
    table, metadata = read_table(tiny.folder / target, "evaluations")
    assert (table.num_rows, metadata["architecture"]) == (60, "tiny")
    _, metadata = read_table(tiny.data / "scores" / "memorization.parquet", "memorization")
    network = metadata["recipe"]["network"]
    assert (network["code"], network["settings"]) == ("nets.py:Tiny", {"width": 12})
    assert tiny.planned(target) == set()
    path = tiny.folder / "nets.py"
    path.write_text(path.read_text() + "\nraise SystemExit('this file was run')\n")
    assert tiny.planned(target) == {"trials", "memorization", "train", "evaluate"}
    path.unlink()
    assert "nets.py cannot be read" in tiny.snakemake("--dry-run", target, succeeds=False)


@pytest.mark.slow
@pytest.mark.xdist_group("examples")
def test_own_training(example):
    mine = example("own_training")
    mine.snakemake("results/digits/scores/memorization.parquet")
    table, metadata = read_table(mine.data / "scores" / "memorization.parquet", "memorization")
    assert metadata["accuracies"]["included"] > 0.99
    found = table.column("memorization").to_numpy()
    assert 0 < found.mean() < 0.3
    assert found.max() > 0.5
    (shard,) = (mine.data / "trials").glob("*.parquet")
    assert shard.name == "my_training-000000-000039.parquet"


@pytest.mark.slow
@pytest.mark.xdist_group("examples")
def test_own_method_and_attack(example):
    mine = example("own_method")
    target = "results/digits/small_cnn-8/evaluations/awp/seed0.parquet"
    mine.snakemake(target)
    table, _ = read_table(mine.folder / target, "evaluations")
    assert table.column_names[-1] == "mi-fgsm"
    spec = read_json(mine.data / "small_cnn-8" / "runs" / "awp" / "seed0" / "spec.json")
    assert spec["objective"]["code"]["settings"] == {"gamma": 0.01, "warmup": 1}


def small_model():
    return build_model("small_cnn-4", n_classes=10, channels=1, seed=0)


def test_awp_moves_weights_by_its_share_and_back(repository):
    awp = loaded(repository, "examples/own_method/awp.py", "AWP")
    objective = awp(eps=0.1, step=0.05, steps=2, gamma=0.01)
    model = small_model()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    draw = torch.Generator().manual_seed(0)
    batch = Batch(torch.rand(20, 1, 8, 8, generator=draw), torch.arange(20) % 10)
    loss, _ = objective(model, batch, draw)
    assert loss.requires_grad
    for name, weight in model.named_parameters():
        share = 0.01 if weight.ndim > 1 else 0.0
        moved, length = (weight - before[name]).norm(), before[name].norm()
        assert moved.item() == pytest.approx(share * length.item(), abs=1e-5), name
    objective.after_step(model)
    for name, weight in model.named_parameters():
        assert torch.allclose(weight, before[name], atol=1e-7)


def test_awp_in_bfloat16_takes_the_loss_at_the_moved_weights(repository):
    """Autocast keeps the weights of the first pass in half precision."""
    awp = loaded(repository, "examples/own_method/awp.py", "AWP")
    objective, model = awp(eps=0.1, step=0.05, steps=2, gamma=0.3), small_model()
    draw = torch.Generator().manual_seed(0)
    batch = Batch(torch.rand(20, 1, 8, 8, generator=draw), torch.arange(20) % 10)
    found = []
    for take in (objective.attack, objective):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found.append(take(model, batch, torch.Generator().manual_seed(1)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        moved = torch.nn.functional.cross_entropy(model(found[0].x).float(), batch.y)
    assert torch.equal(found[1][0], moved)


def test_awp_without_a_move_is_pgd_training(repository, tmp_path, few_digits, inputs, monkeypatch):
    monkeypatch.chdir(repository / "examples" / "own_method")
    common = {"training": {"epochs": 1, "milestones": []}, "train_on": {}}
    mine = {"method": "awp.py:AWP", "settings": {"gamma": 0.0}} | common
    plain = {"method": "pgd-at"} | common
    for name, run in (("mine", mine), ("plain", plain)):
        train(tmp_path / name, few_digits, specification(name, runs={name: run}), inputs)
        assert files(tmp_path / name)
    weights = [
        torch.load(tmp_path / name / "last.pt", weights_only=True)["state_dict"]
        for name in ("mine", "plain")
    ]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=1e-5), name


def test_the_momentum_attack_stays_in_the_ball_and_beats_noise(repository):
    attack = loaded(repository, "examples/own_method/mi_fgsm.py", "attack")
    model = small_model().eval()
    draw = torch.Generator().manual_seed(0)
    x, y = torch.rand(50, 1, 8, 8, generator=draw), torch.arange(50) % 10
    adversarial = attack(model, x, y, eps=0.2)
    check_adversarial("mi-fgsm", x, adversarial.detach(), 0.2)
    noise = (x + 0.2 * torch.rand(x.shape, generator=draw).sub(0.5).sign()).clamp(0, 1)
    loss = torch.nn.functional.cross_entropy
    assert loss(model(adversarial), y) > loss(model(noise), y)

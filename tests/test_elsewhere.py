"""The workflow from anywhere and under any name: nothing in a path is a command or a pattern."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from bat.files import read_metadata
from bat.models import build_model

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("elsewhere")]

HOSTILE = '-it\'s a "café" [x](1); & $(touch OWNED) `touch OWNED` *?|<>~#%@!^,= \\'
CONFIG = {
    "compute": {"device": "cpu"},
    "datasets": {
        "d": {
            "data": {"source": "digits", "subsample": {"train": 60, "test": 20}},
            "scores": {
                "allow_unfitted": True,  # which so short a training is
                "architecture": "small_cnn-4",
                "trials": 12,
                "subset_ratio": 0.5,
                "training": {"epochs": 1, "batch_size": 20},
            },
            "architectures": ["small_cnn-4"],
            "evaluation": {"pgd_steps": 1, "cw_steps": 1, "autoattack": "none"},
        }
    },
}


def checkout(repository, folder):
    """A copy of what the workflow needs, whose package can be told from any other."""
    folder.mkdir(parents=True)
    for name in ("bat", "workflow", "config"):
        shutil.copytree(repository / name, folder / name)
    shutil.copy2(repository / "environment.yml", folder)
    (folder / "bat" / "__init__.py").write_text('"""A copy."""\n\n__version__ = "0.copy"\n')
    return folder / "workflow"


def decoy(folder):
    """A package of the same name that is not ours."""
    (folder / "bat").mkdir(parents=True)
    (folder / "bat" / "__init__.py").write_text("raise ModuleNotFoundError('a decoy')\n")
    return folder


def snakemake(folder, *arguments, python=sys.executable, **environment):
    """Run it in a folder, without the package on Python's path."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in (python, "-P", "-m", "snakemake", "--cores", 2, *arguments)],
        cwd=folder,
        env=kept | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout


def test_any_name_of_results_checkpoint_checkout_environment_and_folder(repository, tmp_path):
    workflow = checkout(repository, tmp_path / HOSTILE)
    braces = tmp_path / f"{HOSTILE} {{b-c}}"
    folder = decoy(braces / "folder")
    (braces / "venv").symlink_to(sys.prefix)
    name = f"r {braces.name}"
    model = build_model("small_cnn-4", n_classes=10, channels=1, seed=0)
    torch.save(model.state_dict(), folder / f"{braces.name}.pt")
    raw = CONFIG | {"results": name}
    raw["datasets"]["d"]["external"] = {"theirs": {"checkpoint": f"{braces.name}.pt"}}
    (folder / "c.yaml").write_text(yaml.safe_dump(raw, allow_unicode=True))
    made = ["scores/memorization.parquet", "small_cnn-4/evaluations/theirs/seed0.parquet"]
    status, printed = snakemake(
        tmp_path,
        *(f"{name}/d/{file}" for file in made),
        *("--snakefile", workflow / "Snakefile", "--directory", folder),
        *("--configfile", folder / "c.yaml"),
        python=braces / "venv" / "bin" / "python",
    )
    assert status == 0, printed
    for file, kind in zip(made, ("memorization", "evaluations"), strict=True):
        metadata = read_metadata(folder / name / "d" / file, kind)
        assert metadata["package_version"] == "0.copy"
    assert not list(tmp_path.rglob("OWNED"))


def test_a_checkout_whose_name_cannot_work_is_refused(repository, tmp_path):
    folder = checkout(repository, tmp_path / "a:{b}").parent
    status, printed = snakemake(folder, "--dry-run")
    assert status != 0
    assert "the path of the checkout holds : { }" in printed


def test_two_modules_of_another_repository(repository, tmp_path):
    workflow = checkout(repository, tmp_path / "theirs")
    folder = decoy(tmp_path / "mine")
    (folder / "Snakefile").write_text(
        f"""
module memorization:
    snakefile: {str(workflow / "Snakefile")!r}
    config: {CONFIG!r}

use rule * from memorization as memorization_*

module another:
    snakefile: {str(workflow / "Snakefile")!r}
    config: {CONFIG | {"results": "b"}!r}

use rule * from another as another_*

rule mine:
    default_target: True
    input: "results/d/data/dataset.json", "b/d/data/dataset.json"
    output: "mine.json"
    shell: "cat {{input}} > {{output}}"
"""
    )
    status, printed = snakemake(folder)
    assert status == 0, printed
    assert (folder / "mine.json").read_text().count("format_version") == 2
    for logs in (folder / "logs", folder / "b" / "logs"):  # each has its own
        assert {path.name for path in (logs / "d").glob("prepare.*")} == {
            "prepare.log",
            "prepare.tsv",
        }


def test_without_the_package_one_line_says_what_to_do(repository, tmp_path):
    shutil.copytree(repository / "workflow", tmp_path / "workflow")
    path = str(decoy(tmp_path / "decoy"))
    config = Path(repository, "config", "config.yaml")
    status, printed = snakemake(tmp_path, "-n", "--configfile", config, PYTHONPATH=path)
    assert status != 0
    assert (
        "the package bat cannot be imported (a decoy): use the workflow from a checkout" in printed
    )

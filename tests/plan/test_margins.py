"""Where trials lack margins, `all` does not ask for what is made of them."""

import json
import re
import subprocess
import sys

import pytest
from shards import trial_columns

from bat.config import load_config
from bat.files import empty_rows, write_table
from bat.plan.shards import may_lack_margins

SCORES = {"architecture": "small_cnn-4", "trials": 6, "trials_per_job": 3}
ARCHITECTURES = ["small_cnn-4", "small_cnn-5"]


def configured(folder, **scores):
    raw = {"data": {"source": "digits"}, "scores": SCORES | scores}
    raw["ensemble"] = {"architectures": ARCHITECTURES, "members": 40}
    return {"results": str(folder), "datasets": {"d": raw}}


def write(folder, name, n_with, recipe):
    """A shard of three trials, the first of them with margins."""
    margins = [b"1234" if trial < n_with else None for trial in range(3)]
    columns = trial_columns() | {"train_margin": margins, "test_margin": margins}
    path = folder / "trials" / name
    write_table(path, "trials", columns, fingerprint="f" * 64, recipe=recipe, command="a test")
    return path


@pytest.mark.parametrize(("n_with", "lacking"), [(3, 0), (1, 2), (0, 3)])
def test_trials_without_margins_are_seen_by_the_footer(tmp_path, n_with, lacking):
    dataset = load_config(configured(tmp_path)).datasets["d"]
    recipe = {"seed": 7}
    assert not may_lack_margins(dataset, tmp_path, recipe, 6)  # they are trained now
    write(tmp_path, "small_cnn-4-000000-000002.parquet", 3, recipe)
    path = write(tmp_path, "small_cnn-4-000003-000005.parquet", n_with, recipe)
    assert empty_rows(path, "trials", "train_margin") == lacking
    assert may_lack_margins(dataset, tmp_path, recipe, 6) is (lacking > 0)
    assert not may_lack_margins(dataset, tmp_path, {"seed": 8}, 6)  # they are trained again
    path.write_bytes(path.read_bytes()[:-9])
    assert not may_lack_margins(dataset, tmp_path, recipe, 6)


def test_trials_that_an_interrupted_job_left_count(tmp_path):
    dataset = load_config(configured(tmp_path)).datasets["d"]
    write(tmp_path, ".partial/small_cnn-4/000001.parquet", 0, {})
    assert may_lack_margins(dataset, tmp_path, {}, 6)


def plan(repository, folder, target, **scores):
    (folder / "config.json").write_text(
        json.dumps(configured(folder / "results", **{"trials": 60} | scores))
    )
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", target]
    command += ["--snakefile", repository / "workflow" / "Snakefile", "--directory", folder]
    command += ["--configfile", folder / "config.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def jobs(text):
    return set(re.findall(r"^(\w+) +\d+$", text, re.M))


def test_all_asks_for_the_attack_where_margins_are_kept(repository, tmp_path):
    attack = {"membership_inference", "draw_privacy", "privacy_rates_table"}
    assert jobs(plan(repository, tmp_path, "all")[1]) >= attack
    code, text = plan(repository, tmp_path, "all", margins=False)
    assert code == 0 and not jobs(text) & attack
    code, text = plan(repository, tmp_path, "privacy", margins=False)
    assert code and "set scores.margins to true" in text

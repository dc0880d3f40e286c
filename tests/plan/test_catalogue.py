"""Entries of figures and tables: read without running files, and true of rules and the README."""

import argparse
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from bat.commands import report
from bat.errors import BatError
from bat.files import write_json
from bat.plan import inputs
from bat.plan.catalogue import Entry, read_catalogue, read_entry, readme_row

SPEC = {
    "architecture": "resnet9",
    "runs": ["pgd-at", "trades"],
    "external": ["theirs"],
    "substitution": ["bat-1-0.2"],
    "shares": [0.0, 1.0],
    "ablation": {"alpha": [0, 1], "beta": [0]},
    "seeds": [3, 4],
}


def test_entries_are_those_of_the_modules():
    found = read_catalogue()
    assert {"fig3", "methods", "paper_page"} <= found.keys()
    for name, entry in found.items():
        module = import_module(f"bat.{entry.folder}.{name}")
        for field in ("shows", "about", "scope", "needs", "runs", "part_of", "own_rule"):
            assert getattr(module.ENTRY, field) == getattr(entry, field)
        assert callable(module.write)


def test_every_target_and_file_is_of_one_entry():
    entries = [entry for entry in read_catalogue().values() if not entry.own_rule]
    targets = [(entry.folder, target) for entry in entries for target in entry.targets]
    assert len(targets) == len(set(targets))  # one may ask for a figure and a table
    outputs = [(entry.scope, file) for entry in entries for file in entry.outputs]
    assert len(outputs) == len(set(outputs))


def test_the_readme_has_a_row_for_each(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    rows = {readme_row(entry) for entry in read_catalogue().values()}
    shown = set(re.findall(r"^\|.*\|$", text, re.M))
    assert rows <= shown
    other = [row for row in shown - rows if "figures/" in row or "tables/" in row]
    assert other == [], "rows that no entry gives"


def test_reading_needs_none_of_what_draws(repository):
    code = (
        "import sys; from bat.plan.catalogue import read_catalogue; read_catalogue();"
        "heavy = {'matplotlib', 'pandas', 'torch', 'pydantic', 'bat.figures'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=repository)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", r"has no ENTRY = Entry"),
        ("ENTRY = Entry(shows=open('x').read())", "more than plain values"),
        ("ENTRY = Entry(shows='a', title='b')", "ENTRY has title, expected"),
        ("ENTRY = Entry(paper='Fig. 1')", "lacks shows"),
        ("ENTRY = Entry(shows='a', scope='planet')", "scope is 'planet'"),
        ("ENTRY = Entry(shows='a', needs=('memory',))", "needs memory, expected some of"),
        ("ENTRY = Entry(shows='a', needs=('history',))", "say of which with runs"),
    ],
)
def test_wrong_entries_are_refused_by_name(tmp_path, text, words):
    path = tmp_path / "figures" / "mine.py"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(BatError, match=rf"mine\.py: .*{words}"):
        read_entry(path)


def test_what_is_needed_are_files_of_runs_and_seeds():
    entry = Entry(
        shows="",
        scope="architecture",
        needs=("evaluations", "train_groups"),
        runs=("configured", "external", "trades"),
    )
    folder = "resnet9/evaluations"
    assert inputs.inputs_of(entry, SPEC) == [
        "groups/train.parquet",
        *(f"{folder}/{run}/seed{seed}.parquet" for run in ("pgd-at", "trades") for seed in (3, 4)),
        f"{folder}/theirs/seed0.parquet",
    ]


def test_sets_of_runs_by_their_names():
    assert inputs.runs_of(["ablation"], SPEC) == ["pgd-at", "bat-1-0"]
    assert inputs.runs_of(["erm whole", "pgd-at by share"], SPEC) == [
        *("erm-all", "pgd-at-atypical-0", "pgd-at-atypical-100"),
    ]


def test_the_annotators_page_is_in_the_package():
    assert "@SHEET@" in files("bat.report").joinpath("annotation.html").read_text(encoding="utf-8")


# -- a figure of one's own -------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    """A copy of the package and the workflow, with the example's file in its place."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("bat", "workflow", "config"):
        shutil.copytree(
            repository / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(repository / "environment.yml", root)
    shutil.copy(repository / "examples" / "new_figure" / "by_class.py", root / "bat" / "figures")
    return root


def run(checkout, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_unknown_name_is_refused_with_those_there_are(run_bat):
    done = run_bat("report", "fig99", "--spec", "s", "--dataset", "d", "--out", "o", check=False)
    assert done.returncode == 2
    assert "'fig99' is no figure or table; expected one of alignment, " in done.stderr


def test_a_file_that_is_dropped_in_has_a_target_and_belongs_to_all(checkout):
    text = run(checkout, "snakemake", "--dry-run", "--cores", 1, "by_class")
    assert "draw_by_class" in text
    text = run(checkout, "snakemake", "--dry-run", "--cores", 1, "all")
    assert "results/digits/figures/by_class.pdf" in text


def test_a_file_that_is_dropped_in_is_drawn(checkout, few_digits, inputs, tmp_path):
    place = tmp_path / "digits"
    place.mkdir()
    (place / "data").symlink_to(few_digits.folder)
    (place / "scores").symlink_to(inputs.scores)
    write_json(tmp_path / "spec.json", {"dataset": "digits"})
    out = tmp_path / "by_class"
    given = ("--spec", tmp_path / "spec.json", "--dataset", place, "--out", out)
    run(checkout, "bat", "report", "by_class", *given)
    table = pd.read_csv(out.with_suffix(".csv"))
    labels = np.asarray(few_digits.train_labels)
    assert table["size"].tolist() == np.bincount(labels).tolist()
    expected = pd.Series(np.where(np.arange(200) % 5 == 0, 0.5, 0.0)).groupby(labels).mean()
    assert table["mean"].tolist() == pytest.approx(expected.tolist())
    assert out.with_suffix(".pdf").read_bytes()[:5] == b"%PDF-"


@pytest.mark.parametrize("made", [[], ["pdf"]])
def test_a_figure_that_does_not_make_its_files_says_so(made, few_digits, monkeypatch, tmp_path):
    def write(folder, out):
        for suffix in made:
            out.with_suffix(f".{suffix}").touch()

    monkeypatch.setattr("bat.figures.fig7.write", write)
    (tmp_path / "data").symlink_to(few_digits.folder)
    write_json(tmp_path / "spec.json", {"dataset": "digits"})
    entry = read_catalogue()["fig7"]
    out = tmp_path / "fig7"
    absent = ", ".join(f"{out}.{suffix}" for suffix in entry.files if suffix not in made)
    given = argparse.Namespace(
        artefact="fig7", spec=tmp_path / "spec.json", dataset=tmp_path, out=out, runs=[]
    )
    with pytest.raises(BatError, match=re.escape(f"fig7.py: write did not make {absent}; ")):
        report.run(given)

"""The site: pictures that are of this code, pages without a broken link, notebooks that run."""

import json
import re
import runpy
import shutil
import subprocess
import sys

import pytest

import bat

IGNORED = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
NOTEBOOKS = ["from-scores-to-a-figure", "own-network", "bat-in-your-own-loop"]


@pytest.fixture(scope="module")
def website(repository):
    def load(name):
        return runpy.run_path(str(repository / "website" / f"{name}.py"))

    return load


def picture(repository, name):
    return (repository / "docs" / "images" / name).read_text(encoding="utf-8")


def test_the_house_is_drawn_as_it_stands(repository, website):
    assert picture(repository, "house.svg") == website("house")["draw"](), "make pictures"


def test_the_rules_are_drawn_as_they_are(repository, website, tmp_path):
    command = [sys.executable, "-m", "snakemake", "--snakefile", repository / "workflow/Snakefile"]
    command += ["--directory", tmp_path, "--configfile", repository / "config/config.yaml"]
    found = subprocess.run(
        [*command, "--rulegraph", "dot", "all"], capture_output=True, text=True, check=True
    )
    assert picture(repository, "rules.svg") == website("rules")["draw"](found.stdout), (
        "make pictures"
    )


def test_a_graph_of_rules_is_drawn_without_what_follows(website):
    names = ["all", "far", "near", "root"]
    dot = "\n".join(f'\t{i}[label = "{name}", color = "x"];' for i, name in enumerate(names))
    dot += "\n\t1 -> 0\n\t3 -> 1\n\t3 -> 2\n\t2 -> 1\n"
    rules = website("rules")
    needs = rules["read"](dot)
    assert needs == {"far": {"root", "near"}, "near": {"root"}, "root": set()}
    assert rules["reduced"](needs)["far"] == {"near"}
    assert rules["layers"](rules["reduced"](needs)) == [["root"], ["near"], ["far"]]
    assert rules["draw"](dot).count("<path") == 2
    with pytest.raises(SystemExit, match="expected snakemake --rulegraph"):
        rules["read"]("digraph {}")


def test_the_demos_pictures_are_of_the_demo(repository, website):
    about = json.loads(picture(repository, "demo.json"))
    assert about["specifications"] == website("demo")["specifications"](), "make demo pictures"


def test_every_public_name_has_its_entry(repository):
    text = (repository / "docs" / "reference.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: bat\.(\w+)$", text, re.M)) == sorted(bat.__all__)


def build(folder, site):
    """Build the site of a checkout as ``make docs`` does, but for what notebooks give."""
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", site]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_make_docs_builds_it_so(repository):
    """With ``--quiet`` nothing is strict: warnings are neither shown nor counted."""
    text = (repository / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"mkdocs build.*", text) == ["mkdocs build"]


def test_what_is_broken_fails_it(repository, tmp_path):
    for name in ("bat", "docs", "website"):
        shutil.copytree(repository / name, tmp_path / name, ignore=IGNORED)
    shutil.copy(repository / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as file:
        file.write("\n[gone](gone.md), [nowhere](browse.md#nowhere), ![](images/none.png)\n")
    path = tmp_path / "bat" / "scores" / "estimates.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'(def disagreement\(.*?:\n    )""".*?"""', r"\1pass", text, flags=re.S))
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    for words in (
        "'gone.md'",
        "anchor '#nowhere'",
        "none.png",
        "bat.disagreement has no docstring",
    ):
        assert words in done.stderr


def test_it_is_built_without_a_warning_and_asks_nobody(repository, tmp_path):
    done = build(repository, tmp_path)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=[\"']?(https?:[^\"' >]+)",
            page.read_text(encoding="utf-8"),
        )
        assert not loaded, page.name
    reference = (tmp_path / "reference.html").read_text(encoding="utf-8")
    for name in bat.__all__:
        assert f'id="bat.{name}"' in reference


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_run(repository, tmp_path, name):
    path = repository / "docs" / "tutorials" / f"{name}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells), "outputs are made by make docs"
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"]
    command += ["--output-dir", tmp_path, "--output", "done.ipynb", path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))["cells"]
    assert sum(bool(cell.get("outputs")) for cell in made) >= 3


def test_its_notebooks_are_all_that_there_are(repository):
    found = {path.stem for path in (repository / "docs" / "tutorials").iterdir()}
    assert found == set(NOTEBOOKS)

"""The container file and the matrix of versions name what is there."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import tomllib

import pytest


@pytest.fixture(scope="module")
def instructions(repository):
    """Words of each instruction of the container file."""
    text = (repository / "Containerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def test_image_is_of_a_python_that_the_package_supports(instructions, project):
    (image,) = (words[1] for words in instructions if words[0] == "FROM")
    version = tuple(map(int, re.fullmatch(r"python:(\d+)\.(\d+)-slim", image).groups()))
    least = re.fullmatch(r">=(\d+)\.(\d+)", project["requires-python"])
    assert version >= tuple(map(int, least.groups()))


def test_image_has_the_pinned_versions(instructions):
    (run,) = (words for words in instructions if words[:3] == ["RUN", "pip", "install"])
    assert run[run.index("--constraint") + 1] == "constraints.txt"
    copied = [word for words in instructions[: instructions.index(run)] for word in words]
    for needed in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "bat"):
        assert needed in copied, f"{needed} is not there when pip installs"


def test_what_is_copied_exists_and_is_not_ignored(instructions, repository):
    sources = [source for words in instructions if words[0] == "COPY" for source in words[1:-1]]
    ignored = (repository / ".dockerignore").read_text().split("\n")
    admitted = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert set(sources) == admitted
    for source in sources:
        assert (repository / source).exists(), source
        assert not any(fnmatch.fnmatch(source, line) for line in ignored[2:] if line[:1] != "!")
    assert {"workflow", "config", "slurm"} <= set(sources)


def test_package_needs_no_file_that_is_not_copied(instructions, project):
    copied = {word for words in instructions if words[0] == "COPY" for word in words}
    assert {project["readme"], *project["license-files"]} <= copied


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint")
def test_container_file_is_clean(repository):
    done = subprocess.run(
        ["hadolint", repository / "Containerfile"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_matrix_begins_with_the_oldest_python_and_pins_the_oldest_torch(repository, project):
    text = (repository / "noxfile.py").read_text()
    pythons = re.findall(r'"(3\.\d+)"', re.search(r"^PYTHONS = \[(.*)\]$", text, re.M)[1])
    assert f">={pythons[0]}" == project["requires-python"]
    bounds = {wanted for wanted in project["dependencies"] if wanted.startswith("torch")}
    assert len(bounds) == 2
    for bound in bounds:
        assert re.fullmatch(r"torch\w*>=[\d.]+", bound), "noxfile.py reads a lower bound alone"

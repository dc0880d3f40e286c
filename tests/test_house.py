"""The order of the house: rooms, pinned versions, and documents that name what exists."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOMS = [
    "scores",
    "config",
    "files",
    "data",
    "validation",
    "models",
    "attacks",
    "objectives",
    "checkpoints",
    "training",
    "scoring",
    "sharing",
    "plan",
    "report",
    "studies",
    "figures",
    "tables",
    "commands",
]
"""The rooms of the house, each importing only from those before it and from the ground.

The ground is what lies in ``bat/`` itself; it imports from no room. Within a room, and on the
ground, files import each other in one direction.
"""

ENTRANCES = {"bat", "bat.__main__"}
"""Modules that look into every room: the public names, and the command line."""

TORCH = {"models", "attacks", "objectives", "checkpoints", "training"}
TORCH |= {"bat.devices", "bat.studies.features", "bat.studies.poisoning"}
TORCH |= {"bat.plan.measuring", "bat.plan.pace", "bat.plan.seconds"}
"""Rooms and modules that import torch when they are loaded."""

TORCH_IN_FUNCTIONS = {
    "bat.files.tensors",
    "bat.data.batches",
    "bat.scores._influence",
    "bat.plan.costs",
}


def imports(path: Path) -> list[tuple[str, bool]]:
    """Modules and names that a file imports, and whether it does so when it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [(name, node in tree.body) for name in names]
    return found


@pytest.fixture(scope="module")
def modules(repository):
    """Imports of every module by its dotted name."""
    found = {}
    for path in (repository / "bat").rglob("*.py"):
        parts = path.relative_to(repository).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = imports(path)
    return found


def room_of(module: str) -> str:
    """The room of one of our modules; empty for the ground."""
    room = module.split(".")[1] if "." in module else ""
    return room if room in ROOMS else ""


def module_of(name: str, modules) -> str | None:
    """Which of our modules an imported name lies in."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name if name in modules else None


def uses_torch(module: str, allowed: set[str]) -> bool:
    return module in allowed or room_of(module) in allowed


# -- rooms ----------------------------------------------------------------------------------


def test_every_folder_is_a_room_that_says_what_lives_there(modules, repository):
    folders = {path.parent.name for path in (repository / "bat").glob("*/__init__.py")}
    assert folders == set(ROOMS)
    for room in ROOMS:
        text = (repository / "bat" / room / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), f"bat/{room}/__init__.py has no docstring"


def test_rooms_import_only_from_rooms_above(modules):
    place = {"": -1} | {room: number for number, room in enumerate(ROOMS)}
    for name in modules.keys() - ENTRANCES:
        for imported, _ in modules[name]:
            module = module_of(imported, modules)
            if module and module != "bat":
                assert place[room_of(module)] <= place[room_of(name)], f"{name} imports {imported}"


def test_within_a_room_files_have_one_direction(modules):
    for room in ("", *ROOMS):
        inside = {name for name in modules if room_of(name) == room and name not in ENTRANCES}
        inside.discard(f"bat.{room}")  # its entrance shows what its files hold
        graph = {}
        for name in inside:
            used = {module_of(imported, modules) for imported, _ in modules[name]}
            graph[name] = (used & inside) - {name}
        tuple(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


def test_only_what_trains_or_attacks_imports_torch(modules):
    for name, found in modules.items():
        torch = [at_load for module, at_load in found if module.split(".")[0] == "torch"]
        assert not any(torch) or uses_torch(name, TORCH), f"{name} imports torch when it is loaded"
        assert not torch or uses_torch(name, TORCH | TORCH_IN_FUNCTIONS), f"{name} imports torch"


def test_all_else_starts_without_the_slow_libraries(modules):
    quick = sorted(name for name in modules if not uses_torch(name, TORCH))
    slow = ("torch", "torchvision", "scipy", "sklearn", "autoattack", "snakemake")
    code = (
        f"import importlib, sys\nfor name in {quick}: importlib.import_module(name)\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_tests_lie_in_the_rooms_of_what_they_test(repository):
    folders = {path.parent.name for path in (repository / "tests").glob("*/test_*.py")}
    assert folders <= {*ROOMS, "examples"}


def test_every_verb_is_a_file_and_every_file_a_verb(repository):
    from bat.commands import VERBS

    shared = {"__init__", "options", "recording"}
    files = {path.stem for path in (repository / "bat" / "commands").glob("*.py")}
    assert files - shared == set(VERBS)


# -- versions -------------------------------------------------------------------------------


def test_conda_and_pip_ask_for_the_same_versions(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    environment = yaml.safe_load((repository / "environment.yml").read_text())
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert sorted(pip) == sorted(wanted)
    assert f"python{project['requires-python']}" in environment["dependencies"]


def test_constraints_pin_everything_that_is_asked_for_and_name_no_address(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    lines = (repository / "constraints.txt").read_text().splitlines()
    lines = [line.split("#")[0].split(";")[0].strip() for line in lines]
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    for wanted in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name = re.match(r"[\w.-]+", wanted)[0].lower().replace("_", "-")
        assert name in pinned, f"{name} is not in constraints.txt"


# -- documents ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documents(repository):
    """The text of every document by its path."""
    paths = [*repository.glob("*.md"), *repository.glob("docs/**/*.md")]
    paths += [*repository.glob("config/*.md"), *repository.glob("slurm/*.md")]
    paths += [*repository.glob("examples/**/*.md")]
    assert paths
    return {path: path.read_text(encoding="utf-8") for path in paths}


def commands(text: str, program: str) -> list[list[str]]:
    """The words after a program's name in code of a document."""
    code = re.findall(r"`([^`\n]+)`", text)
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        code += block.replace("\\\n", " ").splitlines()
    found = []
    for line in code:
        words = re.split(r"\s(?:#|&&|\||;)\s", line.strip().removeprefix("$ "))[0]
        if words.startswith(f"{program} "):
            found.append(shlex.split(words.removeprefix(program)))
    return found


def test_links_lead_somewhere(documents):
    for path, text in documents.items():
        for target in re.findall(r"\]\(([^)\s#]+)", text):
            if "://" not in target and not target.startswith("mailto:"):
                assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_named_files_exist(documents, repository):
    folders = "bat|benchmarks|config|docs|examples|slurm|tests|workflow"
    for path, text in documents.items():
        for name in re.findall(rf"`((?:{folders})/[\w./+-]+)`", text):
            assert (repository / name).exists(), f"{path.name} names {name}"


def test_documents_that_comments_name_exist(repository):
    for folder in ("bat", "config", "slurm", "workflow"):
        for path in (repository / folder).rglob("*.*"):
            if path.suffix not in (".py", ".smk", ".yaml"):
                continue
            for name in re.findall(r"(?:docs|config)/[\w-]+\.(?:md|yaml|json)", path.read_text()):
                assert (repository / name).exists(), f"{path.name} names {name}"


def test_named_make_targets_exist(documents, repository):
    known = re.findall(r"^([\w-]+):", (repository / "Makefile").read_text(), re.M)
    for path, text in documents.items():
        for words in commands(text, "make"):
            targets = {word for word in words if "=" not in word and not word.startswith("-")}
            assert targets <= set(known), f"{path.name}: make {' '.join(words)}"


def test_phony_targets_of_the_makefile_exist(repository):
    text = (repository / "Makefile").read_text()
    phony = " ".join(re.findall(r"^\.PHONY:(.*)$", text, re.M)).split()
    missing = [name for name in phony if not re.search(rf"^{re.escape(name)}:", text, re.M)]
    assert missing == []


def test_named_commands_exist(documents, run_bat):
    used = {}
    for path, text in documents.items():
        for words in commands(text, "python -m bat"):
            used.setdefault(words[0] if words else "--help", path.name)
    usage = run_bat("--help").stdout
    known = set(re.findall(r"^ {4}([a-z][\w-]*)", usage, re.M)) | {"--help", "--version", "COMMAND"}
    assert len(known) > 8
    assert used.keys() <= known, {name: used[name] for name in used.keys() - known}


def test_named_workflow_targets_exist(documents, repository, tmp_path):
    """Rules by the list of them, files of the default configuration by a dry run."""
    rules, files = {}, {}
    for path, text in documents.items():
        for words in commands(text, "snakemake"):
            if "--configfile" in words or "--report" in words:
                continue
            previous = ["", *words]
            for word, before in zip(words, previous, strict=False):
                if word.startswith("results/"):
                    files.setdefault(word, path.name)
                elif re.fullmatch(r"[a-z]\w*", word) and not before.startswith("-"):
                    rules.setdefault(word, path.name)

    def snakemake(*arguments):
        places = ["--snakefile", repository / "workflow" / "Snakefile", "--directory", tmp_path]
        config = ["--configfile", repository / "config" / "config.yaml"]
        command = [sys.executable, "-m", "snakemake", *places, *arguments, *config]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    known = set(snakemake("--list-rules").split())
    assert "all" in known
    assert rules.keys() <= known, {name: rules[name] for name in rules.keys() - known}
    if files:
        snakemake("--dry-run", "--cores", 1, *files)


@pytest.mark.slow
def test_the_commands_of_the_readme_run(repository, tmp_path):
    """Those of the workflow as dry runs, each as it stands; the others are parsed."""
    text = (repository / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    (tmp_path / "birds.yaml").write_text(block)
    for folder in ("config", "workflow"):
        (tmp_path / folder).symlink_to(repository / folder)
    ran = []
    for words in commands(text, ".venv/bin/snakemake"):
        if not {"--report", "--unlock"} & set(words):  # which need finished results, or a lock
            command = [sys.executable, "-m", "snakemake", *words, "--dry-run"]
            done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
            assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
            ran.append(words)
    assert len(ran) == 3
    (tmp_path / "results" / "cifar10").mkdir(parents=True, exist_ok=True)
    code = "import sys; from bat.__main__ import parser; parser().parse_args(sys.argv[1:])"
    found = commands(text, ".venv/bin/python -m bat") + commands(text, "python -m bat")
    assert len(found) >= 2
    for words in found:
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr}"


def test_the_contributors_page_has_every_room_in_its_order(repository):
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z`, ]+)` \|", text, re.M)
    named = [room for row in rows for room in row.split("`, `")]
    assert named == ROOMS

"""The order of the house: layers, pinned versions, and documents that name what exists."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ORDER = """
    escaping errors reading addresses progress stopping fit
    config artifacts specifications subsets statistics significance downloads reference
    zips memorization ensembles splits chance published theory
    rawdata archives layouts revisions places decoding sources counting duplicates data validation
    devices models attacks
    objectives evaluation checkpoint_files
    state_dicts checkpoints
    training
    trials runs poisoning
    scoring merging score_lists score_files score_cards score_matching sharing
    studies pace planning tables comparison curves representation annotation_page annotation
    features paper paper_page
    fonts figures poisoning_report theory_report
    reports
    __main__
"""
LAYERS = ORDER.split()
"""Every module, each importing only those before it."""

TORCH = {"devices", "models", "attacks", "objectives", "evaluation", "training"}
TORCH |= {"trials", "runs", "poisoning", "features", "pace"}
TORCH |= {"checkpoint_files", "state_dicts", "checkpoints"}
TORCH_IN_FUNCTIONS = {"artifacts", "data", "memorization", "planning", "sources"}


def imports(path: Path) -> list[tuple[str, bool]]:
    """Modules that a file imports, and whether it does so when it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "bat":
            names = [f"bat.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        found += [(name, node in tree.body) for name in names]
    return found


@pytest.fixture(scope="module")
def modules(repository):
    """Imports of every module by its name."""
    files = (repository / "bat").glob("*.py")
    return {path.stem: imports(path) for path in files if path.stem != "__init__"}


# -- layers ---------------------------------------------------------------------------------


def test_every_module_has_its_place(modules):
    assert set(modules) == set(LAYERS), "give new modules a place in LAYERS, take lost ones out"
    assert len(LAYERS) == len(set(LAYERS))


def test_modules_import_only_from_lower_layers(modules):
    for number, name in enumerate(LAYERS):
        below, found = LAYERS[:number], modules[name]
        used = {module.split(".")[1] for module, _ in found if module.startswith("bat.")}
        assert used <= set(below), f"bat/{name}.py imports {sorted(used - set(below))}"


def test_only_what_trains_or_attacks_imports_torch(modules):
    for name, found in modules.items():
        torch = [at_load for module, at_load in found if module.split(".")[0] == "torch"]
        assert not any(torch) or name in TORCH, f"bat/{name}.py imports torch when it is loaded"
        assert not torch or name in TORCH | TORCH_IN_FUNCTIONS, f"bat/{name}.py imports torch"


def test_all_else_starts_without_the_slow_libraries():
    quick = [name for name in LAYERS if name not in TORCH]
    slow = ("torch", "torchvision", "scipy", "sklearn", "autoattack", "snakemake")
    code = (
        f"import importlib, sys\nfor name in {quick}: importlib.import_module('bat.' + name)\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


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
    folders = "bat|benchmarks|config|docs|slurm|tests|workflow"
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
    code = "import sys; from bat.__main__ import _parser; _parser().parse_args(sys.argv[1:])"
    found = commands(text, ".venv/bin/python -m bat") + commands(text, "python -m bat")
    assert len(found) >= 2
    for words in found:
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr}"

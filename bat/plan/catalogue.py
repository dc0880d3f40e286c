"""The catalogue of figures and tables: what their files say of themselves.

A file of `bat.figures` or `bat.tables` holds one figure or table: ``ENTRY``, an `Entry` of plain
values, and ``write(source, out)``, which makes its files. The rules of the workflow, the choices of
``python -m bat report`` and the README's table come from the entries. They are read without
running the files, so that neither the workflow nor ``--help`` waits for what draws.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from bat.errors import BatError

OF_DATASET = {
    **{
        kind: (f"scores/{kind}.parquet",)
        for kind in ("memorization", "influence", "test", "disagreement", "confidence")
    },
    "convergence": ("scores/convergence.csv",),
    "proxies": ("scores/proxies.parquet", "proxies/by_seed.parquet"),
    "privacy": ("scores/privacy.parquet", "scores/privacy.csv"),
    "groups": ("groups/train.parquet", "groups/test.parquet"),
    "train_groups": ("groups/train.parquet",),
}
"""Files of a data set that can be needed, below its folder."""

OF_RUN = {
    "evaluations": "{architecture}/evaluations/{run}/seed{seed}.parquet",
    "masking": "{architecture}/masking/{run}/seed{seed}.parquet",
    "last_evaluations": "{architecture}/evaluations/{run}/seed{seed}-last.parquet",
    "history": "{architecture}/runs/{run}/seed{seed}/history.parquet",
    "representation": "{architecture}/representation/{run}/seed{seed}.json",
    "poisoning": "{architecture}/poisoning/{run}/seed{seed}.parquet",
}
"""Files of each run and seed that can be needed, likewise; those of the last epoch's models where
these are judged."""

SCOPES = ("dataset", "architecture", "all")
_FOLDERS = {"figures": ("pdf", "png", "csv"), "tables": ("csv", "md", "tex")}


@dataclass(frozen=True)
class Entry:
    """What a figure or table says of itself, in plain values.

    Attributes
    ----------
    shows : str
        What it shows, in the words of the README's table.
    about : str
        Its caption in the workflow's report, as reStructuredText; ``{dataset}`` and
        ``{architecture}`` are put in.
    paper : str
        Where the paper has it.
    scope : {'dataset', 'architecture', 'all'}
        There is one for each data set, for each data set and architecture, or one in all.
    needs : tuple of str
        Keys of `OF_DATASET` and `OF_RUN`: what it is made from.
    uses : tuple of str
        Keys of `OF_DATASET`: what it shows too, where the data set has it; and
        ``last_evaluations`` and ``masking``, where these are made.
    runs : tuple of str
        Sets of runs, as `bat.plan.inputs.runs_of` knows them, or runs by their name: whose files.
    targets : tuple of str
        What it is asked for by; its name by default.
    part_of : str
        A target that makes it with others.
    at : str
        Path of its files without suffix, below the folder of the data set, the architecture or,
        for the scope 'all', the results; by default its name in ``figures`` or ``tables``.
    files : tuple of str
        Suffixes of its files; a figure's are ``pdf``, ``png``, ``csv`` by default and a table's
        ``csv``, ``md``, ``tex``. One that begins with ``_`` is added to the name.
    beside : str
        Added to its name, a folder of what may lie beside its files; it belongs to them, and
        nobody asks for it.
    own_rule : bool
        Whether a rule of its own makes it, since it needs more than files of the above.
    name, folder : str
        Given when it is read, by the file and the folder where it lies.
    """

    shows: str
    about: str = ""
    paper: str = ""
    scope: str = "dataset"
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    part_of: str = ""
    at: str = ""
    files: tuple[str, ...] = ()
    beside: str = ""
    own_rule: bool = False
    name: str = ""
    folder: str = ""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Its files, below the folder of its scope."""
        return self.files_at(self.at)

    def files_at(self, stem: str) -> tuple[str, ...]:
        """Its files, by their path without suffix."""
        return tuple(
            f"{stem}{suffix}" if suffix.startswith("_") else f"{stem}.{suffix}"
            for suffix in self.files
        )


@cache
def read_catalogue() -> dict[str, Entry]:
    """Every figure and table by its name.

    Raises
    ------
    BatError
        If a file's entry is missing or not of plain values, or names what is not known.
    """
    package = Path(__file__).parents[1]  # what lies there is not imported, so not asked for
    found: dict[str, Entry] = {}
    for folder in _FOLDERS:
        for path in sorted((package / folder).glob("[!._]*.py")):
            entry = read_entry(path)
            if entry.name in found:
                raise BatError(f"{path}: there is a {found[entry.name].folder} of this name too")
            found[entry.name] = entry
    return found


def find_entry(name: str) -> Entry:
    """A figure or table that is made from files of a data set, by its name.

    Raises
    ------
    BatError
        If there is none of this name; it says which there are.
    """
    known = {name: entry for name, entry in read_catalogue().items() if not entry.own_rule}
    if name not in known:
        raise BatError(f"{name!r} is no figure or table; expected one of {', '.join(known)}")
    return known[name]


def read_entry(path: Path) -> Entry:
    """The entry of one file, read and checked without running the file."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, UnicodeDecodeError) as error:
        raise BatError(f"{path}: is not Python ({error})") from None
    calls = [node.value for node in body if _assigns(node, "ENTRY")]
    if len(calls) != 1 or not isinstance(calls[0], ast.Call):
        raise BatError(f"{path}: has no ENTRY = Entry(...), which says what its figure or table is")
    try:
        values = {word.arg or "**": ast.literal_eval(word.value) for word in calls[0].keywords}
    except ValueError:
        raise BatError(
            f"{path}: ENTRY holds more than plain values; it is read without running the file"
        ) from None
    known = {field.name for field in fields(Entry)} - {"name", "folder"}
    if unknown := sorted(set(values) - known):
        raise BatError(
            f"{path}: ENTRY has {', '.join(unknown)}, expected {', '.join(sorted(known))}"
        )
    if "shows" not in values:
        raise BatError(f"{path}: ENTRY lacks shows, which says what the figure or table shows")
    name, folder = path.stem, path.parent.name
    given = {"targets": (name,), "at": f"{folder}/{name}", "files": _FOLDERS[folder]} | values
    entry = Entry(**given, name=name, folder=folder)
    if entry.scope not in SCOPES:
        raise BatError(f"{path}: scope is {entry.scope!r}, expected one of {', '.join(SCOPES)}")
    if unknown := sorted(set(entry.uses) - {*OF_DATASET, "last_evaluations", "masking"}):
        raise BatError(
            f"{path}: uses {', '.join(unknown)}, expected some of {', '.join(OF_DATASET)}, "
            "last_evaluations, masking"
        )
    if unknown := sorted(set(entry.needs) - {*OF_DATASET, *OF_RUN}):
        raise BatError(
            f"{path}: needs {', '.join(unknown)}, expected some of "
            f"{', '.join([*OF_DATASET, *OF_RUN])}"
        )
    if set(entry.needs) & set(OF_RUN) and not (entry.runs and entry.scope == "architecture"):
        raise BatError(
            f"{path}: needs files of runs; say of which with runs, and scope='architecture'"
        )
    return entry


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == [name]


def writer(entry: Entry) -> Callable[[Any, Path], list[Path]]:
    """The function that makes a figure or table: ``write(source, out)``.

    ``source`` is a `bat.report.folder.Folder` for the scope 'dataset', a
    `bat.report.comparison.Comparison` for 'architecture' and the results folder for 'all';
    ``out`` is a path without suffix.
    """
    return importlib.import_module(f"bat.{entry.folder}.{entry.name}").write


def readme_row(entry: Entry) -> str:
    """The row of the README's table that says what an entry is and how to ask for it."""
    place = {"dataset": "{dataset}/", "architecture": "{dataset}/{arch}/", "all": ""}[entry.scope]
    suffixes = [suffix for suffix in entry.files if not suffix.startswith("_")]
    if entry.folder == "figures":
        suffixes = [suffix for suffix in suffixes if suffix not in ("png", "csv")]
    suffix = suffixes[0] if len(suffixes) == 1 else f"{{{','.join(suffixes)}}}"
    names = [f"`{name}`" for name in entry.targets]
    asked = ", ".join(names) if len(names) < 4 else f"{', '.join(names[:2])} ... {names[-1]}"
    paper = f"| {entry.paper} |" if entry.paper else "| |"
    return f"{paper} {asked} | `{place}{entry.at}.{suffix}` | {entry.shows} |"

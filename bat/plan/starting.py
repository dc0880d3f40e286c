"""What runs start from: in specifications, and what is wrong there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bat.config import AnyRun, Config, Dataset, names_file
from bat.escaping import shown
from bat.files import sha256_of
from bat.plan.runs import all_runs


def start_specification(run: AnyRun) -> dict[str, dict[str, str]]:
    """``{"start_from": ...}`` of a run that starts from trained weights; empty for others."""
    start = run.start_from
    if start is None:
        return {}
    if names_file(start):
        return {"start_from": {"file": start, "sha256": sha256_of(Path(start))}}
    return {"start_from": {"run": start}}


def starts(dataset: Dataset) -> dict[str, dict[str, str]]:
    """``{"starts": ...}``, the run that each starts from; empty where none starts from a run."""
    found = {
        name: run.start_from
        for name, run in all_runs(dataset).items()
        if run.start_from is not None and not names_file(run.start_from)
    }
    return {"starts": found} if found else {}


def start_problems(config: Config) -> list[str]:
    """What is wrong with what runs start from, a line for each, by the run's key."""
    found = []
    for name, dataset in config.datasets.items():
        runs = all_runs(dataset)
        found += [
            f"datasets.{name}.runs.{run}.start_from: {problem}"
            for run in runs
            if (problem := _problem(run, runs, dataset.runs)) is not None
        ]
    return found


def _problem(name: str, runs: Mapping[str, AnyRun], configured: Iterable[str]) -> str | None:
    start = runs[name].start_from
    if start is None:
        return None
    if names_file(start):
        if Path(start).is_file():
            return None
        return f"{shown(start)} is no file; correct it, or name a run"
    passed = [name]
    while start is not None and not names_file(start):
        if start not in runs:
            return (
                f"{start!r} is no run; expected a file or one of {', '.join(configured)}"
                if len(passed) == 1
                else None  # said of the run that names it
            )
        if start in passed:
            return f"goes round in a circle ({' -> '.join([*passed, start])}); break it"
        passed.append(start)
        start = runs[start].start_from
    return None

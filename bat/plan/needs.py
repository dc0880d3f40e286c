"""What a figure or table is made from: its runs, their seeds, and its files, by its entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bat.plan.catalogue import OF_DATASET, OF_RUN, Entry
from bat.plan.studies import ablation_name, study_name


def runs_of(names: Iterable[str], spec: Mapping[str, Any]) -> list[str]:
    """Runs by the names of their sets, each once.

    Parameters
    ----------
    names : iterable of str
        'configured', 'external' (models of others), 'ablation', 'substitution',
        'erm whole' and 'pgd-at whole' (of the studies, trained on everything), 'erm by share'
        and 'pgd-at by share' (on shares of the atypical samples); any other is a run's own.
    spec : mapping
        The specification of a comparison.
    """
    grid = spec["ablation"]
    sets = {
        "configured": spec["runs"],
        "external": spec["external"],
        "substitution": spec["substitution"],
        "ablation": [ablation_name(a, b) for a in grid["alpha"] for b in grid["beta"]],
    }
    for method in ("erm", "pgd-at"):
        sets[f"{method} whole"] = [study_name(method, None)]
        sets[f"{method} by share"] = [study_name(method, share) for share in spec["shares"]]
    return list(dict.fromkeys(run for name in names for run in sets.get(name, [name])))


def seeds_of(run: str, spec: Mapping[str, Any]) -> list[int]:
    """Seeds of a run of a comparison; an external model has the one seed 0."""
    return [0] if run in spec["external"] else list(spec["seeds"])


def inputs_of(entry: Entry, spec: Mapping[str, Any] | None = None) -> list[str]:
    """Paths, below the folder of the data set, of all that a figure or table is made from.

    Parameters
    ----------
    entry : Entry
    spec : mapping, optional
        The specification of the comparison, for the scope 'architecture'.
    """
    files = [path for need in entry.needs for path in OF_DATASET.get(need, ())]
    if spec is not None:
        files += [
            OF_RUN[need].format(architecture=spec["architecture"], run=run, seed=seed)
            for need in entry.needs
            if need in OF_RUN
            for run in runs_of(entry.runs, spec)
            for seed in seeds_of(run, spec)
        ]
    return files

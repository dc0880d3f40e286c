"""What every figure, table and job is made from: for the rules, the reports and the costs.

Figures and tables say what they need in their entries (`bat.plan.catalogue`). Paths lie
below the results folder of a data set. What compares runs shows those that its
specification gives it (`bat.plan.specifications.comparison_specification`), which the
rules have when the workflow is read, and the reports when they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bat.plan.catalogue import OF_DATASET, OF_RUN, Entry, read_catalogue
from bat.plan.names import ablation_name, study_name
from bat.scores import ENSEMBLE_SCORES
from bat.scores.ranking import table_of

if TYPE_CHECKING:
    from bat.config import Config, Dataset

# -- of a data set --------------------------------------------------------------------------

TRIAL_TABLES = ("memorization", "influence", "test")
SCORE_TABLES = (*TRIAL_TABLES, *ENSEMBLE_SCORES)


def score_file(table: str) -> str:
    """A score table, or the table of their convergence.

    >>> score_file("test"), score_file("convergence")
    ('scores/test.parquet', 'scores/convergence.csv')
    """
    return OF_DATASET[table_of(table)][0]


def absent_tables(dataset: Dataset) -> set[str]:
    """The score tables that a data set lacks.

    A source brings neither them nor trials; trials that keep no margins are not attacked.
    """
    if dataset.scores.source is None:
        return set() if dataset.scores.margins else {"privacy"}
    return {*ENSEMBLE_SCORES, "convergence", "privacy"} - set(dataset.scores.tables)


def score_files(dataset: Dataset, tables: Iterable[str] = SCORE_TABLES) -> list[str]:
    """Those of some score tables that a data set has."""
    absent = absent_tables(dataset)
    return [score_file(table) for table in tables if table not in absent]


def group_files(dataset: Dataset) -> list[str]:
    """The score tables that the groups are made of.

    >>> from bat import config
    >>> raw = {"data": {"source": "digits"}, "groups": {"score": "confidence", "top": 0.1}}
    >>> group_files(config.load_config({"datasets": {"x": raw}}).datasets["x"])[-1]
    'scores/confidence.parquet'
    """
    tables = dict.fromkeys([*TRIAL_TABLES, dataset.groups.score or TRIAL_TABLES[0]])
    return [score_file(table) for table in tables]


def shared_tables(dataset: Dataset) -> list[str]:
    """The tables that an archive of a data set's scores holds: all that there are."""
    proxies = dataset.proxies is not None or "proxies" in dataset.scores.tables
    return [*SCORE_TABLES, *(["proxies"] if proxies else []), "convergence"]


def fetched_tables(dataset: Dataset) -> list[str]:
    """The tables that a data set's source brings."""
    made_here = {"proxies"} if dataset.proxies is not None else set()
    return [table for table in shared_tables(dataset) if table not in made_here]


def is_drawn(dataset: Dataset, entry: Entry) -> bool:
    """Whether a data set has all the score tables that a figure or table is made from."""
    lacking = absent_tables(dataset) | ({"proxies"} if dataset.proxies is None else set())
    return not lacking & set(entry.needs)


def used_files(dataset: Dataset, entry: Entry, without: Iterable[str] = ()) -> list[str]:
    """Files that a figure or table shows beside those that it needs, where the data set has them.

    Parameters
    ----------
    dataset : Dataset
    entry : Entry
    without : iterable of str
        What it lacks beside, as keys of `bat.plan.catalogue.OF_DATASET`.
    """
    lacking = absent_tables(dataset) | set(without)
    if "proxies" not in shared_tables(dataset):
        lacking.add("proxies")
    return [OF_DATASET[use][0] for use in entry.uses if use in OF_DATASET and use not in lacking]


def course_files(dataset: Dataset) -> list[str]:
    """What was seen in the trainings behind the scores of single trainings, a file for each."""
    return [f"proxies/{dataset.watched}-seed{seed}.parquet" for seed in dataset.proxies.seeds]


# -- of a run -------------------------------------------------------------------------------

NEEDS = {
    "runs": "history",
    "evaluations": "evaluations",
    "masking": "masking",
    "evaluations-last": "last_evaluations",
    "poisoning": "poisoning",
    "representation": "representation",
}
"""What the jobs on one run and seed leave, as entries name it, by the kind of job."""


def result_file(kind: str, architecture: str, run: str, seed: int) -> str:
    """The result of one job, of a kind of `NEEDS`.

    >>> result_file("evaluations", "resnet18", "pgd-at", 0)
    'resnet18/evaluations/pgd-at/seed0.parquet'
    """
    return OF_RUN[NEEDS[kind]].format(architecture=architecture, run=run, seed=seed)


def checkpoint_file(architecture: str, run: str, seed: int | str, which: str = "best") -> str:
    """The model of one run and seed, of its ``best`` or its ``last`` epoch."""
    return f"{architecture}/runs/{run}/seed{seed}/{which}.pt"


def run_inputs(spec: dict, seed: int | str = 0) -> dict[str, str]:
    """Groups, score tables (``dropped`` is that of the left out), the run that it starts from."""
    inputs = {}
    dropped = spec.get("samples", {}).get("drop", {})
    if spec["train_on"]["atypical"] is not None or "group" in dropped:
        inputs["groups"] = OF_DATASET["train_groups"][0]
    if "kind" in dropped:
        inputs["dropped"] = score_file(dropped["kind"])
    if "run" in spec.get("start_from", {}):
        inputs["start"] = checkpoint_file(spec["architecture"], spec["start_from"]["run"], seed)
    if spec["score"] is not None:
        inputs["scores"] = score_file(spec["score"]["kind"])
    return inputs


# -- of a data set and an architecture ------------------------------------------------------

ANNOTATED_RUN = "pgd-at-atypical-0"
"""Whose poisoning scores the annotation study shows, of the first seed: it trains on no atypical
sample."""


def runs_of(names: Iterable[str], comparison: Mapping[str, Any]) -> list[str]:
    """Runs by the names of their sets, each once.

    Parameters
    ----------
    names : iterable of str
        'configured', 'external' (models of others), 'ablation', 'substitution',
        'erm whole' and 'pgd-at whole' (of the studies, trained on everything), 'erm by share'
        and 'pgd-at by share' (on shares of the atypical samples); any other is a run's own.
    comparison : mapping
        From `bat.plan.specifications.comparison_specification`.
    """
    grid = comparison["ablation"]
    sets = {
        "configured": comparison["runs"],
        "external": comparison["external"],
        "substitution": comparison["substitution"],
        "ablation": [ablation_name(a, b) for a in grid["alpha"] for b in grid["beta"]],
    }
    for method in ("erm", "pgd-at"):
        sets[f"{method} whole"] = [study_name(method, None)]
        sets[f"{method} by share"] = [study_name(method, share) for share in comparison["shares"]]
    return list(dict.fromkeys(run for name in names for run in sets.get(name, [name])))


def is_made(entry: Entry, comparison: Mapping[str, Any]) -> bool:
    """Whether the configuration asks for a figure or table of an architecture's runs."""
    made = "masking" not in entry.needs or "masking" in comparison
    return made and entry.name in comparison.get("only", [entry.name])


def unknown_entries(config: Config) -> list[str]:
    """What ``only`` names and nobody makes of an architecture's runs, a line for each."""
    entries = read_catalogue().values()
    known = {entry.name: entry for entry in entries if entry.scope == "architecture"}
    found = []
    for name, dataset in config.datasets.items():
        for architecture, names in dataset.only.items():
            for asked in names:
                place = f"datasets.{name}.only.{architecture}: {asked}"
                if asked not in known:
                    expected = ", ".join(known)
                    found.append(
                        f"{place} is no figure or table of runs; expected some of {expected}"
                    )
                elif "masking" in known[asked].needs and dataset.evaluation.masking is None:
                    found.append(
                        f"{place} shows checks that are not made; add masking: {{}} to the data "
                        f"set's evaluation, or leave {asked} out here"
                    )
    return found


def trained_runs(entry: Entry, comparison: Mapping[str, Any]) -> list[str]:
    """The runs of a figure or table that are trained here, and so have a specification."""
    return [run for run in runs_of(entry.runs, comparison) if run not in comparison["external"]]


ASKED = {"last_evaluations": "last", "masking": "masking"}
"""Files of runs that a figure or table may use, and the key of a comparison that asks for them."""


def read_runs(need: str, entry: Entry, comparison: Mapping[str, Any]) -> list[str]:
    """The runs whose files of a kind, a key of `OF_RUN`, a figure or table is made from."""
    used = need in entry.uses and ASKED[need] in comparison
    if not used and need not in entry.needs:
        return []
    of_last = need == "last_evaluations"  # models of others have but one
    return trained_runs(entry, comparison) if of_last else runs_of(entry.runs, comparison)


def seeds_of(run: str, comparison: Mapping[str, Any]) -> list[int]:
    """The seeds of a run; an external model has the one seed 0."""
    return [0] if run in comparison["external"] else list(comparison["seeds"])


def other_seed(seed: int, run: str, comparison: Mapping[str, Any]) -> int | None:
    """The seed whose model a transfer attack on a run's is made with; None where it has one seed.

    >>> other_seed(4, "pgd-at", {"external": [], "seeds": [0, 4, 2]})
    2
    """
    seeds = seeds_of(run, comparison)
    at = seeds.index(seed) if seed in seeds else -1
    return seeds[(at + 1) % len(seeds)] if len(seeds) > 1 else None


def tables_behind(run_specs: Iterable[dict]) -> list[str]:
    """The score tables and groups that runs go by, in their loss or the choice of their samples."""
    read = (run_inputs(spec) for spec in run_specs)
    return sorted({files[key] for files in read for key in files.keys() - {"start"}})


def shows_groups(tables: Iterable[str]) -> bool:
    """Whether tables of runs show groups of test samples too, by the files `tables_behind` them."""
    return bool({score_file("memorization"), *OF_DATASET["train_groups"]} & set(tables))


def inputs_of(
    entry: Entry, comparison: Mapping[str, Any] | None = None, run_specs: Iterable[dict] = ()
) -> list[str]:
    """All that a figure or table is made from, beside specifications and the images.

    Parameters
    ----------
    entry : Entry
    comparison : mapping, optional
        From `bat.plan.specifications.comparison_specification`, for the scope
        'architecture'.
    run_specs : iterable of dict
        The specifications of its `trained_runs`.
    """
    files = [path for need in entry.needs for path in OF_DATASET.get(need, ())]
    if comparison is not None:
        files += [
            OF_RUN[need].format(architecture=comparison["architecture"], run=run, seed=seed)
            for need in (*entry.needs, *entry.uses)
            if need in OF_RUN
            for run in read_runs(need, entry, comparison)
            for seed in seeds_of(run, comparison)
        ]
    if {"evaluations", "history"} & set(entry.needs):
        behind = tables_behind(run_specs)
        files += behind  # of which the caption speaks
        if "evaluations" in entry.needs and entry.folder == "tables" and shows_groups(behind):
            files += OF_DATASET["groups"]
    return list(dict.fromkeys(files))


def annotation_job(comparison: Mapping[str, Any]) -> tuple[str, int]:
    """Run and seed of the poisoning scores that the annotation study is made from."""
    return ANNOTATED_RUN, comparison["seeds"][0]


def evaluation_stage(run: str, comparison: Mapping[str, Any]) -> str:
    """The specification of a run's attacks: all of them in the tables, else PGD alone."""
    tables = (
        runs_of(entry.runs, comparison)
        for entry in read_catalogue().values()
        if entry.folder == "tables" and "evaluations" in entry.needs
    )
    return "evaluation" if any(run in runs for runs in tables) else "evaluation-ablation"


def jobs(kind: str, comparison: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Run and seed of every job that all figures and tables of an architecture need.

    Parameters
    ----------
    kind : str
        A key of `NEEDS`.
    comparison : mapping
        From `bat.plan.specifications.comparison_specification`.
    """
    made = [entry for entry in read_catalogue().values() if is_made(entry, comparison)]
    annotated = kind in ("runs", "poisoning") and any(e.name == "annotation" for e in made)
    found = [annotation_job(comparison)] if annotated else []
    for entry in made:
        if kind == "runs":  # whatever is read of a model, it is trained
            runs = trained_runs(entry, comparison)
        else:
            runs = read_runs(NEEDS[kind], entry, comparison)
        found += [(run, seed) for run in runs for seed in seeds_of(run, comparison)]
    if kind == "runs":
        found += [(start, seed) for run, seed in found for start in _starts(run, comparison)]
    return list(dict.fromkeys(found))


def _starts(run: str, comparison: Mapping[str, Any]) -> list[str]:
    """The runs that are trained before one that starts from another, the nearest first."""
    starts, found = comparison.get("starts", {}), []
    while run in starts:
        run = starts[run]
        found.append(run)
    return found

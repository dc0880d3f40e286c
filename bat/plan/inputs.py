"""What every figure, table and job is made from: for the rules, the reports and the costs.

Paths lie below the results folder of a data set. What compares runs shows those
that its specification gives it (`bat.plan.specifications.comparison_specification`),
which the rules have when the workflow is read, and the reports when they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bat.plan.names import ablation_name, study_name
from bat.scores import ENSEMBLE_SCORES, SCORES

if TYPE_CHECKING:
    from bat.config import Dataset

# -- of a data set --------------------------------------------------------------------------


def score_file(table: str) -> str:
    """A score table, or the table of their convergence.

    >>> score_file("test"), score_file("convergence")
    ('scores/test.parquet', 'scores/convergence.csv')
    """
    return f"scores/{table}{'.csv' if table == 'convergence' else '.parquet'}"


SCORE_TABLES = ("memorization", "influence", "test", *ENSEMBLE_SCORES)
OF_TRIALS = tuple(map(score_file, ("memorization", "influence", "test")))
GROUPS = ("groups/train.parquet", "groups/test.parquet")

FIGURES = {
    "fig5": (score_file("memorization"),),
    "fig6": (score_file("memorization"),),
    "fig7": OF_TRIALS,
    "alignment": tuple(map(score_file, SCORES)),
    "convergence": (*OF_TRIALS, score_file("convergence")),
    "groups": (score_file("memorization"), *GROUPS),
}
"""The figures of a data set, and what each is drawn from."""


def absent_tables(dataset: Dataset) -> set[str]:
    """The score tables that a data set lacks: its source brings neither them nor trials."""
    if dataset.scores.source is None:
        return set()
    return {*ENSEMBLE_SCORES, "convergence"} - set(dataset.scores.tables)


def score_files(dataset: Dataset, tables: Iterable[str] = SCORE_TABLES) -> list[str]:
    """Those of some score tables that a data set has."""
    absent = absent_tables(dataset)
    return [score_file(table) for table in tables if table not in absent]


def is_drawn(dataset: Dataset, figure: str) -> bool:
    """Whether a data set has all the score tables that a figure is drawn from."""
    absent = absent_tables(dataset)
    return not any(Path(file).stem in absent for file in FIGURES[figure])


# -- of a run -------------------------------------------------------------------------------

RESULTS = {
    "runs": "runs/{run}/seed{seed}/history.parquet",
    "evaluations": "evaluations/{run}/seed{seed}.parquet",
    "poisoning": "poisoning/{run}/seed{seed}.parquet",
    "representation": "representation/{run}/seed{seed}.json",
}
"""Where the jobs on one run and seed leave their result, in the folder of the architecture."""


def result_file(kind: str, architecture: str, run: str, seed: int) -> str:
    """The result of one job.

    >>> result_file("evaluations", "resnet18", "pgd-at", 0)
    'resnet18/evaluations/pgd-at/seed0.parquet'
    """
    return f"{architecture}/{RESULTS[kind].format(run=run, seed=seed)}"


def checkpoint_file(architecture: str, run: str, seed: int, which: str = "best") -> str:
    """The model of one run and seed, of its ``best`` or its ``last`` epoch."""
    return f"{architecture}/runs/{run}/seed{seed}/{which}.pt"


def run_inputs(spec: dict) -> dict[str, str]:
    """Groups and scores, where a run uses them; keys as `bat.training.Inputs` has them."""
    inputs = {}
    if spec["train_on"]["atypical"] is not None:
        inputs["groups"] = GROUPS[0]
    if spec["score"] is not None:
        inputs["scores"] = score_file(spec["score"]["kind"])
    return inputs


# -- of a data set and an architecture ------------------------------------------------------


class Studied(NamedTuple):
    """What a figure or table of section 3 and appendix B compares."""

    methods: tuple[str, ...]
    by_share: bool  # of atypical samples; else the whole training set alone

    def runs(self, comparison: dict) -> list[str]:
        """Names of the runs, from the specification of a comparison."""
        shares = comparison["shares"] if self.by_share else [None]
        return [study_name(method, share) for method in self.methods for share in shares]


STUDIED = {
    "fig1": Studied(("pgd-at",), by_share=False),
    "fig2": Studied(("pgd-at",), by_share=True),
    "fig8": Studied(("erm",), by_share=False),
    "fig14": Studied(("erm",), by_share=True),
    "typical": Studied(("erm", "pgd-at"), by_share=True),
    "representation": Studied(("erm", "pgd-at"), by_share=True),
}


def ablation_cells(comparison: dict) -> list[str]:
    """The runs of the ablation, each once."""
    grid = comparison["ablation"]
    cells = (ablation_name(alpha, beta) for alpha in grid["alpha"] for beta in grid["beta"])
    return list(dict.fromkeys(cells))


class Compared(NamedTuple):
    """A figure or table that compares runs.

    Attributes
    ----------
    suffixes : tuple of str
        Of its files.
    results : str
        What is read of each run and seed, a key of `RESULTS`.
    runs : callable
        From the specification of the comparison to the names of the runs.
    """

    suffixes: tuple[str, ...]
    results: str
    runs: Callable[[dict], list[str]]


FIGURE, TABLE, VALUES = (".pdf", ".png", ".csv"), (".csv", ".md", ".tex"), (".csv",)

COMPARED = {
    "methods": Compared(TABLE, "evaluations", lambda spec: [*spec["runs"], *spec["external"]]),
    "fig4": Compared(FIGURE, "evaluations", ablation_cells),
    "history": Compared(VALUES, "runs", lambda spec: spec["runs"]),
    "fig1": Compared(FIGURE, "runs", STUDIED["fig1"].runs),
    "fig2": Compared(FIGURE, "runs", STUDIED["fig2"].runs),
    "fig8": Compared(FIGURE, "runs", STUDIED["fig8"].runs),
    "fig14": Compared(FIGURE, "runs", STUDIED["fig14"].runs),
    "typical": Compared(TABLE, "runs", STUDIED["typical"].runs),
    "substitution": Compared(TABLE, "evaluations", lambda spec: spec["substitution"]),
    "representation": Compared(TABLE, "representation", STUDIED["representation"].runs),
}
"""The figures and tables of a data set and an architecture, by the name of their files."""

PAPER_TABLES = {
    1: ("cifar100", "wrn-28-10"),
    2: ("tiny_imagenet", "wrn-28-10"),
    3: ("cifar100", "resnet18"),
    4: ("cifar100", "wrn-28-10"),
    5: ("tiny_imagenet", "resnet32"),
    6: ("tiny_imagenet", "wrn-28-10"),
}
"""Data set and architecture of the paper's tables, each of the kind ``methods``."""

POISONING_RUNS = {"fig3": "pgd-at", "annotation": "pgd-at-atypical-0"}
"""Whose poisoning scores figure 3 and the annotation study show; the second trains on no atypical
sample, and its first seed counts alone."""


def compared_runs(artefact: str, comparison: dict) -> list[str]:
    """The runs that a figure or table of `COMPARED` shows, in its order.

    Parameters
    ----------
    artefact : str
    comparison : dict
        From `bat.plan.specifications.comparison_specification`.
    """
    return COMPARED[artefact].runs(comparison)


def trained_runs(artefact: str, comparison: dict) -> list[str]:
    """Those of `compared_runs` that are trained here, and so have a specification."""
    runs = compared_runs(artefact, comparison)
    return [run for run in runs if run not in comparison["external"]]


def seeds_of(run: str, comparison: dict) -> list[int]:
    """The seeds of a run; an external model has the one seed 0."""
    return [0] if run in comparison["external"] else comparison["seeds"]


def score_kinds(run_specs: Iterable[dict]) -> set[str]:
    """The scores that some runs go by, from their specifications."""
    return {spec["score"]["kind"] for spec in run_specs if spec["score"] is not None}


def compared_files(artefact: str, comparison: dict, run_specs: Iterable[dict]) -> list[str]:
    """What a figure or table of `COMPARED` is made from, beside specifications and the images.

    Parameters
    ----------
    artefact : str
    comparison : dict
        From `bat.plan.specifications.comparison_specification`.
    run_specs : iterable of dict
        The specifications of its `trained_runs`.
    """
    results, architecture = COMPARED[artefact].results, comparison["architecture"]
    files = [
        result_file(results, architecture, run, seed)
        for run in compared_runs(artefact, comparison)
        for seed in seeds_of(run, comparison)
    ]
    if results != "evaluations":
        return [*files, *GROUPS]
    if "memorization" in score_kinds(run_specs):  # its caption says what is so by chance
        files.append(score_file("memorization"))
    return files


def poisoning_jobs(artefact: str, comparison: dict) -> list[tuple[str, int]]:
    """Run and seed of the poisoning scores that figure 3 or the annotation study is made from."""
    seeds = comparison["seeds"] if artefact == "fig3" else comparison["seeds"][:1]
    return [(POISONING_RUNS[artefact], seed) for seed in seeds]


def evaluation_stage(run: str, comparison: dict) -> str:
    """The specification of a run's attacks: all of them in the tables, else PGD alone."""
    tables = (compared_runs(table, comparison) for table in ("methods", "substitution"))
    return "evaluation" if any(run in runs for runs in tables) else "evaluation-ablation"


def jobs(kind: str, comparison: dict) -> list[tuple[str, int]]:
    """Run and seed of every job that all figures and tables of an architecture need.

    Parameters
    ----------
    kind : {"runs", "evaluations", "poisoning", "representation"}
    comparison : dict
        From `bat.plan.specifications.comparison_specification`.
    """
    found: list[tuple[str, int]] = []
    if kind in ("runs", "poisoning"):
        found = [job for artefact in POISONING_RUNS for job in poisoning_jobs(artefact, comparison)]
    for artefact, shown in COMPARED.items():
        if kind == "runs":  # whatever is read of a model, it is trained
            runs = trained_runs(artefact, comparison)
        else:
            runs = compared_runs(artefact, comparison) if shown.results == kind else []
        found += [(run, seed) for run in runs for seed in seeds_of(run, comparison)]
    return list(dict.fromkeys(found))

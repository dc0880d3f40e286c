"""Tables 1 to 6: every run under every attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bat.plan.catalogue import Entry
from bat.plan.effort import step_cost
from bat.plan.inputs import runs_of, score_kinds
from bat.report.along_training import GROUPS
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.crossed import beats_all, corrected, summary
from bat.report.judged import COLUMNS, verdicts
from bat.report.methods_shown import by_group, caption, cost_text, differences, presentation
from bat.report.paper import BASELINE, TABLES, PaperTable
from bat.report.words import LABELS
from bat.report.writing import Part, write_parts

ENTRY = Entry(
    shows="methods under attack, beside the paper's numbers",
    paper="Tables 1-6",
    scope="architecture",
    needs=("evaluations",),
    runs=("configured", "external"),
    targets=("table1", "table2", "table3", "table4", "table5", "table6"),
    part_of="comparisons",
)


OF_GROUPS = ("n", "mean", "sd", "difference", "low", "high")
"""Columns of each group, behind its name: ``typical_mean``."""


def methods_table(
    evaluations: Mapping[tuple[str, int], pd.DataFrame],
    *,
    baseline: str = BASELINE,
    paper: PaperTable | None = None,
    groups: pd.DataFrame | None = None,
    costs: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Summarise evaluations over seeds and samples, with differences from one run.

    Parameters
    ----------
    evaluations : mapping of (run, seed) to DataFrame
        As for `bat.report.judged.verdicts`.
    baseline : str
        The run that the others are compared with. Without it, differences are
        NaN.
    paper : PaperTable, optional
        A value of `bat.report.paper.TABLES`.
    groups : DataFrame, optional
        Of the test split, a row per sample in order: ``typical``, ``atypical``.
    costs : mapping of str to float, optional
        By run, what a training step costs; see `bat.plan.effort.step_cost`.

    Returns
    -------
    DataFrame
        A row per run and attack, runs in the paper's order and then as given:
        ``run``, ``attack``; ``n`` samples; the columns of
        `bat.report.crossed.summary`, differences being run - baseline; ``p_holm``,
        corrected for the number of differences in the table; ``best``, whether the
        run is ahead of every other under the attack, each difference established;
        ``paper`` and ``paper_difference``, NaN where the paper has no such cell;
        ``cost``; and on the typical and the atypical samples the columns
        `OF_GROUPS`, of which the first counts them. Accuracies are in [0, 1].

    Raises
    ------
    BatError
        As `bat.report.judged.verdicts`.

    Notes
    -----
    Tables 1 to 6 of the paper.
    """

    def printed(run: str, attack: str) -> float:
        known = {} if paper is None else paper.accuracies
        return known.get(run, {}).get(attack, np.nan) / 100

    judged = verdicts(evaluations)
    attacks = dict.fromkeys(attack for _, attack in judged)
    ahead = {
        attack: beats_all({run: own for (run, name), own in judged.items() if name == attack})
        for attack in attacks
    }
    ranks = {run: rank for rank, run in enumerate(dict.fromkeys([*LABELS, *_runs(judged)]))}
    columns = list(dict.fromkeys([*COLUMNS, *attacks]))
    cells = sorted(judged, key=lambda cell: (ranks[cell[0]], columns.index(cell[1])))
    table = pd.DataFrame(
        [
            {"run": run, "attack": attack, "n": judged[run, attack].shape[1]}
            | summary(judged[run, attack], judged.get((baseline, attack)))
            | {"best": ahead[attack] == run, "paper": printed(run, attack)}
            | {"cost": (costs or {}).get(run, np.nan)}
            | _by_group(judged[run, attack], judged.get((baseline, attack)), groups)
            for run, attack in cells
        ]
    )
    reference = np.array([printed(baseline, attack) for _, attack in cells])
    table = corrected(table.assign(paper_difference=table["paper"] - reference), baseline)
    first = list(table.columns[: table.columns.get_loc("p") + 1])
    first += ["p_holm", "best", "paper", "paper_difference"]
    return table[first + [name for name in table.columns if name not in first]]


def _by_group(
    own: pd.DataFrame, reference: pd.DataFrame | None, groups: pd.DataFrame | None
) -> dict[str, float]:
    """`OF_GROUPS` of a run under an attack; NaN without groups, or where one is empty."""
    row = {f"{group}_{name}": np.nan for group in GROUPS[1:] for name in OF_GROUPS}
    for group in GROUPS[1:] if groups is not None else ():
        members = groups[group].to_numpy(bool)[own.columns]
        other = None if reference is None else reference.loc[:, members]
        found = summary(own.loc[:, members], other) | {"n": int(members.sum())}
        row |= {f"{group}_{name}": found[name] for name in OF_GROUPS}
    return row


def _runs(judged: Mapping[tuple[str, str], pd.DataFrame]) -> list[str]:
    return list(dict.fromkeys(run for run, _ in judged))


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write the table of a data set and architecture, with the paper's numbers where it has them.

    Parameters
    ----------
    comparison : Comparison
        Of the data set and architecture.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written.
    """
    paper = TABLES.get((comparison.dataset, comparison.architecture))
    return write_methods(comparison, runs_of(ENTRY.runs, comparison.spec), paper, out)


def attack_steps(specs: Mapping[str, Mapping]) -> int:
    """Steps of the attack in the PGD-AT step that costs are counted in: its run's, else 10."""
    return specs["pgd-at"]["objective"]["steps"] if "pgd-at" in specs else 10


def write_methods(
    comparison: Comparison, runs: Sequence[str], paper: PaperTable | None, out: Path
) -> list[Path]:
    """Write a table of some runs under every attack; arguments and result as for `write`."""
    evaluation, specs = comparison.spec["evaluation"], comparison.specs(runs)
    grouped = "memorization" in score_kinds(specs.values())
    steps = attack_steps(specs)
    table = methods_table(
        comparison.evaluations(runs),
        paper=paper,
        groups=comparison.folder.groups("test")[0] if grouped else None,
        costs={run: step_cost(spec["objective"], steps) for run, spec in specs.items()},
    )
    text = sentences(caption(table, evaluation, specs, paper=paper), comparison.caution(runs))
    for kind in sorted(score_kinds(specs.values())):
        text = comparison.folder.noted(text, f"scores/{kind}.parquet")
    if table["cost"].notna().any():
        text += f" {cost_text(steps)}"
    shown, marked = presentation(table, evaluation["attacks"])
    parts = [Part(text, shown, marked)]
    if (table["n_pairs"] > 0).any() and table["run"].nunique() > 1:
        parts.append(differences(table, evaluation["attacks"], BASELINE))
    if grouped and table[["typical_n", "atypical_n"]].to_numpy().any():
        parts.append(by_group(table, evaluation["attacks"], comparison.folder.caution()))
    return write_parts(table, parts, out)

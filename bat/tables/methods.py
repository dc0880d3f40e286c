"""Tables 1 to 6: every run under every attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bat.plan.catalogue import Entry
from bat.plan.inputs import runs_of, score_kinds
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.judged import COLUMNS, accuracies, attack_labels, protocol_text, setting_text
from bat.report.paper import BASELINE, TABLES, PaperTable
from bat.report.seeds import over_seeds
from bat.report.words import LABELS, cell_text
from bat.report.writing import write_shown
from bat.statistics import paired_difference

ENTRY = Entry(
    shows="methods under attack, beside the paper's numbers",
    paper="Tables 1-6",
    scope="architecture",
    needs=("evaluations",),
    runs=("configured", "external"),
    targets=("table1", "table2", "table3", "table4", "table5", "table6"),
    part_of="comparisons",
)


def methods_table(
    judged: pd.DataFrame, *, baseline: str = BASELINE, paper: PaperTable | None = None
) -> pd.DataFrame:
    """Summarise accuracies over seeds, with differences from one run.

    Parameters
    ----------
    judged : DataFrame
        From `bat.report.judged.accuracies`.
    baseline : str
        The run that the others are compared with. Without it, differences are
        NaN.
    paper : PaperTable, optional
        A value of `bat.report.paper.TABLES`.

    Returns
    -------
    DataFrame
        A row per run and attack, runs in the paper's order and then as given:
        ``run``, ``attack``; ``n`` samples; ``n_seeds``, ``mean`` and ``sd`` over
        seeds (NaN for one seed); ``n_pairs``, the seeds that the run and the
        baseline both have, and over those the mean ``difference`` run - baseline,
        its ``difference_sd`` and 95 % t-interval, ``low`` to ``high``; ``paper`` and
        ``paper_difference``, NaN where the paper has no such cell. Accuracies are
        in [0, 1].

    Raises
    ------
    BatError
        If a run has an attack and seed twice.

    Notes
    -----
    Tables 1 to 6 of the paper.
    """

    def printed(run: str, attack: str) -> float:
        known = {} if paper is None else paper.accuracies
        return known.get(run, {}).get(attack, np.nan) / 100

    table = over_seeds(judged, ["run", "attack"], "accuracy")
    table.insert(2, "n", judged["n"].iloc[0])
    by_seed = {
        cell: rows.set_index("seed")["accuracy"] for cell, rows in judged.groupby(["run", "attack"])
    }
    cells = list(zip(table["run"], table["attack"], strict=True))
    compared = [_difference(by_seed[cell], by_seed.get((baseline, cell[1]))) for cell in cells]
    columns = ["n_pairs", "difference", "difference_sd", "low", "high"]
    table[columns] = pd.DataFrame(compared)
    table["paper"] = [printed(*cell) for cell in cells]
    reference = np.array([printed(baseline, attack) for _, attack in cells])
    table["paper_difference"] = table["paper"] - reference
    ranks = {run: rank for rank, run in enumerate(dict.fromkeys([*LABELS, *table["run"]]))}
    columns = list(dict.fromkeys([*COLUMNS, *table["attack"]]))
    order = sorted(
        range(len(cells)), key=lambda i: (ranks[cells[i][0]], columns.index(cells[i][1]))
    )
    return table.iloc[order].reset_index(drop=True)


def _difference(own: pd.Series, other: pd.Series | None) -> tuple[float, ...]:
    """Number, mean, standard deviation and interval of the differences over common seeds."""
    seeds = [] if other is None else own.index.intersection(other.index)
    if len(seeds) == 0:
        return 0, np.nan, np.nan, np.nan, np.nan
    found = paired_difference(own[seeds], other[seeds])
    return found.n, found.mean, found.sd, found.low, found.high


def presentation(table: pd.DataFrame, attacks: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Set out a table of methods for readers.

    Parameters
    ----------
    table : DataFrame
        From `methods_table`.
    attacks : mapping
        Of the evaluation's specification; names the columns.

    Returns
    -------
    DataFrame of str
        ``Method`` and a column per attack, percent as ``62.0 ± 0.3 (+0.0)``:
        mean, standard deviation where there are several seeds, difference from
        the baseline where there is one; beside each the column ``..., paper``
        where the paper has numbers. Missing cells are null.
    """
    labels = attack_labels(attacks)
    runs = list(dict.fromkeys(table["run"]))
    wide = pd.DataFrame({"Method": [LABELS.get(run, run) for run in runs]})
    for attack, rows in table.groupby("attack", sort=False):
        rows = rows.set_index("run")
        ours = {row.Index: cell_text(row.mean, row.sd, row.difference) for row in rows.itertuples()}
        wide[labels[attack]] = [ours.get(run) for run in runs]
        rows = rows[rows["paper"].notna()]
        theirs = {
            row.Index: cell_text(row.paper, np.nan, row.paper_difference)
            for row in rows.itertuples()
        }
        if theirs:
            wide[f"{labels[attack]}, paper"] = [theirs.get(run) for run in runs]
    return wide


def caption(
    table: pd.DataFrame,
    evaluation: Mapping[str, Any],
    specs: Mapping[str, Mapping[str, Any]],
    *,
    baseline: str = BASELINE,
    paper: PaperTable | None = None,
) -> str:
    """Caption of `methods_table`.

    Parameters
    ----------
    table : DataFrame
        From `methods_table`.
    evaluation : mapping
        The evaluation's specification.
    specs : mapping of str to mapping
        The specification of each run, at any seed. A run without one is said
        to have been trained elsewhere.
    baseline, paper
        As for `methods_table`.
    """
    name = LABELS.get(baseline, baseline)
    if baseline not in set(table["run"]):
        differences = f"There are no differences, since the run {baseline} is not in the table."
    else:
        differences = f"In parentheses: mean difference from {name}, paired by seed"
        if (table["n_pairs"] < table["n_seeds"]).any():
            differences += ", over the seeds that both have"
        differences += "."
    parts = [setting_text(table, evaluation, specs), differences, protocol_text(table, specs)]
    if paper is not None:
        numbers = " and ".join(map(str, paper.tables))
        parts.append(
            f"Paper: its table{'s' if len(paper.tables) > 1 else ''} {numbers}, with PGD-100; "
            "differences taken from its accuracies."
        )
    return " ".join(part for part in parts if part)


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


def write_methods(
    comparison: Comparison, runs: Sequence[str], paper: PaperTable | None, out: Path
) -> list[Path]:
    """Write a table of some runs under every attack; arguments and result as for `write`."""
    table = methods_table(accuracies(comparison.evaluations(runs)), paper=paper)
    evaluation, specs = comparison.spec["evaluation"], comparison.specs(runs)
    text = sentences(caption(table, evaluation, specs, paper=paper), comparison.caution(runs))
    for kind in sorted(score_kinds(specs.values())):
        text = comparison.folder.noted(text, f"scores/{kind}.parquet")
    return write_shown(table, presentation(table, evaluation["attacks"]), out, text)

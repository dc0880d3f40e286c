"""Tables 1 to 6: every run under every attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bat.errors import BatError
from bat.plan.catalogue import Entry
from bat.plan.effort import step_cost
from bat.plan.inputs import runs_of, shows_groups, tables_behind
from bat.report.along_training import GROUPS
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.crossed import beats_all, corrected, summary
from bat.report.judged import column_order, verdicts
from bat.report.masking import masking_note
from bat.report.methods_shown import (
    by_group,
    caption,
    cost_text,
    differences,
    losses,
    presentation,
)
from bat.report.paper import BASELINE, TABLES, PaperTable
from bat.report.words import LABELS
from bat.report.writing import Part, write_parts

ENTRY = Entry(
    shows="methods under attack, beside the paper's numbers",
    paper="Tables 1-6",
    scope="architecture",
    needs=("evaluations",),
    uses=("last_evaluations", "masking"),
    runs=("configured", "external"),
    targets=("methods", "table1", "table2", "table3", "table4", "table5", "table6"),
    part_of="comparisons",
)


LOST = ("lost", "lost_low", "lost_high")

OF_GROUPS = ("n", "mean", "sd", "difference", "low", "high")
"""Columns of each group, behind its name: ``typical_mean``."""


def methods_table(
    evaluations: Mapping[tuple[str, int], pd.DataFrame],
    *,
    last: Mapping[tuple[str, int], pd.DataFrame] | None = None,
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
    last : mapping of (run, seed) to DataFrame, optional
        Of the last epoch's models, on the same samples.
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
        A row per run, checkpoint and attack, runs in the paper's order and then as
        given: ``run``, ``checkpoint`` ('best', of the epoch selected, or 'last'),
        ``attack``; ``n`` samples; the columns of `bat.report.crossed.summary`,
        differences being run - baseline at the same checkpoint; ``p_holm``, corrected
        for the number of differences in the table; ``best``, whether the run is ahead
        of every other at its checkpoint under the attack, each difference established;
        ``paper`` and ``paper_difference``, NaN where the paper has no such cell;
        ``reference``, the run compared with; ``cost``; on the typical and the atypical
        samples the columns `OF_GROUPS`, of which the first counts them; and of a last
        epoch what is ``lost`` since the best one, ``lost_low`` to ``lost_high``.
        Accuracies are in [0, 1].

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

    judged = _judged(evaluations, last or {})
    ahead = {of: beats_all(_all_runs(judged, *of)) for of in {cell[1:] for cell in judged}}
    rows = []
    for run, checkpoint, attack in _in_order(judged):
        own = judged[run, checkpoint, attack]
        reference = judged.get((baseline, checkpoint, attack))
        row = {"run": run, "checkpoint": checkpoint, "attack": attack, "n": own.shape[1]}
        row |= summary(own, reference)
        row |= {"p_holm": np.nan, "best": ahead[checkpoint, attack] == run}
        shown = printed(run, attack) if checkpoint == "best" else np.nan
        row |= {"paper": shown, "paper_difference": shown - printed(baseline, attack)}
        row |= {"reference": baseline, "cost": (costs or {}).get(run, np.nan)}
        row |= _by_group(own, reference, groups)
        rows.append(row | _lost(own, judged[run, "best", attack] if checkpoint == "last" else None))
    return corrected(pd.DataFrame(rows), baseline)


def _judged(evaluations: Mapping, last: Mapping) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Verdicts by run, checkpoint and attack, all on the same samples."""
    found = {(run, "best", attack): own for (run, attack), own in verdicts(evaluations).items()}
    if last:
        of_last = verdicts(last)
        judged = next(iter(found.values())).columns
        if not next(iter(of_last.values())).columns.equals(judged):
            raise BatError(
                "the evaluations of last epochs judged other test samples than those of the epochs "
                "selected; run the workflow, which makes them again"
            )
        found |= {(run, "last", attack): own for (run, attack), own in of_last.items()}
    return found


def _all_runs(judged: Mapping, checkpoint: str, attack: str) -> dict[str, pd.DataFrame]:
    return {cell[0]: own for cell, own in judged.items() if cell[1:] == (checkpoint, attack)}


def _in_order(judged: Mapping) -> list[tuple[str, str, str]]:
    """Runs as in the paper and then as given, the best before the last, attacks as in the paper."""
    runs, _, attacks = (list(dict.fromkeys(names)) for names in zip(*judged, strict=True))
    runs, attacks = list(dict.fromkeys([*LABELS, *runs])), column_order(attacks)
    return sorted(judged, key=lambda cell: (runs.index(cell[0]), cell[1], attacks.index(cell[2])))


def _lost(own: pd.DataFrame, best: pd.DataFrame | None) -> dict[str, float]:
    """What a last epoch has lost since the best one: robust overfitting."""
    if best is None:
        return dict.fromkeys(LOST, np.nan)
    found = summary(best, own)
    return {name: found[of] for name, of in zip(LOST, ("difference", "low", "high"), strict=True)}


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
    spec, runs = comparison.spec, runs_of(ENTRY.runs, comparison.spec)
    last = comparison.evaluations(runs, "last") if spec.get("last") else {}
    baseline = spec.get("baseline", BASELINE)
    settings = {"paper": paper, "baseline": baseline, "last": last}
    return write_methods(comparison, runs, out, note=masking_note(comparison), **settings)


def attack_steps(specs: Mapping[str, Mapping]) -> int:
    """Steps of the attack in the PGD-AT step that costs are counted in: its run's, else 10."""
    return specs["pgd-at"]["objective"]["steps"] if "pgd-at" in specs else 10


def write_methods(
    comparison: Comparison,
    runs: Sequence[str],
    out: Path,
    *,
    paper: PaperTable | None = None,
    baseline: str = BASELINE,
    last: Mapping[tuple[str, int], pd.DataFrame] | None = None,
    note: str = "",
) -> list[Path]:
    """Write a table of some runs under every attack; arguments as of `methods_table`.

    ``note`` is said in its caption.
    """
    evaluation, specs = comparison.spec["evaluation"], comparison.specs(runs)
    attacks = evaluation["attacks"]
    grouped = shows_groups(tables_behind(specs.values()))
    steps = attack_steps(specs)
    table = methods_table(
        comparison.evaluations(runs),
        last=last,
        baseline=baseline,
        paper=paper,
        groups=comparison.folder.groups("test")[0] if grouped else None,
        costs={run: step_cost(spec["objective"], steps) for run, spec in specs.items()},
    )
    text = caption(table, evaluation, specs, baseline=baseline, paper=paper)
    text = sentences(text, note, comparison.caution(runs))
    text = comparison.noted(text, runs)
    if table["cost"].notna().any():
        text += f" {cost_text(steps)}"
    shown, marked = presentation(table, attacks)
    parts = [Part(text, shown, marked)]
    if (table["n_pairs"] > 0).any() and table["run"].nunique() > 1:
        parts.append(differences(table, attacks, baseline))
    if last:
        parts.append(losses(table, attacks))
    if grouped and table[["typical_n", "atypical_n"]].to_numpy().any():
        parts.append(by_group(table, attacks, comparison.folder.caution()))
    return write_parts(table, parts, out)

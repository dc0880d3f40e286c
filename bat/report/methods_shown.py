"""The table of methods as readers see it: accuracies, differences, captions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bat.report.along_training import GROUPS
from bat.report.captions import sentences
from bat.report.judged import attack_labels, protocol_text, setting_text
from bat.report.paper import BASELINE, PaperTable
from bat.report.words import LABELS, cell_text, difference_text, p_text
from bat.report.writing import Part


def presentation(
    table: pd.DataFrame, attacks: Mapping[str, Mapping[str, Any]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set out a table of methods for readers.

    Parameters
    ----------
    table : DataFrame
        From `bat.tables.methods.methods_table`.
    attacks : mapping
        Of the evaluation's specification; names the columns.

    Returns
    -------
    cells : DataFrame of str
        ``Method`` and a column per attack, percent as ``62.0 ± 0.3 (+0.0)``:
        mean, standard deviation where there are several seeds, difference from
        the baseline where there is one; beside each the column ``..., paper``
        where the paper has numbers; ``Cost`` where it is known of some run.
        Missing cells are null.
    marked : DataFrame of bool
        Of the same shape: which cells are the best of their attack.
    """
    labels, runs = attack_labels(attacks), list(dict.fromkeys(table["run"]))
    wide = pd.DataFrame({"Method": [LABELS.get(run, run) for run in runs]})
    marked = pd.DataFrame({"Method": [False] * len(runs)})
    for attack, rows in table.groupby("attack", sort=False):
        rows = rows.set_index("run")
        ours = {row.Index: cell_text(row.mean, row.sd, row.difference) for row in rows.itertuples()}
        wide[labels[attack]] = [ours.get(run) for run in runs]
        marked[labels[attack]] = [bool(rows["best"].get(run, False)) for run in runs]
        rows = rows[rows["paper"].notna()]
        theirs = {
            row.Index: cell_text(row.paper, np.nan, row.paper_difference)
            for row in rows.itertuples()
        }
        if theirs:
            wide[f"{labels[attack]}, paper"] = [theirs.get(run) for run in runs]
            marked[f"{labels[attack]}, paper"] = False
    costs = table.drop_duplicates("run")["cost"]
    if costs.notna().any():
        wide["Cost"] = [None if pd.isna(cost) else f"{cost:.2f}" for cost in costs]
        marked["Cost"] = False
    return wide, marked


def cost_text(attack_steps: int) -> str:
    """What the column ``Cost`` is, as a sentence."""
    return (
        "Cost: of a training step, counted in passes, where a step of PGD-AT with "
        f"{attack_steps} steps of attack on as large a batch is 1."
    )


def differences(
    table: pd.DataFrame, attacks: Mapping[str, Mapping[str, Any]], baseline: str
) -> Part:
    """The differences from one run for readers, with intervals and corrected p.

    Parameters
    ----------
    table, attacks
        As for `presentation`.
    baseline : str
        The run that they are taken from, which has no row.

    Returns
    -------
    Part
        A row for each other run; columns for each attack, ``...`` with the difference
        in points and its interval, and ``..., Holm p``.
    """
    labels = attack_labels(attacks)
    others = table[table["run"] != baseline]
    runs = list(dict.fromkeys(others["run"]))
    wide = pd.DataFrame({"Method": [LABELS.get(run, run) for run in runs]})
    for attack, rows in others.groupby("attack", sort=False):
        rows = rows.set_index("run").reindex(runs)
        wide[labels[attack]] = [
            None if pd.isna(row.difference) else difference_text(row.difference, row.low, row.high)
            for row in rows.itertuples()
        ]
        wide[f"{labels[attack]}, Holm p"] = [p_text(p) or None for p in rows["p_holm"]]
    n_tests = int(others["p"].notna().sum())
    text = f"Differences from {LABELS.get(baseline, baseline)} in points, paired by seed and sample"
    if not n_tests:
        return Part(f"{text}. One seed, so that no interval is known.", wide)
    text += (
        ", with 95 % intervals that count both sources of chance, other seeds and other test "
        f"samples. Holm p: corrected for the {n_tests} differences of this table; below 0.05 a "
        "difference is established."
    )
    return Part(text, wide)


def by_group(table: pd.DataFrame, attacks: Mapping[str, Mapping[str, Any]], caution: str) -> Part:
    """Accuracy on the typical and the atypical test samples for readers.

    Parameters
    ----------
    table, attacks
        As for `presentation`.
    caution : str
        What must be known of the groups; may be empty.

    Returns
    -------
    Part
        Columns for each attack and group, cells as those of `presentation`.
    """
    labels, first = attack_labels(attacks), table.iloc[0]
    runs = list(dict.fromkeys(table["run"]))
    wide = pd.DataFrame({"Method": [LABELS.get(run, run) for run in runs]})
    for attack, rows in table.groupby("attack", sort=False):
        rows = rows.set_index("run").reindex(runs)
        for group in GROUPS[1:]:
            values = rows[[f"{group}_{name}" for name in ("mean", "sd", "difference")]]
            wide[f"{labels[attack]}, {group}"] = [
                None if pd.isna(row[0]) else cell_text(*row)
                for row in values.itertuples(index=False, name=None)
            ]
    text = (
        f"Accuracy (%) on the {first['typical_n']:,.0f} typical and the {first['atypical_n']:,.0f} "
        "atypical of these test samples, as in the first table; the intervals of the differences "
        "are in the CSV file."
    )
    return Part(sentences(text, caution), wide)


def caption(
    table: pd.DataFrame,
    evaluation: Mapping[str, Any],
    specs: Mapping[str, Mapping[str, Any]],
    *,
    baseline: str = BASELINE,
    paper: PaperTable | None = None,
) -> str:
    """Caption of `presentation`.

    Parameters
    ----------
    table : DataFrame
        From `bat.tables.methods.methods_table`.
    evaluation : mapping
        The evaluation's specification.
    specs : mapping of str to mapping
        The specification of each run, at any seed. A run without one is said
        to have been trained elsewhere.
    baseline, paper
        As for `bat.tables.methods.methods_table`.
    """
    name = LABELS.get(baseline, baseline)
    if baseline not in set(table["run"]):
        differences = f"There are no differences, since the run {baseline} is not in the table."
    else:
        differences = f"In parentheses: mean difference from {name}, paired by seed"
        if (table["n_pairs"] < table["n_seeds"]).any():
            differences += ", over the seeds that both have"
        differences += "."
    if table["p"].notna().any():
        differences += (
            " Bold: ahead of every other run, each difference established (p below 0.05, counting "
            "seeds and test samples)" + ("." if table["best"].any() else "; here none is.")
        )
    parts = [setting_text(table, evaluation, specs), differences, protocol_text(table, specs)]
    if paper is not None:
        numbers = " and ".join(map(str, paper.tables))
        parts.append(
            f"Paper: its table{'s' if len(paper.tables) > 1 else ''} {numbers}, with PGD-100; "
            "differences taken from its accuracies."
        )
    return " ".join(part for part in parts if part)

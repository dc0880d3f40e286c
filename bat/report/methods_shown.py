"""The table of methods as readers see it: accuracies, differences, captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bat.report.along_training import GROUPS
from bat.report.captions import sentences
from bat.report.judged import attack_labels, protocol_text, setting_text
from bat.report.paper import BASELINE, PaperTable
from bat.report.words import LABELS, cell_text, counted, difference_text, p_text
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
        ``Method``, ``Epoch`` where last ones were judged, and a column per attack,
        percent as ``62.0 ± 0.3 (+0.0)``: mean, standard deviation where there are
        several seeds, difference from the baseline where there is one; beside each the
        column ``..., paper`` where the paper has numbers; ``Cost`` where it is known of
        some run. Missing cells are null.
    marked : DataFrame of bool
        Of the same shape: which cells are the best of their attack.
    """
    labels, wide = attack_labels(attacks), _heads(table)
    marked = pd.DataFrame(False, wide.index, wide.columns)
    for attack, rows in _by_attack(table, wide.index):
        wide[labels[attack]] = [_cell(row.mean, row.sd, row.difference) for row in rows]
        marked[labels[attack]] = [row.best is True for row in rows]
        if any(pd.notna(row.paper) for row in rows):
            wide[f"{labels[attack]}, paper"] = [
                _cell(row.paper, np.nan, row.paper_difference) for row in rows
            ]
            marked[f"{labels[attack]}, paper"] = False
    costs = table.drop_duplicates(ROW).set_index(ROW)["cost"]
    if costs.notna().any():
        wide["Cost"] = [None if pd.isna(cost) else f"{cost:.2f}" for cost in costs[wide.index]]
        marked["Cost"] = False
    return wide.reset_index(drop=True), marked.reset_index(drop=True)


ROW = ["run", "checkpoint"]


def _heads(table: pd.DataFrame) -> pd.DataFrame:
    """The first columns: whose row it is, and of which epoch where there are several."""
    index = pd.MultiIndex.from_frame(table[ROW].drop_duplicates())
    wide = pd.DataFrame({"Method": [LABELS.get(run, run) for run, _ in index]}, index=index)
    if "last" in set(table["checkpoint"]):
        wide["Epoch"] = [checkpoint for _, checkpoint in index]
    return wide


def _by_attack(table: pd.DataFrame, index: pd.MultiIndex) -> Iterator[tuple[str, list]]:
    """Each attack with a row, which may be of NaN, for every entry of the index."""
    for attack, rows in table.groupby("attack", sort=False):
        yield attack, list(rows.set_index(ROW).reindex(index).itertuples())


def _cell(mean: float, sd: float, difference: float) -> str | None:
    return None if pd.isna(mean) else cell_text(mean, sd, difference)


def cost_text(attack_steps: int) -> str:
    """What the column ``Cost`` is, as a sentence."""
    return (
        "Cost: of a training step, counted in passes, where a step of PGD-AT with "
        f"{counted(attack_steps, 'step')} of attack on as large a batch is 1."
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
    wide = _heads(others)
    for attack, rows in _by_attack(others, wide.index):
        wide[labels[attack]] = [_difference(row.difference, row.low, row.high) for row in rows]
        wide[f"{labels[attack]}, Holm p"] = [p_text(row.p_holm) or None for row in rows]
    wide = wide.reset_index(drop=True)
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


def _difference(difference: float, low: float, high: float) -> str | None:
    return None if pd.isna(difference) else difference_text(difference, low, high)


def losses(table: pd.DataFrame, attacks: Mapping[str, Mapping[str, Any]]) -> Part:
    """What each run has lost from the epoch selected to the last: robust overfitting.

    Parameters
    ----------
    table, attacks
        As for `presentation`; with rows of last epochs.

    Returns
    -------
    Part
        Columns for each attack: the accuracy lost in points, and its interval.
    """
    labels = attack_labels(attacks)
    rows = table[table["checkpoint"] == "last"]
    wide = _heads(rows).drop(columns="Epoch")
    for attack, of_runs in _by_attack(rows, wide.index):
        wide[labels[attack]] = [
            _difference(row.lost, row.lost_low, row.lost_high) for row in of_runs
        ]
    text = (
        "Accuracy lost from the epoch selected to the last, in points; under attack it is robust "
        "overfitting. Paired by seed and sample"
    )
    if rows["lost_low"].notna().any():
        text += ", with 95 % intervals that count both sources of chance, not corrected"
    return Part(f"{text}.", wide.reset_index(drop=True))


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
    labels, first, wide = attack_labels(attacks), table.iloc[0], _heads(table)
    for attack, rows in _by_attack(table, wide.index):
        for group in GROUPS[1:]:
            names = [f"{group}_{name}" for name in ("mean", "sd", "difference")]
            wide[f"{labels[attack]}, {group}"] = [
                _cell(*(getattr(row, name) for name in names)) for row in rows
            ]
    text = (
        f"Accuracy (%) on the {first['typical_n']:,.0f} typical and the {first['atypical_n']:,.0f} "
        "atypical of these test samples, as in the first table; the intervals of the differences "
        "are in the CSV file."
    )
    return Part(sentences(text, caution), wide.reset_index(drop=True))


def _without_best(table: pd.DataFrame) -> str:
    """Where no cell is bold: that it is so, and why none can be."""
    if table["best"].any():
        return ""
    single = table.loc[table["n_seeds"] == 1, "run"].unique()
    if not len(single):
        return "; here none is"
    names = ", ".join(LABELS.get(run, run) for run in single)
    return f"; here none is, since of one seed no difference can be: {names}"


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
            f"seeds and test samples){_without_best(table)}."
        )
    if "last" in set(table["checkpoint"]):
        differences += " Differences and bold among models of the same epoch, selected or last."
    parts = [setting_text(table, evaluation, specs), differences, protocol_text(table, specs)]
    if paper is not None:
        numbers = " and ".join(map(str, paper.tables))
        parts.append(
            f"Paper: its table{'s' if len(paper.tables) > 1 else ''} {numbers}, with PGD-100; "
            "differences taken from its accuracies."
        )
    return " ".join(part for part in parts if part)

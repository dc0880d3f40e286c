"""Whether models are robust or hide their gradient: the checks of every run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bat.config.values import fraction_text
from bat.plan.catalogue import Entry
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.masking import CHECKS, checked, failure_note, failures
from bat.report.words import LABELS
from bat.report.writing import write_shown

ENTRY = Entry(
    shows="checks of gradient masking of every run",
    scope="architecture",
    needs=("masking",),
    runs=("configured", "external"),
    part_of="comparisons",
)


def presentation(table: pd.DataFrame, attack: Mapping[str, Any]) -> pd.DataFrame:
    """Set out `bat.report.masking.checks` for readers.

    Parameters
    ----------
    table : DataFrame
    attack : mapping
        Of the specification of the checks.

    Returns
    -------
    DataFrame of str
        A row per run: ``Method``; a column per check, the accuracies in percent that it
        compares, means over seeds, as ``44.0 → 43.5``, null where it was not made; and
        ``Verdict``, 'pass' or what fails.
    """
    titles = {
        "steps": f"PGD-{attack['few']} → {attack['many']}",
        "transfer": "and transfer",
        "square": "and Square",
        "unbounded": "at eps 1",
    }
    failed, rows = failures(table), []
    for run, of_run in table.groupby("run", sort=False):
        row = {"Method": LABELS.get(run, run)} | dict.fromkeys(titles.values())
        means = of_run.groupby("check")[["before", "after"]].mean()
        for name, before, after in means.itertuples():
            row[titles[name]] = f"{100 * before:.1f} → {100 * after:.1f}"
        rows.append(row | {"Verdict": f"fails: {failed[run]}" if run in failed else "pass"})
    return pd.DataFrame(rows)


def caption(table: pd.DataFrame, spec: Mapping[str, Any], architecture: str) -> str:
    """Caption of `bat.report.masking.checks`, made by a specification."""
    attack, limits = spec["attack"], table.groupby("check")["limit"].first()
    limit = {name: f"{100 * limits.get(name, of.limit):.3g} %" for name, of in CHECKS.items()}
    few, many, step = attack["few"], attack["many"], fraction_text(attack["step"])
    text = (
        f"Checks of gradient masking on {table['n'].iloc[0]:,} test samples of {spec['dataset']}, "
        f"{architecture}: accuracy (%) before and after a further attack, mean over seeds. PGD "
        f"with eps {fraction_text(attack['eps'])}, {few} and {many} steps of {step}; then, of what "
        f"withstands both, PGD-{many} on the model of another seed (transfer), Square with "
        f"{attack['queries']:,} queries, and PGD-{many} with eps 1. A model fails where more steps "
        f"break over {limit['steps']}, transfer over {limit['transfer']} or Square over "
        f"{limit['square']} of the samples, or where more than chance, {limit['unbounded']}, "
        "withstand eps 1; each of them beyond the noise of the samples, which is to say with all "
        "of Wilson's 95 % interval, each seed by itself."
    )
    return sentences(text, failure_note(table) or "No model fails.")


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write the table of a data set and architecture.

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
    table, spec = checked(comparison), comparison.spec["masking"]
    text = caption(table, spec, comparison.architecture)
    return write_shown(table, presentation(table, spec["attack"]), out, text)

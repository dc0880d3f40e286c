"""Section 3.2: accuracy on the test typical group after training, by share of atypical samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bat.plan.catalogue import Entry
from bat.report.along_training import followed
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.seeds import compared_by
from bat.report.shares import by_share
from bat.report.words import LABELS, difference_text, mean_text
from bat.report.writing import write_shown

ENTRY = Entry(
    shows="end values with their uncertainty",
    paper="Section 3.2",
    scope="architecture",
    needs=("history", "groups"),
    runs=("erm by share", "pgd-at by share"),
    part_of="section3",
)


def end_values(followed: pd.DataFrame, runs: Mapping[str, str], reference: str) -> pd.DataFrame:
    """Accuracy on the test typical group after training, with differences from one run.

    Parameters
    ----------
    followed : DataFrame
        From `bat.report.along_training.along_training`.
    runs : mapping of str to str
        Label by run.
    reference : str
        The run that differences are taken from, paired by seed.

    Returns
    -------
    DataFrame
        ``run``, ``label``, ``attack``, ``n_seeds``, ``mean``, ``sd``, ``difference``,
        ``difference_se`` (standard error over seeds; NaN for one), ``low`` and
        ``high`` (95 % t-interval of the difference).
    """
    last = followed["epoch"] == followed.groupby("run")["epoch"].transform("max")
    chosen = followed[last & (followed["split"] == "test") & (followed["group"] == "typical")]
    return compared_by(chosen.rename(columns={"accuracy": "value"}), "attack", runs, reference)


def presentation(table: pd.DataFrame) -> pd.DataFrame:
    """`end_values` of both methods for readers: percent, difference and its interval."""
    rows, first = [], table["label"].iloc[0]
    for row in table.itertuples():
        cell, difference = "no samples", None
        if not pd.isna(row.mean):
            cell = mean_text(row.mean, row.sd)
            if row.label != first:
                difference = difference_text(row.difference, row.low, row.high)
        rows.append(
            {
                "Method": LABELS[row.method],
                "Atypical": row.label,
                "Accuracy": {"clean": "clean", "pgd": "PGD"}[row.attack],
                "Mean (%)": cell,
                "Difference": difference,
            }
        )
    return pd.DataFrame(rows)


def caption(table: pd.DataFrame, dataset: str, architecture: str) -> str:
    """Caption of `end_values`."""
    return (
        f"Accuracy on the test typical group of {dataset} ({architecture}) after training on all "
        "typical and a share of the atypical samples; mean ± standard deviation over "
        f"{table['n_seeds'].max()} seeds. Difference: from the first share, paired by seed, in "
        "points, with a 95 % t-interval where there are several seeds."
    )


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
    parts = []
    for method, runs, reference in by_share(comparison.spec):
        values = end_values(followed(comparison, list(runs)), runs, reference)
        parts.append(values.assign(method=method))
    table = pd.concat(parts, ignore_index=True)
    folder = comparison.folder
    text = sentences(caption(table, comparison.dataset, comparison.architecture), folder.caution())
    text = folder.noted(text, "groups/train.parquet")
    return write_shown(table, presentation(table), out, text)

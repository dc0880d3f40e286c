"""Section 3.2: accuracy on the test typical group after training, by share of atypical samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bat.plan.catalogue import Entry
from bat.report.along_training import end_verdicts
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.crossed import summary
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


def end_values(
    verdicts: Mapping[tuple[str, str], pd.DataFrame], runs: Mapping[str, str], reference: str
) -> pd.DataFrame:
    """Accuracy after training, with differences from one run.

    Parameters
    ----------
    verdicts : mapping of (run, attack) to DataFrame of bool
        Of the test typical group, from `bat.report.along_training.end_verdicts`.
    runs : mapping of str to str
        Label by run.
    reference : str
        The run that differences are taken from, paired by seed and sample.

    Returns
    -------
    DataFrame
        ``run``, ``label``, ``attack``, and the columns of `bat.report.crossed.summary`.
    """
    return pd.DataFrame(
        [
            {"run": run, "label": label, "attack": attack}
            | summary(verdicts[run, attack], verdicts[reference, attack])
            for attack in dict.fromkeys(attack for _, attack in verdicts)
            for run, label in runs.items()
        ]
    )


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
    text = (
        f"Accuracy on the test typical group of {dataset} ({architecture}) after training on all "
        "typical and a share of the atypical samples"
    )
    n_seeds = table["n_seeds"].max()
    if n_seeds == 1:
        return f"{text}. Difference: from the first share, in points. One seed: no spread is known."
    return (
        f"{text}; mean ± standard deviation over {n_seeds} seeds. Difference: from the first "
        "share, paired by seed and sample, in points, where there are several seeds with a 95 % "
        "interval that counts both sources of chance, other seeds and other test samples."
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
    folder, parts = comparison.folder, []
    groups = folder.groups("test")[0]
    for method, runs, reference in by_share(comparison.spec):
        verdicts = end_verdicts(
            comparison.histories(runs),
            groups,
            folder.prepared.info,
            comparison.specs([reference])[reference]["history"]["max_samples"],
        )
        parts.append(end_values(verdicts, runs, reference).assign(method=method))
    table = pd.concat(parts, ignore_index=True)
    text = sentences(caption(table, comparison.dataset, comparison.architecture), folder.caution())
    text = folder.noted(text, "groups/train.parquet")
    return write_shown(table, presentation(table), out, text)

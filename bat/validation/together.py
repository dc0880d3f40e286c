"""Tables that lie in one folder, against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from bat.errors import ArtifactError
from bat.files import check_label, column
from bat.scores import ENSEMBLE_SCORES
from bat.validation.influence import check_maxima, check_pairs
from bat.validation.rows import Rows

_BESIDE = {
    "convergence.csv": ("memorization", ("trials",)),
    "privacy.csv": ("privacy", ("trials", "margins")),
}
"""Of files that have a label alone: the table beside each, and what both are made of."""


def check_beside(path: Path, tables: dict[str, tuple[pa.Table, dict]]) -> None:
    """Refuse a CSV file that its label says to be of other data or trials than the table beside it.

    Parameters
    ----------
    path : path
        ``convergence.csv`` or ``privacy.csv``.
    tables : dict
        Tables of its folder and their metadata by kind.

    Raises
    ------
    ArtifactError
    """
    kind, names = _BESIDE.get(path.name, ("", ()))
    if kind in tables:
        metadata = tables[kind][1]
        stated = metadata.get("inputs", {})
        made_of = {name: stated[name] for name in names if name in stated}
        check_label(path, metadata["fingerprint"], made_of)


def check_together(folder: Path, tables: dict[str, tuple[pa.Table, dict]]) -> None:
    """Check tables that lie in one folder against each other.

    Parameters
    ----------
    folder : path
        For the messages.
    tables : dict
        Tables and their metadata by kind.

    Raises
    ------
    ArtifactError
        If they are of other data sets or trials, or contradict each other.
    """
    names = list(tables)
    first = names[0]
    for name in names[1:]:
        if tables[name][1]["fingerprint"] != tables[first][1]["fingerprint"]:
            raise ArtifactError(
                f"{folder}: {first}.parquet and {name}.parquet speak of different data sets"
            )
    one_run = [n for n in ("memorization", "influence", "test", "privacy") if n in tables]
    for name in one_run[1:]:
        made_of = [tables[kind][1].get("inputs", {}).get("trials") for kind in (one_run[0], name)]
        if None not in made_of and made_of[0] != made_of[1]:
            raise ArtifactError(
                f"{folder}: {one_run[0]}.parquet and {name}.parquet were made of different trials"
            )
        if tables[name][1]["recipe"] != tables[one_run[0]][1]["recipe"]:
            raise ArtifactError(
                f"{folder}: {one_run[0]}.parquet and {name}.parquet come from different recipes"
            )
    for name in ENSEMBLE_SCORES:
        if name in tables and "memorization" in tables:
            ours, theirs = (column(tables[n][0], "label") for n in ("memorization", name))
            if not np.array_equal(ours, theirs):
                raise ArtifactError(f"{folder / name}.parquet: labels differ from memorization's")
    if not {"memorization", "influence", "test"} <= tables.keys():
        return
    memorization, test = tables["memorization"][0], tables["test"][0]
    pairs, metadata = tables["influence"]
    rows = Rows(folder / "influence.parquet", pairs)
    check_pairs(rows, metadata, column(memorization, "label"), column(test, "label"))
    check_maxima(folder, rows, metadata["influence"]["keep_above"], memorization.num_rows, test)

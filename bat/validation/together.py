"""Tables that lie in one folder, against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from bat.errors import ArtifactError
from bat.files import column
from bat.scores import ENSEMBLE_SCORES
from bat.validation.influence import check_maxima, check_pairs
from bat.validation.rows import Rows


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

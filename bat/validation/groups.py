"""Rules of the typical and atypical samples, and what they are made of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bat import files
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.reading import check_values
from bat.scores.ranking import table_of
from bat.validation.rows import Rows


def check_groups(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """A sample is of one group at most, and the metadata count the atypical ones."""
    rows.every(rows["index"] == np.arange(rows.table.num_rows), "index counts from 0 up")
    rows.every(
        ~(rows["typical"].astype(bool) & rows["atypical"].astype(bool)),
        "no sample is typical and atypical",
    )
    chance = metadata.get("chance", {})
    known = {key: value for key, value in chance.items() if value is not None}
    numbers = dict.fromkeys(("expected", "false_discovery"), (float, 0, math.inf))
    numbers["members"] = (int, 0, 2**31 - 1)
    check_values(f"{rows.path}: chance", known, numbers, ArtifactError)
    members = np.count_nonzero(rows["atypical"])
    if chance and chance.get("members") != members:
        raise ArtifactError(
            f"{rows.path}: the metadata state {chance.get('members')!r} atypical samples, and the "
            f"rows give {members}"
        )
    asked = metadata.get("thresholds", {}).get("false_discovery")
    if chance and chance.get("false_discovery") != asked:
        raise ArtifactError(
            f"{rows.path}: the metadata state the false discovery rate "
            f"{chance.get('false_discovery')!r}, and the thresholds ask for {asked!r}"
        )


GROUPS_MADE_OF = ("memorization", "influence", "test")
"""Kinds of the score tables that groups are made of."""


def by_margins(scores: Path, thresholds: dict) -> bool:
    """Whether test samples are to stand by the margins of their pairs, which `scores` then has."""
    if thresholds.get("false_discovery") is None:
        return False
    about = files.read_metadata(scores / "influence.parquet", "influence")
    return "standing_margin" in about.get("chance", {})


def groups_inputs(scores: Path, thresholds: dict) -> dict[str, str]:
    """What stands for the score tables in the ``inputs`` of groups.

    Parameters
    ----------
    scores : Path
        Folder of the tables.
    thresholds : dict
        Of the groups: what margins say is part of groups that go by it, and of no others;
        so is another score than memorization.
    """
    used = files.LEFT_OUT["influence"] if by_margins(scores, thresholds) else ()
    names = {
        kind: [n for n in files.SCHEMAS[kind].names if n not in files.LEFT_OUT.get(kind, ())]
        for kind in GROUPS_MADE_OF
    }
    names["influence"] += sorted(used)
    made_of = {
        kind: files.table_digest(scores / f"{kind}.parquet", kind, columns)
        for kind, columns in names.items()
    }
    if (score := thresholds.get("score")) is not None and score not in made_of:
        kind = table_of(score)
        made_of[score] = files.table_digest(scores / f"{kind}.parquet", kind, [score])
    return made_of

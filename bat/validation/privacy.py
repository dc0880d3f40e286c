"""Rules of ``privacy.parquet`` and ``privacy.csv``."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.validation.csv_tables import CsvCheck
from bat.validation.rows import Rows

RATES_COLUMNS = (
    *("part", "n_samples", "auc", "auc_low", "auc_high"),
    *("fpr", "tpr", "tpr_low", "tpr_high"),
)


def check_privacy(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Areas in [0, 1], each with an error or without either."""
    rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
    area, error = rows["auc"], rows["auc_se"]
    rows.every(((area >= 0) & (area <= 1)) | np.isnan(area), "auc lies in [0, 1], or is NaN")
    rows.every(((error > 0) & (error <= 1)) | np.isnan(error), "auc_se is above 0, or NaN")
    rows.every(np.isnan(area) == np.isnan(error), "auc and auc_se are known, or neither is")


def _rules(path: Path, rows: list[dict[str, str]]) -> None:
    """Parts with rates in [0, 1], or none."""
    columns = list(rows[0]) if rows else []
    if tuple(columns) != RATES_COLUMNS:
        raise ArtifactError(
            f"{path}: has the columns {', '.join(columns) or 'of no row'}, expected "
            f"{', '.join(RATES_COLUMNS)}"
        )
    try:
        counts = [int(row["n_samples"]) for row in rows]
        values = [float(row[name] or "nan") for row in rows for name in RATES_COLUMNS[2:]]
    except ValueError as error:
        raise ArtifactError(f"{path}: not a table of rates ({error})") from None
    if min(counts) < 1 or any(not math.isnan(value) and not 0 <= value <= 1 for value in values):
        raise ArtifactError(f"{path}: n_samples must be 1 or more, and every rate lie in [0, 1]")
    if not any(row["part"] == "all" for row in rows):
        raise ArtifactError(f"{path}: has no rows of the part 'all', which the figure draws")


check_rates = CsvCheck("a table of rates", _rules)
"""Of ``privacy.csv``."""

"""Rules of ``convergence.csv``."""

from __future__ import annotations

import math
from pathlib import Path

from bat.errors import ArtifactError
from bat.validation.rows import csv_rows

CONVERGENCE_COLUMNS = ("n_trials", "split_half_correlation", "se_p95")

DRAWN_COLUMNS = (
    *("repeats", "se_mean", "split_half_correlation_sd"),
    *("split_half_spearman", "split_half_spearman_sd"),
)


def check_convergence(path: Path) -> int:
    """Check ``convergence.csv``; the number of its rows."""
    rows = csv_rows(path)
    columns = set(rows[0]) if rows else set()
    for name in CONVERGENCE_COLUMNS:
        if name not in columns:
            raise ArtifactError(f"{path}: has no column {name!r}")
    try:
        trials = [int(row["n_trials"]) for row in rows]
        values = [float(row[name] or "nan") for row in rows for name in columns]
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: not a table of numbers ({error})") from None
    if trials != sorted(set(trials)) or any(map(math.isinf, values)):
        raise ArtifactError(f"{path}: n_trials must rise, and every value must be a number")
    missing = [name for name in DRAWN_COLUMNS if name not in columns]
    if missing:
        raise ArtifactError(f"{path}: has no column {', '.join(missing)}, which the figure draws")
    return len(rows)

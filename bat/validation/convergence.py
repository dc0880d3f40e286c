"""Rules of ``convergence.csv``."""

from __future__ import annotations

import math
from pathlib import Path

from bat.errors import ArtifactError
from bat.validation.csv_tables import CsvCheck

CONVERGENCE_COLUMNS = ("n_trials", "split_half_correlation", "se_p95")

DRAWN_COLUMNS = (
    *("repeats", "se_mean", "split_half_correlation_sd"),
    *("split_half_spearman", "split_half_spearman_sd"),
)


def _rules(path: Path, rows: list[dict[str, str]]) -> None:
    columns = set(rows[0]) if rows else set()
    for name in CONVERGENCE_COLUMNS:
        if name not in columns:
            raise ArtifactError(f"{path}: has no column {name!r}")
    try:
        trials = [int(row["n_trials"]) for row in rows]
        values = {name: [float(row[name] or "nan") for row in rows] for name in columns}
    except ValueError as error:
        raise ArtifactError(f"{path}: not a table of numbers ({error})") from None
    if trials != sorted(set(trials)) or any(math.isinf(v) for of in values.values() for v in of):
        raise ArtifactError(f"{path}: n_trials must rise, and every value must be a number")
    missing = [name for name in DRAWN_COLUMNS if name not in columns]
    if missing:
        raise ArtifactError(f"{path}: has no column {', '.join(missing)}, which the figure draws")
    for name, (low, high) in _RANGES.items():
        wrong = [value for value in values[name] if value < low or value > high]
        if wrong:
            raise ArtifactError(
                f"{path}: {name} is {wrong[0]:g}, expected a number in [{low:g}, {high:g}]"
            )


_RANGES = {
    "n_trials": (1, math.inf),
    **dict.fromkeys(("se_p95", "se_mean"), (0, 1)),
    **dict.fromkeys(("split_half_correlation", "split_half_spearman"), (-1, 1)),
    **dict.fromkeys(("split_half_correlation_sd", "split_half_spearman_sd"), (0, 2)),
}
"""Of what every such table has; an empty cell is not known."""

check_convergence = CsvCheck("a table of numbers", _rules)
"""Of ``convergence.csv``."""

"""The rows of one table, and the complaint about the first that breaks a rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from bat.errors import ArtifactError
from bat.files import column

ROUNDING = 1e-9
"""Differences of float64 values that come from the order of operations alone."""


class Rows:
    """The columns of one table, and the complaint about the first row that breaks a rule."""

    def __init__(self, path: Path, table: pa.Table):
        self.path, self.table = path, table

    def known(self, name: str) -> bool:
        """Whether the column has values; one that has them only for some rows is refused."""
        nulls = self.table.column(name).null_count
        if 0 < nulls < self.table.num_rows:
            raise ArtifactError(
                f"{self.path}: {name} is null in {nulls} of {self.table.num_rows} rows; a column "
                "has a value in every row or in none"
            )
        return nulls == 0

    def __getitem__(self, name: str) -> np.ndarray:
        if not self.known(name):
            raise ArtifactError(f"{self.path}: {name} has no values, and it must")
        return column(self.table, name)

    def every(self, good: np.ndarray, rule: str) -> None:
        """Refuse the table at the first row that is not good; ``good`` is a mask of the rows."""
        bad = np.flatnonzero(~good)
        if bad.size:
            more = f" (and {bad.size - 1} more rows)" if bad.size > 1 else ""
            raise ArtifactError(f"{self.path}: row {bad[0]}{more} breaks the rule: {rule}")

    def within(self, name: str, low: float, high: float) -> None:
        """Refuse values of a column outside a closed range, and NaN."""
        values = self[name]
        self.every((values >= low) & (values <= high), f"{name} lies in [{low:g}, {high:g}]")

    def index_and_label(self, labels: np.ndarray | None) -> None:
        """Refuse rows that do not count from 0 up, or labels that are not the data set's."""
        self.every(self["index"] == np.arange(self.table.num_rows), "index counts from 0 up")
        self.every(self["label"] >= 0, "label is a class number, 0 or more")
        if labels is not None:
            self.every(self["label"] == labels, "label is the data set's label of that sample")

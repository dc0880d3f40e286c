"""Rules of the scores of an ensemble, one number a training sample."""

from __future__ import annotations

import numpy as np

from bat.data import PreparedData
from bat.validation.rows import ROUNDING, Rows


def check_metric(name: str, high: float):
    """The rule of a score by its column's name and its highest value; the lowest is 0."""

    def check(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
        rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
        rows.within(name, 0, high + ROUNDING)

    return check

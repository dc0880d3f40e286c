"""Rules of the scores of an ensemble, one number a training sample."""

from __future__ import annotations

import numpy as np

from bat.data import PreparedData
from bat.scores import Score
from bat.validation.rows import ROUNDING, Rows


def check_metric(score: Score):
    """The rule of a score by its name and its range."""

    def check(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
        rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
        rows.within(score.name, score.low, score.high + ROUNDING)

    return check

"""Rules of the scores of an ensemble, one number a training sample."""

from __future__ import annotations

import numpy as np

from bat import files
from bat.data import PreparedData
from bat.scores import SCORES, Score
from bat.validation.rows import ROUNDING, Rows


def check_metric(score: Score):
    """The rule of a score by its name and its range."""

    def check(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
        rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
        rows.within(score.name, score.low, score.high + ROUNDING)

    return check


def check_confidence(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Confidence, and where it is known what models without a sample predict, in falling shares."""
    check_metric(SCORES["confidence"])(rows, metadata, prepared)
    if not rows.known("n_held_out"):
        return
    n_models = rows["n_held_out"]
    rows.every(n_models >= 0, "n_held_out is 0 or more")
    classes = np.stack([rows[name] for name, _ in files.PREDICTED])
    shares = np.stack([rows[name] for _, name in files.PREDICTED])
    last = np.inf if prepared is None else len(prepared.info["class_names"]) - 1
    rows.every(((classes >= -1) & (classes <= last)).all(axis=0), f"predicted lies in [-1, {last}]")
    rows.every(
        ((shares > 0) == (classes >= 0)).all(axis=0), "a predicted class has a share, and -1 has 0"
    )
    falling = (shares[:-1] >= shares[1:]).all(axis=0) & (shares[-1] >= 0)
    rows.every(falling & (shares.sum(axis=0) <= 1 + ROUNDING), "shares fall, and sum to 1 at most")
    ends = np.sort(classes, axis=0)
    twice = ((ends[1:] == ends[:-1]) & (ends[1:] >= 0)).any(axis=0)
    rows.every(~twice, "a class is predicted in one place")
    rows.every((shares[0] > 0) == (n_models > 0), "something is predicted where models left it out")

"""Verdicts on masked gradients as checks that hold or fail, and the words of those that fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bat.plan.inputs import runs_of
from bat.report.words import LABELS
from bat.statistics import wilson_interval

if TYPE_CHECKING:
    from bat.report.comparison import Comparison


@dataclass(frozen=True)
class Check:
    """One check of a model.

    ``title`` is what readers call it. The share of the samples that count withstand the verdict
    ``before`` and, as ``falls`` says, fall to ``after`` or withstand it too. It fails where that
    share lies above ``limit`` by more than the noise of the samples; None is chance.
    """

    title: str
    before: str
    after: str
    falls: bool
    limit: float | None


CHECKS = {
    "steps": Check("More steps", "few", "many", True, 0.05),
    "transfer": Check("Transfer", "many", "transfer", True, 0.02),
    "square": Check("Square", "many", "square", True, 0.02),
    "unbounded": Check("eps 1", "many", "unbounded", False, None),
}
"""By name. Limits are far above what models trained with attacks show, and far below what a
gradient of zero does; see docs/masking.md."""


def checks(verdicts: Mapping[tuple[str, int], pd.DataFrame], chance: float) -> pd.DataFrame:
    """Make each check of each model.

    Parameters
    ----------
    verdicts : mapping of (run, seed) to DataFrame
        ``few``, ``many``, ``transfer`` (missing or null where there is no other model), ``square``,
        ``unbounded``: whether a sample withstands; see `bat.attacks.masking_verdicts`.
    chance : float
        Accuracy of who says the commonest class of every image.

    Returns
    -------
    DataFrame
        A row for each run, seed and check that was made: ``run``, ``seed``, ``check`` (a key of
        `CHECKS`); of ``n`` samples those that count, ``count``; their ``share`` in [0, 1] with
        Wilson's 95 % interval ``low`` to ``high``; the ``limit``; and ``passed``, whether
        ``low`` is not above it. ``before`` and ``after`` are the accuracies, in [0, 1], that
        the check compares.
    """
    rows = []
    for (run, seed), frame in verdicts.items():
        for name, check in CHECKS.items():
            if check.after not in frame or frame[check.after].isna().all():
                continue
            before, after = (frame[column].astype(bool) for column in (check.before, check.after))
            counted = before & (~after if check.falls else after)
            low, high = map(float, wilson_interval(counted.sum(), len(frame)))
            limit = chance if check.limit is None else check.limit
            rows.append(
                {
                    "run": run,
                    "seed": seed,
                    "check": name,
                    "n": len(frame),
                    "before": before.mean(),
                    "after": after.mean(),
                    "count": int(counted.sum()),
                    "share": counted.mean(),
                    "low": low,
                    "high": high,
                    "limit": limit,
                    "passed": low <= limit,
                }
            )
    return pd.DataFrame(rows)


def failures(table: pd.DataFrame) -> dict[str, str]:
    """What each run fails in, for those that fail.

    Parameters
    ----------
    table : DataFrame
        From `checks`.

    Returns
    -------
    dict of str to str
        By run, as ``Square (seeds 0 and 1), eps 1 (seed 0)``.
    """
    found: dict[str, list[str]] = {}
    for (run, name), rows in table[~table["passed"]].groupby(["run", "check"], sort=False):
        seeds = " and ".join(map(str, rows["seed"]))
        word = "seed" if len(rows) == 1 else "seeds"
        found.setdefault(run, []).append(f"{CHECKS[name].title} ({word} {seeds})")
    return {run: ", ".join(parts) for run, parts in found.items()}


def failure_note(table: pd.DataFrame) -> str:
    """A sentence for captions on the runs whose checks fail; empty where none does."""
    named = [f"{LABELS.get(run, run)} fails {what}" for run, what in failures(table).items()]
    if not named:
        return ""
    return f"PGD says too little of models whose gradient seems masked: {'; '.join(named)}."


def masking_note(comparison: Comparison) -> str:
    """`failure_note` of all runs of a comparison; empty where no check is configured."""
    if "masking" not in comparison.spec:
        return ""
    return failure_note(checked(comparison))


def checked(comparison: Comparison) -> pd.DataFrame:
    """`checks` of every configured run and external model."""
    runs = runs_of(("configured", "external"), comparison.spec)
    labels = comparison.folder.prepared.test_labels
    return checks(comparison.maskings(runs), float(np.bincount(labels).max() / len(labels)))

"""What methods of training get right under attacks, as scores of test images on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bat.report.browse_columns import packed
from bat.report.judged import attack_labels
from bat.report.words import LABELS, counted


def method_columns(
    evaluations: Mapping[tuple[str, int], pd.DataFrame], attacks: Mapping[str, Any], n_test: int
) -> tuple[list[dict], dict[str, list[list[str]]]]:
    """Shares of a run's seeds that get each test image right, under each attack.

    Parameters
    ----------
    evaluations : mapping of (run, seed) to DataFrame
        ``index`` and a column of bool for ``clean`` and each attack.
    attacks : mapping
        Of an evaluation's specification: settings by attack.
    n_test : int
        Images that were not evaluated have no value.

    Returns
    -------
    columns : list of dict
        As `bat.report.browse_columns.splits` has them, named ``{run}:{attack}``.
    choices : dict of list
        ``runs`` and ``attacks``: name and what readers call it.
    """
    labels, columns, seen = attack_labels(attacks), [], {}
    runs = list(dict.fromkeys(run for run, _ in evaluations))
    for run in runs:
        frames = [frame for (of, _), frame in evaluations.items() if of == run]
        for attack, label in labels.items():
            if any(frame[attack].isna().any() for frame in frames):
                continue
            share = np.full(n_test, np.nan)
            verdicts = [frame[attack].to_numpy(bool) for frame in frames]
            share[frames[0]["index"]] = np.mean(verdicts, axis=0)
            seen[attack] = label
            title = f"{LABELS.get(run, run)}: {label}"
            about = f"share of {counted(len(frames), 'model')} that get it right, one a seed"
            values = packed(share, "f4")
            columns.append(
                {"name": f"{run}:{attack}", "title": title, "about": about, "values": values}
            )
    names = [[run, LABELS.get(run, run)] for run in runs]
    return columns, {"runs": names, "attacks": [list(item) for item in seen.items()]}

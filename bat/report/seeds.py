"""Values of several seeds: means, spreads, and differences paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bat.errors import BatError
from bat.statistics import mean_and_sd, paired_difference

NUMBERS = ("mean", "sd", "difference", "difference_se", "low", "high")
"""Columns of a comparison that are numbers."""


def over_seeds(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Summarise a value over the seeds of each run.

    Parameters
    ----------
    frame : DataFrame
        The columns ``by``, ``seed`` and ``value``, one row per seed.
    by : sequence of str
        Columns that name a point, such as ``("series", "epoch")``.
    value : str
        Column to summarise.

    Returns
    -------
    DataFrame
        ``by``, ``mean``, ``sd`` (n - 1 in the denominator; NaN for one seed)
        and ``n_seeds``, in order of first appearance.
    """
    repeated = frame.duplicated([*by, "seed"])
    if repeated.any():
        first = frame.loc[repeated, [*by, "seed"]].iloc[0].to_dict()
        raise BatError(f"{first} appears more than once; expected one row per seed.")
    summary = frame.groupby(list(by), sort=False)[value].agg(["mean", "std", "count"])
    return summary.rename(columns={"std": "sd", "count": "n_seeds"}).reset_index()


def compared(values: Mapping[str, pd.Series], reference: str) -> list[dict]:
    """Mean of each run over seeds, and its difference from one run.

    Parameters
    ----------
    values : mapping of str to Series
        By run, a value for each seed in the index.
    reference : str
        The run that differences are taken from, paired by seed.

    Returns
    -------
    list of dict
        ``run``, ``n_seeds``, ``mean``, ``sd``, ``difference``, ``difference_se``
        (standard error over seeds; NaN for one), ``low`` and ``high`` (95 %
        t-interval of the difference); all NaN where a value is, as in an empty group.
        They count seeds alone: for verdicts on samples, take `bat.report.crossed`.
    """
    rows = []
    for run, of_run in values.items():
        seeds = of_run.index.intersection(values[reference].index)
        both = pd.concat([of_run[seeds], values[reference][seeds]])
        if of_run.isna().any() or both.isna().any():  # the group is empty
            rows.append({"run": run, "n_seeds": len(of_run)} | dict.fromkeys(NUMBERS, np.nan))
            continue
        mean, sd, n = mean_and_sd(of_run.to_numpy())
        found = paired_difference(of_run[seeds], values[reference][seeds])
        rows.append(
            {
                "run": run,
                "n_seeds": n,
                "mean": mean,
                "sd": sd,
                "difference": found.mean,
                "difference_se": found.standard_error,
                "low": found.low,
                "high": found.high,
            }
        )
    return rows


def compared_by(
    frame: pd.DataFrame, by: str, runs: Mapping[str, str], reference: str
) -> pd.DataFrame:
    """Compare runs with one of them, for each kind of value.

    Parameters
    ----------
    frame : DataFrame
        ``run``, ``seed``, ``value``, and the column ``by``, which names the kind of value.
    by : str
    runs : mapping of str to str
        Label by run, in the order of the rows.
    reference : str
        The run that differences are taken from, paired by seed.

    Returns
    -------
    DataFrame
        ``run``, ``label``, ``by``, and the columns of `compared`.
    """
    rows = []
    for kind, part in frame.groupby(by, sort=False):
        values = {run: of_run.set_index("seed")["value"] for run, of_run in part.groupby("run")}
        for row in compared({run: values[run] for run in runs}, reference):
            rows.append({"run": row["run"], "label": runs[row["run"]], by: kind} | row)
    return pd.DataFrame(rows)

"""Verdicts of runs over seeds and test samples: means, and differences paired by both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bat.intervals import accuracy_interval, crossed_mean, holm
from bat.statistics import mean_and_sd

NUMBERS = ("mean", "sd", "mean_low", "mean_high")
DIFFERENCES = ("difference", "difference_sd", "difference_se", "low", "high", "p")


def summary(own: pd.DataFrame, reference: pd.DataFrame | None) -> dict[str, float]:
    """Mean of a run's verdicts, and its difference from another run's.

    Parameters
    ----------
    own, reference : DataFrame of bool
        A row for each seed (index) and a column for each sample, the same samples
        in both; without samples everything is NaN.

    Returns
    -------
    dict
        ``n_seeds``; ``mean`` and ``sd`` over seeds (NaN for one) of the accuracy in
        [0, 1], and the 95 % interval of the mean, ``mean_low`` to ``mean_high``;
        ``n_pairs``, the seeds that both have, and over those the mean ``difference``
        own - reference, its ``difference_sd`` over seeds, its ``difference_se``, its
        95 % interval ``low`` to ``high`` and ``p``, two-sided, of no difference.
        Standard error, intervals and p count both seeds and samples
        (`bat.intervals.crossed_mean`), and are NaN for one seed.
    """
    row = {"n_seeds": len(own)} | dict.fromkeys(NUMBERS, np.nan)
    row |= {"n_pairs": 0} | dict.fromkeys(DIFFERENCES, np.nan)
    if own.shape[1] == 0:
        return row
    (low, high), (mean, sd, _) = accuracy_interval(own), mean_and_sd(own.mean(axis=1))
    row |= {"mean": mean, "sd": sd, "mean_low": low, "mean_high": high}
    seeds = [] if reference is None else own.index.intersection(reference.index)
    if len(seeds) == 0:
        return row
    differences = own.loc[seeds].to_numpy(np.float64) - reference.loc[seeds].to_numpy(np.float64)
    found, (_, sd, n_pairs) = crossed_mean(differences), mean_and_sd(differences.mean(axis=1))
    low, high = np.clip([found.low, found.high], -1, 1)
    return row | {
        "n_pairs": n_pairs,
        "difference": found.mean,
        "difference_sd": sd,
        "difference_se": found.standard_error,
        "low": low,
        "high": high,
        "p": found.p,
    }


def corrected(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Add ``p_holm``: ``p`` corrected by Holm for the number of differences in the table.

    Those of the run ``reference`` from itself do not count, and have no p.
    """
    p = table["p"].mask(table["run"] == reference)
    return table.assign(p=p, p_holm=holm(p))


def beats_all(verdicts: Mapping[str, pd.DataFrame], *, level: float = 0.05) -> str | None:
    """The run that has a higher mean than every other, each difference established by itself.

    Parameters
    ----------
    verdicts : mapping of str to DataFrame of bool
        By run, as for `summary`.
    level : float
        A difference is established where its p lies below.

    Returns
    -------
    str or None
        None where there is no such run. Of runs that are equal over the population one
        is named in ``level`` of cases at most, whatever their number: it has to be
        ahead of all others at once, so that their number needs no correction.
    """
    if len(verdicts) < 2:
        return None
    best = max(verdicts, key=lambda run: verdicts[run].to_numpy(np.float64).mean())
    for other in verdicts.keys() - {best}:
        found = summary(verdicts[best], verdicts[other])
        if not (found["difference"] > 0 and found["p"] < level):
            return None
    return best

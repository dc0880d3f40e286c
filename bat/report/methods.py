"""Methods side by side, from anyone's evaluations, with differences that are paired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bat.errors import BatError
from bat.intervals import difference_interval
from bat.statistics import mean_and_sd

if TYPE_CHECKING:
    import pandas as pd


def compare(
    evaluations: Mapping[str | tuple[str, int], pd.DataFrame], *, baseline: str | None = None
) -> pd.DataFrame:
    """Summarise evaluations by method, with differences from one of them.

    Parameters
    ----------
    evaluations : mapping of str, or of (str, int), to DataFrame
        By method, or by method and seed: what `evaluate` gives, all of the same
        samples.
    baseline : str, optional
        The method that the others are compared with; by default the first.

    Returns
    -------
    DataFrame
        A row for each method and column of verdicts: ``method``, ``attack``,
        ``n`` samples, ``n_seeds``; ``mean`` and ``sd`` over seeds of the accuracy
        in [0, 1]; the mean ``difference`` from the baseline with its 95 %
        interval, ``low`` to ``high``, paired by what ``paired_by`` says: 'seed and
        sample', which counts both sources of chance (`bat.intervals.crossed_mean`),
        or, where there is one seed alone, 'sample'. The latter leaves out how much
        another training would differ.

    Raises
    ------
    BatError
        If there is nothing to compare, the baseline is not there, or evaluations
        are of other samples or attacks.

    Examples
    --------
    >>> import bat, pandas as pd
    >>> erm = pd.DataFrame({"clean": [True] * 4, "pgd": [False] * 4})
    >>> trades = pd.DataFrame({"clean": [True] * 3 + [False], "pgd": [True, False] * 2})
    >>> table = bat.compare({"erm": erm, "trades": trades})
    >>> table[["method", "attack", "mean", "difference"]]
       method attack  mean  difference
    0     erm  clean  1.00        0.00
    1     erm    pgd  0.00        0.00
    2  trades  clean  0.75       -0.25
    3  trades    pgd  0.50        0.50
    """
    import pandas as pd

    by_method = _by_method(evaluations)
    first = next(iter(evaluations.values()))
    baseline = next(iter(by_method)) if baseline is None else baseline
    if baseline not in by_method:
        raise BatError(f"the baseline {baseline!r} is none of {', '.join(by_method)}")
    rows = []
    for method, of_seeds in by_method.items():
        for attack in first.columns:
            shares = [frame[attack].mean() for frame in of_seeds.values()]
            mean, sd, n_seeds = mean_and_sd(shares)
            row = {"method": method, "attack": attack, "n": len(first), "n_seeds": n_seeds}
            row |= {"mean": mean, "sd": sd}
            rows.append(row | _difference(of_seeds, by_method[baseline], attack))
    return pd.DataFrame(rows)


def _by_method(evaluations: Mapping) -> dict[str, dict[int, pd.DataFrame]]:
    import pandas as pd

    if not evaluations:
        raise BatError("there is no evaluation to compare; give at least one")
    first, reference = next(iter(evaluations.items()))
    found: dict[str, dict[int, pd.DataFrame]] = {}
    for key, frame in evaluations.items():
        method, seed = (key, 0) if isinstance(key, str) else key
        if not isinstance(frame, pd.DataFrame):
            raise BatError(
                f"the evaluation of {key} is {type(frame).__name__}, expected a data frame, as "
                "`bat.evaluate` gives it"
            )
        if list(frame.columns) != list(reference.columns) or not frame.index.equals(
            reference.index
        ):
            raise BatError(
                f"the evaluation of {key} has {len(frame)} samples and the columns "
                f"{', '.join(frame.columns)}, and that of {first} {len(reference)} and "
                f"{', '.join(reference.columns)}; expected the same samples and attacks"
            )
        if frame.isna().any(axis=None):
            raise BatError(f"the evaluation of {key} has samples without a verdict; expected none")
        if not frame.isin([0, 1]).all(axis=None):
            raise BatError(
                f"the evaluation of {key} holds other values than whether a sample is classified "
                "right; expected truth values, or 0 and 1 alone"
            )
        found.setdefault(method, {})[seed] = frame.astype(bool)
    return found


def _difference(own: dict, other: dict, attack: str) -> dict:
    seeds = [seed for seed in own if seed in other]
    if not seeds:
        return {"difference": np.nan, "low": np.nan, "high": np.nan, "paired_by": "nothing"}
    mine, theirs = (
        np.array([of[seed][attack].to_numpy(np.float64) for seed in seeds]) for of in (own, other)
    )
    mean, low, high = difference_interval(mine, theirs)
    by = "sample" if len(seeds) == 1 else "seed and sample"
    return {"difference": mean, "low": low, "high": high, "paired_by": by}

"""What the studies of section 3 show: accuracy of groups along and after training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from bat.config.values import fraction_text
from bat.plan.inputs import STUDIED
from bat.plan.names import study_name
from bat.report.comparison import LABELS
from bat.report.tables import difference_text, mean_text, over_seeds
from bat.statistics import mean_and_sd, paired_difference

NUMBERS = ("mean", "sd", "difference", "difference_se", "low", "high")
"""Columns of a comparison that are numbers."""


class Curves(NamedTuple):
    """One figure: which runs, on which split and group, under which attacks."""

    series: dict[str, tuple[str, str]]  # (run, split) by the name in the legend
    group: str
    attacks: tuple[str, ...]


def curves_of(figure: str, shares: list[float]) -> Curves:
    """What a figure of section 3 or appendix B draws.

    Parameters
    ----------
    figure : {"fig1", "fig2", "fig8", "fig14"}
        1 (also 11 to 13): PGD-AT on the atypical groups; 8 (also 9, 10): ERM on
        them; 2 (also 17 to 19): PGD-AT on the test typical group by share of
        atypical training samples; 14 (also 2c, 15, 16): ERM likewise.
    shares : list of float
        Configured shares of atypical samples.
    """
    (method,), by_share = STUDIED[figure]
    attacks = ("clean", "pgd") if method == "pgd-at" else ("clean",)
    if not by_share:
        run = study_name(method, None)
        series = {f"{split} atypical": (run, split) for split in ("train", "test")}
        return Curves(series, "atypical", attacks)
    series = {
        f"{100 * share:g} % atypical": (study_name(method, share), "test") for share in shares
    }
    return Curves(series, "typical", attacks)


def study_curves(followed: pd.DataFrame, curves: Curves) -> pd.DataFrame:
    """Mean accuracy of a group by epoch, a line for each series.

    Parameters
    ----------
    followed : DataFrame
        From `bat.report.comparison.along_training`.
    curves : Curves

    Returns
    -------
    DataFrame
        ``attack``, ``series``, ``epoch``, ``mean``, ``sd`` over seeds, ``n_seeds``
        and ``n``, the samples of the group.
    """
    parts = []
    for name, (run, split) in curves.series.items():
        chosen = followed[
            (followed["run"] == run)
            & (followed["split"] == split)
            & (followed["group"] == curves.group)
            & followed["attack"].isin(curves.attacks)
        ]
        summary = over_seeds(chosen, ("attack", "epoch"), "accuracy")
        parts.append(summary.assign(series=name, n=int(chosen["n"].max())))
    return pd.concat(parts, ignore_index=True)


def end_values(followed: pd.DataFrame, runs: Mapping[str, str], reference: str) -> pd.DataFrame:
    """Accuracy on the test typical group after training, with differences from one run.

    Parameters
    ----------
    followed : DataFrame
        From `bat.report.comparison.along_training`.
    runs : mapping of str to str
        Label by run.
    reference : str
        The run that differences are taken from, paired by seed.

    Returns
    -------
    DataFrame
        ``run``, ``label``, ``attack``, ``n_seeds``, ``mean``, ``sd``, ``difference``,
        ``difference_se`` (standard error over seeds; NaN for one), ``low`` and
        ``high`` (95 % t-interval of the difference).
    """
    last = followed["epoch"] == followed.groupby("run")["epoch"].transform("max")
    chosen = followed[last & (followed["split"] == "test") & (followed["group"] == "typical")]
    rows = []
    for attack in ("clean", "pgd"):
        of_attack = chosen[chosen["attack"] == attack]
        found = {run: f.set_index("seed")["accuracy"] for run, f in of_attack.groupby("run")}
        for row in compared({run: found[run] for run in runs}, reference):
            rows.append({"run": row["run"], "label": runs[row["run"]], "attack": attack} | row)
    return pd.DataFrame(rows)


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


def present_end_values(table: pd.DataFrame) -> pd.DataFrame:
    """`end_values` of both methods for readers: percent, difference and its interval."""
    rows, first = [], table["label"].iloc[0]
    for row in table.itertuples():
        cell, difference = "no samples", None
        if not pd.isna(row.mean):
            cell = mean_text(row.mean, row.sd)
            if row.label != first:
                difference = difference_text(row.difference, row.low, row.high)
        rows.append(
            {
                "Method": LABELS[row.method],
                "Atypical": row.label,
                "Accuracy": {"clean": "clean", "pgd": "PGD"}[row.attack],
                "Mean (%)": cell,
                "Difference": difference,
            }
        )
    return pd.DataFrame(rows)


def caption_end_values(table: pd.DataFrame, dataset: str, architecture: str) -> str:
    """Caption of `end_values`."""
    return (
        f"Accuracy on the test typical group of {dataset} ({architecture}) after training on all "
        "typical and a share of the atypical samples; mean ± standard deviation over "
        f"{table['n_seeds'].max()} seeds. Difference: from the first share, paired by seed, in "
        "points, with a 95 % t-interval where there are several seeds."
    )


def caption(
    table: pd.DataFrame, curves: Curves, specs: Mapping[str, dict], dataset: str, architecture: str
) -> str:
    """Caption of `study_curves`."""
    spec = next(iter(specs.values()))
    method = LABELS[spec["objective"]["method"]]
    text = (
        f"{method} on {dataset} ({architecture}): accuracy on the {curves.group} groups along "
        f"{spec['training']['epochs']} epochs of training, mean of {table['n_seeds'].max()} "
        f"seed{'s' if table['n_seeds'].max() > 1 else ''}"
    )
    if table["n_seeds"].max() > 1:
        text += "; bands are ± 1 standard deviation"
    sizes = table.drop_duplicates("series")
    samples = ", ".join(f"{row.series}: {row.n:,}" for row in sizes.itertuples())
    text += f". Samples: {samples}."
    if "pgd" in curves.attacks:
        eps = fraction_text(spec["adversary"]["eps"])
        text += f" PGD-{spec['history']['steps']} with eps {eps}."
    return text

"""Robust against clean accuracy of every run, with what seeds and test images leave open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bat.errors import BatError
from bat.intervals import accuracy_interval
from bat.plan.catalogue import Entry
from bat.plan.inputs import runs_of
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.judged import COLUMNS, accuracies, attack_labels, attacked_text, protocol_text
from bat.report.placing import name_points
from bat.report.saving import save_figure
from bat.report.style import new_axes, percent_ticks, series_styles, styled
from bat.report.words import LABELS, short_name
from bat.statistics import wilson_interval

ENTRY = Entry(
    shows="robust against clean accuracy of every run",
    about=(
        "Robust against clean accuracy of every run on **{dataset}** ({architecture}), with 95 % "
        "intervals that count seeds and test images; right and up is better."
    ),
    scope="architecture",
    needs=("evaluations",),
    runs=("configured", "external"),
    part_of="comparisons",
)


def strongest(judged: pd.DataFrame) -> str:
    """The attack that leaves the lowest mean accuracy, of those that every run faced.

    Parameters
    ----------
    judged : DataFrame
        From `bat.report.judged.accuracies`.

    Raises
    ------
    BatError
        If no attack was made on every run.
    """
    attacked = judged[judged["attack"] != COLUMNS[0]]
    means = attacked.groupby("attack")["accuracy"].agg(["mean", "size"])
    models = len(judged.drop_duplicates(["run", "seed"]))
    means = means.loc[means["size"] == models, "mean"]
    if means.empty:
        raise BatError("no attack was made on every run; evaluate all of them by the same attacks")
    order = sorted(means.index, key=lambda name: name in COLUMNS and COLUMNS.index(name))
    return min(reversed(order), key=means.get)  # of equal ones the later


def ladder(evaluations: Mapping[tuple[str, int], pd.DataFrame], attack: str) -> pd.DataFrame:
    """Clean and robust accuracy of each run, with intervals.

    Parameters
    ----------
    evaluations : mapping of (run, seed) to DataFrame
        Verdicts on the same samples, as for `bat.report.judged.accuracies`.
    attack : str
        The column of verdicts that counts as robust.

    Returns
    -------
    DataFrame
        A row per run: ``run``, ``attack``, ``n`` samples, ``n_seeds``, and accuracies in
        [0, 1]: ``clean`` and ``robust``, each with its 95 % interval, ``_low`` to ``_high``.
        With several seeds the interval counts seeds and samples
        (`bat.intervals.accuracy_interval`); with one, samples alone
        (`bat.statistics.wilson_interval`).
    """
    rows = []
    for run in dict.fromkeys(run for run, _ in evaluations):
        frames = [frame for (name, _), frame in evaluations.items() if name == run]
        row = {"run": run, "attack": attack, "n": len(frames[0]), "n_seeds": len(frames)}
        for name, column in (("clean", COLUMNS[0]), ("robust", attack)):
            values = np.array([frame[column].to_numpy(bool) for frame in frames])
            row[name] = values.mean()
            row[f"{name}_low"], row[f"{name}_high"] = _interval(values)
        rows.append(row)
    return pd.DataFrame(rows)


def _interval(verdicts: np.ndarray) -> tuple[float, float]:
    if len(verdicts) == 1:
        return tuple(map(float, wilson_interval(verdicts.sum(), verdicts.size)))
    return accuracy_interval(verdicts)


@styled
def plot_ladder(table: pd.DataFrame, *, label: str = "Robust", ax: Axes | None = None) -> Axes:
    """Draw robust against clean accuracy, a named point with two error bars for each run.

    Parameters
    ----------
    table : DataFrame
        From `ladder`.
    label : str
        Of the attack.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 5.2, 3.6)
    names = [LABELS.get(run, run) for run in table["run"]]
    styles, bars = series_styles(names), []
    for name, row in zip(names, table.itertuples(), strict=True):
        color, _, marker = styles[name]
        across = [[row.clean - row.clean_low], [row.clean_high - row.clean]]
        along = [[row.robust - row.robust_low], [row.robust_high - row.robust]]
        ax.errorbar(
            row.clean,
            row.robust,
            xerr=across,
            yerr=along,
            color=color,
            marker=marker,
            markersize=5,
            markerfacecolor=color if row.n_seeds > 1 else "white",
            elinewidth=0.8,
        )
        bars.append(((row.clean_low, row.robust), (row.clean_high, row.robust)))
        bars.append(((row.clean, row.robust_low), (row.clean, row.robust_high)))
    ax.set_xlim(_shown(table, "clean"))
    ax.set_ylim(_shown(table, "robust"))
    for axis, what in ((ax.xaxis, "Clean accuracy"), (ax.yaxis, f"Accuracy under {label}")):
        percent_ticks(axis)
        axis.set_label_text(what)
    shown = [short_name(name) for name in names]
    name_points(ax, table["clean"], table["robust"], shown, bars)
    return ax


def _shown(table: pd.DataFrame, name: str) -> tuple[float, float]:
    """Limits of an axis: all points, and of the bars what lies near them."""
    points, low, high = (table[f"{name}{end}"] for end in ("", "_low", "_high"))
    near = max(0.6 * (points.max() - points.min()), 0.06)
    low, high = max(low.min(), points.min() - near), min(high.max(), points.max() + near)
    return low - 0.02, high + 0.02


def caption(
    table: pd.DataFrame, evaluation: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]
) -> str:
    """Caption of `ladder`; arguments as of `bat.tables.methods.caption`."""
    text = f"{attacked_text(table, evaluation, specs)}; the strongest that every run faced. "
    alone = [LABELS.get(row.run, row.run) for row in table.itertuples() if row.n_seeds == 1]
    if len(alone) < len(table):
        text += (
            f"Means over {table['n_seeds'].max()} seeds; bars are 95 % intervals that count both "
            "the seeds and the test images, and may reach beyond the frame. "
        )
    if alone:
        text += "Of one seed, open sign, with intervals that count the images alone: "
        text += f"{', '.join(alone)}. "
    return text + protocol_text(table, specs)


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Draw the figure of a data set and architecture.

    Parameters
    ----------
    comparison : Comparison
        Of the data set and architecture.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written, as by `bat.report.saving.save_figure`.
    """
    runs = runs_of(ENTRY.runs, comparison.spec)
    evaluations, evaluation = comparison.evaluations(runs), comparison.spec["evaluation"]
    attack, specs = strongest(accuracies(evaluations)), comparison.specs(runs)
    table = ladder(evaluations, attack)
    text = sentences(caption(table, evaluation, specs), comparison.caution(runs))
    text = comparison.noted(text, runs)
    label = attack_labels(evaluation["attacks"])[attack]
    return save_figure(plot_ladder(table, label=label).figure, out, table, text)

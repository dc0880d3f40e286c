"""Figures of accuracy along training: 1, 2, 8 and 14, which differ in runs and groups alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bat.config.values import fraction_text
from bat.plan.names import study_name
from bat.report.along_training import followed
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.fonts import drawable
from bat.report.saving import save_figure
from bat.report.seeds import over_seeds
from bat.report.style import (
    WIDTH,
    legend_above,
    new_axes,
    percent_ticks,
    series_styles,
    styled,
)
from bat.report.words import LABELS, counted


class Curves(NamedTuple):
    """One figure: which runs, on which split and group, under which attacks."""

    series: dict[str, tuple[str, str]]  # (run, split) by the name in the legend
    group: str
    attacks: tuple[str, ...]


def of_atypical(method: str) -> Curves:
    """The atypical groups of both splits, of a method trained on the whole training set."""
    run = study_name(method, None)
    series = {f"{split} atypical": (run, split) for split in ("train", "test")}
    return Curves(series, "atypical", _attacks(method))


def of_typical(method: str, shares: Sequence[float]) -> Curves:
    """The test typical group, of a method trained on each share of atypical samples."""
    series = {
        f"{100 * share:g} % atypical": (study_name(method, share), "test") for share in shares
    }
    return Curves(series, "typical", _attacks(method))


def _attacks(method: str) -> tuple[str, ...]:
    return ("clean",) if method == "erm" else ("clean", "pgd")


def study_curves(followed: pd.DataFrame, curves: Curves) -> pd.DataFrame:
    """Mean accuracy of a group by epoch, a line for each series.

    Parameters
    ----------
    followed : DataFrame
        From `bat.report.along_training.along_training`.
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


@styled
def plot_accuracy_by_epoch(
    table: pd.DataFrame, *, ylabel: str = "Accuracy", ax: Axes | None = None
) -> Axes:
    """Draw accuracy along training, a line for each series.

    Parameters
    ----------
    table : DataFrame
        ``series`` (a run or group, named in the legend), ``epoch``, ``mean`` in
        [0, 1], and ``sd`` over seeds for the band, NaN for none; see
        `bat.report.seeds.over_seeds`.
    ylabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    for name, (color, line, marker) in series_styles(table["series"]).items():
        rows = table[table["series"] == name].sort_values("epoch")
        ax.plot(
            rows["epoch"],
            rows["mean"],
            color=color,
            linestyle=line,
            marker=marker,
            markevery=max(1, len(rows) // 8),
            label=drawable(name),
        )
        low, high = rows["mean"] - rows["sd"], rows["mean"] + rows["sd"]
        ax.fill_between(rows["epoch"], low, high, color=color, alpha=0.2, linewidth=0)
    percent_ticks(ax.yaxis)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="Epoch", ylabel=ylabel)
    legend_above(ax, 2)
    return ax


@styled
def draw_along_training(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw accuracy along training, a panel for each attack.

    Parameters
    ----------
    table : DataFrame
        From `study_curves`.
    titles : mapping of str to str
        Label of the vertical axis by attack.

    Returns
    -------
    Figure

    Notes
    -----
    Figures 1, 2 and 8 to 19 of the paper.
    """
    attacks = list(dict.fromkeys(table["attack"]))
    fig = Figure(figsize=(WIDTH * len(attacks) / 2, 2.5), layout="constrained")
    panels = fig.subplots(1, len(attacks), squeeze=False, sharey=True)[0]
    for ax, attack in zip(panels, attacks, strict=True):
        rows = table[table["attack"] == attack]
        plot_accuracy_by_epoch(rows, ylabel=titles[attack], ax=ax)
    return fig


def caption(
    table: pd.DataFrame, curves: Curves, specs: Mapping[str, dict], dataset: str, architecture: str
) -> str:
    """Caption of `study_curves`."""
    spec = next(iter(specs.values()))
    method, n_seeds = LABELS[spec["objective"]["method"]], table["n_seeds"].max()
    text = (
        f"{method} on {dataset} ({architecture}): accuracy on the {curves.group} groups along "
        f"{spec['training']['epochs']} epochs of training, mean of {counted(n_seeds, 'seed')}"
    )
    if n_seeds > 1:
        text += "; bands are ± 1 standard deviation"
    sizes = table.drop_duplicates("series")
    samples = ", ".join(f"{row.series}: {row.n:,}" for row in sizes.itertuples())
    text += f". Samples: {samples}."
    if "pgd" in curves.attacks:
        eps = fraction_text(spec["adversary"]["eps"])
        text += f" PGD-{spec['history']['steps']} with eps {eps}."
    return text


def write_curves(comparison: Comparison, curves: Curves, out: Path) -> list[Path]:
    """Draw a figure of accuracy along training from a comparison's histories.

    Returns
    -------
    list of Path
        The files written, as by `bat.report.saving.save_figure`.
    """
    runs = list(dict.fromkeys(run for run, _ in curves.series.values()))
    table = study_curves(followed(comparison, runs), curves)
    titles = {"clean": "Clean accuracy", "pgd": "PGD accuracy"}
    specs = comparison.specs(runs)
    text = sentences(
        caption(table, curves, specs, comparison.dataset, comparison.architecture),
        comparison.folder.caution(),
    )
    text = comparison.folder.noted(text, "groups/train.parquet")
    return save_figure(draw_along_training(table, titles), out, table, text)

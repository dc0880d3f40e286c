"""Robust overfitting: every run along training, its best epoch and its last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bat.config.values import fraction_text
from bat.intervals import difference_interval
from bat.plan.catalogue import Entry
from bat.plan.inputs import runs_of
from bat.report.along_training import unpacked
from bat.report.comparison import Comparison
from bat.report.curves import plot_accuracy_by_epoch
from bat.report.fonts import drawable
from bat.report.saving import save_figure
from bat.report.seeds import over_seeds
from bat.report.style import BLACK, WIDTH, styled
from bat.report.switches import switch_sentences
from bat.report.words import LABELS, counted, difference_text, short_name

ENTRY = Entry(
    shows="robust overfitting: every run along training, best epoch and last",
    about=(
        "Clean and PGD accuracy of every run on training and test samples of **{dataset}** "
        "({architecture}) along training, with the epoch that is kept and how much robust test "
        "accuracy the last one has lost since."
    ),
    scope="architecture",
    needs=("history",),
    runs=("configured",),
    files=("pdf", "png", "csv", "_gaps.csv"),
    part_of="comparisons",
)

Histories = Mapping[tuple[str, int], pd.DataFrame]
COLUMNS = 3
SERIES = {
    (split, attack): f"{split} {title}"
    for attack, title in (("clean", "clean"), ("pgd", "PGD"))
    for split in ("train", "test")
}
"""Names of the lines of a panel."""


def accuracy_curves(
    histories: Histories, info: Mapping[str, Any], max_samples: int | str | None
) -> pd.DataFrame:
    """Accuracy of each run by epoch, on all measured samples of each split.

    Parameters
    ----------
    histories, info, max_samples
        As for `bat.report.along_training.along_training`.

    Returns
    -------
    DataFrame
        ``run``, ``series`` (a value of `SERIES`), ``epoch``; ``mean`` in [0, 1] and ``sd`` over
        seeds (NaN for one), ``n_seeds``; ``n``, the samples.
    """
    parts = []
    for (run, seed), history in histories.items():
        found = unpacked(history, info, max_samples)
        for (split, attack), series in SERIES.items():
            measured, verdicts = found[split]
            shares = verdicts[attack].mean(axis=1)
            part = pd.DataFrame({"epoch": shares.index, "accuracy": shares.to_numpy()})
            parts.append(part.assign(run=run, seed=seed, series=series, n=len(measured)))
    return over_seeds(
        pd.concat(parts, ignore_index=True), ("run", "series", "epoch", "n"), "accuracy"
    )


def kept_epoch(history: pd.DataFrame) -> int:
    """The epoch of ``best.pt``: the first with the highest selection accuracy, else the last."""
    accuracy = history.set_index("epoch")["selection_accuracy"].astype(float)
    return int(accuracy.index[-1] if accuracy.isna().all() else accuracy.idxmax())


def gaps(
    histories: Histories, info: Mapping[str, Any], max_samples: int | str | None
) -> pd.DataFrame:
    """How much robust test accuracy each run loses from its kept epoch to its last.

    Parameters
    ----------
    histories, info, max_samples
        As for `accuracy_curves`.

    Returns
    -------
    DataFrame
        A row per run: ``run``; ``n`` test samples; ``n_seeds``; ``kept``, the epoch that each
        seed keeps, and ``measured``, the measured one nearest to it (of two the later), as text;
        the mean PGD accuracies in [0, 1] ``best``, there, and ``last``; their difference
        ``gap``, positive where robust accuracy fell, and its 95 % interval ``low`` to ``high``.
        With several seeds the interval counts seeds and samples, with one samples alone, both
        paired (`bat.intervals.difference_interval`).

    References
    ----------
    Rice et al. (2020), arXiv:2002.11569, who choose the best epoch on the test set; here it is
    the one that the run's selection keeps.
    """
    rows = []
    for run in dict.fromkeys(run for run, _ in histories):
        kept, measured, best, last = [], [], [], []
        for history in (history for (name, _), history in histories.items() if name == run):
            _, verdicts = unpacked(history, info, max_samples)["test"]
            robust = verdicts["pgd"]
            kept.append(kept_epoch(history))
            measured.append(min(robust.index, key=lambda epoch: (abs(epoch - kept[-1]), -epoch)))
            best.append(robust.loc[measured[-1]].to_numpy(bool))
            last.append(robust.iloc[-1].to_numpy(bool))
        gap, low, high = difference_interval(best, last)
        rows.append(
            {
                "run": run,
                "n": len(best[0]),
                "n_seeds": len(best),
                "kept": " ".join(map(str, kept)),
                "measured": " ".join(map(str, measured)),
                "best": np.mean(best),
                "last": np.mean(last),
                "gap": gap,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


@styled
def draw_overfitting(table: pd.DataFrame, gaps: pd.DataFrame) -> Figure:
    """Draw accuracy along training, a panel for each run.

    Parameters
    ----------
    table : DataFrame
        From `accuracy_curves`.
    gaps : DataFrame
        From `gaps`: a vertical line is drawn at each seed's kept epoch, and the gap is written.

    Returns
    -------
    Figure
    """
    across = min(COLUMNS, len(gaps))
    down = math.ceil(len(gaps) / across)
    fig = Figure(figsize=(max(WIDTH * across / COLUMNS, 3.3), 0.4 + 1.9 * down))
    fig.set_layout_engine("constrained")
    panels = fig.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for at, (ax, row) in enumerate(zip(panels, gaps.itertuples(), strict=False)):
        plot_accuracy_by_epoch(table[table["run"] == row.run], ylabel="", ax=ax)
        ax.get_legend().remove()
        for epoch in sorted(set(map(int, row.kept.split()))):
            ax.axvline(epoch, color=BLACK, linestyle=":", linewidth=0.9, zorder=1)
        name = short_name(LABELS.get(row.run, row.run))
        lost = difference_text(row.gap, row.low, row.high)
        ax.set_title(f"{drawable(name)}\nbest − last {lost}", loc="left", fontsize=7)
        if at < len(gaps) - across:
            ax.set_xlabel("")
        else:  # none is below it, whose epochs would stand for its own
            ax.tick_params(labelbottom=True)
    for ax in panels[len(gaps) :]:
        ax.set_visible(False)
    handles = panels[0].get_lines()[: len(SERIES)]
    fig.legend(handles=handles, loc="outside upper center", ncols=len(SERIES))
    fig.supylabel("Accuracy", fontsize=8)
    return fig


def caption(
    table: pd.DataFrame,
    gaps: pd.DataFrame,
    specs: Mapping[str, Mapping[str, Any]],
    dataset: str,
    architecture: str,
) -> str:
    """Caption of `accuracy_curves` and `gaps`."""
    spec, most = next(iter(specs.values())), gaps["n_seeds"].max()
    sizes = {name.partition(" ")[0]: n for name, n in zip(table["series"], table["n"], strict=True)}
    steps = spec["history"]["steps"]
    text = (
        f"Accuracy on {sizes['train']:,} training and {sizes['test']:,} test samples of {dataset} "
        f"({architecture}) along training, clean and under PGD-{steps} with eps "
        f"{fraction_text(spec['adversary']['eps'])}, mean of {counted(most, 'seed')}"
    )
    text += "; bands are ± 1 standard deviation. " if most > 1 else ". "
    chances = "the seeds and the test images" if most > 1 else "the test images alone"
    text += (
        "Dotted: the epoch that each seed keeps, by its selection. Best − last: robust test "
        "accuracy there less that after the last epoch, in points, with a 95 % interval that "
        f"counts {chances}; above 0 it is robust overfitting."
    )
    if (gaps["kept"] != gaps["measured"]).any():
        text += " Where the kept epoch was not measured, the nearest one that was stands for it."
    return " ".join([text, *switch_sentences(specs)])


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
    specs, histories = comparison.specs(runs), comparison.histories(runs)
    info = comparison.folder.prepared.info
    max_samples = specs[runs[0]]["history"]["max_samples"]
    table = accuracy_curves(histories, info, max_samples)
    lost = gaps(histories, info, max_samples)
    text = comparison.noted(
        caption(table, lost, specs, comparison.dataset, comparison.architecture), runs
    )
    return save_figure(draw_overfitting(table, lost), out, table, text, more_tables={"gaps": lost})

"""Were there enough trials? How the scores settle with their number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bat.files import check_label
from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset
from bat.report.folder import Folder
from bat.report.paper import ATYPICAL_ABOVE
from bat.report.saving import save_figure
from bat.report.style import BLACK, BLUE, ORANGE, VERMILION, WIDTH, new_axes, plain_ticks, styled
from bat.scores.chance import Counts, counts_of
from bat.scores.significance import MANY_TRIALS, least_trials
from bat.statistics import above, trials_needed
from bat.validation import check_convergence

ENTRY = Entry(
    shows="were there enough trials?",
    about=(
        "Whether the trials were enough for **{dataset}**: the correlation of the scores from "
        "two halves of the trials, the standard error of the scores, continued to the number "
        "of trials that the wanted precision needs, and how much of the strongest influence "
        "chance alone gives."
    ),
    needs=("memorization", "influence", "test", "convergence"),
)


def convergence_study(
    rows: pd.DataFrame,
    *,
    precision: float,
    counts: Counts | None = None,
    chosen: np.ndarray | None = None,
    influence_above: float = 0.15,
) -> pd.DataFrame:
    """Continue the measured rows to the trials that a wanted precision needs.

    Parameters
    ----------
    rows : DataFrame
        From `bat.scores.memorization.convergence` and `influence_convergence`, by rising
        ``n_trials``; tables of version 0.1.0 lack the columns of the latter.
    precision : float
        Wanted standard error of a score, for 95 % of the samples.
    counts : Counts, optional
        Those behind the scores of all trials. With them the standard errors at
        other numbers of trials come from their own formula, each sample's shares
        kept; without them they fall as 1 / sqrt(``n_trials``), which asks for up to
        twice too many.
    chosen : ndarray of bool, shape (n_train,), optional
        Training samples whose pairs are looked at, as in `influence_convergence`.
    influence_above : float
        Their influence counts above this.

    Returns
    -------
    DataFrame
        The rows, with ``source`` 'measured', followed by rows with ``source``
        'extrapolated', from the last measured one to the largest of twice its
        trials and the trials needed, with 0 ``repeats`` and correlations of NaN; in
        all of them ``precision`` and ``n_needed``. ``share_by_chance`` is the share
        of the pairs above that chance gives, at most 1, and ``n_needed_influence``
        the trials with which it is at most a half, as measured where that was
        reached and else by the continuation; NaN where not known.

    Notes
    -----
    Of the pairs above, those in excess of chance with all trials are taken to be
    real and to stay above (one, where there is no excess); the number that chance
    gives with more trials is exact, each test sample's accuracy kept.
    """
    last = rows.iloc[-1]
    n_last = int(last["n_trials"])

    def errors(trials: int) -> tuple[float, float]:
        if counts is None:
            fall = np.sqrt(n_last / trials)
            return last["se_mean"] * fall, last["se_p95"] * fall
        found = counts.standard_errors(trials)
        return float(found.mean()), float(np.quantile(found, 0.95))

    if counts is None:
        needed = trials_needed(last["se_p95"], n_last, precision)
    else:
        needed = least_trials(lambda trials: errors(trials)[1] <= precision, n_last)
    measured = rows.assign(source="measured", share_by_chance=np.nan)
    if "influence_above" in rows:
        share = rows["influence_by_chance"] / rows["influence_above"].where(lambda n: n > 0)
        measured["share_by_chance"] = share.clip(upper=1)
    chance = _chance_ahead(last, counts, chosen, influence_above)
    needed_influence = _half_measured(measured)
    if chance is not None and np.isnan(needed_influence):
        needed_influence = least_trials(lambda trials: chance(trials) <= 0.5, n_last)
    end = np.nanmax([2 * n_last, needed, needed_influence])
    trials = np.unique(np.geomspace(n_last, end, 20).round().astype(int))
    further = pd.DataFrame([errors(n) for n in trials.tolist()], columns=["se_mean", "se_p95"])
    further.insert(0, "n_trials", trials)
    further.insert(1, "repeats", 0)
    further["share_by_chance"] = [np.nan if chance is None else chance(n) for n in trials.tolist()]
    table = pd.concat([measured, further.assign(source="extrapolated")], ignore_index=True)
    return table.assign(
        precision=float(precision), n_needed=int(needed), n_needed_influence=needed_influence
    )


def _half_measured(measured: pd.DataFrame) -> float:
    """Trials after which no measured share by chance is above a half; NaN where the last is."""
    trials, share = (measured[name].to_numpy(float) for name in ("n_trials", "share_by_chance"))
    if not share[-1] <= 0.5:
        return np.nan
    above_half = np.flatnonzero(~(share <= 0.5))
    if not above_half.size:
        return trials[0]
    at = above_half[-1]
    if np.isnan(share[at]):
        return trials[at + 1]
    between = (share[at] - 0.5) / (share[at] - share[at + 1])
    return float(np.ceil(trials[at] * (trials[at + 1] / trials[at]) ** between))


def _chance_ahead(last, counts, chosen, threshold):
    """A function of the trials that gives the share of pairs above that chance gives, or None."""
    if counts is None or not last.get("influence_candidates", 0) > 0 or not chosen.any():
        return None
    part = last["influence_candidates"] / counts.n_candidates(chosen).sum()
    real = max(last["influence_above"] - last["influence_by_chance"], 1.0)

    def share(trials: int) -> float:
        if trials > MANY_TRIALS:
            return 0.0
        expected = part * counts.at(trials).by_chance(chosen, threshold)[0]
        return expected / (expected + real)

    return share


@styled
def plot_split_half(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the correlation of the scores from two halves of the trials.

    Parameters
    ----------
    table : DataFrame
        From `convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    rows = table[table["source"] == "measured"]
    for column, name, color, line, marker in (
        ("split_half_correlation", "Pearson", BLUE, "-", "o"),
        ("split_half_spearman", "Spearman", ORANGE, "--", "s"),
    ):
        x, mean, sd = rows["n_trials"], rows[column], rows[f"{column}_sd"]
        ax.plot(x, mean, color=color, linestyle=line, marker=marker, label=name)
        ax.fill_between(x, mean - sd, mean + sd, color=color, alpha=0.2, linewidth=0)
    ax.set(xscale="log", xlabel="Trials", ylabel="Split-half correlation")
    plain_ticks(ax.xaxis)
    ax.set_ylim(top=1)
    ax.legend(loc="lower right")
    return ax


@styled
def plot_standard_errors(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw standard errors against trials, with the trials that a precision needs.

    Parameters
    ----------
    table : DataFrame
        From `convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    measured = table[table["source"] == "measured"]
    further = table[table["source"] == "extrapolated"]
    for column, name, color, marker in (
        ("se_p95", "95th percentile", VERMILION, "s"),
        ("se_mean", "mean", BLUE, "o"),
    ):
        ax.plot(measured["n_trials"], measured[column], color=color, marker=marker, label=name)
        ax.plot(further["n_trials"], further[column], color=color, linestyle=":")
    precision, needed = table["precision"].iloc[0], table["n_needed"].iloc[0]
    ax.axhline(precision, color=BLACK, linestyle="--", linewidth=0.9)
    ax.axvline(needed, color=BLACK, linestyle="--", linewidth=0.9)
    ax.set(xscale="log", yscale="log", xlabel="Trials", ylabel="Standard error")
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    ax.set_title(f"95th percentile of {precision:g}: {needed:,} trials", loc="left")
    ax.legend()
    return ax


@styled
def plot_share_by_chance(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the share of the strongest pairs that chance gives against trials.

    Parameters
    ----------
    table : DataFrame
        From `convergence_study`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    for source, line, marker in (("measured", "-", "s"), ("extrapolated", ":", "")):
        rows = table[table["source"] == source]
        ax.plot(
            rows["n_trials"],
            rows["share_by_chance"],
            color=VERMILION,
            linestyle=line,
            marker=marker,
        )
    needed = table["n_needed_influence"].iloc[0]
    title = "not known"
    if pd.notna(needed):
        title = f"half of them: {needed:,.0f} trials"
        ax.axhline(0.5, color=BLACK, linestyle="--", linewidth=0.9)
        ax.axvline(needed, color=BLACK, linestyle="--", linewidth=0.9)
    ax.set(xscale="log", xlabel="Trials", ylabel="Pairs above 0.15 by chance", ylim=(0, 1.02))
    ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    plain_ticks(ax.xaxis)
    ax.set_title(title, loc="left")
    return ax


@styled
def draw_convergence(table: pd.DataFrame) -> Figure:
    """Draw the split-half correlation, the standard errors, and the pairs that chance gives.

    Parameters
    ----------
    table : DataFrame
        From `convergence_study`.

    Returns
    -------
    Figure
    """
    fig = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    left, middle, right = fig.subplots(1, 3)
    plot_split_half(table, ax=left)
    plot_standard_errors(table, ax=middle)
    plot_share_by_chance(table, ax=right)
    return fig


def caption(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `convergence_study`."""
    last = table.iloc[-1]
    needed = "not known for these scores"
    if not pd.isna(last["n_needed_influence"]):
        needed = f"most are real from about {last['n_needed_influence']:,.0f} trials"
    return captioned(
        metadata,
        f"Convergence of the memorization scores{of_dataset(metadata)}. Left: correlation of the "
        "scores from two disjoint halves of the trials; bands are ± 1 standard deviation over "
        f"{table['repeats'].max()} random draws. Middle: standard error over the samples, "
        "continued with the shares of each sample as they are (dotted); a standard error of "
        f"{last['precision']:g} for 95 % of the samples needs about {last['n_needed']:,.0f} "
        "trials. Right: share of the pairs with influence above 0.15 that chance gives, from "
        f"atypical training samples; {needed}.",
    )


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw how the scores of a data set settle.

    Parameters
    ----------
    folder : Folder
        Of the data set.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written, as by `bat.report.saving.save_figure`.
    """
    path = folder.path / "scores" / "convergence.csv"
    check_convergence(path)
    check_label(path, folder.prepared.fingerprint)
    rows = pd.read_csv(path)
    scores, metadata = folder.scores("memorization")
    about_pairs = folder.scores("influence")[1]
    table = convergence_study(
        rows,
        precision=folder.spec["precision"],
        counts=counts_of(scores, folder.scores("test")[0], about_pairs),
        chosen=above(scores["memorization"].to_numpy(), ATYPICAL_ABOVE),
    )
    return save_figure(draw_convergence(table), out, table, caption(table, metadata))

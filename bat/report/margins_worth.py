"""What margins are worth in trials: panels and words of the convergence figure."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from bat.report.style import BLACK, BLUE, ORANGE, new_axes, plain_ticks, styled

_LINES = (("bits", BLUE, "-", "o"), ("margins", ORANGE, "--", "s"))


def has_margins(table: pd.DataFrame) -> bool:
    """Whether the trials of a table of convergence had margins."""
    return "margins_worth" in table


@styled
def plot_agreement(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the agreement of both estimators with other trials, the reference's noise taken out.

    Parameters
    ----------
    table : DataFrame
        From `bat.studies.convergence.convergence_study`, of trials with margins.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    rows = _measured(table)
    _plot_both(ax, rows, "estimate_trials", "agreement_{}_pearson")
    ax.set(xscale="log", xlabel="Trials of the estimate", ylabel="Agreement with other trials")
    _ticks(ax, rows["estimate_trials"])
    ax.legend(loc="lower right")
    return ax


@styled
def plot_worth(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many times as many trials of bits agree as well as those of margins.

    Parameters
    ----------
    table : DataFrame
        As for `plot_agreement`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    rows = _measured(table)
    x = rows["estimate_trials"]
    ax.plot(x, rows["margins_worth"], color=ORANGE, linestyle="--", marker="s")
    _band(ax, x, rows, "margins_worth", ORANGE)
    ax.axhline(1, color=BLACK, linewidth=0.9)
    ax.set(xscale="log", xlabel="Trials of the estimate", ylabel="Trials of bits for each")
    _ticks(ax, x)
    ax.set_ylim(bottom=0)
    if rows["margins_worth"].isna().all():
        ax.set_title("not known", loc="left")
    return ax


@styled
def plot_standing(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the pairs that stand against trials.

    Parameters
    ----------
    table : DataFrame
        As for `plot_agreement`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.4)
    rows = _measured(table)
    _plot_both(ax, rows, "n_trials", "standing_{}")
    ax.set(xscale="log", xlabel="Trials", ylabel="Pairs that stand")
    ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    plain_ticks(ax.xaxis)
    ax.legend(loc="upper left")
    return ax


def _plot_both(ax, rows, trials, values):
    """Lines and bands of bits and of margins; ``values`` names their columns."""
    x = rows[trials]
    for name, color, line, marker in _LINES:
        column = values.format(name)
        ax.plot(x, rows[column], color=color, linestyle=line, marker=marker, label=name)
        _band(ax, x, rows, column, color)


def worth_text(table: pd.DataFrame) -> str:
    """Sentences of the caption on margins; nothing where the trials had none."""
    if not has_margins(table):
        return ""
    rows = _measured(table)
    last = rows.iloc[-1]
    text = (
        " Below, left: Pearson's correlation of memorization from few trials, by bits (the plain "
        "difference) and by margins, with the plain difference of "
        f"{last['reference_trials']:,.0f} other trials, the reference's noise taken out. Middle: "
        "how many trials of bits agree as well as one trial of margins, interpolated between the "
        f"numbers of trials. Both over {last['repeats']:,.0f} random splits."
    )
    known = rows.dropna(subset="margins_worth")
    if known.empty:
        text += " How many is not known: too few trials."
    for at in (0, -1)[: len(known)]:
        row = known.iloc[at]
        text += (
            f" At {row['estimate_trials']:,.0f} trials {row['margins_worth']:.1f} "
            f"({row['margins_worth_low']:.1f} to {row['margins_worth_high']:.1f})."
        )
    return text + (
        " Right: pairs of one class that stand at a false discovery rate of 10\u00a0%, of "
        f"{last['standing_candidates']:,.0f}; with all trials {last['standing_bits']:,.0f} by bits "
        f"and {last['standing_margins']:,.0f} by margins. Below, bands hold 95\u00a0% of the "
        "random draws, which share trials."
    )


def _measured(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["source"] == "measured"]


def _band(ax: Axes, x: pd.Series, rows: pd.DataFrame, name: str, color: str) -> None:
    low, high = rows[f"{name}_low"], rows[f"{name}_high"]
    ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)


def _ticks(ax: Axes, numbers: pd.Series) -> None:
    """Ticks at every other number of trials, whether anything is drawn there or not."""
    ax.set_xlim(0.9 * numbers.min(), 1.1 * numbers.max())
    ax.xaxis.set_major_locator(FixedLocator(numbers.iloc[::-2].tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:,.0f}")

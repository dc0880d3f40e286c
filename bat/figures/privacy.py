"""Who was trained on? Membership inference on the trials, and whom it finds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bat.files import check_inputs
from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset
from bat.report.folder import Folder
from bat.report.saving import save_figure
from bat.report.scatter import scatter_by_memorization
from bat.report.style import BLACK, BLUE, VERMILION, WIDTH, new_axes, styled
from bat.report.words import interval_text, percent
from bat.scores import ATYPICAL_ABOVE
from bat.scores.roc import FALSE_POSITIVE_RATES
from bat.statistics import above, correlation, correlation_interval

ENTRY = Entry(
    shows="who was trained on: membership inference on the trials",
    about=(
        "How far the models trained on random subsets of **{dataset}** give away what they were "
        "trained on (LiRA, each trial attacked with others): the share of members that are found "
        "against that of non-members that are taken for some, and each sample's own area under "
        "that curve against its memorization."
    ),
    needs=("memorization", "privacy"),
    files=("pdf", "png", "csv", "_samples.csv"),
)


def sample_values(
    memorization: pd.DataFrame, privacy: pd.DataFrame, *, atypical_above: float = ATYPICAL_ABOVE
) -> pd.DataFrame:
    """Set how well each sample is found beside its memorization.

    Parameters
    ----------
    memorization, privacy : DataFrame
        The score tables of these names, in the order of the training samples.
    atypical_above : float
        Memorization above which a sample is atypical.

    Returns
    -------
    DataFrame
        ``index``, ``memorization``, ``auc``, ``auc_se``, ``atypical``.
    """
    table = memorization[["index", "memorization"]].reset_index(drop=True)
    table[["auc", "auc_se"]] = privacy[["auc", "auc_se"]].to_numpy()
    table["atypical"] = above(table["memorization"].to_numpy(), atypical_above)
    return table


def rank_correlation(values: pd.DataFrame) -> tuple[float, float, float]:
    """Spearman's correlation of AUC and memorization, with its 95 % interval over samples.

    Parameters
    ----------
    values : DataFrame
        From `sample_values`; samples without an AUC are left out.

    Returns
    -------
    correlation, low, high : float
        See `bat.statistics.correlation_interval`.
    """
    known = values[values["auc"].notna()]
    ranks = [known[name].rank().to_numpy() for name in ("auc", "memorization")]
    found = correlation(*ranks)
    return found, *correlation_interval(found, len(known), ranks=True)


@styled
def plot_roc(rates: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw members found against non-members taken for some, on logarithmic axes.

    Parameters
    ----------
    rates : DataFrame
        ``fpr``, ``tpr``, ``tpr_low`` and ``tpr_high`` by rising ``fpr``, and ``auc``;
        rows with a ``tpr`` of NaN or 0 are not drawn.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.7)
    rows = rates[rates["tpr"] > 0]
    least = 10.0 ** np.floor(np.log10(min(rows["fpr"].min(), 0.1))) if len(rows) else 1e-3
    ax.plot([least, 1], [least, 1], color=BLACK, linestyle="--", linewidth=0.9, label="chance")
    low, high = (rows[f"tpr_{end}"].clip(lower=least) for end in ("low", "high"))
    ax.fill_between(rows["fpr"], low, high, color=BLUE, alpha=0.2, linewidth=0)
    ax.plot(rows["fpr"], rows["tpr"], color=BLUE, label="LiRA")
    marked = rows[rows["fpr"].isin(FALSE_POSITIVE_RATES)]
    ax.plot(marked["fpr"], marked["tpr"], "o", color=VERMILION)
    for row in marked.itertuples():
        note = f"{percent(row.tpr)} at {percent(row.fpr)}"
        ax.annotate(note, (row.fpr, row.tpr), xytext=(-4, 4), textcoords="offset points",
                    ha="right", fontsize=7)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1.2))
    ax.set(xlabel="False positive rate", ylabel="True positive rate")
    ax.set_title(f"AUC {rates['auc'].iloc[0]:.3f}", loc="left")
    ax.legend(loc="lower right")
    return ax


@styled
def plot_samples(values: pd.DataFrame, *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw each sample's AUC against its memorization.

    Parameters
    ----------
    values : DataFrame
        From `sample_values`.
    note : str
        Printed above the axes.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 3.3, 2.7)
    scatter_by_memorization(ax, values, "auc")
    ax.axhline(0.5, color=BLACK, linestyle="--", linewidth=0.9)
    ax.set(xlabel="Memorization", ylabel="AUC of the sample")
    ax.set_title(note, loc="left")
    return ax


@styled
def draw_privacy(rates: pd.DataFrame, values: pd.DataFrame) -> Figure:
    """Draw the curve of all samples, and each sample's AUC against its memorization.

    Parameters
    ----------
    rates : DataFrame
        As for `plot_roc`.
    values : DataFrame
        From `sample_values`.

    Returns
    -------
    Figure
    """
    fig = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    left, right = fig.subplots(1, 2)
    plot_roc(rates, ax=left)
    found, low, high = rank_correlation(values)
    note = f"Spearman {found:.2f} {interval_text(low, high, scale=1, digits=2)}"
    plot_samples(values, note=note, ax=right)
    return fig


def caption(
    rates: pd.DataFrame,
    values: pd.DataFrame,
    metadata: Mapping[str, Any],
    atypical_above: float = ATYPICAL_ABOVE,
) -> str:
    """Caption of `draw_privacy`; ``metadata`` are those of ``privacy.parquet``."""
    points = []
    for level in FALSE_POSITIVE_RATES:
        row = rates[rates["fpr"] == level].iloc[0]
        found = "not known, since non-members are too few,"
        if not np.isnan(row["tpr"]):
            found = f"{percent(row['tpr'])} {interval_text(row['tpr_low'], row['tpr_high'])}"
        points.append(f"{found} at {percent(level)}")
    first = rates.iloc[0]
    area = interval_text(first["auc_low"], first["auc_high"], scale=1, digits=3)
    return captioned(
        metadata,
        f"Membership inference (LiRA) on the models trained on subsets{of_dataset(metadata)}, each "
        "fifth of them attacked with the others. Left: members found against non-members taken "
        f"for members, over all {len(values):,} training samples and models; found are "
        f"{' and '.join(points)}; AUC {first['auc']:.3f} {area}. Dashed: chance. Brackets and band "
        "are 95 % intervals over models (bootstrap within the fifths; of the AUC, the "
        "infinitesimal jackknife), the fits taken as given. Right: AUC of each sample over the "
        f"models, atypical samples (memorization above {atypical_above:g}) in orange; Spearman's "
        "correlation with its 95 % interval over samples (Bonett and Wright). Attacker and scores "
        "use the same models.",
    )


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw what the trials of a data set give away.

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
    privacy, metadata = folder.scores("privacy")
    memorization, about = folder.scores("memorization")
    trials = {key: digest for key, digest in about.get("inputs", {}).items() if key == "trials"}
    check_inputs(folder.path / "scores" / "privacy.parquet", metadata, trials)
    threshold = folder.spec["atypical_above"]
    values = sample_values(memorization, privacy, atypical_above=threshold)
    rates = folder.rates()
    rates = rates[rates["part"] == "all"].reset_index(drop=True)
    return save_figure(
        draw_privacy(rates, values),
        out,
        rates,
        caption(rates, values, metadata, threshold),
        more_tables={"samples": values},
    )

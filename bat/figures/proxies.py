"""Scores of single trainings against memorization, with what each of them costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset
from bat.report.folder import Folder
from bat.report.saving import save_figure
from bat.report.style import BLACK, BLUE, ORANGE, WIDTH, styled
from bat.report.writing import write_table_files
from bat.scores.proxies import PROXIES
from bat.scores.standing_in import TOPS, spearman_brown, standing_in

ENTRY = Entry(
    shows="scores of single trainings against memorization, with their cost",
    about=(
        "What is lost on **{dataset}** by not training hundreds of networks: scores of single "
        "trainings, and the ensemble's, against memorization, each with a 95 % interval, beside "
        "what it costs in trainings."
    ),
    needs=("memorization", "disagreement", "confidence", "convergence", "proxies"),
    files=("pdf", "png", "csv", "md"),
)

REFERENCE, BY_MARGINS = "memorization", "memorization, from margins"
SHOWN = {"spearman": "Spearman", "auc": "AUC, memorized", "auc_wrong": "AUC, wrong labels"}


def proxy_rows(folder: Folder) -> tuple[pd.DataFrame, dict]:
    """Compare every score that a data set has with its memorization.

    Parameters
    ----------
    folder : Folder
        Of the data set.

    Returns
    -------
    table : DataFrame
        A row for each score: ``score``, ``title``, ``cost`` (in trainings on the
        whole training set), ``n_seeds``, and what `bat.scores.standing_in` measures.
        The last rows are memorization itself, whose agreement with itself is left
        out, and memorization from margins.
    metadata : dict
        Of the memorization table.
    """
    memorization, metadata = folder.scores("memorization")
    scores, costs = _scores(folder)
    noise = folder.prepared.info["label_noise"]
    wrong = np.zeros(len(memorization), bool)
    wrong[noise["changed"]] = True
    truth, of_reference = memorization["memorization"].to_numpy(), _references(memorization)
    rows = standing_in(
        truth,
        scores | of_reference,
        wrong=wrong if wrong.any() else None,
        reliability=_reliability(folder),
        threshold=folder.spec["atypical_above"],
    )
    kept = ("score", "n_seeds", "auc_wrong", "auc_wrong_low", "auc_wrong_high")
    for at in range(len(scores), len(rows)):  # nothing else is to be said of the reference
        rows[at] = {key: rows[at][key] for key in kept}
    ratio, trials = (metadata["recipe"].get(key, np.nan) for key in ("subset_ratio", "trials"))
    costs |= dict.fromkeys(of_reference, trials * ratio)
    table = pd.DataFrame(rows)
    titles = {name: proxy.title for name, proxy in PROXIES.items()}
    table.insert(1, "title", [titles.get(name, name) for name in table["score"]])
    table.insert(2, "cost", table["score"].map(costs))
    return table, metadata


def _scores(folder: Folder) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Scores turned so that high is atypical, those of single trainings by seed; their costs."""
    by_seed, about = folder.table("proxies/by_seed.parquet", "proxies_by_seed")
    seeds = about["recipe"]["seeds"]
    scores, costs = {}, {}
    for name in (name for name in PROXIES if name in about["cost"]):
        values = by_seed[name].to_numpy().reshape(len(seeds), -1)
        scores[name] = values if PROXIES[name].high_is_atypical else -values
        costs[name] = len(seeds) * about["cost"][name]
    for kind, name, sign in (("disagreement",) * 2 + (1,), ("confidence", "1 − confidence", -1)):
        table, about = folder.scores(kind)
        scores[name] = sign * table[kind].to_numpy()
        recipes = about["recipe"].values()
        costs[name] = sum(r.get("trials", np.nan) * r.get("subset_ratio", 1.0) for r in recipes)
    return scores, costs


def _reliability(folder: Folder) -> dict[str, float]:
    """How far memorization would agree with itself, from halves of as many trials."""
    last = folder.convergence().iloc[-1]
    return {
        "spearman": spearman_brown(last["split_half_spearman"]),
        "pearson": spearman_brown(last["split_half_correlation"]),
    }


def _references(memorization: pd.DataFrame) -> dict[str, np.ndarray]:
    """Memorization itself, and from margins where it is known."""
    found = {REFERENCE: memorization["memorization"].to_numpy()}
    if memorization["memorization_margin"].notna().all():
        found[BY_MARGINS] = memorization["memorization_margin"].to_numpy()
    return found


@styled
def draw_proxies(table: pd.DataFrame) -> Figure:
    """Draw each score's agreement with memorization, the best above, with intervals.

    Parameters
    ----------
    table : DataFrame
        From `proxy_rows`.

    Returns
    -------
    Figure
    """
    table = table.sort_values("spearman", na_position="first").reset_index(drop=True)
    shown = {name: label for name, label in SHOWN.items() if table[name].notna().any()}
    fig = Figure(figsize=(WIDTH, 0.6 + 0.21 * len(table)), layout="constrained")
    (panels,) = fig.subplots(1, len(shown) + 1, sharey=True, squeeze=False)
    places = np.arange(len(table))
    for ax, (name, label) in zip(panels, shown.items(), strict=False):
        low, high = table[f"{name}_low"], table[f"{name}_high"]
        ax.hlines(places, low, high, color=BLUE, lw=1.4)
        ax.plot(table[name], places, "o", color=BLUE, markersize=3.2)
        if f"{name}_true" in table:
            true = table[f"{name}_true"]
            ax.plot(true, places, "|", color=ORANGE, markersize=6, markeredgewidth=1.6)
        if name != "spearman":
            ax.axvline(0.5, color=BLACK, linestyle="--", lw=0.9)
        ax.set(xlabel=label, xlim=(min(0.4, np.nanmin(low) - 0.03), 1.02))
    panels[-1].plot(table["cost"], places, "s", color=BLACK, markersize=3.2)
    panels[-1].set(xlabel="Cost, trainings", xscale="log")
    panels[0].set_yticks(places, table["title"])
    return fig


def words(table: pd.DataFrame) -> pd.DataFrame:
    """The table for readers: a column for each measure with its interval."""
    names = {"spearman": "Spearman", "pearson": "Pearson", "auc": "AUC"}
    names |= {f"overlap_{100 * top:g}": f"Top {100 * top:g} %" for top in TOPS}
    names |= {"auc_wrong": "AUC, wrong labels"}
    shown = pd.DataFrame({"Score": table["title"], "Cost": [f"{c:.3g}" for c in table["cost"]]})
    for name, label in names.items():
        if table[name].notna().any():
            digits = 3 if name.startswith("auc") else 2
            shown[label] = [
                "" if np.isnan(v) else f"{v:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
                for v, low, high in table[[name, f"{name}_low", f"{name}_high"]].to_numpy()
            ]
        if f"{name}_true" in table:
            shown[f"{label}, noise out"] = [
                "" if np.isnan(v) else f"{v:.2f}" for v in table[f"{name}_true"]
            ]
    return shown


def caption(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `proxy_rows`."""
    seeds = int(table["n_seeds"].max())
    text = (
        f"Scores that stand in for memorization{of_dataset(metadata)}, and their cost in trainings "
        "on the whole training set (an early one may stop after a tenth; of the ensemble, all its "
        "members). Bars: 95 % intervals, by a bootstrap of the samples"
        + (f" and a jackknife of {seeds} seeds, whose mean the scores are" if seeds > 1 else "")
        + ". Orange: with the noise of memorization itself taken out, by the agreement of its "
        "halves (Spearman-Brown). AUC: for telling memorized samples from the others. Disagreement "
        "and confidence come from trials that memorization may share, so their agreement is "
        "flattered by common noise."
    )
    if table["auc_wrong"].notna().any():
        text += " Wrong labels are those that were planted."
    return captioned(metadata, text)


def write(folder: Folder, out: Path) -> list[Path]:
    """Draw and write how well cheap scores stand in for memorization.

    Parameters
    ----------
    folder : Folder
        Of the data set.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written.
    """
    table, metadata = proxy_rows(folder)
    text = caption(table, metadata)
    written = save_figure(draw_proxies(table), out, table, text)
    return [*written, *write_table_files(words(table), out, text, formats=("md",))]

"""Figure 3: atypical training samples that a robust model takes for another class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bat.config.values import fraction_text
from bat.errors import BatError
from bat.escaping import plain
from bat.plan.catalogue import Entry
from bat.plan.inputs import runs_of
from bat.report.captions import about_groups, sentences
from bat.report.comparison import Comparison
from bat.report.images import (
    canvas,
    checked_images,
    frame_image,
    score_text,
    short_name,
    show_image,
)
from bat.report.saving import save_figure
from bat.report.seeds import over_seeds
from bat.report.style import (
    BLACK,
    GREY,
    SERIES,
    WIDTH,
    legend_above,
    new_axes,
    percent_ticks,
    styled,
)
from bat.report.words import counted, percent
from bat.scores.fit import fit_sentence
from bat.streams import generator

ENTRY = Entry(
    shows="poisoning atypical samples",
    about=(
        "Atypical training images of **{dataset}** that the PGD-AT model ({architecture}) "
        "under attack takes for another class with a probability above 0.8, beside typical "
        "images of their label and of that class (paper, figure 3); below, this probability, "
        "the poisoning score, for all typical and atypical training samples."
    ),
    paper="Fig. 3",
    scope="architecture",
    needs=("poisoning", "train_groups"),
    runs=("pgd-at",),
    files=("pdf", "png", "csv", "_distribution.csv"),
)


THRESHOLD = 0.8
"""Score above which the paper shows samples."""


BESIDE = 3  # typical samples of each class beside an atypical one


def examples(
    scores: pd.DataFrame,
    groups: pd.DataFrame,
    class_names: Sequence[str],
    *,
    above: float = THRESHOLD,
    n: int = 12,
) -> pd.DataFrame:
    """Choose atypical samples of high score, and typical ones of the two classes.

    Parameters
    ----------
    scores : DataFrame
        ``index``, ``label``, ``predicted``, ``score``; one row per training
        sample.
    groups : DataFrame
        ``typical``, ``atypical``, in the same order.
    class_names : sequence of str
        Names by label.
    above : float
        Scores must be larger.
    n : int
        Atypical samples at most: the highest scores, those first whose label
        and predicted class no higher one has.

    Returns
    -------
    DataFrame
        ``place`` (0, 1, ... by falling score), ``role`` ('atypical', 'label',
        'predicted'), ``position`` (0, 1, ... within the role), ``index``,
        ``score`` (of this sample); and the same in every row of a place:
        ``label`` and ``predicted`` (class names of the atypical sample) and
        ``n_above``, the number of atypical samples above the threshold. Empty
        where there is none. Of each class at most `BESIDE` typical samples, drawn at
        random, the same wherever the class appears.

    Notes
    -----
    Figure 3 of the paper.
    """
    poisonous = scores[groups["atypical"].to_numpy() & (scores["score"].to_numpy() > above)]
    poisonous = poisonous.sort_values(["score", "index"], ascending=[False, True])
    repeats = poisonous.groupby(["label", "predicted"]).cumcount()
    chosen = poisonous.assign(repeat=repeats).sort_values("repeat", kind="stable").head(n)
    chosen = chosen.sort_values(["score", "index"], ascending=[False, True])

    typical = scores[groups["typical"].to_numpy()]
    drawn = generator(0, 0, "typical-examples").bit_generator.random_raw(len(scores))
    typical = typical.assign(key=drawn[typical["index"]]).sort_values("key")
    rows: list[dict] = []
    for place, item in enumerate(chosen.itertuples()):
        parts = {
            "atypical": chosen[chosen["index"] == item.index],
            "label": typical[typical["label"] == item.label].head(BESIDE),
            "predicted": typical[typical["label"] == item.predicted].head(BESIDE),
        }
        rows += [
            {
                "place": place,
                "role": role,
                "position": position,
                "index": sample.index,
                "score": sample.score,
                "label": plain(str(class_names[item.label])),
                "predicted": plain(str(class_names[item.predicted])),
                "n_above": len(poisonous),
            }
            for role, samples in parts.items()
            for position, sample in enumerate(samples.itertuples())
        ]
    columns = ["place", "role", "position", "index", "score", "label", "predicted", "n_above"]
    return pd.DataFrame(rows, columns=columns)


def distribution(
    scores: Mapping[int, pd.DataFrame],
    groups: pd.DataFrame,
    *,
    above: float = THRESHOLD,
    bins: int = 20,
) -> pd.DataFrame:
    """Count the samples of each group by score, as shares over seeds.

    Parameters
    ----------
    scores : mapping of int to DataFrame
        By seed of the run: ``score``, one row per training sample.
    groups : DataFrame
        ``typical``, ``atypical``, in the same order.
    above : float
        Threshold of the shares above it.
    bins : int
        Of equal width on [0, 1].

    Returns
    -------
    DataFrame
        ``group`` ('typical', 'atypical'), ``left``, ``right``, ``mean`` share of
        the group in the bin, ``sd`` over seeds (NaN for one), ``n_seeds``,
        ``n_samples`` of the group; and the same in every row of a group:
        ``threshold``, ``above`` and ``above_sd``, the share over the threshold.

    Raises
    ------
    BatError
        If both groups are empty; of one that is there are no rows.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    rows, shares = [], []
    for seed, frame in scores.items():
        for group in ("typical", "atypical"):
            values = frame["score"].to_numpy()[groups[group].to_numpy()]
            if len(values) == 0:
                continue
            named = {"group": group, "n_samples": len(values), "seed": seed}
            counts, _ = np.histogram(values, edges)
            rows += [
                {**named, "left": left, "right": right, "share": count / len(values)}
                for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
            shares.append({**named, "threshold": above, "share": (values > above).mean()})
    if not rows:
        raise BatError(
            "no training sample is typical and none is atypical, so there is no group to show; "
            "change the thresholds of groups, or train more trials"
        )
    over = over_seeds(pd.DataFrame(shares), ["group", "threshold"], "share")
    over = over.rename(columns={"mean": "above", "sd": "above_sd"}).drop(columns="n_seeds")
    table = over_seeds(pd.DataFrame(rows), ["group", "left", "right", "n_samples"], "share")
    table = table[["group", "left", "right", "mean", "sd", "n_seeds", "n_samples"]]
    return table.merge(over, on="group")


@styled
def plot_examples(
    table: pd.DataFrame, images: np.ndarray, *, above: float = THRESHOLD, ax: Axes | None = None
) -> Axes:
    """Draw atypical images beside typical ones of their label and of the predicted class.

    Parameters
    ----------
    table : DataFrame
        From `examples`; may be empty.
    images : ndarray of uint8, shape (N, C, H, W)
        The training images.
    above : float
        The threshold, said where there is no such sample.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    images = checked_images(images, table["index"], "training")
    width, height = canvas_size(table)
    ax = canvas(ax, width, height)
    if table.empty:
        text = f"No atypical training sample has a poisoning score above {above:g}."
        ax.text(width / 2, height / 2, text, ha="center", va="center")
        return ax
    for item in table.itertuples():
        x, y = _corner(item.place, item.role, item.position)
        show_image(ax, images[item.index], x, y, _SIZE)
        color = SERIES["atypical" if item.role == "atypical" else "typical"][0]
        frame_image(ax, x, y, _SIZE, color, 1.3 if item.role == "atypical" else 0.7)
        if item.role != "atypical":
            continue
        roles = set(table.loc[table["place"] == item.place, "role"])
        label = f"{short_name(item.label, _SIZE, 5.8)}\n{score_text(item.score)}"
        for role, size, text in (
            ("atypical", _SIZE, label),
            ("label", _WIDE, short_name(item.label, _WIDE, 5.8)),
            ("predicted", _WIDE, short_name(item.predicted, _WIDE, 5.8)),
        ):
            x, y = _corner(item.place, role, 0)
            below = y + _SIZE + 0.035
            ax.text(x + size / 2, below, text, fontsize=5.8, ha="center", va="top")
            if role not in roles:
                none = {"fontsize": 6, "color": GREY, "ha": "center", "va": "center"}
                ax.text(x + size / 2, y + _SIZE / 2, "no typical sample", **none)
    for half in range(min(2, table["place"].max() + 1)):
        for role, size, title in (
            ("atypical", _SIZE, "atypical"),
            ("label", _WIDE, "typical of its label"),
            ("predicted", _WIDE, "typical of the prediction"),
        ):
            x, y = _corner(half, role, 0)
            ax.text(x + size / 2, y - 0.06, title, fontsize=6.5, ha="center", va="bottom")
    return ax


_SIZE, _GAP, _APART, _TEXT, _TOP = 0.42, 0.03, 0.12, 0.33, 0.24  # inches


_WIDE = BESIDE * _SIZE + (BESIDE - 1) * _GAP


def canvas_size(table: pd.DataFrame) -> tuple[float, float]:
    """Width and height of `plot_examples`, in inches."""
    if table.empty:
        return WIDTH, 0.6
    return WIDTH, _TOP + (table["place"].max() // 2 + 1) * (_SIZE + _TEXT)


def _corner(place: int, role: str, position: int) -> tuple[float, float]:
    row, half = divmod(place, 2)
    left = half * (WIDTH - (_SIZE + 2 * _APART + 2 * _WIDE))
    starts = {"atypical": 0.0, "label": _SIZE + _APART, "predicted": _SIZE + 2 * _APART + _WIDE}
    return left + starts[role] + position * (_SIZE + _GAP), _TOP + row * (_SIZE + _TEXT)


@styled
def plot_distribution(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the distribution of the score in both groups.

    Parameters
    ----------
    table : DataFrame
        From `distribution`.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 4.6, 2.2)
    for group, rows in table.groupby("group", sort=False):
        color, line, _ = SERIES[group]
        first = rows.iloc[0]
        edges = [*rows["left"], rows["right"].iloc[-1]]
        label = f"{group}: {percent(first['above'])} above {first['threshold']:g}"
        if pd.notna(first["above_sd"]):
            label = f"{group}: {100 * first['above']:.1f} ± {percent(first['above_sd'])} "
            label += f"above {first['threshold']:g}"
        ax.stairs(rows["mean"], edges, color=color, linestyle=line, linewidth=1.4, label=label)
        ax.stairs(rows["mean"], edges, color=color, fill=True, alpha=0.15)
        beside = 0.006 if group == "atypical" else -0.006  # bars do not hide each other
        middle = (rows["left"] + rows["right"]) / 2 + beside
        ax.errorbar(middle, rows["mean"], rows["sd"], fmt="none", ecolor=color, elinewidth=0.8)
    ax.axvline(table["threshold"].iloc[0], color=BLACK, linestyle="--", linewidth=0.9)
    percent_ticks(ax.yaxis)
    ax.set(xlim=(0, 1), xlabel="Poisoning score", ylabel="Share of the group")
    ax.set_ylim(bottom=0)
    legend_above(ax, 2)
    return ax


@styled
def draw(chosen: pd.DataFrame, spread: pd.DataFrame, images: np.ndarray) -> Figure:
    """Draw figure 3: the examples above the distribution.

    Parameters
    ----------
    chosen : DataFrame
        From `examples`.
    spread : DataFrame
        From `distribution`.
    images : ndarray of uint8, shape (N, C, H, W)
        The training images.

    Returns
    -------
    Figure
    """
    width, top = canvas_size(chosen)
    below, margin = 1.9, 0.45
    height = top + below + margin
    fig = Figure(figsize=(width, height))
    canvas = fig.add_axes((0, 1 - top / height, 1, top / height))
    plot_examples(chosen, images, above=spread["threshold"].iloc[0], ax=canvas)
    panel = fig.add_axes((0.09, margin / height, 0.9, (below - 0.15) / height))
    plot_distribution(spread, ax=panel)
    return fig


def caption(chosen: pd.DataFrame, spread: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `draw`; the metadata are those of the table behind the images."""
    spec, attack = metadata["recipe"], metadata["attack"]
    sizes = spread.groupby("group", sort=False)["n_samples"].first()
    counts = " and ".join(f"{n:,} {group}" for group, n in sizes.items())
    n_seeds, threshold = spread["n_seeds"].iloc[0], spread["threshold"].iloc[0]
    text = (
        f"Poisoning scores, the largest probability of a wrong class, of the training samples of "
        f"{spec['dataset']} under {spec['run']} ({spec['architecture']}) and PGD-{attack['steps']} "
        f"with eps {fraction_text(attack['eps'])} and steps of {fraction_text(attack['step'])}. "
    )
    if len(chosen):
        n_shown, n_above = chosen["place"].nunique(), chosen["n_above"].iloc[0]
        few = f"{n_shown} of the " if n_shown < n_above else "the "
        text += (
            f"Above: {few}{counted(n_above, 'atypical sample')} with a score "
            f"above {threshold:g} (seed {spec['seed']}), with label and score, each beside random "
            "typical samples of its label and of the class that the model takes it for; images "
            "are shown without perturbation. "
        )
    text += f"Below: scores of {counts} samples"
    if n_seeds > 1:
        return f"{text}; mean ± standard deviation over {n_seeds} seeds."
    return f"{text}; seed {spec['seed']}, one seed, so no spread is known."


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Draw figure 3 from the poisoning scores of every seed, the first one's images.

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

    Raises
    ------
    ArtifactError
        If a table is missing, damaged, of another data set or of another model.
    """
    folder, (run,) = comparison.folder, runs_of(ENTRY.runs, comparison.spec)
    groups, about = folder.groups("train")
    scores = comparison.poisoning(run)
    frames = {seed: frame for seed, (frame, _) in scores.items()}
    _, first = next(iter(scores.values()))
    prepared = folder.shown()
    chosen = examples(next(iter(frames.values())), groups, prepared.class_names)
    spread = distribution(frames, groups)
    return save_figure(
        draw(chosen, spread, prepared.train_images),
        out,
        chosen,
        sentences(
            caption(chosen, spread, first), about_groups({"train": about}), fit_sentence(about)
        ),
        more_tables={"distribution": spread},
    )

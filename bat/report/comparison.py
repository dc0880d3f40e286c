"""Evaluations and histories of training runs to the tables that compare methods.

Everything here maps data frames to data frames or words; `bat.report.tables` writes
them and `bat.figures.drawing` draws them. Accuracies are shares in [0, 1], except in
`PAPER`, which holds percent as printed, and in `presentation`, which makes text.
Runs are named as in the configuration and attacks as in the evaluation files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bat.config.attacks import ATTACKS
from bat.config.values import fraction_text
from bat.errors import BatError
from bat.files.artifacts import FLAGS
from bat.files.bits import unpack
from bat.plan.names import ablation_name
from bat.report.tables import difference_text, mean_text, over_seeds, percent
from bat.scores.subsets import followed_samples
from bat.statistics import paired_difference

BASELINE = "bat-1-0.2"
"""The run that the paper compares every method with."""

LABELS = {
    "erm": "ERM",
    "pgd-at": "PGD-AT",
    "trades": "TRADES",
    "mart": "MART",
    "gairat": "GAIRAT",
    "bat-1-0.2": "BAT(1, 0.2)",
    "bat-2-0.2": "BAT(2, 0.2)",
    "bat-1-0.2-disagreement": "BAT(1, 0.2), disagreement",
    "bat-1-0.2-confidence": "BAT(1, 0.2), confidence",
}
"""What readers call a run, in the order of the paper's tables; other runs keep their names."""

COLUMNS = ("clean", *ATTACKS)
"""Columns of the paper's tables, in order."""

GROUPS = ("all", "typical", "atypical")
"""Groups of samples whose accuracy is followed along training."""


# --- The paper's numbers -----------------------------------------------------


class PaperTable(NamedTuple):
    """What the paper reports for one data set and architecture.

    ``tables``: the numbers of the tables that print it. ``accuracies``: percent
    by run, then by column.
    """

    tables: tuple[int, ...]
    accuracies: Mapping[str, Mapping[str, float]]


def _paper(tables: tuple[int, ...], rows: dict[str, tuple[float, ...]]) -> PaperTable:
    return PaperTable(
        tables, {run: dict(zip(COLUMNS, row, strict=True)) for run, row in rows.items()}
    )


PAPER = {
    ("cifar100", "wrn-28-10"): _paper(
        (1, 4),
        {
            "pgd-at": (59.7, 34.9, 24.7, 24.2, 22.5),
            "trades": (57.3, 34.5, 24.9, 24.6, 22.9),
            "mart": (56.5, 36.1, 26.8, 25.3, 23.8),
            "gairat": (60.2, 34.8, 24.4, 24.8, 22.9),
            "bat-1-0.2": (62.0, 38.6, 28.5, 26.5, 24.8),
            "bat-2-0.2": (61.4, 38.9, 28.2, 26.3, 24.8),
        },
    ),
    ("tiny_imagenet", "wrn-28-10"): _paper(
        (2, 6),
        {
            "pgd-at": (58.9, 35.7, 31.7, 30.0, 30.0),
            "trades": (59.7, 37.4, 32.0, 31.8, 32.0),
            "mart": (58.2, 41.0, 35.6, 33.9, 34.1),
            "gairat": (60.5, 39.1, 33.1, 31.9, 32.3),
            "bat-1-0.2": (62.3, 41.6, 35.8, 33.7, 34.3),
            "bat-2-0.2": (62.4, 43.1, 37.4, 35.3, 35.6),
        },
    ),
    ("cifar100", "resnet18"): _paper(
        (3,),
        {
            "pgd-at": (56.9, 36.0, 27.4, 25.4, 23.6),
            "trades": (56.6, 36.5, 26.9, 25.3, 23.9),
            "mart": (51.8, 36.1, 30.4, 25.8, 24.4),
            "gairat": (58.2, 36.5, 27.8, 25.9, 23.8),
            "bat-1-0.2": (59.5, 37.3, 27.3, 26.6, 24.3),
            "bat-2-0.2": (59.3, 37.1, 27.4, 26.5, 24.0),
        },
    ),
    ("tiny_imagenet", "resnet32"): _paper(
        (5,),
        {
            "pgd-at": (56.3, 37.5, 32.3, 29.8, 29.8),
            "trades": (55.4, 35.2, 28.8, 27.0, 27.0),
            "mart": (56.2, 38.1, 34.5, 31.8, 32.0),
            "gairat": (58.4, 37.3, 30.4, 28.9, 29.0),
            "bat-1-0.2": (59.4, 40.4, 32.0, 31.5, 32.0),
            "bat-2-0.2": (59.4, 41.3, 32.9, 31.8, 32.4),
        },
    ),
}
"""Tables 1 to 6 by (data set, architecture).

Five printed differences do not follow from the printed accuracies: GAIRAT's CW
in tables 1 and 4 (-1.5; the accuracies give -1.7), BAT(2, 0.2)'s AA in tables 2
and 6 (+0.7; +1.3), and in table 3 GAIRAT's FGSM (-1.2; -0.8) and AA (-0.2;
-0.5) and BAT(2, 0.2)'s AA (+0.7; -0.3). `methods_table` subtracts accuracies.
"""


# --- Tables of the methods ---------------------------------------------------


def accuracies(evaluations: Mapping[tuple[str, int], pd.DataFrame]) -> pd.DataFrame:
    """Average the verdicts of each evaluation.

    Parameters
    ----------
    evaluations : mapping of (run, seed) to DataFrame
        ``index`` and a column of bool for ``clean`` and each attack; an attack
        that was left out is null in every row.

    Returns
    -------
    DataFrame
        ``run``, ``seed``, ``attack`` ('clean', 'fgsm', 'pgd', 'cw', 'aa'),
        ``accuracy`` in [0, 1], and ``n``, the samples judged. No row for an
        attack that was left out.

    Raises
    ------
    BatError
        If there is no evaluation, two of them judged different samples, or an
        attack is null in some rows only.
    """
    if not evaluations:
        raise BatError("there is no evaluation to compare; evaluate at least one run")
    first, reference = next(iter(evaluations.items()))
    rows = []
    for (run, seed), frame in evaluations.items():
        if not np.array_equal(frame["index"], reference["index"]):
            raise BatError(
                f"the evaluation of {run}, seed {seed}, judged {len(frame)} test samples and that "
                f"of {first[0]}, seed {first[1]}, {len(reference)}, and they are not the same; "
                "evaluate both with the same evaluation.max_samples and evaluation.seed"
            )
        for attack in COLUMNS:
            null = frame[attack].isna()
            if null.all():
                continue
            if null.any():
                raise BatError(
                    f"the evaluation of {run}, seed {seed}, has no verdict under {attack} for "
                    f"{null.sum()} of {len(frame)} samples; expected all or none: evaluate again"
                )
            rows.append((run, seed, attack, frame[attack].astype(bool).mean(), len(frame)))
    return pd.DataFrame(rows, columns=["run", "seed", "attack", "accuracy", "n"])


def methods_table(
    judged: pd.DataFrame, *, baseline: str = BASELINE, paper: PaperTable | None = None
) -> pd.DataFrame:
    """Summarise accuracies over seeds, with differences from one run.

    Parameters
    ----------
    judged : DataFrame
        From `accuracies`.
    baseline : str
        The run that the others are compared with. Without it, differences are
        NaN.
    paper : PaperTable, optional
        A value of `PAPER`.

    Returns
    -------
    DataFrame
        A row per run and attack, runs in the paper's order and then as given:
        ``run``, ``attack``; ``n`` samples; ``n_seeds``, ``mean`` and ``sd`` over
        seeds (NaN for one seed); ``n_pairs``, the seeds that the run and the
        baseline both have, and over those the mean ``difference`` run - baseline,
        its ``difference_sd`` and 95 % t-interval, ``low`` to ``high``; ``paper`` and
        ``paper_difference``, NaN where the paper has no such cell. Accuracies are
        in [0, 1].

    Raises
    ------
    BatError
        If a run has an attack and seed twice.

    Notes
    -----
    Tables 1 to 6 of the paper.
    """

    def printed(run: str, attack: str) -> float:
        known = {} if paper is None else paper.accuracies
        return known.get(run, {}).get(attack, np.nan) / 100

    table = over_seeds(judged, ["run", "attack"], "accuracy")
    table.insert(2, "n", judged["n"].iloc[0])
    by_seed = {
        cell: rows.set_index("seed")["accuracy"] for cell, rows in judged.groupby(["run", "attack"])
    }
    cells = list(zip(table["run"], table["attack"], strict=True))
    compared = [_difference(by_seed[cell], by_seed.get((baseline, cell[1]))) for cell in cells]
    columns = ["n_pairs", "difference", "difference_sd", "low", "high"]
    table[columns] = pd.DataFrame(compared)
    table["paper"] = [printed(*cell) for cell in cells]
    reference = np.array([printed(baseline, attack) for _, attack in cells])
    table["paper_difference"] = table["paper"] - reference
    ranks = {run: rank for rank, run in enumerate(dict.fromkeys([*LABELS, *table["run"]]))}
    order = sorted(
        range(len(cells)), key=lambda i: (ranks[cells[i][0]], COLUMNS.index(cells[i][1]))
    )
    return table.iloc[order].reset_index(drop=True)


def _difference(own: pd.Series, other: pd.Series | None) -> tuple[float, ...]:
    """Number, mean, standard deviation and interval of the differences over common seeds."""
    seeds = [] if other is None else own.index.intersection(other.index)
    if len(seeds) == 0:
        return 0, np.nan, np.nan, np.nan, np.nan
    found = paired_difference(own[seeds], other[seeds])
    return found.n, found.mean, found.sd, found.low, found.high


def attack_labels(attacks: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What readers call each column.

    Parameters
    ----------
    attacks : mapping
        Of an evaluation's specification: settings by attack.

    Examples
    --------
    >>> attack_labels({"fgsm": {}, "pgd": {"steps": 100}, "aa": {"version": "aa-fast"}})
    {'clean': 'Clean', 'fgsm': 'FGSM', 'pgd': 'PGD-100', 'aa': 'AA-fast'}
    """
    labels = {"clean": "Clean"}
    for name, settings in attacks.items():
        labels[name] = ATTACKS[name].label(settings)
    return labels


def presentation(table: pd.DataFrame, attacks: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Set out a table of methods for readers.

    Parameters
    ----------
    table : DataFrame
        From `methods_table`.
    attacks : mapping
        Of the evaluation's specification; names the columns.

    Returns
    -------
    DataFrame of str
        ``Method`` and a column per attack, percent as ``62.0 ± 0.3 (+0.0)``:
        mean, standard deviation where there are several seeds, difference from
        the baseline where there is one; beside each the column ``..., paper``
        where the paper has numbers. Missing cells are null.
    """
    labels = attack_labels(attacks)
    runs = list(dict.fromkeys(table["run"]))
    wide = pd.DataFrame({"Method": [LABELS.get(run, run) for run in runs]})
    for attack, rows in table.groupby("attack", sort=False):
        rows = rows.set_index("run")
        ours = {row.Index: cell_text(row.mean, row.sd, row.difference) for row in rows.itertuples()}
        wide[labels[attack]] = [ours.get(run) for run in runs]
        rows = rows[rows["paper"].notna()]
        theirs = {
            row.Index: cell_text(row.paper, np.nan, row.paper_difference)
            for row in rows.itertuples()
        }
        if theirs:
            wide[f"{labels[attack]}, paper"] = [theirs.get(run) for run in runs]
    return wide


def cell_text(mean: float, sd: float, difference: float) -> str:
    """Shares as percent, the parts that are known: mean ± deviation (difference).

    >>> cell_text(0.62, 0.003, -0.0004), cell_text(0.597, float("nan"), -0.023)
    ('62.0 ± 0.3 (+0.0)', '59.7 (−2.3)')
    """
    text = mean_text(mean, sd)
    if not np.isnan(difference):
        text += f" ({difference_text(difference, np.nan, np.nan)})"
    return text


# --- Ablation ----------------------------------------------------------------


def ablation(
    judged: pd.DataFrame, alphas: Sequence[float], betas: Sequence[float], attack: str
) -> pd.DataFrame:
    """Lay out the accuracy of BAT over its two weights.

    Parameters
    ----------
    judged : DataFrame
        From `accuracies`.
    alphas, betas : sequence of float
        Of the grid. Its cell (0, 0) is the run ``pgd-at``.
    attack : str
        'clean' or an attack.

    Returns
    -------
    DataFrame
        ``attack``, ``alpha``, ``beta``, ``mean`` in [0, 1] and ``sd`` over seeds,
        ``n_seeds``. No row for a cell without a run.

    Raises
    ------
    BatError
        If no cell has a run.

    Notes
    -----
    Figure 4 of the paper.
    """
    cells = pd.DataFrame(
        [(ablation_name(a, b), float(a), float(b)) for a in alphas for b in betas],
        columns=["run", "alpha", "beta"],
    )
    table = cells.merge(judged[judged["attack"] == attack], on="run")
    if table.empty:
        raise BatError(
            f"no run of the ablation was evaluated under {attack}; expected some of "
            f"{', '.join(cells['run'])}"
        )
    return over_seeds(table, ["attack", "alpha", "beta"], "accuracy")


# --- Along training ----------------------------------------------------------


def along_training(
    histories: Mapping[tuple[str, int], pd.DataFrame],
    groups: Mapping[str, pd.DataFrame],
    info: Mapping[str, Any],
    max_samples: int | str | None,
) -> pd.DataFrame:
    """Follow the accuracy of each group along the training of each run.

    Parameters
    ----------
    histories : mapping of (run, seed) to DataFrame
        ``epoch``, counted from 1, and the packed verdicts ``train_clean``,
        ``train_pgd``, ``test_clean``, ``test_pgd`` on the measured samples, null
        in epochs that were not measured.
    groups : mapping of str to DataFrame
        By split ('train', 'test'): ``index``, ``typical``, ``atypical``, a row
        per sample in order.
    info : mapping
        Of the prepared data: ``n_train`` and ``n_test``.
    max_samples : int or "all", optional
        The ``history.max_samples`` of the runs; see
        `bat.scores.subsets.followed_samples`.

    Returns
    -------
    DataFrame
        ``run``, ``seed``, ``epoch``, ``split``, ``group`` ('all', 'typical',
        'atypical'), ``attack`` ('clean', 'pgd'), ``accuracy`` in [0, 1] and
        ``n``, the measured samples of the group; where these are 0 the accuracy
        is NaN. A split's samples are those of the data set, whether or not a
        run trained on them.

    Raises
    ------
    BatError
        If there is no history, or groups or verdicts are of another number of
        samples.

    Notes
    -----
    Figures 1, 2 and 8 to 19 of the paper draw parts of it.
    """
    if not histories:
        raise BatError("there is no history to follow; train at least one run")
    parts = []
    for (run, seed), history in histories.items():
        last = history.sort_values("epoch").iloc[-1]  # which is always measured
        bits = {split: last.get(f"{split}_{FLAGS[0]}") for split in groups}
        measured = followed_samples(info, max_samples, bits)
        for split in measured:
            masks = _members(groups[split], measured[split], info, split)
            for attack in FLAGS:
                packed = history.set_index("epoch")[f"{split}_{attack}"].dropna()
                correct = np.array([unpack(bits, len(measured[split])) for bits in packed])
                for group, mask in masks.items():
                    n = int(mask.sum())
                    share = correct[:, mask].mean(axis=1) if n and len(packed) else np.nan
                    part = pd.DataFrame({"epoch": packed.index, "accuracy": share})
                    parts.append(
                        part.assign(
                            run=run, seed=seed, split=split, group=group, attack=attack, n=n
                        )
                    )
    columns = ["run", "seed", "epoch", "split", "group", "attack", "accuracy", "n"]
    return pd.concat(parts, ignore_index=True)[columns]


def _members(
    frame: pd.DataFrame, measured: np.ndarray, info: Mapping[str, Any], split: str
) -> dict[str, np.ndarray]:
    """For each group, which of the measured samples are in it."""
    n = info[f"n_{split}"]
    if not np.array_equal(frame["index"], np.arange(n)):
        raise BatError(
            f"the {split} groups have {len(frame)} rows and the data set has {n} {split} samples; "
            "expected one row for each, in order: make the groups of this data set"
        )
    masks = {"all": np.ones(len(measured), bool)}
    for name in GROUPS[1:]:
        masks[name] = frame[name].to_numpy(bool)[measured]
    return masks


# --- Captions ----------------------------------------------------------------


def caption_methods(
    table: pd.DataFrame,
    evaluation: Mapping[str, Any],
    specs: Mapping[str, Mapping[str, Any]],
    *,
    baseline: str = BASELINE,
    paper: PaperTable | None = None,
) -> str:
    """Caption of `methods_table`.

    Parameters
    ----------
    table : DataFrame
        From `methods_table`.
    evaluation : mapping
        The evaluation's specification.
    specs : mapping of str to mapping
        The specification of each run, at any seed. A run without one is said
        to have been trained elsewhere.
    baseline, paper
        As for `methods_table`.
    """
    name = LABELS.get(baseline, baseline)
    if baseline not in set(table["run"]):
        differences = f"There are no differences, since the run {baseline} is not in the table."
    else:
        differences = f"In parentheses: mean difference from {name}, paired by seed"
        if (table["n_pairs"] < table["n_seeds"]).any():
            differences += ", over the seeds that both have"
        differences += "."
    parts = [_setting(table, evaluation, specs), differences, _protocol(table, specs)]
    if paper is not None:
        numbers = " and ".join(map(str, paper.tables))
        parts.append(
            f"Paper: its table{'s' if len(paper.tables) > 1 else ''} {numbers}, with PGD-100; "
            "differences taken from its accuracies."
        )
    return " ".join(part for part in parts if part)


def caption_ablation(
    table: pd.DataFrame,
    evaluation: Mapping[str, Any],
    specs: Mapping[str, Mapping[str, Any]],
    n: int,
) -> str:
    """Caption of `ablation`, of one attack or several; ``n`` test samples were judged.

    ``evaluation`` and ``specs`` are as for `caption_methods`.
    """
    cells = [ablation_name(a, b) for a, b in zip(table["alpha"], table["beta"], strict=True)]
    drawn = table.assign(run=cells, n=n)
    return (
        f"BAT over alpha and beta; the cell (0, 0) is PGD-AT. "
        f"{_setting(drawn, evaluation, specs)} {_protocol(drawn, specs)}"
    )


def _setting(
    table: pd.DataFrame, evaluation: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]
) -> str:
    """Samples, attacks, and what the numbers are means of."""
    used = {name: evaluation["attacks"][name] for name in ATTACKS if name in set(table["attack"])}
    architectures = " and ".join(dict.fromkeys(spec["architecture"] for spec in specs.values()))
    of = f"{evaluation['dataset']}" + (f", {architectures}" if architectures else "")
    text = f"Accuracy (%) on {table['n'].iloc[0]:,} test samples of {of}"
    if used:
        eps = " and ".join(dict.fromkeys(fraction_text(a["eps"]) for a in used.values()))
        text += f", clean and under l_inf attacks with eps {eps}: "
        text += "; ".join(_attack_words(name, settings) for name, settings in used.items())
    fewest, most = table["n_seeds"].min(), table["n_seeds"].max()
    if most == 1:
        return f"{text}. One seed, so no spread is known."
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{text}. Mean ± standard deviation over {seeds} seeds."


def _attack_words(name: str, settings: Mapping[str, Any]) -> str:
    return ATTACKS[name].label(settings) + ATTACKS[name].words(settings)


def _protocol(table: pd.DataFrame, specs: Mapping[str, Mapping[str, Any]]) -> str:
    """How long the runs trained, and which epoch counts."""
    runs = list(dict.fromkeys(table["run"]))
    by_epochs: dict[int, list[str]] = {}
    for run in runs:
        if run in specs:
            epochs = specs[run]["training"]["epochs"]
            by_epochs.setdefault(epochs, []).append(LABELS.get(run, run))
    sentences = []
    if len(by_epochs) == 1:
        sentences.append(f"Trained for {next(iter(by_epochs))} epochs.")
    elif by_epochs:
        each = "; ".join(f"{', '.join(names)} {n} epochs" for n, names in by_epochs.items())
        sentences.append(f"Trained for: {each}.")
    selections = [specs[run]["selection"] for run in runs if run in specs]
    sentences += dict.fromkeys(_selection_words(selection) for selection in selections)
    elsewhere = [LABELS.get(run, run) for run in runs if run not in specs]
    if elsewhere:
        sentences.append(f"Trained elsewhere: {', '.join(elsewhere)}.")
    return " ".join(sentences)


def _selection_words(selection: Mapping[str, Any]) -> str:
    if selection["by"] == "last":
        return "Models of the last epoch."
    best = f"Models of the epoch with the best accuracy under PGD-{selection['steps']}"
    if selection["by"] == "test":
        return f"{best} on the test set, as in the paper, which flatters every method."
    return f"{best} on {percent(selection['validation'], 0)} of the training samples, held out."

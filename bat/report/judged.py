"""Evaluations of runs as accuracies, and the words of what attacked them and how they trained.

Runs are named as in the configuration and attacks as in the evaluation files; accuracies are
shares in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bat.config.attacks import ATTACKS, FURTHER_PGD, entry_of
from bat.config.values import fraction_text
from bat.errors import BatError
from bat.report.switches import switch_sentences
from bat.report.words import LABELS, counted, percent

COLUMNS = ("clean", *ATTACKS)
"""Columns of the paper's tables, in order."""


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
    rows = [
        (run, seed, attack, right.mean(), len(right))
        for run, seed, attack, right in _judged(evaluations)
    ]
    return pd.DataFrame(rows, columns=["run", "seed", "attack", "accuracy", "n"])


def verdicts(
    evaluations: Mapping[tuple[str, int], pd.DataFrame],
) -> dict[tuple[str, str], pd.DataFrame]:
    """Whether each sample was judged right, by run and attack.

    Arguments and errors as of `accuracies`.

    Returns
    -------
    dict of (run, attack) to DataFrame of bool
        A row for each seed, which is its index, and a column for each sample by its
        number in the test set.
    """
    found: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    for run, seed, attack, right in _judged(evaluations):
        found.setdefault((run, attack), {})[seed] = right
    samples = next(iter(evaluations.values()))["index"].to_numpy()
    return {
        of: pd.DataFrame(np.array(list(by_seed.values())), index=list(by_seed), columns=samples)
        for of, by_seed in found.items()
    }


def _judged(
    evaluations: Mapping[tuple[str, int], pd.DataFrame],
) -> Iterator[tuple[str, int, str, np.ndarray]]:
    """Run, seed, attack, and whether each sample was right; only what can be compared."""
    if not evaluations:
        raise BatError("there is no evaluation to compare; evaluate at least one run")
    first, reference = next(iter(evaluations.items()))
    for (run, seed), frame in evaluations.items():
        if not np.array_equal(frame["index"], reference["index"]):
            raise BatError(
                f"the evaluation of {run}, seed {seed}, judged {len(frame)} test samples and that "
                f"of {first[0]}, seed {first[1]}, {len(reference)}, and they are not the same; "
                "evaluate both with the same evaluation.max_samples and evaluation.seed"
            )
        for attack in dict.fromkeys([*COLUMNS, *frame.columns.drop("index")]):
            null = frame[attack].isna()
            if null.all():
                continue
            if null.any():
                raise BatError(
                    f"the evaluation of {run}, seed {seed}, has no verdict under {attack} for "
                    f"{null.sum()} of {len(frame)} samples; expected all or none: evaluate again"
                )
            yield run, seed, attack, frame[attack].to_numpy(bool)


def column_order(attacks: Iterable[str]) -> list[str]:
    """Attacks in the order of columns: the paper's, further PGD before PGD, others last.

    >>> column_order(["mine", "pgd", "pgd-20", "clean", "aa"])
    ['clean', 'pgd-20', 'pgd', 'aa', 'mine']
    """
    known = list(COLUMNS)

    def rank(name: str) -> tuple[int, int]:
        if FURTHER_PGD.fullmatch(name):
            return known.index("pgd"), int(name.partition("-")[2])
        return known.index(name) if name in known else len(known), 10**9

    return sorted(dict.fromkeys(attacks), key=rank)


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
        labels[name] = entry_of(name).label(settings)
    return labels


def attacked_text(
    table: pd.DataFrame, evaluation: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]
) -> str:
    """Samples and attacks, as the beginning of a caption without its full stop."""
    shown = set(table["attack"])
    used = {name: of for name, of in evaluation["attacks"].items() if name in shown}
    architectures = " and ".join(dict.fromkeys(spec["architecture"] for spec in specs.values()))
    of = f"{evaluation['dataset']}" + (f", {architectures}" if architectures else "")
    text = f"Accuracy (%) on {table['n'].iloc[0]:,} test samples of {of}"
    if used:
        eps = " and ".join(dict.fromkeys(fraction_text(a["eps"]) for a in used.values()))
        text += f", clean and under l_inf attacks with eps {eps}: "
        text += "; ".join(_attack_words(name, settings) for name, settings in used.items())
    return text


def setting_text(
    table: pd.DataFrame, evaluation: Mapping[str, Any], specs: Mapping[str, Mapping[str, Any]]
) -> str:
    """Samples, attacks, and what the numbers are means of."""
    text = attacked_text(table, evaluation, specs)
    fewest, most = table["n_seeds"].min(), table["n_seeds"].max()
    if most == 1:
        return f"{text}. One seed, so no spread is known."
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{text}. Mean ± standard deviation over {seeds} seeds."


def _attack_words(name: str, settings: Mapping[str, Any]) -> str:
    entry = entry_of(name)
    return entry.label(settings) + entry.words(settings)


def protocol_text(table: pd.DataFrame, specs: Mapping[str, Mapping[str, Any]]) -> str:
    """How long the runs trained, what some do beside their method, and which epoch counts."""
    runs = list(dict.fromkeys(table["run"]))
    by_epochs: dict[int, list[str]] = {}
    for run in runs:
        if run in specs:
            epochs = specs[run]["training"]["epochs"]
            by_epochs.setdefault(epochs, []).append(LABELS.get(run, run))
    sentences = []
    if len(by_epochs) == 1:
        sentences.append(f"Trained for {counted(next(iter(by_epochs)), 'epoch')}.")
    elif by_epochs:
        each = "; ".join(
            f"{', '.join(names)} {counted(n, 'epoch')}" for n, names in by_epochs.items()
        )
        sentences.append(f"Trained for: {each}.")
    sentences += switch_sentences({run: specs[run] for run in runs if run in specs})
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

"""The typical and atypical groups, from score tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from bat.data import PreparedData
from bat.errors import BatError
from bat.files import column, write_table
from bat.progress import log
from bat.scores.chance import Counts, counts_of, is_mostly_chance, memorization_by_chance
from bat.scores.fit import fit_facts, fit_sentence
from bat.scores.groups import test_groups, train_groups
from bat.scores.margin_influence import student_p
from bat.scores.ranking import ends, table_of
from bat.validation import (
    GROUPS_MADE_OF,
    by_margins,
    check_together,
    groups_inputs,
    read_checked,
)

SPLITS = ("train", "test")
Masks = tuple[np.ndarray, np.ndarray]  # typical and atypical samples


def write_groups(
    scores: Path, prepared: PreparedData, spec: dict, out: Path, *, command: str
) -> None:
    """Write the typical and atypical groups of both splits (paper, 3.1 and 3.2).

    With another score than memorization the training groups are its two ends.

    Parameters
    ----------
    scores : path
        Folder of the memorization, influence and test tables.
    prepared : PreparedData
    spec : dict
        From `bat.plan.specifications`: ``dataset`` and the thresholds, ``groups``.
    out : path
        Folder of ``train.parquet`` and ``test.parquet``.
    command : str
        For the metadata.

    Raises
    ------
    BatError
        If a table is missing, damaged or of another data set, or the counts of
        the samples are asked for and not known.
    """
    tables = {
        kind: read_checked(scores / f"{kind}.parquet", kind, prepared) for kind in GROUPS_MADE_OF
    }
    check_together(scores, tables)
    (train, _), (pairs, metadata), (test, _) = tables.values()
    thresholds = spec["groups"]
    counts = counts_of(train, test, metadata)
    rate = thresholds.get("false_discovery")
    if rate is not None and counts is None:
        raise BatError(
            f"{scores}: groups.false_discovery needs the counts of every sample (n_included, "
            "n_excluded and the accuracies), which are not known for these scores; unset it"
        )
    if sentence := fit_sentence(metadata):
        log.warning("%s So are the groups made of them", sentence)
    ranked, facts = thresholds.get("score") is not None, dict.fromkeys(SPLITS, fit_facts(metadata))
    if ranked:
        masks, facts["train"] = _of_score(scores, prepared, thresholds)
        groups = {"train": masks}
    else:
        groups = {"train": _of_training(train, thresholds, counts)}
    train_atypical = groups["train"][1]
    keep_above = metadata["influence"]["keep_above"]
    margins = by_margins(scores, thresholds)
    of_pairs = None if rate is None else _p_of_pairs(pairs, counts, margins)
    groups["test"] = _of_test(test, pairs, keep_above, train_atypical, thresholds, of_pairs, counts)
    expected = _expected(train, train_atypical, thresholds, counts)
    for split, (typical, atypical) in groups.items():
        n, stated = int(atypical.sum()), {}
        if split == "test" or not ranked:  # how many are at the end of a score is no chance
            chance = {"members": n, "expected": expected[split] if rate is None else rate * n}
            chance["false_discovery"] = rate
            if margins and split == "test":
                chance["evidence"] = "margins"
            stated["chance"] = chance
        _warn(split, typical, atypical, **stated)
        columns = {"index": np.arange(len(typical)), "typical": typical, "atypical": atypical}
        write_table(
            out / f"{split}.parquet",
            "groups",
            columns,
            fingerprint=prepared.info["fingerprint"],
            dataset=spec["dataset"],
            recipe=metadata["recipe"],
            thresholds=thresholds,
            command=command,
            identity={"dataset": spec["dataset"], "split": split},
            inputs=groups_inputs(scores, thresholds),
            **stated,
            **facts[split],
        )


def _of_score(scores: Path, prepared: PreparedData, thresholds: dict) -> tuple[Masks, dict]:
    """The ends of another score than the thresholds are of, and how its models fitted."""
    kind = thresholds["score"]
    path = scores / f"{table_of(kind)}.parquet"
    table, metadata = read_checked(path, table_of(kind), prepared)
    if sentence := fit_sentence(metadata):
        log.warning("%s So are the groups of training samples made of them", sentence)
    atypical, typical = ends(
        kind, column(table, kind), top=thresholds["top"], bottom=thresholds["bottom"]
    )
    return (typical, atypical), fit_facts(metadata)


def _of_training(train: pa.Table, thresholds: dict, counts: Counts | None) -> Masks:
    rate = thresholds.get("false_discovery")
    return train_groups(
        column(train, "memorization"),
        column(train, "memorization_se"),
        atypical_above=thresholds["atypical_above"],
        typical_below=thresholds["typical_below"],
        significance=thresholds["significance"],
        p=None if rate is None else counts.memorization_p(),
        false_discovery=rate,
    )


def _p_of_pairs(pairs: pa.Table, counts: Counts, margins: bool) -> np.ndarray:
    """One-sided p-values of the kept pairs: of margins where there are some, which see more."""
    if margins:
        names = ("influence_margin", "influence_margin_se")
        return student_p(*(column(pairs, name) for name in names), counts.n_trials)
    names = ("train_index", "test_index", "influence")
    return counts.influence_p(*(column(pairs, name) for name in names))


def _of_test(
    test: pa.Table,
    pairs: pa.Table,
    keep_above: float,
    train_atypical: np.ndarray,
    thresholds: dict,
    p: np.ndarray | None,
    counts: Counts | None,
) -> Masks:
    rate = thresholds.get("false_discovery")
    of_pairs = {name: column(pairs, name) for name in pairs.column_names}
    if p is not None:
        of_pairs["p"] = p
    return test_groups(
        test.num_rows,
        of_pairs,
        train_atypical,
        column(test, "accuracy"),
        keep_above=keep_above,
        influence_above=thresholds["influence_above"],
        influence_touch=thresholds["influence_touch"],
        min_accuracy=thresholds["min_accuracy"],
        significance=thresholds["significance"],
        n_candidates=None if rate is None else counts.n_candidates(train_atypical),
        false_discovery=rate,
    )


def _expected(
    train: pa.Table, train_atypical: np.ndarray, thresholds: dict, counts: Counts | None
) -> dict[str, float | None]:
    """Atypical samples of each split that chance alone gives; None where that is not known."""
    significance, of_test = thresholds["significance"], None
    if counts is not None:
        _, chances = counts.by_chance(train_atypical, thresholds["influence_above"], significance)
        of_test = float(chances.sum())
    of_train = memorization_by_chance(train, thresholds["atypical_above"], significance)
    return {"train": of_train, "test": of_test}


def _warn(
    split: str, typical: np.ndarray, atypical: np.ndarray, chance: dict | None = None
) -> None:
    for name, members in (("typical", typical), ("atypical", atypical)):
        if not members.any():
            log.warning("the %s %s group is empty under the configured thresholds", split, name)
    if chance is not None and is_mostly_chance(chance):
        log.warning(
            "of the %d %s atypical samples about %.0f are expected by chance alone; train more "
            "trials, or set groups.false_discovery",
            chance["members"],
            split,
            chance["expected"],
        )

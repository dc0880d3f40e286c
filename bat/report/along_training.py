"""Histories of runs as the accuracy of each group along training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bat.errors import BatError
from bat.files import FLAGS
from bat.files.bits import unpack
from bat.report.comparison import Comparison
from bat.scores.subsets import followed_samples

GROUPS = ("all", "typical", "atypical")
"""Groups of samples whose accuracy is followed along training."""


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
    for split, frame in groups.items():
        _check_rows(frame, info[f"n_{split}"], split)
    parts = []
    for (run, seed), history in histories.items():
        for split, (measured, verdicts) in unpacked(history, info, max_samples).items():
            masks = _members(groups[split], measured)
            for attack, correct in verdicts.items():
                for group, mask in masks.items():
                    n = int(mask.sum())
                    share = np.nan
                    if n and len(correct):
                        share = correct.to_numpy()[:, mask].mean(axis=1)
                    part = pd.DataFrame({"epoch": correct.index, "accuracy": share})
                    parts.append(
                        part.assign(
                            run=run, seed=seed, split=split, group=group, attack=attack, n=n
                        )
                    )
    columns = ["run", "seed", "epoch", "split", "group", "attack", "accuracy", "n"]
    return pd.concat(parts, ignore_index=True)[columns]


def unpacked(
    history: pd.DataFrame,
    info: Mapping[str, Any],
    max_samples: int | str | None,
) -> dict[str, tuple[np.ndarray, dict[str, pd.DataFrame]]]:
    """The verdicts of one history on each measured sample.

    Parameters
    ----------
    history, info, max_samples
        As for `along_training`.

    Returns
    -------
    dict
        By split: the measured samples, int64, shape (n,), and by attack ('clean', 'pgd') a
        frame of bool with a row for each measured epoch, which is its index, and a column for
        each of these samples.
    """
    last = history.sort_values("epoch").iloc[-1]  # which is always measured
    bits = {split: last.get(f"{split}_{FLAGS[0]}") for split in ("train", "test")}
    found = {}
    for split, measured in followed_samples(info, max_samples, bits).items():
        verdicts = {}
        for attack in FLAGS:
            packed = history.set_index("epoch")[f"{split}_{attack}"].dropna()
            correct = [unpack(bits, len(measured)) for bits in packed]
            verdicts[attack] = pd.DataFrame(correct, index=packed.index)
        found[split] = measured, verdicts
    return found


def _check_rows(frame: pd.DataFrame, n: int, split: str) -> None:
    if not np.array_equal(frame["index"], np.arange(n)):
        raise BatError(
            f"the {split} groups have {len(frame)} rows and the data set has {n} {split} samples; "
            "expected one row for each, in order: make the groups of this data set"
        )


def _members(frame: pd.DataFrame, measured: np.ndarray) -> dict[str, np.ndarray]:
    """For each group, which of the measured samples are in it."""
    masks = {"all": np.ones(len(measured), bool)}
    for name in GROUPS[1:]:
        masks[name] = frame[name].to_numpy(bool)[measured]
    return masks


def end_verdicts(
    histories: Mapping[tuple[str, int], pd.DataFrame],
    groups: pd.DataFrame,
    info: Mapping[str, Any],
    max_samples: int | str | None,
) -> dict[tuple[str, str], pd.DataFrame]:
    """Whether each followed sample of the test typical group is right after the last epoch.

    Parameters
    ----------
    histories, info, max_samples
        As for `along_training`.
    groups : DataFrame
        Of the test split.

    Returns
    -------
    dict of (run, attack) to DataFrame of bool
        A row for each seed, which is its index, and a column for each sample by its
        number in the test set; no columns where the group is empty.
    """
    _check_rows(groups, info["n_test"], "test")
    found: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    for (run, seed), history in histories.items():
        measured, verdicts = unpacked(history, info, max_samples)["test"]
        members = _members(groups, measured)["typical"]
        for attack, right in verdicts.items():
            if len(right):
                last = right.loc[right.index.max()].to_numpy()
                found.setdefault((run, attack), {})[seed] = last[members]
        samples = measured[members]
    return {
        of: pd.DataFrame(np.array(list(by_seed.values())), index=list(by_seed), columns=samples)
        for of, by_seed in found.items()
    }


def followed(comparison: Comparison, runs: list[str]) -> pd.DataFrame:
    """Clean and PGD accuracy of every split and group along the training of some runs.

    Columns as of `along_training`.
    """
    groups = {split: comparison.folder.groups(split)[0] for split in ("train", "test")}
    max_samples = comparison.specs(runs[:1])[runs[0]]["history"]["max_samples"]
    return along_training(
        comparison.histories(runs), groups, comparison.folder.prepared.info, max_samples
    )

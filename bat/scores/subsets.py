"""Random subsets of the training samples: of trials, and of what a run measures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bat.errors import BatError
from bat.scores.counts import check_ratio, trials_for_coverage
from bat.streams import generator


def subset(seed: int, trial: int, n: int, ratio: float) -> np.ndarray:
    """Draw the training subset of one trial.

    Parameters
    ----------
    seed, trial : int
        In [0, 2**32).
    n : int
        Number of training samples.
    ratio : float
        Share of them in the subset, in (0, 1).

    Returns
    -------
    ndarray of bool, shape (n,)
        True for exactly ``round(ratio * n)`` samples, uniform over all such sets.

    Raises
    ------
    BatError
        If the ratio is not in (0, 1), or leaves the subset empty or complete.

    Notes
    -----
    The samples with the smallest of ``n`` raw 64-bit numbers are taken. NumPy
    promises the raw numbers of PCG64 for all versions, but not the results of
    ``Generator.permutation`` or ``Generator.choice``.

    Examples
    --------
    >>> int(subset(seed=0, trial=0, n=10, ratio=0.7).sum())
    7
    """
    check_ratio(ratio)
    size = round(ratio * n)
    if not 0 < size < n:
        raise BatError(
            f"a subset of {ratio} of {n} samples holds {size}; expected at least one sample in it "
            "and one left out: use more samples or another ratio"
        )
    keys = generator(seed, trial, "subset").bit_generator.random_raw(n)
    mask = np.zeros(n, bool)
    mask[np.argsort(keys, kind="stable")[:size]] = True
    return mask


def check_coverage(seed: int, n: int, ratio: float, n_trials: int, n_held_out: int) -> None:
    """Refuse, before any training, numbers of trials that leave scores undefined.

    Parameters
    ----------
    seed, n, ratio
        Of the subsets, as in `subset`.
    n_trials : int
        Trials behind the memorization scores: every sample must be in some
        subset and out of some.
    n_held_out : int
        Trials behind held-out disagreement and confidence: every sample must be
        out of some subset. 0 where nothing held out is asked for.

    Raises
    ------
    BatError
        Naming the setting and a number that will do.
    """
    enough = trials_for_coverage(n, ratio)
    for setting, count in (("scores.trials", n_trials), ("ensemble.members", n_held_out)):
        if not 0 < count < 2 * enough:
            continue
        included = np.stack([subset(seed, trial, n, ratio) for trial in range(count)])
        undefined = included.all(0)
        if setting == "scores.trials":
            undefined |= ~included.any(0)
        if undefined.any():
            raise BatError(
                f"{setting} = {count}: the random subsets hold {undefined.sum()} of the {n} "
                f"samples always or never (for example sample {undefined.argmax()}), which leaves "
                f"their scores undefined; {enough} trials make that unlikely (with trials: auto, "
                "those of min_trials)"
            )


HISTORY_SAMPLES = 2000
"""Samples of each split that are followed along training where nothing else is configured."""


def measured_samples(info: Mapping[str, Any], max_samples: int | None) -> dict[str, np.ndarray]:
    """Choose the samples whose accuracy is followed along training.

    Parameters
    ----------
    info : mapping
        Of the prepared data: ``n_train`` and ``n_test``.
    max_samples : int, optional
        At most this many of each split; all of them if None.

    Returns
    -------
    dict of str to ndarray of int64
        By split ('train', 'test'): rising positions, the same in every run.

    Examples
    --------
    >>> measured_samples({"n_train": 3, "n_test": 2}, None)["train"]
    array([0, 1, 2])
    """
    chosen = {}
    for split in ("train", "test"):
        n = info[f"n_{split}"]
        keys = generator(0, 0, f"measured-{split}").bit_generator.random_raw(n)
        chosen[split] = np.sort(np.argsort(keys, kind="stable")[: max_samples or n])
    return chosen


def followed_samples(
    info: Mapping[str, Any], max_samples: int | str | None, bits: Mapping[str, bytes]
) -> dict[str, np.ndarray]:
    """The samples whose verdicts a history holds.

    Parameters
    ----------
    info : mapping
        As for `measured_samples`.
    max_samples : int, "all" or None
        The run's ``history.max_samples``. Unset it is ``HISTORY_SAMPLES``, and was
        all samples in version 0.1.0; the length of the verdicts tells which.
    bits : mapping of str to bytes or None
        Packed verdicts of one epoch by split.

    Returns
    -------
    dict of str to ndarray of int64
        As `measured_samples` gives them.
    """
    if max_samples is not None:
        return measured_samples(info, None if max_samples == "all" else max_samples)
    every, some = measured_samples(info, None), measured_samples(info, HISTORY_SAMPLES)
    return {
        split: every[split]
        if len(bits[split] or b"") == -(-info[f"n_{split}"] // 8)
        else some[split]
        for split in every
    }

"""What the estimators count: trials with a sample, and right predictions among them."""

import numpy as np

from bat.errors import BatError


def trials_for_coverage(n: int, ratio: float, *, chance: float = 0.01) -> int:
    """Return the trials after which every score is very likely defined.

    Parameters
    ----------
    n : int
        Number of training samples.
    ratio : float
        Share of them in each subset, in (0, 1).
    chance : float
        Bound on the probability that any sample is in every subset or in none.

    Returns
    -------
    int
        The least ``t`` with ``n (ratio^t + (1 - ratio)^t) < chance``.

    Raises
    ------
    BatError
        If the ratio is not in (0, 1): then no number of trials is enough.

    Examples
    --------
    >>> trials_for_coverage(50_000, 0.7)
    44
    """
    check_ratio(ratio)
    trials = 1
    while n * (ratio**trials + (1 - ratio) ** trials) >= chance:
        trials += 1
    return trials


def check_ratio(ratio: float) -> None:
    """Refuse a share of the samples that leaves none out, or none in."""
    if not 0 < ratio < 1:
        raise BatError(f"subset ratio is {ratio}; expected a share in (0, 1), such as 0.7")


def as_mask(name: str, values) -> np.ndarray:
    """Truth values, or zeros and ones, as an array of bool.

    Raises
    ------
    BatError
        If there is any other value.
    """
    array = np.asarray(values)
    if array.dtype == bool:
        return array
    known = array.dtype.kind in "iuf" and bool(((array == 0) | (array == 1)).all())
    if not known:
        raise BatError(
            f"{name} is {array.dtype} of shape {array.shape}; expected truth values, or 0 and 1 "
            "alone: margins are compared with 0, probabilities with each other"
        )
    return array.astype(bool)


def check_bool(name, mask):
    """Refuse what is not a boolean of shape (n_trials, n_samples)."""
    if mask.ndim != 2 or mask.dtype != bool or 0 in mask.shape:
        raise BatError(
            f"{name} is {mask.dtype} of shape {mask.shape}; expected booleans of shape "
            "(n_trials, n_samples), at least one of each"
        )


def check_correct(included, correct):
    """Refuse what are not booleans of one shape (n_trials, n_samples)."""
    check_bool("included", included)
    check_bool("correct", correct)
    if included.shape != correct.shape:
        raise BatError(f"included has shape {included.shape} but correct has {correct.shape}")


def included_counts(included):
    """Return how many subsets hold each sample; refuse those with an undefined score."""
    n_included = column_sums(included)
    n_trials, n = included.shape
    always, never = np.flatnonzero(n_included == n_trials), np.flatnonzero(n_included == 0)
    if always.size or never.size:
        example = min(*always[:1], *never[:1], n)
        ratio = n_included.mean() / n_trials
        advice = "use subsets that leave some samples out and hold some"
        if 0 < ratio < 1:
            advice = (
                f"with subsets of {ratio:.0%}, {trials_for_coverage(n, ratio)} trials leave less "
                "than a 1 % chance of any such sample"
            )
        raise BatError(
            f"of {n} samples, {always.size} are in every one of the {n_trials} subsets and "
            f"{never.size} in none (for example sample {example}), so their scores are undefined; "
            f"{advice}"
        )
    return n_included


def column_sums(mask, where=None):
    """Sum booleans over the trials as int32, by bytes: 255 of them cannot overflow."""
    total = np.zeros(mask.shape[1], np.int32)
    for start in range(0, len(mask), 255):
        rows = mask[start : start + 255]
        if where is not None:
            rows = rows & where[start : start + 255]
        total += rows.view(np.uint8).sum(axis=0, dtype=np.uint8)
    return total

"""Memorization and influence of training samples, estimated from random subsets.

Trial ``t`` trains a model on a random subset. With ``n_included`` and ``n_excluded`` the
numbers of trials with and without training sample ``i``, and ``A`` and ``B`` the
numbers of those that predict a label rightly,

    score = A / n_included - B / n_excluded

is the influence of ``i`` on a test sample (equation 2 of the paper) when the label
is that test sample's, and the memorization of ``i`` (equation 1) when it is its
own. Leave-one-out is replaced by random subsets as in Feldman and Zhang (2020),
arXiv:2008.03703. All counts are exact integers, so the order of the trials changes
nothing. ``B`` is the number of all right predictions less ``A``: one product of
0/1 matrices, in blocks, gives every pair.

The standard error of a score is that of the difference of two proportions, after
Agresti and Caffo: see `statistics.proportion_variance`. The score itself is the
plain difference.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from bat.scores.counts import check_correct, column_sums, included_counts
from bat.scores.frames import samples_frame
from bat.statistics import score_standard_error

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MemorizationScores:
    """One value for each training sample, arrays of shape (n_train,).

    ``memorization`` (float64, in [-1, 1], high is atypical) is
    ``accuracy_included - accuracy_excluded`` (float64), the accuracies on the
    sample of the ``n_included`` and ``n_excluded`` (int32) trials with and
    without it; ``memorization_se`` (float64) is its standard error. Of trials with
    margins, ``memorization_margin`` and ``memorization_margin_se`` (float64) are as in
    `bat.scores.margins.MarginScores`, and None otherwise.
    """

    memorization: np.ndarray
    memorization_se: np.ndarray
    n_included: np.ndarray
    n_excluded: np.ndarray
    accuracy_included: np.ndarray
    accuracy_excluded: np.ndarray
    memorization_margin: np.ndarray | None = None
    memorization_margin_se: np.ndarray | None = None

    def to_frame(self, labels=None) -> pd.DataFrame:
        """A row for each training sample, with ``index`` and, where given, ``label``."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        known = {name: values for name, values in columns.items() if values is not None}
        return samples_frame(known, labels)


def memorization(included: np.ndarray, correct: np.ndarray) -> MemorizationScores:
    """Estimate how much each training label is memorized.

    Parameters
    ----------
    included : ndarray of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held sample ``i``.
    correct : ndarray of bool, shape (n_trials, n_train)
        Whether trial ``t``'s model, in eval mode and without augmentation,
        predicts label ``i``.

    Returns
    -------
    MemorizationScores
        1 is a label fitted only when seen.

    Raises
    ------
    BatError
        If shapes or types are wrong, or a sample is in every subset or in none,
        which leaves its score undefined; the message says how many trials do.

    Notes
    -----
    Equation (1) of the paper.

    Examples
    --------
    >>> included = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=bool)
    >>> correct = np.array([[1, 1], [0, 1], [1, 1], [0, 1]], dtype=bool)
    >>> memorization(included, correct).memorization
    array([1., 0.])
    """
    check_correct(included, correct)
    n_included = included_counts(included)
    return from_counts(included, correct, n_included)


def from_counts(included, correct, n_included):
    """`memorization` with the number of trials that hold each sample, without checks."""
    n_excluded = len(included) - n_included
    total = column_sums(correct)
    a = column_sums(correct, where=included)
    accuracy_in, accuracy_out = a / n_included, (total - a) / n_excluded
    return MemorizationScores(
        memorization=accuracy_in - accuracy_out,
        memorization_se=score_standard_error(a, total, n_included, n_excluded),
        n_included=n_included,
        n_excluded=n_excluded,
        accuracy_included=accuracy_in,
        accuracy_excluded=accuracy_out,
    )


def where_defined(included, correct):
    """Return memorization and its standard error, NaN where undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = from_counts(included, correct, column_sums(included))
    undefined = np.isnan(scores.memorization)
    return scores.memorization, np.where(undefined, np.nan, scores.memorization_se)

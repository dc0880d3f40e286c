"""Typical and atypical groups of training and test samples, from score tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bat.errors import BatError
from bat.scores.frames import samples_frame
from bat.scores.registry import ATYPICAL_ABOVE, INFLUENCE_ABOVE
from bat.scores.significance import benjamini_hochberg, simes
from bat.statistics import above, below

if TYPE_CHECKING:
    import pandas as pd


class Groups(NamedTuple):
    """The typical and the atypical samples of a split: ndarray of bool, shape (n,), disjoint."""

    typical: np.ndarray
    atypical: np.ndarray

    def to_frame(self, labels=None) -> pd.DataFrame:
        """A row for each sample, with ``index`` and, where given, ``label``."""
        return samples_frame(self._asdict(), labels)


def train_groups(
    memorization,
    memorization_se=None,
    *,
    atypical_above: float = ATYPICAL_ABOVE,
    typical_below: float = 0.02,
    significance: float | None = None,
    p=None,
    false_discovery: float | None = None,
) -> Groups:
    """Split the training samples by how much their label is memorized.

    Parameters
    ----------
    memorization : ndarray of float, shape (n_train,)
        Scores in [-1, 1]; high is atypical.
    memorization_se : ndarray of float, shape (n_train,), optional
        Their standard errors; needed with ``significance``.
    atypical_above, typical_below : float
        Atypical is ``memorization > atypical_above``, typical is
        ``memorization < typical_below``; samples between belong to neither.
    significance : float, optional
        With a number z, atypical asks also for ``memorization > z *
        memorization_se``. Typical is not changed by it.
    p : ndarray of float, shape (n_train,), optional
        One-sided p-values of the scores; needed with ``false_discovery``.
    false_discovery : float, optional
        Atypical asks also that the sample stands: at most this share of those that
        do is expected to be false, by Benjamini and Hochberg. A sample that is not
        above the threshold has the p-value 1, so the rate holds for the group.

    Returns
    -------
    Groups
        ``typical`` and ``atypical``, ndarray of bool, shape (n_train,); disjoint, either
        may be empty.

    Raises
    ------
    BatError
        If a score is not finite, the thresholds cross, or ``significance`` or
        ``false_discovery`` is asked for and what it needs is not known.

    Notes
    -----
    Sections 3.1 (atypical) and 3.2 (typical) of the paper.

    Examples
    --------
    >>> train_groups([0.0, 0.1, 0.6]).to_frame()
       index  typical  atypical
    0      0     True     False
    1      1    False     False
    2      2    False      True
    """
    memorization = _numbers("memorization", memorization)
    if memorization.ndim != 1:
        raise BatError(f"memorization has shape {memorization.shape}; expected one per sample")
    _check_finite("memorization", memorization)
    if typical_below > atypical_above:
        raise BatError(
            f"typical_below = {typical_below} is above atypical_above = {atypical_above}: "
            "a sample could be both; lower typical_below"
        )
    atypical = above(memorization, atypical_above)
    if significance is not None:
        errors = _known("significance", "memorization_se", memorization_se, memorization.shape)
        atypical &= memorization > significance * errors
    if false_discovery is not None:
        p = _known("false_discovery", "p", p, memorization.shape)
        atypical &= benjamini_hochberg(np.where(atypical, p, 1.0)) <= false_discovery
    return Groups(below(memorization, typical_below), atypical)


def test_groups(
    n_test: int,
    pairs,
    train_atypical,
    test_accuracy,
    *,
    keep_above: float,
    influence_above: float = INFLUENCE_ABOVE,
    influence_touch: float = 0.02,
    min_accuracy: float = 0.8,
    significance: float | None = None,
    n_candidates=None,
    false_discovery: float | None = None,
) -> Groups:
    """Split the test samples by the atypical training samples that carry them.

    Parameters
    ----------
    n_test : int
        Number of test samples.
    pairs : mapping of str to ndarray of shape (n_pairs,)
        The kept pairs: ``train_index``, ``test_index``, ``influence``, and with
        ``significance`` also ``influence_se``, with ``false_discovery`` also ``p``,
        one-sided. A data frame will do.
    train_atypical : ndarray of bool, shape (n_train,)
        The atypical training samples.
    test_accuracy : ndarray of float, shape (n_test,)
        Share of all trials that predict the test sample's label. With a
        ``min_accuracy`` of 0 it is not asked for, and may be NaN.
    keep_above : float
        The table of pairs holds those with an influence above this. Cut at 1 it
        tells nothing of influence, and no test sample is in a group.
    influence_above : float
        Atypical is a test sample with ``influence > influence_above`` from at
        least one atypical training sample.
    influence_touch : float
        Touched is a test sample with ``influence > influence_touch`` from at
        least one atypical training sample.
    min_accuracy : float
        Typical is a test sample that is not touched and has ``test_accuracy >=
        min_accuracy``.
    significance : float, optional
        With a number z, a pair counts, for atypical and for touched, only if
        also ``influence > z * influence_se``. It looks at each pair alone, while a
        test sample has hundreds: of test samples without any influence (120 trials,
        180 atypical samples in the class, accuracy 0.9) the threshold 0.15 calls
        74 % atypical, and a z of 2 still 67 %. It takes a z of 4 or more, or
        ``false_discovery``.
    n_candidates : ndarray of int, shape (n_test,), optional
        Atypical training samples that each test sample was compared with; needed
        with ``false_discovery``. Their pairs that are not kept count with a p-value of 1.
    false_discovery : float, optional
        Atypical (touched) asks also that the test sample stands: the p-values of its
        pairs above the threshold are joined by Simes, and at most this share of the
        test samples that stand is expected to be false, by Benjamini and Hochberg.
        A test sample that is not touched may still be carried, by too little to be
        told from chance.

    Returns
    -------
    Groups
        ``typical`` and ``atypical``, ndarray of bool, shape (n_test,); disjoint, either
        may be empty.

    Raises
    ------
    BatError
        If the table of pairs was cut above ``influence_touch``, a threshold is
        out of order, shapes and indices do not belong together, or what
        ``significance`` or ``false_discovery`` needs is not known.

    Notes
    -----
    Sections 3.1 (atypical) and 3.2 (typical) of the paper, where "for all
    atypical training samples" is read as "for some".

    Examples
    --------
    >>> pairs = {"train_index": np.array([0]), "test_index": np.array([1]),
    ...          "influence": np.array([0.3])}
    >>> test_groups(3, pairs, np.array([True, False]), np.array([1.0, 0.9, 0.5]), keep_above=0.02)
    Groups(typical=array([ True, False, False]), atypical=array([False,  True, False]))
    """
    train_atypical, test_accuracy = np.asarray(train_atypical), np.asarray(test_accuracy)
    if test_accuracy.shape != (n_test,):
        raise BatError(f"test_accuracy has shape {test_accuracy.shape}; expected ({n_test},)")
    if train_atypical.ndim != 1 or train_atypical.dtype != bool:
        raise BatError(f"train_atypical is {train_atypical.dtype}; expected one row of booleans")
    if keep_above >= 1:
        return Groups(np.zeros(n_test, bool), np.zeros(n_test, bool))
    if min_accuracy > 0:
        advice = "; for scores that come without it, set groups.min_accuracy to 0"
        _check_finite("test_accuracy", test_accuracy, advice)
    _check_thresholds(keep_above, influence_touch, influence_above)
    needed = [
        name
        for name, rule in (("influence_se", significance), ("p", false_discovery))
        if rule is not None
    ]
    train, test, influence = _checked_pairs(pairs, needed, len(train_atypical), n_test)
    counts = train_atypical[train]
    if significance is not None:
        errors = _known("significance", "influence_se", pairs["influence_se"], influence.shape)
        counts &= influence > significance * errors
    touched, atypical = np.zeros(n_test, bool), np.zeros(n_test, bool)
    for mask, threshold in ((touched, influence_touch), (atypical, influence_above)):
        chosen = counts & above(influence, threshold)
        mask[test[chosen]] = True
        if false_discovery is not None:
            p = _known("false_discovery", "p", pairs["p"], influence.shape)[chosen]
            tested = _known("false_discovery", "n_candidates", n_candidates, (n_test,))
            some = tested > 0
            joined = simes(p, test[chosen], tested)
            mask[some] &= benjamini_hochberg(joined[some]) <= false_discovery
    typical = ~touched
    if min_accuracy > 0:
        typical &= test_accuracy >= min_accuracy
    return Groups(typical, atypical)


def _check_thresholds(keep_above, influence_touch, influence_above):
    if influence_touch < keep_above:
        raise BatError(
            f"influence_touch = {influence_touch}, but the table holds only pairs above "
            f"{keep_above}: raise influence_touch, or make the table again with a lower keep_above"
        )
    if influence_above < influence_touch:
        raise BatError(
            f"influence_above = {influence_above} is below influence_touch = {influence_touch}: "
            "a sample could be typical and atypical; raise influence_above"
        )


def _checked_pairs(pairs, needed, n_train, n_test):
    """Train and test index and influence of pairs that have all columns and belong to the data."""
    columns = ["train_index", "test_index", "influence", *needed]
    missing = [name for name in columns if name not in pairs]
    if missing:
        raise BatError(f"the table of pairs lacks {missing}; expected the columns {columns}")
    train, test, influence = (np.asarray(pairs[name]) for name in columns[:3])
    shapes = [values.shape for values in (train, test, influence)]
    if influence.ndim != 1 or len(set(shapes)) > 1:
        raise BatError(
            f"train_index, test_index and influence have the shapes {', '.join(map(str, shapes))}; "
            "expected one value of each for each pair"
        )
    for name, index, n in (("train", train, n_train), ("test", test, n_test)):
        if index.size and not 0 <= index.min() <= index.max() < n:
            raise BatError(
                f"{name}_index goes from {index.min()} to {index.max()}; expected 0 to {n - 1}: "
                "the table of pairs belongs to another data set"
            )
    return train, test, influence


def _numbers(name, values):
    """Numbers as an array, of the type that they have: thresholds are met to its rounding."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise BatError(f"{name} holds {values.dtype} values; expected a number for each sample")
    return values


def _known(rule, name, values, shape):
    """The values that a rule needs, refused where they are not known or not as many."""
    values = None if values is None else _numbers(name, values)
    if values is None or np.isnan(values).any():
        raise BatError(
            f"{rule} needs {name}, which is not known for these scores; unset it, or "
            "use scores that come with standard errors and counts"
        )
    if values.shape != shape:
        raise BatError(f"{name} has shape {values.shape}; expected {shape}, as the scores have")
    return values


def _check_finite(name, values, advice=""):
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        found = f"{name} of sample {bad[0]} is {values[bad[0]]}"
        raise BatError(f"{found}; expected finite numbers{advice}")

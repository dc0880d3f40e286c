"""The estimates for anyone's arrays: what is like a mask is taken, results become data frames.

The columns are those of the score tables, so that both can be joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bat.errors import BatError
from bat.scores import _convergence, _influence, _memorization, ensembles
from bat.scores._influence import InfluenceScores
from bat.scores._memorization import MemorizationScores
from bat.scores.counts import as_mask
from bat.scores.frames import samples_frame
from bat.scores.registry import ATYPICAL_ABOVE

if TYPE_CHECKING:
    import pandas as pd

REPEATS = 20
"""Draws of trials behind each row of `convergence`."""


@dataclass(frozen=True, eq=False)
class SampleScores:
    """One value for each sample; an array to numpy.

    Attributes
    ----------
    name : str
    values : ndarray of float64, shape (n,)
    """

    name: str
    values: np.ndarray

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.values, dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.values)

    def to_frame(self, labels=None) -> pd.DataFrame:
        """A row for each sample, with ``index`` and, where given, ``label``."""
        return samples_frame({self.name: self.values}, labels)


def memorization(included, correct) -> MemorizationScores:
    """Estimate how much each training label is memorized.

    The accuracy on a sample of the models trained with it, less that of the
    models trained without it.

    Parameters
    ----------
    included : array-like of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held sample ``i``; 0 and 1 will do.
    correct : array-like of bool, shape (n_trials, n_train)
        Whether trial ``t``'s model, without augmentation, predicts label ``i``.

    Returns
    -------
    MemorizationScores
        ``memorization`` in [-1, 1], 1 is a label fitted only when seen; its
        standard error ``memorization_se``; the counts and accuracies behind it.

    Raises
    ------
    BatError
        If shapes differ or values are no truth values, or a sample is in every
        subset or in none, which leaves its score undefined; the message says
        how many trials would do.

    Notes
    -----
    Equation (1) of the paper, estimated as in Feldman and Zhang (2020),
    arXiv:2008.03703, with random subsets in place of leave-one-out.

    Examples
    --------
    >>> import bat
    >>> included = [[1, 0], [0, 1], [1, 0], [0, 1]]
    >>> correct = [[1, 1], [0, 1], [1, 1], [0, 1]]
    >>> scores = bat.memorization(included, correct)
    >>> scores.to_frame(labels=["cat", "dog"])[["index", "label", "memorization"]]
       index label  memorization
    0      0   cat           1.0
    1      1   dog           0.0
    """
    return _memorization.memorization(as_mask("included", included), as_mask("correct", correct))


def influence(
    included,
    test_correct,
    train_labels,
    test_labels,
    *,
    pairs: str = "same_class",
    keep_above: float = 0.02,
) -> InfluenceScores:
    """Estimate the influence of training samples on test samples.

    Parameters
    ----------
    included : array-like of bool, shape (n_trials, n_train)
        Whether trial ``t``'s subset held training sample ``i``.
    test_correct : array-like of bool, shape (n_trials, n_test)
        Whether trial ``t``'s model predicts the label of test sample ``j``.
    train_labels, test_labels : array-like of int, shapes (n_train,) and (n_test,)
        Classes.
    pairs : {"same_class", "all"}
        Pairs that are looked at.
    keep_above : float
        Pairs with a larger influence are kept.

    Returns
    -------
    InfluenceScores
        The kept pairs with standard errors and ``q``, the false discovery rate
        at which each stands; a value for each test sample; and ``chance``, what
        would be above each threshold if there were no influence at all.

    Raises
    ------
    BatError
        If shapes or types are wrong, no class is in both splits, or a training sample
        is in every subset or in none.

    Notes
    -----
    Equation (2) of the paper. It takes far more trials than memorization: look
    at ``q`` and ``chance`` before believing a pair.

    Examples
    --------
    >>> import bat
    >>> included = [[1, 0], [0, 1], [1, 1], [0, 0]]
    >>> test_correct = [[1], [0], [1], [0]]
    >>> found = bat.influence(included, test_correct, train_labels=[3, 3], test_labels=[3])
    >>> found.to_frame()[["train_index", "test_index", "influence"]]
       train_index  test_index  influence
    0            0           0        1.0
    """
    return _influence.influence(
        as_mask("included", included),
        as_mask("test_correct", test_correct),
        *labels_of_both(train_labels, test_labels),
        pairs=pairs,
        keep_above=keep_above,
    )


def labels_of_both(train_labels, test_labels) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both splits as arrays; refuse those that have no class in common.

    >>> labels_of_both(["cat", "dog"], [0, 1])
    Traceback (most recent call last):
    bat.errors.BatError: train_labels (such as 'cat') and test_labels (such as 0) have no class \
in common; give both as numbers, or both as names
    """
    labels = np.asarray(train_labels), np.asarray(test_labels)
    if all(of.ndim == 1 and of.size for of in labels) and not set.intersection(
        *(set(of.tolist()) for of in labels)
    ):
        train, test = (of[:1].tolist()[0] for of in labels)
        raise BatError(
            f"train_labels (such as {train!r}) and test_labels (such as {test!r}) have no class in "
            "common; give both as numbers, or both as names"
        )
    return labels


def convergence(
    included, correct, *, steps: Sequence[int] | None = None, repeats: int = REPEATS, seed: int = 0
) -> pd.DataFrame:
    """Say how reproducible the memorization scores are with fewer trials.

    Parameters
    ----------
    included, correct : array-like of bool, shape (n_trials, n_train)
        As for `memorization`.
    steps : sequence of int, optional
        Numbers of trials to look at, each from 4 to n_trials; by default seven
        of them from a tenth to all.
    repeats : int
        Random draws of trials for each, split into halves.
    seed : int
        Of the draws.

    Returns
    -------
    DataFrame
        A row for each step: ``n_trials``; ``split_half_correlation`` (Pearson's)
        and ``split_half_spearman`` of the scores of the halves, each with its
        standard deviation over the draws; ``se_mean`` and ``se_p95`` of the
        standard errors; ``undefined``, the share of samples without a score in
        some half.

    Raises
    ------
    BatError
        If shapes differ or values are no truth values, a step is out of range, there
        are fewer than four trials, or ``repeats`` is below 1.

    Examples
    --------
    >>> import bat
    >>> included = [bat.subset(seed=0, trial=t, n=50, ratio=0.7) for t in range(40)]
    >>> table = bat.convergence(included, included, steps=[20, 40], repeats=2)
    >>> table[["n_trials", "repeats"]]
       n_trials  repeats
    0        20        2
    1        40        2
    """
    import pandas as pd

    included, correct = as_mask("included", included), as_mask("correct", correct)
    steps = convergence_steps(len(included)) if steps is None else steps
    return pd.DataFrame(
        _convergence.convergence(included, correct, steps=steps, repeats=repeats, seed=seed)
    )


def convergence_steps(n_trials: int) -> list[int]:
    """Seven numbers of trials from a tenth to all, none below 4; fewer are refused.

    >>> convergence_steps(100)
    [10, 15, 22, 32, 46, 68, 100]
    """
    if n_trials < 4:
        raise BatError(f"halves of {n_trials} trials say nothing of each other; expected 4 or more")
    steps = {max(4, round(n_trials * share)) for share in np.geomspace(0.1, 1, 7)}
    return sorted(step for step in steps if step <= n_trials)


def disagreement(probabilities, held_out=None) -> SampleScores:
    """Measure how much the models of an ensemble differ on each sample.

    Parameters
    ----------
    probabilities : array-like of float, shape (n_models, n, n_classes)
        Each model's probabilities of the classes for each sample.
    held_out : array-like of bool, shape (n_models, n), optional
        True where a model did not train on a sample; only these are compared.

    Returns
    -------
    SampleScores
        In [0, log 2]; high is atypical.

    Raises
    ------
    BatError
        If shapes differ, a row of probabilities does not sum to 1, or a sample
        has fewer than two models to compare.

    Notes
    -----
    Appendix A.1 of the paper: the mean Jensen-Shannon divergence over all
    ordered pairs of models.

    Examples
    --------
    >>> import bat
    >>> bat.disagreement([[[1.0, 0.0]], [[0.0, 1.0]]]).to_frame().round(4)
       index  disagreement
    0      0        0.3466
    """
    values = ensembles.disagreement(*_ensemble(probabilities, held_out))
    return SampleScores("disagreement", values)


def confidence(probabilities, labels, held_out=None) -> SampleScores:
    """Average the probability that an ensemble gives to each sample's label.

    Parameters
    ----------
    probabilities : array-like of float, shape (n_models, n, n_classes)
        Each model's probabilities of the classes for each sample.
    labels : array-like of int, shape (n,)
        In [0, n_classes).
    held_out : array-like of bool, shape (n_models, n), optional
        True where a model did not train on a sample; only these are averaged.

    Returns
    -------
    SampleScores
        In [0, 1]; low is atypical.

    Raises
    ------
    BatError
        If shapes differ, a label is out of range, a row of probabilities does
        not sum to 1, or a sample has no model to average.

    Notes
    -----
    Appendix A.1 of the paper.

    Examples
    --------
    >>> import bat
    >>> bat.confidence([[[1.0, 0.0]], [[0.5, 0.5]]], labels=[0]).values
    array([0.75])
    """
    probabilities, held_out = _ensemble(probabilities, held_out)
    values = ensembles.confidence(probabilities, np.asarray(labels), held_out)
    return SampleScores("confidence", values)


def alignment(
    memorization,
    metrics,
    *,
    threshold: float = ATYPICAL_ABOVE,
    tops: Sequence[float] = (0.1, 0.2, 0.4),
) -> pd.DataFrame:
    """Compare memorization and cheaper scores, pair by pair.

    Parameters
    ----------
    memorization : array-like of float, shape (n,)
    metrics : mapping of str to array-like of float, shape (n,)
        Other scores, each turned so that **high is atypical**: give
        ``1 - confidence``.
    threshold : float
        Samples with memorization above it are those to be found.
    tops : sequence of float
        Shares of the data set whose top sets are compared, in (0, 1).

    Returns
    -------
    DataFrame
        A row for each pair ``metric_a``, ``metric_b``: their ``spearman``
        correlation; ``overlap_10`` of the top 10 %, and so on; the ``auc`` of
        ``metric_b`` for memorization above the threshold; a ``note`` where a
        value is not defined.

    Raises
    ------
    BatError
        If a score has another length, or a value is not finite.

    Examples
    --------
    >>> import bat
    >>> table = bat.alignment([0.9, 0.0, 0.1, 0.0, 0.3],
    ...                       {"disagreement": [0.6, 0.1, 0.2, 0.0, 0.3]}, tops=[0.4])
    >>> table[["metric_b", "overlap_40", "auc"]]
           metric_b  overlap_40  auc
    0  disagreement         1.0  1.0
    """
    import pandas as pd

    rows = ensembles.alignment(np.asarray(memorization), metrics, threshold=threshold, tops=tops)
    return pd.DataFrame(rows)


def _ensemble(probabilities, held_out) -> tuple[np.ndarray, np.ndarray | None]:
    probabilities = np.asarray(probabilities)
    if probabilities.dtype not in (np.float16, np.float32):
        probabilities = probabilities.astype(np.float32)
    return probabilities, None if held_out is None else as_mask("held_out", held_out)

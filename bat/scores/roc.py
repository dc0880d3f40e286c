"""How well the scores of an attack tell members, over all trials and samples that are given.

Trials were attacked fold by fold (`bat.scores.privacy`), and scores of one fold alone are
compared: curves and areas are means over the folds. Intervals are over trials, which
another run would draw anew; the samples stay, and so do the fits. In simulation with 60
trials they hold 83 to 93 % of what other runs give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bat.errors import BatError
from bat.scores.counts import as_mask

FALSE_POSITIVE_RATES = (0.001, 0.01)
"""At which the share of members that are found is reported."""

REPEATS = 200
"""Bootstrap draws of trials within their folds."""


def roc(included: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the receiver operating characteristic of scores, all trials and samples together.

    Parameters
    ----------
    included : ndarray of bool
    scores : ndarray of float, of the same shape
        High is a member; NaN is left out.

    Returns
    -------
    false_positive_rate, true_positive_rate : ndarray of float64
        From (0, 0) to (1, 1), a point for each distinct score.
    """
    included, scores = as_mask("included", included), np.asarray(scores)
    known = np.isfinite(scores)
    values, member = scores[known], included[known]
    order = np.argsort(-values, kind="stable")
    values, member = values[order], member[order]
    last = np.append(np.flatnonzero(np.diff(values)), values.size - 1)
    found = np.cumsum(member)[last]
    false = last + 1 - found
    members, others = member.sum(), (~member).sum()
    if not members or not others:
        raise BatError("a ROC needs members and non-members; found only one of them")
    return np.append(0.0, false / others), np.append(0.0, found / members)


class Curve:
    """The trials of an attack by fold, sorted once for every question.

    Parameters
    ----------
    included, scores : ndarray, shape (n_trials, n_samples)
        Of bool, and of float, high where a sample is a member; NaN is left out.
    fold : ndarray of int, shape (n_trials,)

    Attributes
    ----------
    resolution : float
        The least false positive rate of which every fold could show one false
        positive; NaN without a fold that has members and non-members.
    """

    def __init__(self, included: np.ndarray, scores: np.ndarray, fold: np.ndarray):
        included, scores = as_mask("included", included), np.asarray(scores)
        found = [_Fold(included[fold == f], scores[fold == f]) for f in np.unique(fold)]
        self.folds = [one for one in found if len(one.others) and one.n_in.any()]
        fewest = min((len(one.others) for one in self.folds), default=np.nan)
        self.resolution = 1 / fewest

    def rates(self, levels: Sequence[float]) -> np.ndarray:
        """Return the share of members that are found at false positive rates.

        Parameters
        ----------
        levels : sequence of float
            False positive rates in (0, 1].

        Returns
        -------
        ndarray of float64, shape (n_levels,)
            In each fold the largest true positive rate at no more false positives than
            the level allows; the mean over the folds. NaN below ``resolution``. By
            chance it is the level.
        """
        weights = [np.ones(len(fold.n_in)) for fold in self.folds]
        return self._rates(levels, weights)

    def _rates(self, levels, weights):
        if not self.folds:
            return np.full(len(levels), np.nan)
        found = [f.rates(levels, w) for f, w in zip(self.folds, weights, strict=True)]
        return np.where(np.asarray(levels) < self.resolution, np.nan, np.mean(found, axis=0))

    def rate_intervals(
        self, levels: Sequence[float], generator: np.random.Generator, repeats: int = REPEATS
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of 95 % intervals of `rates`: a bootstrap of trials within folds.

        Parameters
        ----------
        levels : sequence of float
        generator : numpy.random.Generator
        repeats : int

        Returns
        -------
        low, high : ndarray of float64, shape (n_levels,)
        """
        draws = []
        for _ in range(repeats):
            sizes = [len(fold.n_in) for fold in self.folds]
            weights = [generator.multinomial(n, np.full(n, 1 / n)) for n in sizes]
            draws.append(self._rates(levels, weights))
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        return low, high

    def area(self) -> tuple[float, float, float]:
        """Return the area under the curve with its 95 % interval.

        Returns
        -------
        area, low, high : float
            In [0, 1], by chance 0.5; the mean over the folds. The interval is by the
            infinitesimal jackknife over trials (Obuchowski, 1997, Biometrics 53, for
            clusters), normal, and cut at 0 and 1. NaN without members or non-members.
        """
        if not self.folds:
            return np.nan, np.nan, np.nan
        found = np.array([fold.area() for fold in self.folds])
        area, error = found[:, 0].mean(), np.sqrt(found[:, 1].sum()) / len(found)
        low, high = area - 1.96 * error, area + 1.96 * error
        return float(area), float(max(low, 0)), float(min(high, 1))


class _Fold:
    """Sorted scores of one fold, by trial, and of all its non-members with their trials."""

    def __init__(self, included, scores):
        known = np.isfinite(scores)
        rows = list(zip(scores, included, known, strict=True))
        self.members = [np.sort(row[member & use]) for row, member, use in rows]
        self.outside = [np.sort(row[~member & use]) for row, member, use in rows]
        self.n_in = np.array([values.size for values in self.members])
        self.n_out = np.array([values.size for values in self.outside])
        values = np.concatenate(self.outside)
        order = np.argsort(-values, kind="stable")
        self.others, self.trial = values[order], np.repeat(range(len(rows)), self.n_out)[order]

    def rates(self, levels, weights):
        """Share of the members above the highest non-member that a level does not allow."""
        false = np.cumsum(weights[self.trial])
        total = false[-1] if false.size else 0
        if not total or not weights @ self.n_in:
            return np.full(len(levels), np.nan)
        first = np.searchsorted(false / total, levels, side="right")
        bound = np.append(self.others, -np.inf)[first]
        found = [len(m) - np.searchsorted(m, bound, side="right") for m in self.members]
        return weights @ np.array(found) / (weights @ self.n_in)

    def area(self):
        """Area under the fold's curve, and its variance over trials."""
        n_in, n_out, k = self.n_in.sum(), self.n_out.sum(), len(self.n_in)
        others, members = self.others[::-1], np.sort(np.concatenate(self.members))
        below = np.array([_below(others, values) for values in self.members])
        above = self.n_out * n_in - np.array([_below(members, values) for values in self.outside])
        area = below.sum() / (n_in * n_out)
        influence = (below + above) / (n_in * n_out) - area * (
            self.n_in / n_in + self.n_out / n_out
        )
        return area, k / (k - 1) * (influence**2).sum() if k > 1 else np.nan


def _below(ordered, values):
    """How many of the ordered scores lie below each of some, in all; half of those that tie."""
    sides = [np.searchsorted(ordered, values, side=side).sum() for side in ("left", "right")]
    return sum(sides) / 2

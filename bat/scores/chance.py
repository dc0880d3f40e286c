"""What chance alone would give in a set of score tables, from the counts that they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bat.scores.registry import INFLUENCE_ABOVE
from bat.scores.significance import MOSTLY_CHANCE, chance_above, p_values
from bat.statistics import proportion_variance


@dataclass(frozen=True)
class Counts:
    """The counts behind memorization, influence and test tables.

    Attributes
    ----------
    n_trials : int
    n_included, right, total : ndarray of int, shape (n_train,)
        Trials with each training sample, its right predictions among them, and
        those in all trials.
    test_total : ndarray of int, shape (n_test,)
        Right predictions of each test sample in all trials.
    labels, test_labels : ndarray of int
        Classes of both; all 0 where pairs of all classes are candidates.
    """

    n_trials: int
    n_included: np.ndarray
    right: np.ndarray
    total: np.ndarray
    test_total: np.ndarray
    labels: np.ndarray
    test_labels: np.ndarray

    def memorization_p(self) -> np.ndarray:
        """One-sided p-values of memorization, shape (n_train,)."""
        return p_values(self.right, self.total, self.n_included, self.n_trials)

    def influence_p(self, train_index, test_index, influence) -> np.ndarray:
        """One-sided p-values of kept pairs, shape (n_pairs,)."""
        n_included, total = self.n_included[train_index], self.test_total[test_index]
        n_excluded = self.n_trials - n_included
        right = (influence + total / n_excluded) * (n_included * n_excluded / self.n_trials)
        return p_values(np.rint(right), total, n_included, self.n_trials)

    def n_candidates(self, chosen: np.ndarray) -> np.ndarray:
        """Chosen training samples that each test sample is compared with, shape (n_test,)."""
        n_classes = int(max(self.labels.max(), self.test_labels.max())) + 1
        return np.bincount(self.labels[chosen], minlength=n_classes)[self.test_labels]

    def by_chance(
        self, chosen: np.ndarray, threshold: float, significance: float | None = None
    ) -> tuple[float, np.ndarray]:
        """What would lie above a threshold of influence if there were none at all.

        Parameters
        ----------
        chosen : ndarray of bool, shape (n_train,)
            The training samples whose pairs count.
        threshold : float
            0 or more.
        significance : float, optional
            Standard errors that the influence has also to exceed.

        Returns
        -------
        pairs : float
            Number of pairs expected above.
        samples : ndarray of float64, shape (n_test,)
            Chance of each test sample to have at least one.
        """
        values, member = np.unique(self.n_included[chosen], return_inverse=True)
        totals, at = np.unique(self.test_total, return_inverse=True)
        classes, label = np.unique(self.labels[chosen], return_inverse=True)
        if not classes.size:
            return 0.0, np.zeros(at.size)
        number = np.zeros((classes.size, values.size))
        np.add.at(number, (label, member), 1)
        chance = chance_above(values, totals, self.n_trials, threshold, significance)
        row = np.minimum(np.searchsorted(classes, self.test_labels), classes.size - 1)
        has_class = classes[row] == self.test_labels
        none = number @ np.log1p(-np.minimum(chance, 1 - 1e-15))
        samples = np.where(has_class, -np.expm1(none[row, at]), 0.0)
        pairs = np.where(has_class, (number @ chance)[row, at], 0.0)
        return float(pairs.sum()), samples

    def at(self, n_trials: int) -> Counts:
        """The counts that as many trials would give, each sample's shares kept.

        Every training sample then is in its expected number of subsets.
        """
        n_included = round(float(self.n_included.mean()) / self.n_trials * n_trials)
        factor = n_trials / self.n_trials
        return Counts(
            n_trials,
            np.full_like(self.n_included, min(max(n_included, 1), n_trials - 1)),
            np.rint(self.right * factor).astype(np.int64),
            np.rint(self.total * factor).astype(np.int64),
            np.rint(self.test_total * factor).astype(np.int64),
            self.labels,
            self.test_labels,
        )

    def standard_errors(self, n_trials: int) -> np.ndarray:
        """Standard errors of memorization with as many trials, shape (n_train,).

        The formula of the standard error itself, with the shares of each sample as
        they are: that of a sample that is always right falls as 1 / ``n_trials``,
        not as one over its root.
        """
        factor = n_trials / self.n_trials
        with_it = self.right * factor, self.n_included * factor
        without = (self.total - self.right) * factor, (self.n_trials - self.n_included) * factor
        return np.sqrt(proportion_variance(*with_it) + proportion_variance(*without))


def counts_of(memorization, test, metadata: dict) -> Counts | None:
    """Take the counts from score tables.

    Parameters
    ----------
    memorization, test : pyarrow.Table or DataFrame
    metadata : dict
        Of the influence table.

    Returns
    -------
    Counts, or None where their maker did not know them.
    """
    counts, accuracy = _train_counts(memorization), np.asarray(test["accuracy"], np.float64)
    if counts is None or not np.isfinite(accuracy).all():
        return None
    n_trials, n_included, right, total = counts
    labels, test_labels = np.asarray(memorization["label"]), np.asarray(test["label"])
    if metadata["influence"].get("pairs") != "same_class":
        labels, test_labels = np.zeros_like(labels), np.zeros_like(test_labels)
    test_total = np.rint(accuracy * n_trials).astype(np.int64)
    return Counts(n_trials, n_included, right, total, test_total, labels, test_labels)


def memorization_by_chance(memorization, threshold: float, significance=None) -> float | None:
    """Number of samples above a threshold of memorization if none were memorized.

    Parameters
    ----------
    memorization : pyarrow.Table, DataFrame or mapping
        The table of scores; ``memorization_se``, and where known the counts.
    threshold : float
    significance : float, optional
        Standard errors that the memorization has also to exceed.

    Returns
    -------
    float, or None where standard errors are not known
        Each sample's chance is that of a normal error of its standard error, but
        not more than the exact one, given its counts: with few trials the standard
        error of a sample that is always right is an upper bound.
    """
    from scipy.special import ndtr

    errors = np.asarray(memorization["memorization_se"], np.float64)
    if not np.isfinite(errors).all():
        return None
    with np.errstate(divide="ignore"):
        chances = ndtr(-np.maximum(threshold / errors, significance or 0.0))
    counts = _train_counts(memorization)
    if counts is not None:
        n_trials, n_included, _, total = counts
        for value in np.unique(n_included):
            rows = np.flatnonzero(n_included == value)
            unique, at = np.unique(total[rows], return_inverse=True)
            exact = chance_above([value], unique, n_trials, threshold, significance)[0]
            chances[rows] = np.minimum(chances[rows], exact[at])
    return float(chances.sum())


def _train_counts(memorization):
    """Trials, and ``n_included``, ``right`` and ``total`` of `Counts`, or None where not known."""
    names = ("n_included", "n_excluded", "accuracy_included", "accuracy_excluded")
    known = getattr(memorization, "column_names", None) or list(memorization)
    if not set(names) <= set(known):
        return None
    n_included, n_excluded, share_in, share_out = (
        np.asarray(memorization[n], np.float64) for n in names
    )
    trials = n_included + n_excluded
    if not np.isfinite(np.concatenate([trials, share_in, share_out])).all():
        return None
    if (
        trials.size == 0
        or (trials != trials[0]).any()
        or not ((n_included > 0) & (n_excluded > 0)).all()
    ):
        return None
    right = np.rint(n_included * share_in).astype(np.int64)
    total = right + np.rint(n_excluded * share_out).astype(np.int64)
    return int(trials[0]), n_included.astype(np.int64), right, total


def is_mostly_chance(chance: dict) -> bool:
    """Whether more of a group than `significance.MOSTLY_CHANCE` is expected by chance.

    ``chance`` holds its ``members`` and those ``expected`` (None: not known).
    """
    expected = chance.get("expected")
    return expected is not None and 0 < chance["members"] * MOSTLY_CHANCE < expected


def chance_text(chance: dict) -> str:
    """Members of a group, and how many of them chance gives.

    >>> chance_text({"members": 1507, "expected": 1511.8, "false_discovery": None})
    'of 1,507, about 1,512 by chance'
    >>> chance_text({"members": 12, "expected": None, "false_discovery": None})
    'of 12, how many by chance is not known'
    """
    members, expected = f"of {chance['members']:,}", chance["expected"]
    if expected is None:
        return f"{members}, how many by chance is not known"
    if chance.get("false_discovery") is not None:
        evidence = ", judged by margins" if chance.get("evidence") == "margins" else ""
        return f"{members}, at most about {_number(expected)} by chance{evidence}"
    return f"{members}, about {_number(expected)} by chance"


def pairs_by_chance(metadata: dict) -> str:
    """Say how many kept pairs lie above `INFLUENCE_ABOVE`, and how many of them chance gives.

    Where the table has no number for it, above the next higher one that it has.

    Parameters
    ----------
    metadata : dict
        Of the influence table; ``chance`` is absent from tables of version 0.1.0.

    Returns
    -------
    str
        A sentence, or nothing where it is not known.
    """
    chance = metadata.get("chance")
    at = [t for t in chance["thresholds"] if t >= INFLUENCE_ABOVE] if chance else []
    if not at:
        return ""
    place = chance["thresholds"].index(at[0])
    counted = {key: chance[key][place] for key in ("observed", "expected")}
    found = {"members": counted["observed"], "expected": counted["expected"]}
    by_margins = ""
    if "standing_margin" in chance:
        by_margins = f", and {chance['standing_margin']:,} by margins"
    return (
        f"Pairs above {at[0]:g} among the {chance['candidates']:,} candidates: "
        f"{chance_text(found)}; {chance['standing']:,} stand at a false discovery rate of "
        f"{100 * chance['level']:g}\u00a0%{by_margins}."
    )


def warning_text(chances: dict[str, dict]) -> str:
    """A sentence for captions where groups are built on chance, else nothing.

    ``chances`` are by what the members are, such as 'test atypical samples'.
    """
    return " ".join(
        f"Caution: of the {chance['members']:,} {what} about {_number(chance['expected'])} are "
        "expected by chance alone."
        for what, chance in chances.items()
        if is_mostly_chance(chance)
    )


def caution(groups: dict[str, dict]) -> str:
    """`warning_text` of the atypical groups, from the metadata of group tables by split."""
    return warning_text(
        {
            f"{split} atypical samples": about["chance"]
            for split, about in groups.items()
            if "chance" in about
        }
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"

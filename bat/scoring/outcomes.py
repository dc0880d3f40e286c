"""What trainings on random subsets got right: kept, joined, and estimated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.files import SCHEMAS, column, write_table
from bat.files.bits import pack, unpack
from bat.scores import (
    ATYPICAL_ABOVE,
    INFLUENCE_ABOVE,
    InfluenceScores,
    MemorizationScores,
    estimates,
)
from bat.scores.groups import Groups, test_groups, train_groups
from bat.scoring import own_margins
from bat.scoring.merging import differences, shards_of
from bat.validation import read_checked

if TYPE_CHECKING:
    import pandas as pd

MASKS = ("included", "train_correct", "test_correct")
MARGINS = ("train_margin", "test_margin")


class BothGroups(NamedTuple):
    """The groups of both splits."""

    train: Groups
    test: Groups


@dataclass(frozen=True, eq=False)
class Trials:
    """What trainings on random subsets got right, one row a trial, by its number.

    Attributes
    ----------
    number : ndarray of int64, shape (n_trials,)
        Rising, each once.
    included : ndarray of bool, shape (n_trials, n_train)
        Whether the trial's subset held the sample.
    train_correct : ndarray of bool, shape (n_trials, n_train)
    test_correct : ndarray of bool, shape (n_trials, n_test)
        Whether its model predicts the label.
    seconds : ndarray of float64, shape (n_trials,)
        That each took.
    recipe : dict
        What the trials share: name, seed, ratio, settings, numbers of samples.
    fingerprint : str or None
        Of the data, where it is known.
    train_margin, test_margin : ndarray of float16, shapes (n_trials, n_train), (n_trials, n_test)
        The logit of the label less the largest other, NaN in trials without margins;
        None where no trial has any.
    """

    number: np.ndarray
    included: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray
    seconds: np.ndarray
    recipe: dict[str, Any]
    fingerprint: str | None = None
    train_margin: np.ndarray | None = None
    test_margin: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.number)

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {share:.3f}" for name, share in self.accuracies.items())
        n_train, n_test = self.included.shape[1], self.test_correct.shape[1]
        return (
            f"Trials({len(self)} of {self.recipe['architecture']} on {n_train:,} training and "
            f"{n_test:,} test samples; accuracy: {shares})"
        )

    @property
    def accuracies(self) -> dict[str, float]:
        """Mean accuracy on the samples in the subsets, out of them, and of the test set.

        Where the first is not near 1 the models did not fit, and memorization is
        understated; where it is near chance the scores are noise.
        """
        means = {
            "included": self.train_correct[self.included],
            "excluded": self.train_correct[~self.included],
            "test": self.test_correct,
        }
        return {name: float(values.mean()) for name, values in means.items()}

    # -- estimates --------------------------------------------------------------------------

    def memorization(self) -> MemorizationScores:
        """Memorization of each training sample; see `bat.memorization`.

        Where all trials have margins, with the estimate of `bat.memorization_from_margins`.
        """
        return own_margins.memorization_of(self.included, self.train_correct, self.train_margin)

    def influence(
        self, train_labels, test_labels, *, pairs: str = "same_class", keep_above: float = 0.02
    ) -> InfluenceScores:
        """Influence of training samples on test samples; see `bat.influence`.

        Where four trials or more have margins, and all do, with the columns of
        `bat.influence_from_margins` and the pairs that stand by them, whatever their influence.
        """
        outcomes = self.included, self.test_correct, self.test_margin
        asked = {"pairs": pairs, "keep_above": keep_above}
        return own_margins.influence_of(*outcomes, train_labels, test_labels, **asked)

    def convergence(
        self, *, steps: Sequence[int] | None = None, repeats: int = estimates.REPEATS, seed: int = 0
    ) -> pd.DataFrame:
        """How far memorization is settled; see `bat.convergence`."""
        return estimates.convergence(
            self.included, self.train_correct, steps=steps, repeats=repeats, seed=seed
        )

    def groups(
        self,
        train_labels,
        test_labels,
        *,
        atypical_above: float = ATYPICAL_ABOVE,
        typical_below: float = 0.02,
        influence_above: float = INFLUENCE_ABOVE,
        influence_touch: float = 0.02,
        min_accuracy: float = 0.8,
    ) -> BothGroups:
        """The typical and atypical samples of both splits.

        Thresholds are those of `bat.train_groups` and `bat.test_groups`.
        """
        train = train_groups(
            self.memorization().memorization,
            atypical_above=atypical_above,
            typical_below=typical_below,
        )
        found = self.influence(train_labels, test_labels, keep_above=influence_touch)
        test = test_groups(
            self.test_correct.shape[1],
            found.to_frame(),
            train.atypical,
            found.test_accuracy,
            keep_above=influence_touch,
            influence_above=influence_above,
            influence_touch=influence_touch,
            min_accuracy=min_accuracy,
        )
        return BothGroups(train, test)

    # -- files ------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write them as one table of trials, atomically; a shard as the workflow's own are."""
        means = {
            "included_accuracy": _share(self.train_correct & self.included, self.included),
            "excluded_accuracy": _share(self.train_correct & ~self.included, ~self.included),
            "test_accuracy": self.test_correct.mean(axis=1),
        }
        columns = {
            "trial": self.number,
            "seed": np.full(len(self), self.recipe["seed"]),
            **{name: [pack(row) for row in getattr(self, name)] for name in MASKS},
            **means,
            **{n: own_margins.as_bytes(self.margin_rows(n)) for n in MARGINS},
            "seconds": self.seconds,
            "device": ["not stated"] * len(self),
        }
        missing = {name: [None] * len(self) for name in SCHEMAS["trials"].names}
        write_table(
            path,
            "trials",
            missing | columns,
            fingerprint=self.fingerprint,
            recipe=self.recipe,
            command="bat.run_trials",
        )

    @classmethod
    def read(cls, path: str | Path, data: PreparedData | None = None) -> Trials:
        """Read trials that were saved, or those of a results folder.

        Parameters
        ----------
        path : path-like
            A file, a folder of files, or a folder with a folder ``trials`` of them,
            all of one recipe.
        data : PreparedData, optional
            What they were trained on; needed for trials of the workflow.

        Raises
        ------
        ArtifactError
            If there are none, a file is damaged or of other data, or they are of
            several recipes.
        """
        return merge_trials(*(cls._read(file, data) for file in shards_of(Path(path))))

    @classmethod
    def _read(cls, path: Path, data: PreparedData | None) -> Trials:
        table, metadata = read_checked(path, "trials", data, without=("probabilities",))
        sizes = metadata["recipe"] if data is None else data.info
        if not {"n_train", "n_test"} <= sizes.keys():
            raise ArtifactError(
                f"{path}: does not say of how many samples it is, as trials of the workflow; give "
                "data, the data set that they were trained on"
            )
        length = {name: sizes["n_train"] for name in MASKS} | {"test_correct": sizes["n_test"]}
        masks = {
            name: np.array([unpack(row, length[name]) for row in table[name].to_pylist()], bool)
            for name in MASKS
        }
        margins = {n: own_margins.from_bytes(table[n].to_pylist()) for n in MARGINS}
        number = column(table, "trial").astype(np.int64)
        seconds = column(table, "seconds")
        recipe, fingerprint = metadata["recipe"], metadata["fingerprint"]
        about = {"recipe": recipe, "fingerprint": fingerprint}
        return cls(number, **masks, **margins, seconds=seconds, **about)

    def margin_rows(self, name: str) -> list[np.ndarray | None]:
        """The margins of each trial, None where it has none."""
        return own_margins.unstacked(getattr(self, name), len(self))

    def about(self) -> dict[str, Any]:
        """What trials must share to be joined."""
        return self.recipe | {"fingerprint": self.fingerprint}


def merge_trials(*trials: Trials | str | Path, data: PreparedData | None = None) -> Trials:
    """Join trials of one recipe, from whichever runs and machines.

    Parameters
    ----------
    *trials : Trials or path-like
        Trials, or where they lie, as for `Trials.read`.
    data : PreparedData, optional
        As for `Trials.read`.

    Returns
    -------
    Trials
        By number. Order and grouping of what is joined change nothing.

    Raises
    ------
    ArtifactError
        If there are none, recipes or data differ, or a trial's number comes with
        two contents. One with margins and one without are the same.

    Examples
    --------
    >>> import bat
    >>> def fit(index, trial):
    ...     return np.isin(np.arange(6), index), [True, False]
    >>> first = bat.run_trials(fit, n_train=6, n_trials=range(0, 3))
    >>> more = bat.run_trials(fit, n_train=6, n_trials=range(3, 5))
    >>> bat.merge_trials(more, first).number
    array([0, 1, 2, 3, 4])
    """
    found = [part if isinstance(part, Trials) else Trials.read(part, data) for part in trials]
    if not found:
        raise ArtifactError("there are no trials to join; give some, or where they lie")
    first = found[0]
    for part in found[1:]:
        if part.about() != first.about():
            raise ArtifactError(
                "trials of two recipes are among these ("
                f"{'; '.join(differences(part.about(), first.about()))}); only trials of one "
                "recipe make a table"
            )
    number, at, again = np.unique(
        np.concatenate([part.number for part in found]), return_index=True, return_inverse=True
    )
    joined = {name: np.concatenate([getattr(part, name) for part in found]) for name in MASKS}
    for name, values in joined.items():
        wrong = np.flatnonzero((values != values[at][again]).any(axis=1))
        if wrong.size:
            raise ArtifactError(
                f"trial {number[again[wrong[0]]]} is there twice, with another {name}; leave one "
                "of the two out"
            )
    seconds = np.concatenate([part.seconds for part in found])[at]
    values = {name: values[at] for name, values in joined.items()}
    for name in MARGINS:
        rows = [row for part in found for row in part.margin_rows(name)]
        values[name] = own_margins.joined(rows, again, number, name)
    return Trials(
        number, **values, seconds=seconds, recipe=first.recipe, fingerprint=first.fingerprint
    )


def _share(right: np.ndarray, among: np.ndarray) -> np.ndarray:
    return right.sum(axis=1) / among.sum(axis=1)

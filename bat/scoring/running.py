"""Trials with anyone's own training function: subsets, progress, and a file to go on from."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bat.data import PreparedData, as_array
from bat.errors import ArtifactError, BatError
from bat.progress import log, messages_shown, progress
from bat.scores import trials_for_coverage
from bat.scores.counts import as_mask
from bat.scores.margins import half_precision
from bat.scores.subsets import subset
from bat.scoring import own_margins
from bat.scoring.merging import differences
from bat.scoring.outcomes import MARGINS, MASKS, Trials

KEEP_EVERY = 1.0  # seconds between two writes of the file, at least
WRITING = 0.05  # share of the time that goes into writing, at most

Fit = Callable[[np.ndarray, int], tuple[Any, Any]]


def run_trials(
    fit: Fit,
    *,
    n_trials: int | Iterable[int],
    n_train: int | None = None,
    ratio: float = 0.7,
    seed: int = 0,
    out: str | Path | None = None,
    data: PreparedData | None = None,
    name: str = "own",
    settings: Mapping[str, Any] | None = None,
) -> Trials:
    """Train on random subsets with a function of one's own, and keep what it got right.

    Parameters
    ----------
    fit : callable
        ``fit(index, trial)`` trains on the training samples ``index`` (ndarray of
        int64, rising) and returns ``(train_correct, test_correct)``: for all
        training samples, in the subset or not, and for all test samples, whether
        the model predicts the label. Truth values, or margins as floats (the
        logit of the label less the largest other one), of which those above 0
        are right, and which are kept in float16 where both are margins.
        ``trial`` is its number: derive every seed from it.
    n_trials : int or iterable of int
        How many, from trial 0; or their numbers, as ``range(50, 100)`` for a
        second machine.
    n_train : int, optional
        Number of training samples; that of ``data`` where these are given.
    ratio : float
        Share of them in each subset, in (0, 1).
    seed : int
        Of the subsets, which are functions of it and of the trial's number.
    out : path-like, optional
        A file (``.parquet``), or a folder for one of that ``name``. Trials that it
        holds are not trained again, so a call that was stopped goes on, and one
        that asks for more adds to it. It is written atomically, after each trial
        or, where they are fast, every second. One process writes a file; several
        take files and numbers of their own, see `merge_trials`.
    data : PreparedData, optional
        What is trained on; its fingerprint is kept with the trials.
    name : str
        What the trials are called.
    settings : mapping, optional
        What else makes them, as JSON values (learning rate, version); trials of
        other settings are never mixed with these.

    Returns
    -------
    Trials
        Those that were asked for.

    Raises
    ------
    ArtifactError
        If ``out`` holds trials of another name, seed, ratio, other settings or
        data, or is damaged.
    BatError
        If what ``fit`` returns has a wrong shape or type or is not finite, naming
        the trial and the sample; what was trained before is kept.

    Examples
    --------
    A learner that knows by heart what it saw, and nothing else:

    >>> import bat
    >>> def fit(index, trial):
    ...     return np.isin(np.arange(20), index), [True, False]
    >>> trials = bat.run_trials(fit, n_train=20, n_trials=30)
    >>> trials
    Trials(30 of own on 20 training and 2 test samples; accuracy: included 1.000, \
excluded 0.000, test 0.500)
    >>> trials.memorization().memorization.min()
    np.float64(1.0)
    """
    numbers = range(n_trials) if isinstance(n_trials, int | np.integer) else n_trials
    wanted = list(numbers) if isinstance(numbers, Iterable) else []
    if not wanted or len(set(wanted)) < len(wanted):
        raise BatError(f"n_trials is {n_trials!r}; expected a number above 0, or distinct numbers")
    recipe = {
        "architecture": name,
        "subset_ratio": ratio,
        "seed": seed,
        "training": _as_json(settings or {}),
        "n_train": _number_of_samples(n_train, data),
    }
    with messages_shown():
        outcomes = _Outcomes(recipe, data, _file(out, name))
        missing = [trial for trial in wanted if trial not in outcomes.rows]
        _warn_of_coverage(wanted, recipe)
        with progress(f"trials of {name}", len(wanted), done=len(wanted) - len(missing)) as bar:
            try:
                for trial in missing:
                    bar.advance(outcomes.train(trial, fit))
            finally:
                outcomes.keep()
    return outcomes.trials(wanted)


class _Outcomes:
    """The trials of one recipe that are done, and the file that holds them."""

    def __init__(self, recipe: dict, data: PreparedData | None, path: Path | None):
        self.recipe, self.data, self.path = recipe, data, path
        self.rows: dict[int, dict] = {}
        self.kept, self.written, self.cost = 0, -math.inf, 0.0
        if path is not None and path.exists():
            self._take_over(Trials.read(path, data))

    def _take_over(self, found: Trials) -> None:
        ours = self.recipe | {"fingerprint": _fingerprint(self.data)}
        theirs = {key: value for key, value in found.about().items() if key != "n_test"}
        if theirs != ours:
            raise ArtifactError(
                f"{self.path}: holds trials of other settings than asked for "
                f"({'; '.join(differences(theirs, ours))}); name another file or folder for out"
            )
        self.recipe = found.recipe
        columns = [found.number.tolist(), *(getattr(found, name) for name in (*MASKS, "seconds"))]
        columns += [found.margin_rows(name) for name in MARGINS]
        for trial, *values in zip(*columns, strict=True):
            self.rows[trial] = dict(zip((*MASKS, "seconds", *MARGINS), values, strict=True))
        self.kept = len(self.rows)
        log.info("%s: %d trials are there already", self.path, self.kept)

    def train(self, trial: int, fit: Fit) -> str:
        """Train one trial, and keep it where it is time to; how well it did."""
        n_train = self.recipe["n_train"]
        included = subset(self.recipe["seed"], trial, n_train, self.recipe["subset_ratio"])
        start = time.monotonic()
        found = fit(np.flatnonzero(included), trial)
        seconds = time.monotonic() - start
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise BatError(
                f"trial {trial}: fit returned {type(found).__name__}; expected the pair "
                "(train_correct, test_correct)"
            )
        found = [as_array(values) for values in found]
        _refuse_probabilities(trial, found)
        train = _right(f"trial {trial}: train_correct", found[0], n_train)
        test = _right(f"trial {trial}: test_correct", found[1], self.recipe.get("n_test"))
        self.recipe = self.recipe | {"n_test": len(test)}
        self.rows[trial] = dict(
            included=included,
            train_correct=train,
            test_correct=test,
            seconds=seconds,
            **_margins(found, (train, test)),
        )
        if time.monotonic() - self.written > max(KEEP_EVERY, self.cost / WRITING):
            self.keep()
        return f"accuracy {train[included].mean():.3f} included, {test.mean():.3f} test"

    def keep(self) -> None:
        """Write what is done, where a file is asked for and lacks some of it."""
        if self.path is None or self.kept == len(self.rows):
            return
        start = time.monotonic()
        self.trials(self.rows).save(self.path)
        self.kept, self.written = len(self.rows), time.monotonic()
        self.cost = self.written - start

    def trials(self, numbers: Iterable[int]) -> Trials:
        """Those with these numbers."""
        number = np.array(sorted(numbers), np.int64)
        values = {
            name: np.array([self.rows[trial][name] for trial in number.tolist()])
            for name in (*MASKS, "seconds")
        }
        for name in MARGINS:
            rows = [self.rows[trial][name] for trial in number.tolist()]
            values[name] = own_margins.stacked(rows)
        return Trials(number, **values, recipe=self.recipe, fingerprint=_fingerprint(self.data))


def _number_of_samples(n_train: int | None, data: PreparedData | None) -> int:
    found = n_train if data is None else data.info["n_train"]
    if found is None or n_train not in (None, found):
        raise BatError(
            f"n_train is {n_train} and data "
            f"{'is not given' if data is None else f'holds {found} training samples'}; give the "
            "number of training samples, or the data that hold them"
        )
    return int(found)


def _as_json(settings: Mapping[str, Any]) -> dict:
    """The settings as a file gives them back, which they are compared with."""
    try:
        return json.loads(json.dumps(dict(settings), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BatError(
            f"settings are {dict(settings)!r}; expected values that JSON can hold ({error})"
        ) from None


def _fingerprint(data: PreparedData | None) -> str | None:
    return None if data is None else data.fingerprint


def _file(out: str | Path | None, name: str) -> Path | None:
    if out is None or Path(out).suffix == ".parquet":
        return None if out is None else Path(out)
    return Path(out) / f"{name}.parquet"


def _refuse_probabilities(trial: int, found: Sequence) -> None:
    """All of them are above 0, so that as margins they would call everything right."""
    values = np.concatenate([np.ravel(part) for part in found])
    if values.dtype.kind == "f" and ((values >= 0) & (values <= 1)).all() and (values % 1).any():
        raise BatError(
            f"trial {trial}: fit returned numbers from {values.min():g} to {values.max():g}, which "
            "look like probabilities; expected truth values, as prediction == label, or margins, "
            "which are below 0 where the prediction is wrong"
        )


def _right(what: str, values: np.ndarray, n: int | None) -> np.ndarray:
    """Truth values as they are, margins as those above 0."""
    if values.ndim != 1 or n not in (None, len(values)) or len(values) == 0:
        raise BatError(f"{what} has shape {values.shape}; expected ({n or 'n_test'},)")
    if values.dtype.kind != "f":
        return as_mask(what, values)
    wrong = np.flatnonzero(np.isnan(values))
    if wrong.size:
        raise BatError(
            f"{what} is not a number for {wrong.size} of {len(values)} samples (the first is "
            f"sample {wrong[0]}): the training diverged"
        )
    return values > 0


def _margins(found: Sequence, correct: tuple[np.ndarray, np.ndarray]) -> dict:
    """Margins of both splits in half precision, or of neither."""
    if any(values.dtype.kind != "f" for values in found):
        return dict.fromkeys(MARGINS)
    kept = [half_precision(*both) for both in zip(found, correct, strict=True)]
    return dict(zip(MARGINS, kept, strict=True))


def _warn_of_coverage(wanted: list[int], recipe: dict) -> None:
    """Say before any training that as many trials leave some scores undefined."""
    n, ratio = recipe["n_train"], recipe["subset_ratio"]
    enough = trials_for_coverage(n, ratio)
    if len(wanted) >= 2 * enough:
        return
    counts = sum(subset(recipe["seed"], trial, n, ratio).astype(int) for trial in wanted)
    undefined = int(((counts == 0) | (counts == len(wanted))).sum())
    if undefined:
        log.warning(
            "of %d samples, %d are in every one of these %d subsets or in none, so that they have "
            "no score yet; %d trials make that unlikely",
            *(n, undefined, len(wanted), enough),
        )

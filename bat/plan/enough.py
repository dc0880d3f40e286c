"""How far ``scores.trials: auto`` has come, from what was decided after each of its rounds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bat.config import Scores
from bat.files import read_signed
from bat.files.specifications import specification_text
from bat.plan.shards import rounds


class Reached(NamedTuple):
    """The trials behind the scores, as far as they are known."""

    n_trials: int
    """Those of the scores; while it is open whether there will be more, of the next round."""
    decisions: tuple[str, ...] = ()
    """Files of the decisions that led there, below the data set's folder; the last one has to
    be made yet where it is open."""
    final: bool = True
    """Whether it is decided that there are no more."""


def decision_file(n_trials: int) -> str:
    """What is decided after so many trials, below the data set's folder.

    >>> decision_file(100)
    'trials/enough-000100.json'
    """
    return f"trials/enough-{n_trials:06d}.json"


def reached(scores: Scores, folder: Path, asked: dict | None) -> Reached:
    """How many trials there are behind the scores, and what was decided on the way.

    A function of the files alone, whoever asks: the workflow when it is read and after
    each round, the jobs that it starts, the plan.

    Parameters
    ----------
    scores : Scores
    folder : path
        Results folder of the data set.
    asked : dict or None
        The specification of the decisions; those of another one do not count. None for a
        number of trials.

    Raises
    ------
    ArtifactError
        If a decision is damaged.
    """
    if scores.trials != "auto":
        return Reached(scores.trials)
    n_trials, text = rounds(scores)[0], specification_text(asked)
    decisions: tuple[str, ...] = ()
    while True:
        decisions += (decision_file(n_trials),)
        path = folder / decisions[-1]
        decision = read_signed(path) if path.exists() else {}
        if specification_text(decision.get("asked", {})) != text:
            return Reached(n_trials, decisions, final=False)
        if decision["next"] is None:
            return Reached(n_trials, decisions)
        n_trials = decision["next"]


def trials_in_words(scores: Scores) -> str:
    """How many trials there will be, for readers.

    >>> trials_in_words(Scores(trials="auto"))
    '100 to 1,000'
    """
    if scores.trials != "auto":
        return f"{scores.trials:,}"
    return f"{rounds(scores)[0]:,} to {scores.max_trials:,}"

"""How far ``scores.trials: auto`` has come, from what was decided after each of its rounds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bat.config import Scores
from bat.errors import REMAKE, ArtifactError
from bat.files import read_signed
from bat.files.specifications import specification_text
from bat.plan.shards import rounds
from bat.reading import lies_there


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
        If a decision is damaged, or says what none of its number of trials can say.
    """
    if scores.trials != "auto":
        return Reached(scores.trials)
    possible, text = rounds(scores), specification_text(asked)
    n_trials = possible[0]
    decisions: tuple[str, ...] = ()
    while True:
        decisions += (decision_file(n_trials),)
        path = folder / decisions[-1]
        decision = read_signed(path) if lies_there(path) else {}
        if specification_text(decision.get("asked", {})) != text:
            return Reached(n_trials, decisions, final=False)
        following = _following(path, decision, n_trials, possible)
        if following is None:
            return Reached(n_trials, decisions)
        n_trials = following


def _following(path: Path, decision: dict, n_trials: int, possible: list[int]) -> int | None:
    """The round that a decision says comes next, None for none."""
    if decision.get("trials") != n_trials:
        raise ArtifactError(
            f"{path}: says what follows {decision.get('trials')!r:.80} trials, expected "
            f"{n_trials}: a file was put in another's place, or edited; {REMAKE}"
        )
    later = [number for number in possible if number > n_trials]
    following = decision.get("next", ...)
    known = isinstance(following, int) and following in later
    if following is not None and not known:
        found = "nothing" if following is ... else f"{following!r:.80}"
        raise ArtifactError(
            f"{path}: says that {found} comes next, expected null or a later round "
            f"({', '.join(map(str, later[:5])) or 'there is none'}); {REMAKE}"
        )
    return following


def trials_in_words(scores: Scores) -> str:
    """How many trials there will be, for readers.

    >>> trials_in_words(Scores(trials="auto"))
    '100 to 1,000'
    """
    if scores.trials != "auto":
        return f"{scores.trials:,}"
    return f"{rounds(scores)[0]:,} to {scores.max_trials:,}"

"""Whether trials are enough, and if not, how many more: what ``scores.trials: auto`` goes by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bat import files
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.progress import log
from bat.scores import memorization
from bat.scoring.trials import read_trials
from bat.statistics import trials_needed

GROWTH = 2
"""A round trains no more than makes so many times the trials: few of them tell errors roughly."""


def following_round(
    errors: np.ndarray, n_trials: int, *, precision: float, share: float, rounds: Sequence[int]
) -> int | None:
    """The number of trials to go on to, from the standard errors of those that there are.

    Parameters
    ----------
    errors : ndarray of float, shape (n_train,)
        Standard error of each sample's memorization with ``n_trials``.
    n_trials : int
        One of ``rounds``.
    precision : float
        The standard error that is wanted, above 0.
    share : float
        Of the samples that are to have it, in (0, 1].
    rounds : sequence of int
        Numbers of trials to choose from, rising.

    Returns
    -------
    int or None
        None where the share of the samples with a standard error of at most
        ``precision`` is ``share`` or more, or ``n_trials`` is the last round. Else the first
        round that errors falling as one over the root of the number of trials ask for, and
        at most the last within twice the trials, so that an early guess costs little.

    Examples
    --------
    >>> errors = np.array([0.04, 0.04, 0.06])
    >>> following_round(errors, 100, precision=0.05, share=1, rounds=[100, 120, 140, 160])
    160
    >>> following_round(errors, 100, precision=0.05, share=0.5, rounds=[100, 120, 140, 160])
    """
    later = [number for number in rounds if number > n_trials]
    if not later or np.mean(errors <= precision) >= share:
        return None
    wanted = float(np.quantile(errors, share, method="inverted_cdf"))
    needed = min(trials_needed(wanted, n_trials, precision), GROWTH * n_trials)
    within = [number for number in later if number <= GROWTH * n_trials] or later[:1]
    return next((number for number in within if number >= needed), within[-1])


def write_decision(
    shards: Sequence[Path], prepared: PreparedData, spec: dict, out: Path, *, command: str
) -> None:
    """Write, as JSON, whether the trials of some shards are enough.

    Parameters
    ----------
    shards : sequence of path
        With the trials from 0 to one of the rounds.
    prepared : PreparedData
    spec : dict
        From `bat.plan.specifications`: ``dataset``, ``recipe``, ``precision``,
        ``precise_share`` and ``rounds``.
    out : path
        Gets ``trials``, the ``precise`` share of the samples, whether that is enough
        (``held``), and the number of trials to go on to (``next``), None for none.
    command : str
        For the record.

    Raises
    ------
    ArtifactError
        If a shard is damaged or of another recipe, or the trials are those of no round.
    """
    trials = read_trials(shards, prepared, "auto", recipe=spec["recipe"])
    n_trials = len(trials.included)
    if n_trials not in spec["rounds"]:
        raise ArtifactError(
            f"the shards hold {n_trials} trials; expected those of a round "
            f"({', '.join(map(str, spec['rounds'][:5]))}, ...); give the shards of one"
        )
    errors = memorization(trials.included, trials.train_correct).memorization_se
    asked = {"precision": spec["precision"], "share": spec["precise_share"]}
    following = following_round(errors, n_trials, **asked, rounds=spec["rounds"])
    precise = float(np.mean(errors <= spec["precision"]))
    decision = {
        "trials": n_trials,
        "precise": precise,
        "held": precise >= spec["precise_share"],
        "next": following,
        "asked": spec,
        "fingerprint": prepared.fingerprint,
        "identity": {"dataset": spec["dataset"], "trials": n_trials},
        "inputs": {"trials": trials.digest()},
        "recipe": trials.recipe,
        "command": command,
    }
    _tell(decision)
    files.write_json(out, files.signed(decision))


def _tell(decision: dict) -> None:
    precision, share = (decision["asked"][key] for key in ("precision", "precise_share"))
    found = (
        f"{decision['trials']} trials: {100 * decision['precise']:.1f} % of the samples have a "
        f"standard error of at most {precision:g}, {100 * share:g} % are asked for"
    )
    if decision["next"] is not None:
        log.info("%s; going on to %d trials", found, decision["next"])
    elif decision["held"]:
        log.info("%s; enough", found)
    else:
        log.warning("%s, and max_trials are trained; the scores are less precise", found)

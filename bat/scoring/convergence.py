"""How the scores settle with the number of trials."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from operator import or_
from pathlib import Path

import numpy as np
import pandas as pd

from bat import files
from bat.data import PreparedData
from bat.scores import agreement, convergence, discoveries, influence_convergence
from bat.scores.estimates import REPEATS as CONVERGENCE_REPEATS
from bat.scores.estimates import convergence_steps
from bat.scoring.trials import ShardTrials, read_trials


def write_convergence(
    shards: Sequence[Path], prepared: PreparedData, spec: dict, out: Path
) -> None:
    """Write how the scores settle with the number of trials, as CSV.

    Where all trials have margins, also what these are worth in trials.
    """
    trials = read_trials(shards, prepared, spec["trials"], recipe=spec["recipe"], margins=True)
    n_trials, seed = len(trials.included), spec["recipe"]["seed"]
    steps = convergence_steps(n_trials)
    rows = convergence(
        trials.included,
        trials.train_correct,
        steps=steps,
        repeats=CONVERGENCE_REPEATS,
        seed=seed,
    )
    labels = np.asarray(prepared.train_labels), np.asarray(prepared.test_labels)
    of_pairs = influence_convergence(
        trials.included,
        trials.train_correct,
        trials.test_correct,
        *labels,
        steps=steps,
        seed=seed,
    )
    parts = [rows, of_pairs]
    if trials.train_margin is not None:
        parts += _of_margins(trials, labels, steps, seed)
    table = pd.DataFrame([functools.reduce(or_, row) for row in zip(*parts, strict=True)])
    files.write_bytes(out, table.to_csv(index=False).encode())
    files.write_label(
        out,
        fingerprint=prepared.info["fingerprint"],
        identity={"dataset": spec["dataset"]},
        inputs={"trials": trials.digest()},
        recipe=trials.recipe,
    )


def _of_margins(
    trials: ShardTrials, labels: tuple[np.ndarray, np.ndarray], steps: list[int], seed: int
) -> list[list[dict]]:
    """Columns by step: agreement with other trials, and pairs that stand."""
    included, test = trials.included, (trials.test_correct, trials.test_margin)
    return [
        agreement(
            included,
            trials.train_correct,
            trials.train_margin,
            steps=steps,
            repeats=CONVERGENCE_REPEATS,
            seed=seed,
        ),
        discoveries(included, *test, *labels, steps=steps, seed=seed),
    ]

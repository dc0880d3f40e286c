"""How the scores settle with the number of trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bat import files
from bat.data import PreparedData
from bat.scores import convergence, influence_convergence
from bat.scores.estimates import REPEATS as CONVERGENCE_REPEATS
from bat.scores.estimates import convergence_steps
from bat.scoring.trials import read_trials


def write_convergence(
    shards: Sequence[Path], prepared: PreparedData, spec: dict, out: Path
) -> None:
    """Write how the scores settle with the number of trials, as CSV."""
    trials = read_trials(shards, prepared, spec["trials"], recipe=spec["recipe"])
    n_trials, seed = len(trials.included), spec["recipe"]["seed"]
    steps = convergence_steps(n_trials)
    rows = convergence(
        trials.included,
        trials.train_correct,
        steps=steps,
        repeats=CONVERGENCE_REPEATS,
        seed=seed,
    )
    of_pairs = influence_convergence(
        trials.included,
        trials.train_correct,
        trials.test_correct,
        np.asarray(prepared.train_labels),
        np.asarray(prepared.test_labels),
        steps=steps,
        seed=seed,
    )
    table = pd.DataFrame([row | more for row, more in zip(rows, of_pairs, strict=True)])
    files.write_bytes(out, table.to_csv(index=False).encode())
    files.write_label(
        out,
        fingerprint=prepared.info["fingerprint"],
        identity={"dataset": spec["dataset"]},
        inputs={"trials": trials.digest()},
        recipe=trials.recipe,
    )

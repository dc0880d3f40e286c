"""Score tables from trials that others trained: checked as a whole, estimated as our own."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bat import files
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.progress import log
from bat.scores.counts import column_sums
from bat.scoring.tables import write_scores_of
from bat.scoring.trials import ShardTrials
from bat.sharing.folders import FILE_NAMES, REQUIRED, naming
from bat.sharing.raw_trials import RawTrials, read_raw_trials
from bat.validation import check_all

LEAST = 2
"""Models with each sample, and without it."""

BY_CHANCE = 3.0
"""Standard errors by which models must be right more often on what they saw."""


def import_trials(
    paths: Sequence[Path],
    prepared: PreparedData,
    out: Path,
    *,
    dataset: str,
    influence: dict,
    min_included_accuracy: float,
    command: str,
    about: dict | None = None,
) -> None:
    """Estimate the scores of a data set from trials of others.

    Parameters
    ----------
    paths : sequence of path
        As for `read_raw_trials`.
    prepared : PreparedData
        The data that the models were trained on, in the order of the arrays.
    out : path
        Gets ``memorization``, ``influence`` and ``test``, which ``scores.source`` takes.
    dataset, influence, min_included_accuracy, command
        As for `bat.scoring.merging.merge`.
    about : dict, optional
        What to say of the models beside what the files say: ``architecture``, ``source``.

    Raises
    ------
    ArtifactError
        If a file is not of this data (see `read_raw_trials`), a sample is in or out of
        fewer than two models, two models are the same, or models are not right more
        often on the samples that they saw. Then ``out`` is as it was.
    """
    raw = read_raw_trials(paths, prepared)
    name = ", ".join(str(path) for path in paths)
    _check_whole(raw, name)
    recipe = _recipe(raw) | (about or {})
    masks = raw.included, raw.train_correct, raw.test_correct
    trials = ShardTrials.of(*masks, recipe=recipe, **raw.margins)
    _check_order(trials, name)
    spec = {
        "dataset": dataset,
        "influence": influence,
        "min_included_accuracy": min_included_accuracy,
        "allow_unfitted": True,  # whoever imports sees the warning; a configuration refuses them
    }
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".imported.", dir=out) as staging:
        write_scores_of(trials, prepared, spec, Path(staging), command=command)
        tables = [Path(staging) / FILE_NAMES[kind] for kind in REQUIRED]
        with naming(staging, name):
            check_all(tables, prepared)
        for table in tables:
            with files.atomic_path(out / table.name) as temporary:
                shutil.copyfile(table, temporary)
    log.info("%s: scores from %d models; use them with scores.source", out, len(raw.included))


def _recipe(raw: RawTrials) -> dict:
    """What is known of the models; the subsets' share of the samples, where all have one."""
    sizes = raw.included.sum(axis=1)
    ratio = sizes[0] / raw.included.shape[1]
    same = {"subset_ratio": float(ratio)} if (sizes == sizes[0]).all() else {}
    return same | raw.recipe


def _check_whole(raw: RawTrials, name: str) -> None:
    """Refuse trials that leave a score undefined, or that are there twice."""
    n_in = column_sums(raw.included)
    few_in, few_out = n_in < LEAST, len(raw.included) - n_in < LEAST
    if few_in.any() or few_out.any():
        raise ArtifactError(
            f"{name}: of {len(n_in)} samples, {few_in.sum()} were in fewer than {LEAST} of "
            f"{len(raw.included)} subsets and {few_out.sum()} out of fewer (for example sample "
            f"{int((few_in | few_out).argmax())}), so their scores are not known; add trials that "
            "vary them. Where only some samples were ever left out, bat.memorization takes their "
            "columns alone"
        )
    rows = np.hstack([raw.included, raw.train_correct, raw.test_correct])
    seen: dict[bytes, int] = {}
    for model, row in enumerate(rows):
        digest = hashlib.sha256(np.packbits(row)).digest()
        if digest in seen:
            raise ArtifactError(
                f"{name}: models {seen[digest]} and {model} (counted from 0) are the same, in "
                "their subsets and all that they got right; give each model once"
            )
        seen[digest] = model


def _check_order(trials: ShardTrials, name: str) -> None:
    """Refuse models that are no better on what they saw: arrays of other rows or columns."""
    n_in = trials.included.sum()
    n_out = trials.included.size - n_in
    right = trials.train_correct.mean()
    chance = np.sqrt(right * (1 - right) * (1 / n_in + 1 / n_out))
    inside = trials.train_correct[trials.included].mean()
    outside = trials.train_correct[~trials.included].mean()
    if inside - outside > BY_CHANCE * chance:
        return
    why = "the models did not fit, or the correctness has another order than the masks"
    if outside - inside > BY_CHANCE * chance:
        why = "the masks may say which samples were left out, or the arrays are of other models"
    raise ArtifactError(
        f"{name}: on samples in their subsets the models are right in {inside:.2%}, on others in "
        f"{outside:.2%}; expected at least {BY_CHANCE * chance:.2%} more on those that they saw, "
        f"which chance hardly gives: {why}"
    )

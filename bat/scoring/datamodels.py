"""Trials as the ground truth of datamodels: which samples each saw, and its test margins.

Ilyas et al. (2022), arXiv:2202.00622, regress the margin of a test sample on the training
subset; the linear datamodeling score of Park et al. (2023), arXiv:2303.14186, compares the
margins that an attribution predicts for subsets with those of models trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bat import validation
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.files import atomic_path, read_metadata
from bat.files.bits import unpack
from bat.progress import log
from bat.scoring.merging import differences, shards_of
from bat.scoring.outcomes import MARGINS, MASKS

KEYS = ("masks", "train_correct", "test_correct", "train_margins", "margins")
"""What the npz calls the columns of ``MASKS`` and ``MARGINS``."""


def export_datamodels(
    paths: Sequence[Path],
    prepared: PreparedData,
    out: Path,
    *,
    architecture: str | None = None,
) -> None:
    """Write masks, margins and right predictions of trials of one recipe to one npz.

    Parameters
    ----------
    paths : sequence of path
        Shards, folders of shards, or folders with a folder ``trials`` of them.
    prepared : PreparedData
        The data set that all of them were trained on.
    out : path
        Gets ``masks`` (bool, of shape (n_trials, n_train)), ``margins`` (float16, of
        shape (n_trials, n_test)), ``train_margins`` (float16, (n_trials, n_train)),
        ``train_correct`` and ``test_correct`` (bool), ``trials`` (the number of each
        row), ``labels``, ``test_labels``, and ``recipe`` and ``fingerprint`` as text.

    architecture : str, optional
        Whose trials to take, where the shards are of several (as an ensemble's are).

    Raises
    ------
    ArtifactError
        If there are no trials, a shard holds no margins or breaks a rule, recipes or
        data differ, or a trial is in two shards.
    """
    n_train, n_test = len(prepared.train_labels), len(prepared.test_labels)
    rows: dict[int, tuple[np.ndarray, ...]] = {}
    known, others = None, set()
    for shard in [shard for path in paths for shard in shards_of(Path(path))]:
        metadata = read_metadata(shard, "trials", fingerprint=prepared.fingerprint)
        validation.check_metadata(shard, "trials", metadata)
        recipe = metadata["recipe"]
        name = str(recipe.get("architecture"))
        if architecture not in (None, name):
            others.add(name)
            continue
        known = known or recipe
        if recipe != known:
            raise ArtifactError(
                f"{shard}: trained with another recipe than the shards before it "
                f"({'; '.join(differences(recipe, known))}); give shards of one recipe, or of "
                "several architectures and name one of them"
            )
        _, table, _ = validation.check_table(shard, prepared)
        for row in table.select(["trial", *MASKS, *MARGINS]).to_pylist():
            trial = row["trial"]
            if trial in rows:
                raise ArtifactError(f"{shard}: trial {trial} is also in another shard")
            if row["test_margin"] is None:
                raise ArtifactError(
                    f"{shard}: holds no margins of trial {trial}, expected those of every trial; "
                    "it was trained without them: train these trials anew with scores.margins "
                    "true, or leave the shard out"
                )
            sizes = n_train, n_train, n_test
            masks = [unpack(row[name], n) for name, n in zip(MASKS, sizes, strict=True)]
            rows[trial] = *masks, *(np.frombuffer(row[name], np.float16) for name in MARGINS)
    if not rows:
        raise ArtifactError(
            f"no trials of {architecture}; the shards are of {', '.join(sorted(others))}"
        )
    trials = sorted(rows)
    arrays = zip(KEYS, zip(*(rows[trial] for trial in trials), strict=True), strict=True)
    with atomic_path(out) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            **{key: np.stack(values) for key, values in arrays},
            trials=np.array(trials, np.int32),
            labels=np.asarray(prepared.train_labels),
            test_labels=np.asarray(prepared.test_labels),
            recipe=np.array(json.dumps(known, sort_keys=True)),
            fingerprint=np.array(prepared.fingerprint),
        )
    log.info("%s: masks, margins and right predictions of %d trials", out, len(trials))

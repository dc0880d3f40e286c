"""Score tables from trial shards: memorization, influence and test, and the ensemble's.

Each function is one stage of the workflow: it reads files, checks that they
belong together, and writes its tables. The computing is done in `bat.scores`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bat import files
from bat.data import PreparedData
from bat.files import write_table
from bat.progress import log
from bat.scores import InfluenceScores, influence, memorization
from bat.scores.ensembles import confidence, disagreement, predictions
from bat.scores.fit import chance_accuracy, fit_sentence, require_fit
from bat.scores.margin_influence import LEAST_TRIALS
from bat.scores.margins import memorization_from_margins
from bat.scores.standing import standing_pairs
from bat.scoring.trials import ShardTrials, read_trials


def write_scores(
    shards: Sequence[Path], prepared: PreparedData, spec: dict, out: Path, *, command: str
) -> None:
    """Write ``memorization``, ``influence`` and ``test`` tables (equations 1 and 2)."""
    trials = read_trials(shards, prepared, spec["trials"], recipe=spec["recipe"], margins=True)
    write_scores_of(trials, prepared, spec, out, command=command)


def write_scores_of(
    trials: ShardTrials, prepared: PreparedData, spec: dict, out: Path, *, command: str
) -> None:
    """Write the tables of `write_scores` from trials, wherever they come from.

    Parameters
    ----------
    trials : ShardTrials
    prepared : PreparedData
    spec : dict
        ``dataset``, ``influence``, ``min_included_accuracy`` and ``allow_unfitted``.
    out : path
        Folder of the tables.
    command : str
        For the metadata.

    Raises
    ------
    BatError
        If the models do not fit what they saw, or a score is undefined.
    """
    labels, test_labels = np.asarray(prepared.train_labels), np.asarray(prepared.test_labels)
    provenance = {
        "fingerprint": prepared.info["fingerprint"],
        "dataset": spec["dataset"],
        "recipe": trials.recipe,
        "accuracies": trials.accuracies,
        "chance_accuracy": chance_accuracy(labels),
        "min_included_accuracy": spec["min_included_accuracy"],
        "converged": trials.accuracies["included"] >= spec["min_included_accuracy"],
        "influence": spec["influence"],
        "command": command,
        "identity": {"dataset": spec["dataset"]},
        "inputs": {"trials": trials.digest()},
    }
    require_fit(provenance, spec.get("allow_unfitted", False))
    _warn_of_fit(provenance)
    columns = {"index": np.arange(len(labels)), "label": labels} | _memorization(trials)
    write_table(out / "memorization.parquet", "memorization", columns, **provenance)
    columns, pairs, chance = _influence(trials, labels, test_labels, spec["influence"])
    write_table(out / "influence.parquet", "influence", columns, **provenance, chance=chance)
    columns = {
        "index": np.arange(len(test_labels)),
        "label": test_labels,
        "accuracy": pairs.test_accuracy,
        "max_influence": pairs.max_influence,
        "max_influence_train_index": pairs.max_influence_train_index,
    }
    write_table(out / "test.parquet", "test", columns, **provenance)


def _memorization(trials: ShardTrials) -> dict[str, np.ndarray]:
    """Columns of the table, with the estimate from margins where there are some."""
    scores = memorization(trials.included, trials.train_correct)
    by_margins = files.LEFT_OUT["memorization"]
    names = [name for name in files.SCHEMAS["memorization"].names[2:] if name not in by_margins]
    columns = {name: getattr(scores, name) for name in names}
    if trials.train_margin is not None:
        found = memorization_from_margins(trials.included, trials.train_margin)
        columns |= {name: getattr(found, name) for name in by_margins}
    return columns


def _influence(
    trials: ShardTrials, labels: np.ndarray, test_labels: np.ndarray, asked: dict
) -> tuple[dict[str, np.ndarray], InfluenceScores, dict]:
    """Columns of the table, the scores of bits alone, and what is said of chance."""
    asked = {name: asked[name] for name in ("pairs", "keep_above")}
    names = ["train_index", "test_index", "influence", "influence_se", "q"]
    if trials.test_margin is None or len(trials.included) < LEAST_TRIALS:
        bits = influence(trials.included, trials.test_correct, labels, test_labels, **asked)
        return {name: getattr(bits, name) for name in names}, bits, bits.chance
    masks = trials.included, trials.test_correct, trials.test_margin
    both = standing_pairs(*masks, labels, test_labels, **asked)
    of_margins = [*names[:2], *sorted(files.LEFT_OUT["influence"])]
    columns = {name: getattr(both, name) for name in names[2:]}
    columns |= {name: getattr(both.margins, name) for name in of_margins}
    chance = both.bits.chance | {"standing_margin": both.margins.standing}
    return columns, both.bits, chance


def _warn_of_fit(metadata: dict) -> None:
    if sentence := fit_sentence(metadata):
        log.warning("%s Train longer", sentence)


def write_ensembles(
    shards: dict[str, Sequence[Path]],
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    command: str,
) -> None:
    """Write ``disagreement`` and ``confidence`` tables (paper, A.1).

    Parameters
    ----------
    shards : dict of str to sequence of path
        By architecture.
    prepared : PreparedData
    spec : dict
        ``dataset``, ``recipes`` by architecture, ``members`` of each, and ``samples``,
        'held_out' or 'in_sample'.
    out : path
        Folder of the tables.
    command : str
        For the metadata.

    Raises
    ------
    BatError
        If a trial is missing or has no probabilities, or a sample has too few members.
    """
    n, labels = spec["members"], np.asarray(prepared.train_labels)
    n_classes = len(prepared.info["class_names"])
    probabilities = np.empty((n * len(shards), len(labels), n_classes), np.float16)
    members = [
        read_trials(
            paths,
            prepared,
            n,
            recipe=spec["recipes"][name],
            members=n,
            probabilities=probabilities[at * n : (at + 1) * n],
        )
        for at, (name, paths) in enumerate(shards.items())
    ]
    left_out = ~np.concatenate([trials.included for trials in members])
    held_out = left_out if spec["samples"] == "held_out" else None
    provenance = {
        "fingerprint": prepared.info["fingerprint"],
        "dataset": spec["dataset"],
        "recipe": {name: t.recipe for name, t in zip(shards, members, strict=True)},
        "samples": spec["samples"],
        "accuracies": min((t.accuracies for t in members), key=lambda means: means["included"]),
        "chance_accuracy": chance_accuracy(labels),
        "command": command,
        "identity": {"dataset": spec["dataset"]},
        "inputs": {f"trials of {name}": t.digest() for name, t in zip(shards, members, strict=True)}
        | {"probabilities": hashlib.sha256(probabilities).hexdigest()},
    }
    _warn_of_fit(provenance)
    predicted = {"n_held_out": left_out.sum(axis=0)}
    by_place = zip(*(found.T for found in predictions(probabilities, left_out)), strict=True)
    for names, values in zip(files.PREDICTED, by_place, strict=True):
        predicted |= dict(zip(names, values, strict=True))
    for name, values, more in (
        ("disagreement", disagreement(probabilities, held_out), {}),
        ("confidence", confidence(probabilities, labels, held_out), predicted),
    ):
        columns = {"index": np.arange(len(labels)), "label": labels, name: values} | more
        write_table(out / f"{name}.parquet", name, columns, **provenance)

"""Which files make which artefact: the plan that the workflow follows.

The configuration is cut here into one specification per stage, each holding
only what that stage depends on. They are written as small JSON files that
change only when their content does, and are inputs of the rules: a key that a
stage does not use runs nothing again.
"""

from __future__ import annotations

from pathlib import Path

from bat import artifacts
from bat.config import Config, Dataset, Scores

STAGES = {"data": 1, "trials": 1, "scores": 1, "ensembles": 1, "groups": 1, "convergence": 1}
"""Raised when a change of the code changes what a stage gives."""


def trial_recipe(architecture: str, scores: Scores) -> dict:
    """All that determines a trial, beside its number and the data."""
    return {
        "stage_version": STAGES["trials"],
        "architecture": architecture,
        "subset_ratio": scores.subset_ratio,
        "seed": scores.seed,
        "training": scores.training.model_dump(mode="json"),
    }


def trial_counts(dataset: Dataset) -> dict[str, int]:
    """Number of trials by architecture, for the scores and for the ensemble."""
    counts = {name: dataset.ensemble.members for name in dataset.ensemble.architectures}
    main = dataset.scores.architecture
    return counts | {main: max(dataset.scores.trials, counts.get(main, 0))}


def shard_names(architecture: str, n_trials: int, trials_per_job: int) -> list[str]:
    """File names of the shards that hold trials 0 to ``n_trials - 1``.

    >>> shard_names("resnet9", 120, 50)[-1]
    'resnet9-000100-000119.parquet'
    """
    return [
        f"{architecture}-{first:06d}-{min(first + trials_per_job, n_trials) - 1:06d}.parquet"
        for first in range(0, n_trials, trials_per_job)
    ]


def shards(name: str, dataset: Dataset, architecture: str, n_trials: int | None = None):
    """Paths, below the results folder, of the shards of one architecture.

    With ``n_trials``, only those that hold a trial below that number.
    """
    per_job, total = dataset.scores.trials_per_job, trial_counts(dataset)[architecture]
    names = shard_names(architecture, total, per_job)
    if n_trials is not None:
        names = names[: -(-n_trials // per_job)]
    return [f"{name}/trials/{shard}" for shard in names]


def specifications(config: Config) -> dict[str, dict]:
    """The specification of every stage, by path below the results folder."""
    specs: dict[str, dict] = {}
    for name, dataset in config.datasets.items():
        folder, scores = f"{name}/specs", dataset.scores
        common = {"dataset": name}
        specs[f"{folder}/data.json"] = common | {
            "stage_version": STAGES["data"],
            "data": dataset.data.model_dump(mode="json"),
        }
        for architecture in trial_counts(dataset):
            in_ensemble = architecture in dataset.ensemble.architectures
            specs[f"{folder}/trials-{architecture}.json"] = common | {
                "recipe": trial_recipe(architecture, scores),
                "members": dataset.ensemble.members if in_ensemble else 0,
            }
        trials = {"trials": scores.trials, "recipe": trial_recipe(scores.architecture, scores)}
        specs[f"{folder}/scores.json"] = (
            common
            | trials
            | {
                "stage_version": STAGES["scores"],
                "influence": scores.influence.model_dump(mode="json"),
                "min_included_accuracy": scores.min_included_accuracy,
            }
        )
        specs[f"{folder}/convergence.json"] = (
            common | trials | {"stage_version": STAGES["convergence"]}
        )
        specs[f"{folder}/ensembles.json"] = common | {
            "stage_version": STAGES["ensembles"],
            "recipes": {a: trial_recipe(a, scores) for a in dataset.ensemble.architectures},
            "members": dataset.ensemble.members,
            "samples": dataset.ensemble.samples,
        }
        specs[f"{folder}/groups.json"] = common | {
            "stage_version": STAGES["groups"],
            "groups": dataset.groups.model_dump(mode="json"),
        }
        specs[f"{folder}/figures.json"] = common | {
            "atypical_above": dataset.groups.atypical_above,
            "influence_above": dataset.groups.influence_above,
            "precision": scores.precision,
        }
    return specs


def write_specifications(config: Config) -> list[Path]:
    """Write the specifications that changed; returns their paths."""
    return [
        path
        for relative, spec in specifications(config).items()
        if artifacts.write_json_if_changed(path := config.results / relative, spec)
    ]

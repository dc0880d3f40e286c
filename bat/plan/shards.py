"""Trials, and the files that hold them: one shard for each job."""

from __future__ import annotations

from pathlib import Path

from bat.config import Dataset, Scores
from bat.errors import ArtifactError
from bat.files import empty_rows, read_metadata


def trial_counts(dataset: Dataset) -> dict[str, int]:
    """Number of trials by architecture, for the scores and for the ensemble; at most, with auto."""
    counts = {name: dataset.ensemble.members for name in dataset.ensemble.architectures}
    main = dataset.scores.architecture
    return counts | {main: max(most_trials(dataset.scores), counts.get(main, 0))}


def most_trials(scores: Scores) -> int:
    """Trials behind the scores; with ``trials: auto`` the most that there can be."""
    return scores.max_trials if scores.trials == "auto" else scores.trials


def shard_names(architecture: str, n_trials: int, trials_per_job: int) -> list[str]:
    """File names of the shards that hold trials 0 to ``n_trials - 1``.

    >>> shard_names("resnet9", 120, 50)[-1]
    'resnet9-000100-000119.parquet'
    """
    return [
        f"{architecture}-{first:06d}-{min(first + trials_per_job, n_trials) - 1:06d}.parquet"
        for first in range(0, n_trials, trials_per_job)
    ]


def trials_per_job(scores: Scores, architecture: str) -> int:
    """Trials of one job: as many as its wall time holds, where a trial's time is configured.

    A function of the configuration alone, so that the bounds of shards stay
    where they are from one run of the workflow to the next.

    >>> trials_per_job(Scores(seconds_per_trial={"resnet9": 50}, job_minutes=60), "resnet9")
    72
    """
    seconds = scores.seconds_per_trial.get(architecture)
    if seconds is None:
        return scores.trials_per_job
    return max(1, int(60 * scores.job_minutes / seconds))


def shard_files(dataset: Dataset, architecture: str, n_trials: int | None = None) -> list[str]:
    """Shards of one architecture, below the data set's folder.

    Parameters
    ----------
    dataset : Dataset
    architecture : str
        One of `trial_counts`.
    n_trials : int, optional
        Only those that hold a trial below this number.
    """
    per_job = trials_per_job(dataset.scores, architecture)
    names = shard_names(architecture, trial_counts(dataset)[architecture], per_job)
    if n_trials is not None:
        names = names[: -(-n_trials // per_job)]
    return [f"trials/{name}" for name in names]


def score_shards(dataset: Dataset, n_trials: int) -> list[str]:
    """Shards behind memorization and influence: with ``trials: auto`` of the first so many."""
    return shard_files(dataset, dataset.scores.architecture, n_trials)


def rounds(scores: Scores) -> list[int]:
    """Numbers of trials after which ``trials: auto`` may look whether they are enough.

    Each is that of whole jobs, from the first that holds ``min_trials`` to ``max_trials``.

    >>> rounds(Scores(trials="auto", min_trials=60, max_trials=220, trials_per_job=50))
    [100, 150, 200, 220]
    """
    per_job = trials_per_job(scores, scores.architecture)
    first = -(-scores.min_trials // per_job) * per_job
    return [*range(first, scores.max_trials, per_job), scores.max_trials]


def ensemble_shards(dataset: Dataset) -> list[str]:
    """Shards behind disagreement and confidence."""
    ensemble = dataset.ensemble
    return [
        shard
        for architecture in ensemble.architectures
        for shard in shard_files(dataset, architecture, ensemble.members)
    ]


def may_lack_margins(dataset: Dataset, folder: Path, recipe: dict, n_trials: int) -> bool:
    """Whether trials behind the scores have no margins, or may turn out to have none.

    Parameters
    ----------
    dataset : Dataset
    folder : path
        Results folder of the data set.
    recipe : dict
        Of the trials; those of another one are trained again, and so not looked at.
    n_trials : int
        Those behind the scores, or with ``trials: auto`` those that are known to be.

    Returns
    -------
    bool
        True also where somebody's own training, which may give no logits, has yet to
        train its trials.
    """
    paths = [folder / shard for shard in score_shards(dataset, n_trials)]
    if dataset.scores.trainer is not None and not all(path.exists() for path in paths):
        return True
    paths += (folder / "trials" / ".partial" / dataset.scores.architecture).glob("*.parquet")
    return any(_lacks_margins(path, recipe) for path in paths if path.exists())


def _lacks_margins(path: Path, recipe: dict) -> bool:
    try:
        if read_metadata(path, "trials")["recipe"] != recipe:
            return False
        return empty_rows(path, "trials", "train_margin") > 0
    except (ArtifactError, OSError):  # its trials are trained again
        return False


def covered_trials(dataset: Dataset, architecture: str) -> tuple[int, int]:
    """Trials behind the scores and behind held-out scores, 0 where there are none.

    With so many, every sample is to be in a subset and out of one; a shard's job
    checks that before it trains.
    """
    scores, ensemble = dataset.scores, dataset.ensemble
    n_trials = 0
    if architecture == scores.architecture:
        n_trials = rounds(scores)[0] if scores.trials == "auto" else scores.trials
    return n_trials, ensemble.members if ensemble.samples == "held_out" else 0

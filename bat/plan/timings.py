"""What finished jobs have taken: shards say it of their trials, benchmark files of the rest."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from statistics import fmean

from bat.config import Config, Dataset
from bat.errors import ArtifactError
from bat.files import column, read_metadata, read_table
from bat.plan.shards import trial_counts
from bat.plan.specifications import trial_recipe
from bat.reading import regular_file


def seconds_per_trial(config: Config) -> dict[str, dict[str, float]]:
    """Measured seconds of one trial by data set and architecture, where shards are on disk."""
    measured: dict[str, dict[str, float]] = {}
    for name, dataset in config.datasets.items():
        for architecture in trial_counts(dataset):
            seconds = finished_trials(config.results / name, dataset, architecture)
            if seconds:
                measured.setdefault(name, {})[architecture] = fmean(seconds.values())
    return measured


def finished_trials(folder: Path, dataset: Dataset, architecture: str) -> dict[int, float]:
    """Seconds of the trials of the configured recipe that are on disk, by number."""
    recipe = trial_recipe(architecture, dataset.scores, dataset.networks)
    found: dict[int, float] = {}
    folders = [folder / "trials", folder / "trials" / ".partial" / architecture]
    for path in (path for place in folders for path in place.glob("*.parquet")):
        if not re.fullmatch(rf"({re.escape(architecture)}-\d+-)?\d+", path.stem):
            continue
        try:
            if read_metadata(path, "trials")["recipe"] != recipe:
                continue
            table, _ = read_table(path, "trials", columns=["trial", "seconds"])
        except ArtifactError:
            continue  # the job that needs it says so, and trains its trials again
        found |= zip(
            column(table, "trial").tolist(), column(table, "seconds").tolist(), strict=True
        )
    return found


def read_benchmark(path: Path) -> float | None:
    """Seconds that a benchmark file of Snakemake tells, the mean over its rows."""
    try:
        with regular_file(path).open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            seconds = fmean(float(row["s"] or "nan") for row in rows)
    except (OSError, KeyError, ValueError, csv.Error):
        return None  # absent, or the job was killed while it was written
    return seconds if 0 <= seconds < math.inf else None

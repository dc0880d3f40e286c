# The configuration, checked; specifications of the stages; paths that rules share.

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from bat import studies
from bat.config import load_config
from bat.errors import BatError
from bat.stopping import UNDER_WORKFLOW

try:
    CONFIG = load_config(config, files=workflow.configfiles)
    studies.write_specifications(CONFIG)
except BatError as error:
    raise WorkflowError(str(error))

RESULTS = str(CONFIG.results)
# the package is run from the working directory, the repository's root
WITH_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
BAT = f"{'python' if WITH_CONDA else sys.executable} -m bat"
DEVICE = f"--device {CONFIG.compute.device} --jobs-per-gpu {CONFIG.compute.jobs_per_gpu}"
COMPILE = f"--{'' if CONFIG.compute.compile else 'no-'}compile"  # where models are trained
SCORE_TABLES = ["memorization", "influence", "test", "disagreement", "confidence"]
FIGURES = {
    "fig5": ["scores/memorization.parquet"],
    "fig6": ["scores/memorization.parquet"],
    "fig7": [f"scores/{table}.parquet" for table in ("memorization", "influence", "test")],
    "alignment": [
        f"scores/{table}.parquet" for table in ("memorization", "disagreement", "confidence")
    ],
    "convergence": ["scores/memorization.parquet", "scores/convergence.csv"],
    "groups": [
        "scores/memorization.parquet",
        "groups/train.parquet",
        "groups/test.parquet",
    ],
}  # what each is drawn from
# data sets whose score tables come from a source, and the tables that it does not bring
SOURCED = {
    name: {"disagreement", "confidence", "convergence"} - set(dataset.scores.tables)
    for name, dataset in CONFIG.datasets.items()
    if dataset.scores.source is not None
}
TRAINED = [name for name in CONFIG.datasets if name not in SOURCED]


pathvars:
    results=RESULTS,


wildcard_constraints:
    dataset="|".join(map(re.escape, CONFIG.datasets)),
    architecture="[^/]+",
    first=r"\d{6}",
    last=r"\d{6}",
    split="train|test",


def shard_files(name, architecture, n_trials=None):
    """Shards of one architecture, or only those with a trial below a number."""
    shards = studies.shards(name, CONFIG.datasets[name], architecture, n_trials)
    return [f"{RESULTS}/{shard}" for shard in shards]


def score_shards(wildcards):
    """Shards behind memorization and influence."""
    scores = CONFIG.datasets[wildcards.dataset].scores
    return shard_files(wildcards.dataset, scores.architecture, scores.trials)


def ensemble_shards(wildcards):
    """Shards behind disagreement and confidence."""
    ensemble = CONFIG.datasets[wildcards.dataset].ensemble
    return [
        shard
        for architecture in ensemble.architectures
        for shard in shard_files(wildcards.dataset, architecture, ensemble.members)
    ]


def coverage(wildcards):
    """Numbers of trials that a shard's job checks before it trains."""
    dataset = CONFIG.datasets[wildcards.dataset]
    n_trials = dataset.scores.trials
    if wildcards.architecture != dataset.scores.architecture:
        n_trials = 0
    held_out = dataset.ensemble.samples == "held_out"
    return f"--n-trials {n_trials} --n-held-out {dataset.ensemble.members if held_out else 0}"


def one_of(names):
    """A wildcard constraint that lets these names through, and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


def score_files(name, tables=SCORE_TABLES):
    """Those of the score tables that there are for a data set."""
    return [
        f"{RESULTS}/{name}/scores/{table}{'.csv' if table == 'convergence' else '.parquet'}"
        for table in tables
        if table not in SOURCED.get(name, ())
    ]


def absent(name):
    """Say that a source does not bring the table that is asked for."""
    raise WorkflowError(
        f"the source of {name}'s scores is not said to hold {', '.join(sorted(SOURCED[name]))}, "
        "and nothing is trained beside a source; list the table under scores.tables if the "
        "source holds it, or remove scores.source to train"
    )


def is_drawn(name, figure):
    """Whether a data set has all the score tables that a figure is drawn from."""
    return not any(Path(file).stem in SOURCED.get(name, ()) for file in FIGURES.get(figure, ()))


def figure_files(figures):
    """Files of the named figures for every data set that they can be drawn for."""
    return [
        f"{RESULTS}/{name}/figures/{figure}.{suffix}"
        for name in CONFIG.datasets
        for figure in figures
        if is_drawn(name, figure)
        for suffix in ("pdf", "png", "csv")
    ]


def figure_asked_for(figure):
    """Files of one figure; refused where no data set has what it is drawn from."""
    files = figure_files([figure])
    if not files:
        raise WorkflowError(
            f"{figure} needs a table that no configured source of scores brings (it is drawn from "
            f"{', '.join(FIGURES[figure])}); list it under scores.tables if the source holds it, "
            "or remove scores.source to train"
        )
    return files

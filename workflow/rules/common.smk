# The package; the configuration, checked; specifications of the stages; paths that rules share.

import json
import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

# the package that lies beside this workflow goes before any other, wherever it is started
ROOT = Path(str(workflow.current_basedir)).parents[1]
BESIDE = (ROOT / "bat" / "__init__.py").is_file()
if BESIDE:
    if odd := set(str(ROOT)) & {os.pathsep, "{", "}"}:
        raise WorkflowError(
            f"{ROOT}: the path of the checkout holds {' '.join(sorted(odd))}, which Snakemake and "
            "Python's search path take for more than a name; move the checkout"
        )
    sys.path.insert(0, str(ROOT))
try:
    from bat.files import artifacts
    from bat.plan import catalogue, needs, studies
    from bat.config import load_config
    from bat.errors import BatError
    from bat.files.specifications import specification_name, specification_text
    from bat.stopping import UNDER_WORKFLOW
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"the package bat cannot be imported ({error}): use the workflow from a checkout, in the "
        "environment that `make install` makes there, or install the package beside Snakemake "
        "(`pip install CHECKOUT`)"
    )

try:
    CONFIG = load_config(config, files=workflow.configfiles)
    CATALOGUE = catalogue.read_catalogue()
except BatError as error:
    raise WorkflowError(str(error))

RESULTS = str(CONFIG.results)
WITH_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
# what lies in the working directory is never taken for a module
BAT = f"PYTHONSAFEPATH=1 {'python' if WITH_CONDA else shlex.quote(sys.executable)} -m bat"
if BESIDE:
    BAT = f"PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}} {BAT}"
SPECS = studies.specifications(CONFIG)
SPEC_NAMES = {key: specification_name(key[1], spec) for key, spec in SPECS.items()}
SPECS_BY_NAME = {(key[0], name): SPECS[key] for key, name in SPEC_NAMES.items()}
DEVICE = f"--device {CONFIG.compute.device} --jobs-per-gpu {CONFIG.compute.jobs_per_gpu}"
COMPILE = f"--{'' if CONFIG.compute.compile else 'no-'}compile"  # where models are trained
SCORE_TABLES = ["memorization", "influence", "test", "disagreement", "confidence"]
# those that are made from files of a data set alone, and from runs of an architecture on it
FIGURES, COMPARED = (
    [name for name, entry in CATALOGUE.items() if entry.scope == scope and not entry.own_rule]
    for scope in ("dataset", "architecture")
)
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
    seed=r"\d+",


def spec_file(name, stage):
    """The file of a stage's specification, by the name that its content gives it."""
    if (name, stage) not in SPEC_NAMES:
        raise WorkflowError(f"nothing is configured for {stage} of {name}")
    return f"{RESULTS}/{name}/specs/{SPEC_NAMES[name, stage]}.json"


def specification(stage):
    """The file of a stage's specification for a job; the stage may hold wildcards."""
    return lambda wildcards: spec_file(wildcards.dataset, stage.format(**dict(wildcards.items())))


def specification_content(wildcards):
    """What a specification holds, found by its name."""
    spec = SPECS_BY_NAME.get((wildcards.dataset, wildcards.specification))
    if spec is None:
        raise WorkflowError(f"{wildcards.specification} is no specification of what is configured")
    return specification_text(spec)


def keep_configuration():
    """Have jobs that read the workflow again read the configuration that it was started with."""
    name = specification_name("configuration", config)
    path = Path(RESULTS, "specs", f"{name}.json").absolute()
    if path.exists():
        path.touch()  # the last one that was started
    else:
        text = json.dumps(config, indent=2, ensure_ascii=False)
        artifacts.write_bytes(path, text.encode())
    workflow.config_settings.configfiles = [path]


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
    return not set(CATALOGUE[figure].needs) & SOURCED.get(name, set())


def figure_files(figures):
    """Files of the named figures for every data set that they can be drawn for."""
    return [
        f"{RESULTS}/{name}/{file}"
        for name in CONFIG.datasets
        for figure in figures
        if is_drawn(name, figure)
        for file in CATALOGUE[figure].outputs
    ]


def figure_asked_for(figure):
    """Files of one figure; refused where no data set has what it is drawn from."""
    files = figure_files([figure])
    if not files:
        raise WorkflowError(
            f"{figure} needs a table that no configured source of scores brings (it is drawn from "
            f"{', '.join(CATALOGUE[figure].needs)}); list it under scores.tables if the source holds it, "
            "or remove scores.source to train"
        )
    return files

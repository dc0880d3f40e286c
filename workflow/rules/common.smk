# The package; the configuration, checked; specifications of the stages; paths that rules share.

import json
import os
import shlex
import sys
from functools import cache
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
    from bat.files import write_bytes
    from bat.addresses import kept_addresses
    from bat.plan import catalogue, enough, inputs, shards, sizes
    from bat.plan.specifications import all_specifications, whole_addresses
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
    CONFIG = load_config(config, files=workflow.configfiles, strict=workflow.is_main_process)
    SPECS = all_specifications(CONFIG)
    CATALOGUE = catalogue.read_catalogue()
except BatError as error:
    raise WorkflowError(str(error))

os.environ.update(whole_addresses(CONFIG))  # a query may be secret: no file holds it
RESULTS = str(CONFIG.results)
WITH_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
# what lies in the working directory is never taken for a module
BAT = f"PYTHONSAFEPATH=1 {'python' if WITH_CONDA else shlex.quote(sys.executable)} -m bat"
if BESIDE:
    BAT = f"PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}} {BAT}"
SPEC_NAMES = {key: specification_name(key[1], spec) for key, spec in SPECS.items()}
SPECS_BY_NAME = {(key[0], name): SPECS[key] for key, name in SPEC_NAMES.items()}
DEVICE = f"--device {CONFIG.compute.device} --jobs-per-gpu {CONFIG.compute.jobs_per_gpu}"
COMPILE = f"--{'' if CONFIG.compute.compile else 'no-'}compile"  # where models are trained
# those that are made from files of a data set alone, and from runs of an architecture on it
FIGURES, COMPARED = (
    [name for name, entry in CATALOGUE.items() if entry.scope == scope and not entry.own_rule]
    for scope in ("dataset", "architecture")
)
# data sets whose score tables come from a source, and the tables that it does not bring
SOURCED = {
    name: inputs.absent_tables(dataset)
    for name, dataset in CONFIG.datasets.items()
    if dataset.scores.source is not None
}
TRAINED = [name for name in CONFIG.datasets if name not in SOURCED]
# those whose trials are trained until they are enough
UNTIL_ENOUGH = [name for name in TRAINED if CONFIG.datasets[name].scores.trials == "auto"]


def trials_reached(name):
    """How many trials are behind the scores, as far as it is decided now."""
    scores, asked = CONFIG.datasets[name].scores, SPECS.get((name, "enough"))
    try:
        return enough.reached(scores, Path(RESULTS, name), asked)
    except BatError as error:
        raise WorkflowError(str(error))


# those with trials of before margins were kept: what is made of margins is not asked for by `all`
WITHOUT_MARGINS = [
    name
    for name in TRAINED
    if shards.may_lack_margins(
        CONFIG.datasets[name],
        Path(RESULTS, name),
        SPECS[name, "scores"]["recipe"],
        trials_reached(name).n_trials,
    )
]


pathvars:
    results=RESULTS,
    logs=str(CONFIG.logs),


wildcard_constraints:
    dataset="|".join(map(re.escape, CONFIG.datasets)),
    architecture="[^/]+",
    first=r"\d{6}",
    last=r"\d{6}",
    seed=r"\d+",


def below(name, files):
    """Paths of files of a data set."""
    return [f"{RESULTS}/{name}/{file}" for file in files]


def spec_of(name, stage):
    """A stage's specification."""
    if (name, stage) not in SPECS:
        raise WorkflowError(f"nothing is configured for {stage} of {name}")
    return SPECS[name, stage]


def spec_file(name, stage):
    """The file of a stage's specification, by the name that its content gives it."""
    spec_of(name, stage)
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
    kept = kept_addresses(dict(config))
    name = specification_name("configuration", kept)
    path = Path(RESULTS, "specs", f"{name}.json").absolute()
    if path.exists():
        path.touch()  # the last one that was started
    else:
        text = json.dumps(kept, indent=2, ensure_ascii=False)
        write_bytes(path, text.encode())
    workflow.config_settings.configfiles = [path]


def of_dataset(files):
    """Files of the data set in the wildcards, as a function of `bat.plan` has them."""
    return lambda wildcards: below(wildcards.dataset, files(CONFIG.datasets[wildcards.dataset]))


@cache
def trial_specification(name, architecture):
    """The specification of trials, which are to be so many that no score is undefined."""
    try:
        sizes.check_trials(CONFIG.datasets[name], Path(RESULTS, name), architecture)
    except BatError as error:
        raise WorkflowError(f"datasets.{name}.{error}")
    return spec_file(name, f"trials-{architecture}")


def coverage(wildcards):
    """Numbers of trials that a shard's job checks before it trains."""
    dataset = CONFIG.datasets[wildcards.dataset]
    n_trials, n_held_out = shards.covered_trials(dataset, wildcards.architecture)
    return f"--n-trials {n_trials} --n-held-out {n_held_out}"


def of_trials(n_trials):
    """Shards of so many trials behind the scores, as a function of wildcards says."""
    return lambda wildcards: below(
        wildcards.dataset,
        shards.score_shards(CONFIG.datasets[wildcards.dataset], n_trials(wildcards)),
    )


def decisions(wildcards):
    """With `trials: auto`, the decisions that say which trials the scores are made of.

    Those that are there, and the first that is to be made: no call of `checkpoints.enough`, for
    Snakemake looks for no change in what waits for one, and would leave tables of other trials.
    """
    return below(wildcards.dataset, trials_reached(wildcards.dataset).decisions)


# as far as it is decided; a checkpoint has it asked again
score_trials = of_trials(lambda wildcards: trials_reached(wildcards.dataset).n_trials)


def one_of(names):
    """A wildcard constraint that lets these names through, and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


def score_files(name, tables=lambda dataset: inputs.SCORE_TABLES):
    """The score tables that there are for a data set, of those that a function of it says."""
    dataset = CONFIG.datasets[name]
    return below(name, inputs.score_files(dataset, tables(dataset)))


def absent(name):
    """Say that a source does not bring the table that is asked for."""
    raise WorkflowError(
        f"the source of {name}'s scores is not said to hold {', '.join(sorted(SOURCED[name]))}, "
        "and nothing is trained beside a source; list the table under scores.tables if the "
        "source holds it, or remove scores.source to train"
    )


def figure_files(figures, without_margins=()):
    """Files of the named figures for every data set that they can be drawn for; what is made of
    margins is left out for some data sets."""
    return [
        f"{RESULTS}/{name}/{file}"
        for name, dataset in CONFIG.datasets.items()
        for figure in figures
        if inputs.is_drawn(dataset, CATALOGUE[figure])
        if name not in without_margins or "privacy" not in CATALOGUE[figure].needs
        for file in CATALOGUE[figure].outputs
    ]


def figure_asked_for(figure):
    """Files of one figure; refused where no data set has what it is drawn from."""
    files = figure_files([figure])
    if not files and "privacy" in CATALOGUE[figure].needs:
        raise WorkflowError(
            f"{figure} needs trials that keep margins; set scores.margins to true, and remove "
            "scores.source to train"
        )
    watched = any(dataset.proxies is not None for dataset in CONFIG.datasets.values())
    if not files and "proxies" in CATALOGUE[figure].needs and not watched:
        raise WorkflowError(
            f"{figure} needs single trainings of each seed, which tables of others do not hold; "
            "write proxies: {} in a data set to train them"
        )
    if not files:
        raise WorkflowError(
            f"{figure} needs a table that no configured source of scores brings (it is drawn from "
            f"{', '.join(CATALOGUE[figure].needs)}); list it under scores.tables if the source "
            "holds it, or remove scores.source to train"
        )
    return files

"""The configuration, cut into one specification for each stage.

Each holds only what its stage depends on. They become small JSON files named by
their content, and are inputs of the rules: a key that a stage does not use runs
nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bat.addresses import address_variable, is_address, kept_address
from bat.config import AnyRun, Config, Dataset, Groups, Network, Scores
from bat.config.attacks import attacks
from bat.config.methods import averaging
from bat.data import revisions
from bat.errors import BatError
from bat.files.specifications import specification_name
from bat.plan import own
from bat.plan.inputs import unknown_entries
from bat.plan.runs import all_runs, external_models, objective, substitution_runs
from bat.plan.samples import sample_problems, samples_specification, score_threshold
from bat.plan.shards import rounds, trial_counts
from bat.plan.starting import start_problems, start_specification, starts
from bat.scores.proxies import needed

STAGES = {
    "data": 1,
    "trials": 1,
    "enough": 1,
    "scores": 2,
    "ensembles": 1,
    "groups": 2,
    "groups of a score": 3,
    "convergence": 2,
    "privacy": 1,
    "source": 1,
    "training": 1,
    "evaluation": 1,
    "masking": 1,
    "poisoning": 1,
    "representation": 2,
    "comparison": 2,
    "courses": 1,
    "proxies": 1,
}
"""Raised when a change of the code changes what a stage gives."""


def all_specifications(config: Config) -> dict[tuple[str, str], dict]:
    """The specification of every stage, by data set and stage; runs have theirs without a seed."""
    if problems := unknown_entries(config) + run_problems(config):
        raise BatError("\n".join(problems))
    specs: dict[tuple[str, str], dict] = {}
    for name, dataset in config.datasets.items():
        folder = config.results / name
        stages = _score_stages(name, dataset)
        stages["data"] = data_specification(name, dataset, folder)
        if dataset.scores.trials == "auto":
            stages["enough"] = enough_specification(name, dataset, folder)
        if dataset.scores.source is not None:
            stages["source"] = (
                {"dataset": name}
                | source_specification(dataset)
                | revisions.scores_revision(dataset.scores.source, folder / "scores")
                | _unfitted(dataset.scores)
            )
        stages |= _run_stages(name, dataset)
        specs |= {(name, stage): spec for stage, spec in stages.items()}
    return specs


def run_problems(config: Config) -> list[str]:
    """What is wrong with what runs are made of, a line for each: their samples, their start."""
    return sample_problems(config) + start_problems(config)


def _score_stages(name: str, dataset: Dataset) -> dict[str, dict]:
    """Of the trials, of the tables made of them, and of what is drawn from these."""
    scores, ensemble, common = dataset.scores, dataset.ensemble, {"dataset": name}
    recipes = {a: trial_recipe(a, scores, dataset.networks) for a in trial_counts(dataset)}
    trials = {"trials": scores.trials, "recipe": recipes[scores.architecture]}
    stages = {
        f"trials-{architecture}": common
        | {
            "recipe": recipe,
            "members": ensemble.members if architecture in ensemble.architectures else 0,
        }
        | ({} if scores.margins else {"margins": False})
        for architecture, recipe in recipes.items()
    }
    about_scores = {
        "stage_version": STAGES["scores"],
        "influence": scores.influence.model_dump(mode="json"),
        "min_included_accuracy": scores.min_included_accuracy,
    }
    stages["scores"] = common | trials | about_scores | _unfitted(scores)
    stages["convergence"] = common | trials | {"stage_version": STAGES["convergence"]}
    stages["privacy"] = common | trials | {"stage_version": STAGES["privacy"]}
    stages["ensembles"] = common | {
        "stage_version": STAGES["ensembles"],
        "recipes": {a: recipes[a] for a in ensemble.architectures},
        "members": ensemble.members,
        "samples": ensemble.samples,
    }
    stages["groups"] = common | {
        "stage_version": STAGES["groups" if dataset.groups.score is None else "groups of a score"],
        "groups": thresholds(dataset.groups),
    }
    stages["figures"] = common | {
        "atypical_above": dataset.groups.atypical_above,
        "influence_above": dataset.groups.influence_above,
        "precision": scores.precision,
    }
    if dataset.proxies is not None:
        stages |= _proxy_stages(name, dataset)
    return stages


def thresholds(groups: Groups) -> dict:
    """Of the groups; of another score than memorization where they go by one alone."""
    left_out = {"score", "top", "bottom"} if groups.score is None else {"typical_below"}
    return groups.model_dump(mode="json", exclude=left_out)


def data_specification(name: str, dataset: Dataset, folder: Path) -> dict:
    """Of the images, as they are prepared in the data set's results folder."""
    return {
        "dataset": name,
        "stage_version": STAGES["data"],
        "data": dataset.data.model_dump(mode="json"),
        **own.data(dataset.data),
        **revisions.data_revision(dataset.data, folder / "data"),
    }


def enough_specification(name: str, dataset: Dataset, folder: Path) -> dict:
    """When the trials behind the scores are enough, for ``trials: auto``; names the images."""
    scores = dataset.scores
    return {
        "dataset": name,
        "stage_version": STAGES["enough"],
        "data": specification_name("data", data_specification(name, dataset, folder)),
        "recipe": trial_recipe(scores.architecture, scores, dataset.networks),
        "precision": scores.precision,
        "precise_share": scores.precise_share,
        "rounds": rounds(scores),
    }


def _proxy_stages(name: str, dataset: Dataset) -> dict[str, dict]:
    """Of the trainings that are watched, which hold for every seed, and of their scores."""
    proxies, architecture = dataset.proxies, dataset.watched
    training = proxies.training or dataset.scores.training
    recipe = {
        "stage_version": STAGES["courses"],
        "architecture": architecture,
        "training": training.model_dump(mode="json"),
        **own.network(architecture, dataset.networks),
    }
    return {
        "courses": {"dataset": name, "recipe": recipe, "observe": list(needed(proxies.names))},
        "proxies": {
            "dataset": name,
            "stage_version": STAGES["proxies"],
            "recipe": recipe,
            "names": list(proxies.names),
            "seeds": list(proxies.seeds),
        },
    }


def _unfitted(scores: Scores) -> dict:
    """Written where it is asked for alone: the specifications of version 0.1.0 lack it."""
    return {"allow_unfitted": True} if scores.allow_unfitted else {}


def _run_stages(name: str, dataset: Dataset) -> dict[str, dict]:
    """Of the runs, of what is measured of their models, and of what compares them."""
    evaluation = evaluation_specification(name, dataset)
    pgd = {"pgd": evaluation["attacks"]["pgd"]}
    stages = {
        "evaluation": evaluation,
        "evaluation-ablation": evaluation | {"attacks": pgd},
    }
    if dataset.evaluation.masking is not None:
        stages["masking"] = masking_specification(name, dataset)
    for stage in ("poisoning", "representation"):
        stages[stage] = {"dataset": name, "stage_version": STAGES[stage]}
    for architecture in dataset.networks:
        code = own.network(architecture, dataset.networks)
        stages[f"network-{architecture}"] = {"dataset": name} | code
    for architecture in dataset.architectures:
        stages[f"comparison-{architecture}"] = comparison_specification(name, dataset, architecture)
        for run_name, run in all_runs(dataset).items():
            stages[f"{architecture}-run-{run_name}"] = run_specification(
                name, dataset, architecture, run_name, run
            )
    return stages


def trial_recipe(
    architecture: str, scores: Scores, networks: Mapping[str, Network] = own.NONE
) -> dict:
    """All that determines a trial, beside its number and the data.

    ``networks`` are those of one's own; what is not among them is a built-in.
    """
    recipe = {
        "stage_version": STAGES["trials"],
        "architecture": architecture,
        "subset_ratio": scores.subset_ratio,
        "seed": scores.seed,
    }
    if scores.trainer is not None and architecture == scores.trainer.name:
        return recipe | own.trainer(scores.trainer)
    return recipe | {
        "training": scores.training.model_dump(mode="json"),
        **own.network(architecture, networks),
    }


def whole_addresses(config: Config) -> dict[str, str]:
    """Addresses that specifications hold without their queries, for the environment of jobs."""
    found = {}
    for scores in (dataset.scores for dataset in config.datasets.values()):
        source = scores.source
        if source is not None and is_address(source) and kept_address(source) != source:
            found[address_variable(scores.sha256)] = source
    return found


def source_specification(dataset: Dataset) -> dict:
    """What determines the tables that come from a source instead of trials."""
    scores, data = dataset.scores, dataset.data
    return {
        "stage_version": STAGES["source"],
        "source": kept_address(scores.source) if is_address(scores.source) else scores.source,
        "sha256": scores.sha256,
        "match": scores.match,
        "tables": list(scores.tables),
        "keep_above": scores.influence.keep_above,
        "image_folder": str(data.path) if data.source == "image_folder" else None,
    }


def run_specification(
    name: str,
    dataset: Dataset,
    architecture: str,
    run_name: str,
    run: AnyRun,
    seed: int | None = None,
) -> dict:
    """All that determines one run, beside the data, the groups and the scores.

    Without a seed, what all seeds of the run share.
    """
    score = None
    if getattr(run, "score", None) is not None:
        score = {"kind": run.score, **score_threshold(run)}
    spec = {
        "stage_version": STAGES["training"],
        "dataset": name,
        "architecture": architecture,
        "run": run_name,
        "objective": objective(run, architecture, dataset),
        "score": score,
        "train_on": run.train_on.model_dump(mode="json"),
        **samples_specification(run),
        **start_specification(run),
        "training": run.training.model_dump(mode="json"),
        "selection": (run.selection or dataset.selection).model_dump(mode="json"),
        "history": dataset.history.model_dump(mode="json"),
        "adversary": {"eps": dataset.adversary.eps, "step": dataset.adversary.step},
        **own.network(architecture, dataset.networks),
        **averaging(run),
    }
    return spec if seed is None else spec | {"seed": seed}


def evaluation_specification(name: str, dataset: Dataset) -> dict:
    """The attacks of the tables, resolved."""
    settings = dataset.evaluation
    return {
        "stage_version": STAGES["evaluation"],
        "dataset": name,
        "attacks": attacks(settings, dataset.adversary) | own.attacks(dataset),
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "max_samples": settings.max_samples,
    }


def masking_specification(name: str, dataset: Dataset) -> dict:
    """The attacks that tell robustness from a masked gradient, resolved.

    ``attack`` holds keywords of `bat.attacks.masking_verdicts`. Steps are lengthened where few
    of them would not cross the ball: more would then help against any model.
    """
    evaluation, asked = evaluation_specification(name, dataset), dataset.evaluation.masking
    of_tables, few = evaluation["attacks"]["pgd"], 10
    eps = of_tables["eps"]
    pgd = {"eps": eps, "step": max(of_tables["step"], 2 * eps / few)}
    return {
        "stage_version": STAGES["masking"],
        "dataset": name,
        "attack": {**pgd, "few": few, "many": 100, "queries": asked.queries},
        "batch_size": evaluation["batch_size"],
        "seed": evaluation["seed"],
        "max_samples": min(asked.samples, evaluation["max_samples"] or asked.samples),
    }


def comparison_specification(name: str, dataset: Dataset, architecture: str) -> dict:
    """What the tables and figures of one architecture compare, and under which attacks."""
    asked: dict = {"last": True} if dataset.evaluation.last else {}  # written where set alone
    if dataset.baseline is not None:
        asked["baseline"] = dataset.baseline
    if architecture in dataset.only:
        asked["only"] = list(dataset.only[architecture])
    if dataset.evaluation.masking is not None:
        asked["masking"] = masking_specification(name, dataset)
    return {
        "dataset": name,
        "stage_version": STAGES["comparison"],
        "architecture": architecture,
        "runs": list(dataset.runs),
        "shares": list(dataset.studies.atypical),
        "substitution": list(substitution_runs(dataset)),
        "external": external_models(dataset, architecture),
        "seeds": list(dataset.seeds),
        "ablation": dataset.ablation.model_dump(mode="json"),
        "evaluation": evaluation_specification(name, dataset),
        **asked,
        **starts(dataset),
    }

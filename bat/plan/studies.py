"""Which files make which artefact: the plan that the workflow follows.

The configuration is cut here into one specification per stage, each holding
only what that stage depends on. They become small JSON files named by their
content, and are inputs of the rules: a key that a stage does not use runs
nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping

from bat.config import AnyRun, BatRun, Config, Dataset, ErmRun, Network, PgdAtRun, Scores
from bat.data import revisions
from bat.plan import own

STAGES = {
    "data": 1,
    "trials": 1,
    "scores": 2,
    "ensembles": 1,
    "groups": 2,
    "convergence": 2,
    "source": 1,
    "training": 1,
    "evaluation": 1,
    "poisoning": 1,
    "representation": 2,
}
"""Raised when a change of the code changes what a stage gives."""


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


def shards(name: str, dataset: Dataset, architecture: str, n_trials: int | None = None):
    """Paths, below the results folder, of the shards of one architecture.

    With ``n_trials``, only those that hold a trial below that number.
    """
    per_job = trials_per_job(dataset.scores, architecture)
    total = trial_counts(dataset)[architecture]
    names = shard_names(architecture, total, per_job)
    if n_trials is not None:
        names = names[: -(-n_trials // per_job)]
    return [f"{name}/trials/{shard}" for shard in names]


def source_specification(dataset: Dataset) -> dict:
    """What determines the tables that come from a source instead of trials."""
    scores, data = dataset.scores, dataset.data
    return {
        "stage_version": STAGES["source"],
        "source": scores.source,
        "sha256": scores.sha256,
        "match": scores.match,
        "tables": list(scores.tables),
        "keep_above": scores.influence.keep_above,
        "image_folder": str(data.path) if data.source == "image_folder" else None,
    }


def specifications(config: Config) -> dict[tuple[str, str], dict]:
    """The specification of every stage, by data set and stage; runs have theirs without a seed."""
    specs: dict[tuple[str, str], dict] = {}
    for name, dataset in config.datasets.items():
        scores = dataset.scores
        common = {"dataset": name}
        specs[name, "data"] = (
            common
            | {"stage_version": STAGES["data"], "data": dataset.data.model_dump(mode="json")}
            | revisions.data_revision(dataset.data, config.results / name / "data")
        )
        for architecture in trial_counts(dataset):
            in_ensemble = architecture in dataset.ensemble.architectures
            specs[name, f"trials-{architecture}"] = common | {
                "recipe": trial_recipe(architecture, scores, dataset.networks),
                "members": dataset.ensemble.members if in_ensemble else 0,
            }
        recipe = trial_recipe(scores.architecture, scores, dataset.networks)
        trials = {"trials": scores.trials, "recipe": recipe}
        # written where it is asked for alone: the specifications of version 0.1.0 lack it
        asked = {"allow_unfitted": True} if scores.allow_unfitted else {}
        specs[name, "scores"] = (
            common
            | trials
            | {
                "stage_version": STAGES["scores"],
                "influence": scores.influence.model_dump(mode="json"),
                "min_included_accuracy": scores.min_included_accuracy,
            }
            | asked
        )
        specs[name, "convergence"] = common | trials | {"stage_version": STAGES["convergence"]}
        specs[name, "ensembles"] = common | {
            "stage_version": STAGES["ensembles"],
            "recipes": {
                a: trial_recipe(a, scores, dataset.networks) for a in dataset.ensemble.architectures
            },
            "members": dataset.ensemble.members,
            "samples": dataset.ensemble.samples,
        }
        specs[name, "groups"] = common | {
            "stage_version": STAGES["groups"],
            "groups": dataset.groups.model_dump(mode="json"),
        }
        specs[name, "figures"] = common | {
            "atypical_above": dataset.groups.atypical_above,
            "influence_above": dataset.groups.influence_above,
            "precision": scores.precision,
        }
        if scores.source is not None:
            specs[name, "source"] = (
                common
                | source_specification(dataset)
                | revisions.scores_revision(scores.source, config.results / name / "scores")
                | asked
            )
        for stage in ("poisoning", "representation"):
            specs[name, stage] = common | {"stage_version": STAGES[stage]}
        evaluation = evaluation_specification(name, dataset)
        specs[name, "evaluation"] = evaluation
        attacks = {"pgd": evaluation["attacks"]["pgd"]}
        specs[name, "evaluation-ablation"] = evaluation | {"attacks": attacks}
        for architecture in dataset.networks:
            code = own.network(architecture, dataset.networks)
            specs[name, f"network-{architecture}"] = common | code
        for architecture in dataset.architectures:
            specs[name, f"comparison-{architecture}"] = common | {
                "architecture": architecture,
                "runs": list(dataset.runs),
                "shares": list(dataset.studies.atypical),
                "substitution": list(substitution_runs(dataset)),
                "external": external_models(dataset, architecture),
                "seeds": list(dataset.seeds),
                "ablation": dataset.ablation.model_dump(mode="json"),
                "evaluation": evaluation,
            }
            for run_name, run in runs(dataset).items():
                specs[name, f"{architecture}-run-{run_name}"] = run_specification(
                    name, dataset, architecture, run_name, run
                )
    return specs


PAPER_TABLES = {
    1: ("cifar100", "wrn-28-10"),
    2: ("tiny_imagenet", "wrn-28-10"),
    3: ("cifar100", "resnet18"),
    4: ("cifar100", "wrn-28-10"),
    5: ("tiny_imagenet", "resnet32"),
    6: ("tiny_imagenet", "wrn-28-10"),
}
"""Data set and architecture of the paper's tables."""


# -- runs -----------------------------------------------------------------------------------

SIGMA = {"memorization": 0.15, "disagreement": 0.1, "confidence": 0.5}
"""Default thresholds of BAT by score; the paper gives memorization's."""

REFERENCE_STEP = 0.007 / 0.031
"""Step over eps of TRADES, MART and GAIRAT in their authors' code."""

POISONING_RUNS = {"fig3": "pgd-at", "annotation": "pgd-at-atypical-0"}
"""Whose poisoning scores figure 3 and the annotation study show; the second trains on no atypical
sample, and its first seed counts alone."""


def external_models(dataset: Dataset, architecture: str) -> list[str]:
    """The models of others that are of an architecture: those that its tables have rows of."""
    first = dataset.architectures[0]
    return [n for n, m in dataset.external.items() if (m.architecture or first) == architecture]


def ablation_name(alpha: float, beta: float) -> str:
    """The run that is a cell of the ablation; (0, 0) is PGD-AT.

    >>> ablation_name(1, 0.2), ablation_name(0, 0)
    ('bat-1-0.2', 'pgd-at')
    """
    return "pgd-at" if alpha == beta == 0 else f"bat-{alpha:g}-{beta:g}"


def study_name(method: str, share: float | None) -> str:
    """The run of a study; ``None`` is the whole training set.

    >>> study_name("erm", None), study_name("pgd-at", 0.2)
    ('erm-all', 'pgd-at-atypical-20')
    """
    return f"{method}-all" if share is None else f"{method}-atypical-{100 * share:g}"


def study_runs(dataset: Dataset) -> dict[str, AnyRun]:
    """The runs of section 3 and appendix B: ERM and PGD-AT by share of atypical samples.

    Those without any are always among them; the annotation study needs one.
    """
    study = dataset.studies
    common = {"training": study.training.model_dump(), "selection": {"by": "last"}}
    return {
        study_name(method.model_fields["method"].default, share): method.model_validate(
            common | {"train_on": {"atypical": share, "seed": study.seed}}
        )
        for method in (ErmRun, PgdAtRun)
        for share in dict.fromkeys((None, 0.0, *study.atypical))
    }


def substitution_name(score: str) -> str:
    """BAT(1, 0.2) with another score; memorization's is the run of the tables."""
    return "bat-1-0.2" if score == "memorization" else f"bat-1-0.2-{score}"


def substitution_runs(dataset: Dataset) -> dict[str, AnyRun]:
    """BAT(1, 0.2) with memorization, and with the cheap scores in its place.

    Where the tables come from a source, only with the scores that it brings.
    """
    base = dataset.runs.get("bat-1-0.2", BatRun(training=dataset.training))
    source, brought = dataset.scores.source, {"memorization", *dataset.scores.tables}
    cheap = {
        substitution_name(score): base.model_copy(update={"score": score, "sigma": None})
        for score in dataset.studies.scores
        if source is None or score in brought
    }
    return {substitution_name("memorization"): base} | cheap


def runs(dataset: Dataset) -> dict[str, AnyRun]:
    """Every run of a data set by name, the configured ones and those of the studies."""
    base = dataset.runs.get("pgd-at", PgdAtRun(training=dataset.training))
    cells = {"pgd-at": base}
    for alpha in dataset.ablation.alpha:
        for beta in dataset.ablation.beta:
            settings = {**base.model_dump(exclude={"method"}), "alpha": alpha, "beta": beta}
            name = ablation_name(alpha, beta)
            cells[name] = base if name == "pgd-at" else BatRun.model_validate(settings)
    return cells | study_runs(dataset) | substitution_runs(dataset) | dataset.runs


def objective(run: AnyRun, architecture: str, dataset: Dataset) -> dict:
    """The method and all its constants, resolved; keywords of `bat.objectives`."""
    settings = run.model_dump(
        mode="json", exclude={"train_on", "training", "selection", "score", "sigma"}
    )
    if run.method == "erm":
        return settings
    adversary = dataset.adversary
    settings["eps"] = adversary.eps if run.eps is None else run.eps
    settings["steps"] = run.steps or adversary.steps
    if run.step is None:
        own = run.method in ("pgd-at", "bat")
        settings["step"] = adversary.step if own else REFERENCE_STEP * settings["eps"]
    if run.method == "mart" and run.beta is None:
        settings["beta"] = 6.0 if architecture.startswith("wrn") else 5.0
    if run.method == "gairat":
        settings["begin_epoch"] = round(settings.pop("begin") * run.training.epochs)
    return settings


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
    if run.method == "bat":
        sigma = SIGMA[run.score] if run.sigma is None else run.sigma
        score = {"kind": run.score, "sigma": sigma}
    spec = {
        "stage_version": STAGES["training"],
        "dataset": name,
        "architecture": architecture,
        "run": run_name,
        "objective": objective(run, architecture, dataset),
        "score": score,
        "train_on": run.train_on.model_dump(mode="json"),
        "training": run.training.model_dump(mode="json"),
        "selection": (run.selection or dataset.selection).model_dump(mode="json"),
        "history": dataset.history.model_dump(mode="json"),
        "adversary": {"eps": dataset.adversary.eps, "step": dataset.adversary.step},
        **own.network(architecture, dataset.networks),
    }
    return spec if seed is None else spec | {"seed": seed}


def evaluation_specification(name: str, dataset: Dataset) -> dict:
    """The attacks of the tables, resolved."""
    settings, adversary = dataset.evaluation, dataset.adversary
    eps = adversary.eps if settings.eps is None else settings.eps

    def step(value: float | None) -> float:
        return adversary.step if value is None else value

    attacks: dict[str, dict] = {
        "fgsm": {"eps": eps},
        "pgd": {
            "eps": eps,
            "step": step(settings.pgd_step),
            "steps": settings.pgd_steps,
            "restarts": settings.pgd_restarts,
        },
        "cw": {"eps": eps, "step": step(settings.cw_step), "steps": settings.cw_steps},
    }
    if settings.autoattack != "none":
        attacks["aa"] = {"eps": eps, "version": settings.autoattack}
    return {
        "stage_version": STAGES["evaluation"],
        "dataset": name,
        "attacks": attacks,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "max_samples": settings.max_samples,
    }

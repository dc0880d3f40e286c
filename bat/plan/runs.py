"""The runs of adversarial training: those configured, and those that the studies add."""

from __future__ import annotations

from bat.config import AnyRun, BatRun, Dataset, ErmRun, PgdAtRun
from bat.plan.names import ablation_name, study_name, substitution_name

SIGMA = {"memorization": 0.15, "disagreement": 0.1, "confidence": 0.5}
"""Default thresholds of BAT by score; the paper gives memorization's."""

REFERENCE_STEP = 0.007 / 0.031
"""Step over eps of TRADES, MART and GAIRAT in their authors' code."""


def external_models(dataset: Dataset, architecture: str) -> list[str]:
    """The models of others that are of an architecture: those that its tables have rows of."""
    first = dataset.architectures[0]
    return [n for n, m in dataset.external.items() if (m.architecture or first) == architecture]


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


def all_runs(dataset: Dataset) -> dict[str, AnyRun]:
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

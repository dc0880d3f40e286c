"""The runs of adversarial training: those configured, and those that the studies add."""

from __future__ import annotations

from bat.config import AnyRun, BatRun, Dataset, ErmRun, OwnRun, PgdAtRun, methods
from bat.plan import own
from bat.plan.names import ablation_name, study_name, substitution_name


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
    settings = methods.constants(run, architecture, dataset.adversary)
    return settings | own.objective(run) if isinstance(run, OwnRun) else settings

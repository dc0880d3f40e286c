"""Seconds that the work on one data set takes, from its steps and passes (`bat.plan.pace`)."""

from __future__ import annotations

import functools
from pathlib import Path
from statistics import fmean

from bat.config import AnyRun, Dataset, Optimization, is_built_in
from bat.config.attacks import entry_of
from bat.config.methods import averaging
from bat.devices import Runtime
from bat.errors import ArtifactError
from bat.files import column, read_table
from bat.files.indices import read_indices
from bat.plan.effort import LOOKS
from bat.plan.pace import Pace, Pass, Step
from bat.plan.runs import objective
from bat.plan.sizes import Size
from bat.scores.proxies import OF_HALVES, needed, passes_of
from bat.training import EVALUATION_BATCH

STAND_IN, STAND_IN_METHOD = "resnet18", "pgd-at"
"""What a network and a method of one's own are taken to cost: a plan runs no code of theirs."""

CORRECT = 0.8
"""Assumed share of the samples that are classified right, which alone are attacked."""


class Seconds:
    """Seconds of the jobs of one data set, each with its start.

    Parameters
    ----------
    dataset : Dataset
    size : Size
    folder : path
        Its folder below the results, whose groups say how many samples are atypical.
    device : Runtime
        Where the jobs run.
    """

    def __init__(self, dataset: Dataset, size: Size, folder: Path, device: Runtime):
        self.dataset, self.size, self.folder = dataset, size, folder
        self.pace = Pace(device, size.n_classes, size.shape)

    def counted(self, architecture: str) -> str:
        """The network whose steps and passes stand for those of an architecture."""
        return architecture if is_built_in(architecture) else STAND_IN

    def basis(self, architecture: str) -> str:
        """Where hours come from that nothing on disk tells."""
        found = "measured here" if self.pace.measured else "assumed"
        counted = self.counted(architecture)
        return found if counted == architecture else f"{found}, as {counted}"

    # -- of parts of a job ------------------------------------------------------------------

    def training(
        self, architecture: str, recipe: Optimization, objective: dict, n_samples: int
    ) -> float:
        """All steps of one training."""
        batch = min(recipe.batch_size, n_samples)
        settings = {k: v for k, v in objective.items() if k not in ("method", "code", "awp")}
        own = objective["method"] == "own"
        step = Step(
            self.counted(architecture),
            self.pace.device.precision(recipe.precision),
            batch,
            STAND_IN_METHOD if own else objective["method"],
            tuple(sorted(settings.items())),
            recipe,
        )
        awp = objective.get("awp", {"gamma": 0})
        plain = min(awp["warmup"], recipe.epochs) if awp["gamma"] else recipe.epochs
        epochs = {step: plain, step._replace(awp=True): recipe.epochs - plain}
        seconds = sum(n * self.pace(work) for work, n in epochs.items() if n)
        return (n_samples // batch) * seconds

    def clean(self, architecture: str, batch: int) -> float:
        """A pass in float32, for each sample."""
        return self.pace(Pass(self.counted(architecture), "float32", batch, 0))

    def attack(self, architecture: str, steps: int, batch: int, precision: str) -> float:
        """An attack, which leaves out those that are wrong already, for each sample."""
        return CORRECT * self.pace(Pass(self.counted(architecture), precision, batch, steps))

    # -- of jobs ----------------------------------------------------------------------------

    def trial(self, architecture: str, measured: dict[int, float]) -> tuple[float, str]:
        """One trial without the start of its job, and where the number comes from."""
        if measured:
            return fmean(measured.values()), f"measured ({len(measured)})"
        scores = self.dataset.scores
        configured = scores.seconds_per_trial.get(architecture)
        if configured is not None:
            return configured, "configured"
        if scores.trainer is not None and architecture == scores.trainer.name:
            return 0.0, "not known before the first trial"
        included = round(scores.subset_ratio * self.size.n_train)
        training = self.training(architecture, scores.training, {"method": "erm"}, included)
        judged = self.size.n_train + self.size.n_test
        return training + judged * self.clean(architecture, 1000), self.basis(architecture)

    def watched(self) -> float:
        """The single trainings of one seed, with what is looked at in them."""
        proxies, architecture = self.dataset.proxies, self.dataset.watched
        recipe, n = proxies.training or self.dataset.scores.training, self.size.n_train
        observed = needed(proxies.names)
        after_each = {one for name in observed for one in passes_of(name)}
        passes = sum(
            LOOKS[one] * (1 if one == "weight_gradient" else recipe.epochs) for one in after_each
        )
        trainings = 1 + 2 * len(OF_HALVES.keys() & set(observed))
        each = self.training(architecture, recipe, {"method": "erm"}, n)
        seconds = self.pace.start + trainings * each
        return seconds + passes * n * self.clean(architecture, 500)

    def run(self, architecture: str, run: AnyRun) -> float:
        """A run: its steps, the choice of its epoch, what is followed of it."""
        selection, history = run.selection or self.dataset.selection, self.dataset.history
        n_samples, n_selected = self.trained_on(run), 0
        if selection.by == "validation":
            n_selected = round(selection.validation * n_samples)
            n_samples -= n_selected
        elif selection.by == "test":
            n_selected = self.size.n_test
        method = objective(run, architecture, self.dataset)
        seconds = self.pace.start + self.training(architecture, run.training, method, n_samples)
        precision, epochs = self.pace.device.precision(run.training.precision), run.training.epochs
        attack = functools.partial(
            self.attack, architecture, batch=EVALUATION_BATCH, precision=precision
        )
        if run.averaging is not None and run.averaging.kind == "swa":  # statistics, anew each epoch
            passes = epochs + 1 - averaging(run)["averaging"]["begin_epoch"]
            seconds += passes * n_samples * self.clean(architecture, run.training.batch_size)
        if n_selected:
            seconds += epochs * n_selected * attack(selection.steps)
        times = -(-epochs // history.every) if history.every else 1
        limit = history.max_samples or self.size.n_train + self.size.n_test
        followed = min(limit, self.size.n_train) + min(limit, self.size.n_test)
        return seconds + times * followed * attack(history.steps)

    def trained_on(self, run: AnyRun) -> int:
        """Training samples of a run: by the groups where they are made, else all of them."""
        n, share, samples = self.size.n_train, run.train_on.atypical, run.samples
        if samples is not None and samples.keep is not None:
            return len(read_indices(samples.keep))
        if samples is not None and samples.drop.score is not None:
            return n - round((samples.drop.top or 0) * n)  # beyond a sigma it is not known
        if samples is None and share is None:
            return n
        try:
            table, _ = read_table(self.folder / "groups" / "train.parquet", "groups")
        except ArtifactError:
            return n
        typical, atypical = (int(column(table, name).sum()) for name in ("typical", "atypical"))
        return n - atypical if share is None else max(1, typical + round(share * atypical))

    def judged(self) -> int:
        """Test samples of an evaluation."""
        return min(self.dataset.evaluation.max_samples or self.size.n_test, self.size.n_test)

    def evaluation(self, architecture: str, attacks: dict[str, dict]) -> float:
        """Attacks on one model, as an evaluation's specification has them."""
        settings, n_test = self.dataset.evaluation, self.judged()
        batch = min(settings.batch_size, n_test)
        each = self.clean(architecture, batch)
        for name, of_attack in attacks.items():
            total = entry_of(name).steps(of_attack)
            steps = min(total, of_attack.get("steps", settings.pgd_steps))
            each += total / steps * self.attack(architecture, steps, batch, "float32")
        return self.pace.start + n_test * each

    def masking(self, architecture: str, spec: dict) -> float:
        """Checks of one model for a masked gradient."""
        n, attack = min(spec["max_samples"], self.size.n_test), spec["attack"]
        batch, few, many = min(spec["batch_size"], n), attack["few"], attack["many"]
        # many steps on the model, on that of another seed, and unbounded; a query is one pass
        steps = (few + 3 * many) / many * self.attack(architecture, many, batch, "float32")
        queries = CORRECT * attack["queries"] * self.clean(architecture, batch)
        return self.pace.start + n * (steps + queries)

    def poisoning(self, architecture: str) -> float:
        """Poisoning scores of all training samples."""
        each = self.attack(architecture, self.dataset.history.steps, 500, "float32") / CORRECT
        return self.pace.start + self.size.n_train * each

    def representation(self, architecture: str) -> float:
        """Features of one model; at most all samples are typical."""
        samples = self.size.n_train + self.size.n_test
        return self.pace.start + samples * self.clean(architecture, 500)

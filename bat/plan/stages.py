"""The stages of one data set: jobs, hours and bytes of each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from bat.config import AnyRun, Config, Dataset, Optimization, is_built_in
from bat.config.attacks import entry_of
from bat.config.methods import averaging
from bat.errors import ArtifactError
from bat.files import column, read_table
from bat.files.indices import read_indices
from bat.plan import inputs
from bat.plan.effort import LOOKS
from bat.plan.enough import reached
from bat.plan.runs import all_runs, objective
from bat.plan.shards import shard_files, trial_counts
from bat.plan.sizes import size
from bat.plan.specifications import (
    comparison_specification,
    enough_specification,
    evaluation_specification,
)
from bat.plan.timings import finished_trials, read_benchmark
from bat.scores.proxies import OF_HALVES, needed, passes_of

if TYPE_CHECKING:
    from bat.devices import Runtime
    from bat.plan.pace import Pace

STAND_IN, STAND_IN_METHOD = "resnet18", "pgd-at"
"""What a network and a method of one's own are taken to cost: a plan runs no code of theirs."""

CORRECT = 0.8
"""Assumed share of the samples that are classified right, which alone are attacked."""


@dataclass(frozen=True)
class Row:
    """One stage of one data set.

    Attributes
    ----------
    jobs, done : int
        Jobs in all, and those whose results are on disk.
    hours, hours_left : float
        Of training and attacking, in all and for what is not done; 0 for stages
        that take minutes of a CPU.
    bytes : float
        On disk when the stage is complete.
    basis : str
        Where the hours come from.
    """

    dataset: str
    stage: str
    jobs: int
    done: int
    hours: float
    hours_left: float
    bytes: float
    basis: str


class Place:
    """One data set: what it asks for, and what of it is on disk."""

    def __init__(self, config: Config, name: str, dataset: Dataset, logs: Path, device: Runtime):
        from bat.plan.pace import Pace

        self.name, self.dataset = name, dataset
        self.folder, self.logs = config.results / name, logs / name
        self.size = size(dataset, self.folder)
        self.pace: Pace = Pace(device, self.size.n_classes, self.size.shape)

    def rows(self) -> list[Row]:
        """The stages that have jobs, in the order in which they run."""
        rows = [self.prepare()]
        if self.dataset.scores.source is None:
            rows += [
                row for a, n in trial_counts(self.dataset).items() for row in self.rounds(a, n)
            ]
        if self.dataset.proxies is not None:
            rows.append(self.watched())
        rows.append(self.tables())
        for architecture in self.dataset.architectures:
            rows += [
                self.training(architecture),
                *self.evaluations(architecture),
                self.masking(architecture),
                self.poisoning(architecture),
                self.representation(architecture),
            ]
        return [row for row in rows if row.jobs]

    def basis(self, architecture: str) -> str:
        """Where hours come from that nothing on disk tells."""
        found = "measured here" if self.pace.measured else "assumed"
        counted = self.counted(architecture)
        return found if counted == architecture else f"{found}, as {counted}"

    def prepare(self) -> Row:
        """The images as arrays."""
        done = (self.folder / "data" / "dataset.json").exists()
        samples = self.size.n_train + self.size.n_test
        pixels = self.size.shape[0] * self.size.shape[1] * self.size.shape[2]
        basis = "size assumed" if self.size.assumed else ""
        return Row(self.name, "prepare", 1, int(done), 0, 0, samples * (pixels + 16), basis)

    def rounds(self, architecture: str, n_trials: int) -> list[Row]:
        """Trials; with ``trials: auto`` those that are trained for sure, and those that may be."""
        scores = self.dataset.scores
        if scores.trials != "auto" or architecture != scores.architecture:
            return [self.trials(architecture, 0, n_trials)]
        asked = enough_specification(self.name, self.dataset, self.folder)
        n_reached, _, final = reached(scores, self.folder, asked)
        rows = [self.trials(architecture, 0, n_reached)]
        if not final and n_reached < n_trials:
            more = self.trials(architecture, n_reached, n_trials)
            rows.append(replace(more, stage=f"at most {more.stage.replace('trials', 'more', 1)}"))
        return rows

    def trials(self, architecture: str, first: int, end: int) -> Row:
        """Trainings on random subsets, from one trial to before another, a job for each shard."""
        n_trials, shards = end - first, shard_files(self.dataset, architecture, end)
        shards = shards[len(shard_files(self.dataset, architecture, first)) if first else 0 :]
        seconds = finished_trials(self.folder, self.dataset, architecture)
        each, basis = self.trial_seconds(architecture, seconds)
        members = self.dataset.ensemble.members
        if architecture not in self.dataset.ensemble.architectures:
            members = 0
        bits = (2 * self.size.n_train + self.size.n_test) / 8
        if self.dataset.scores.margins:
            bits += 2 * (self.size.n_train + self.size.n_test)
        probabilities = 2 * self.size.n_train * self.size.n_classes
        made = [bool(seconds) and (self.folder / shard).exists() for shard in shards]
        left = sum(trial not in seconds for trial in range(first, end))
        start = self.pace.start
        return Row(
            self.name,
            f"{n_trials} trials, {architecture}",
            len(shards),
            sum(made),
            (n_trials * each + len(shards) * start) / 3600,
            (left * each + sum(not there for there in made) * start) / 3600,
            n_trials * bits + (0 if first else min(members, n_trials)) * probabilities,
            basis,
        )

    def watched(self) -> Row:
        """Single trainings on the whole training set, with what is looked at in them."""
        proxies, architecture = self.dataset.proxies, self.dataset.watched
        recipe, n = proxies.training or self.dataset.scores.training, self.size.n_train
        observed = needed(proxies.names)
        after_each = {one for name in observed for one in passes_of(name)}
        passes = sum(
            LOOKS[one] * (1 if one == "weight_gradient" else recipe.epochs) for one in after_each
        )
        trainings = 1 + 2 * len(OF_HALVES.keys() & set(observed))
        each = self.training_seconds(architecture, recipe, {"method": "erm"}, n)
        seconds = self.pace.start + trainings * each
        seconds += passes * n * self.clean(architecture, 500)
        logs = self.logs / "proxies"
        jobs = [
            (seconds, self.folder / file, logs / f"{Path(file).stem}.tsv")
            for file in inputs.course_files(self.dataset)
        ]
        size = 4 * n * recipe.epochs * len(observed)
        return self._row(f"watched training, {architecture}", architecture, jobs, size)

    def trial_seconds(self, architecture: str, measured: dict[int, float]) -> tuple[float, str]:
        """Seconds of one trial, and where they come from."""
        if measured:
            return fmean(measured.values()), f"measured ({len(measured)})"
        scores = self.dataset.scores
        configured = scores.seconds_per_trial.get(architecture)
        if configured is not None:
            return configured, "configured"
        if scores.trainer is not None and architecture == scores.trainer.name:
            return 0.0, "not known before the first trial"
        included = round(scores.subset_ratio * self.size.n_train)
        training = self.training_seconds(architecture, scores.training, {"method": "erm"}, included)
        judged = self.size.n_train + self.size.n_test
        return training + judged * self.clean(architecture, 1000), self.basis(architecture)

    def training_seconds(
        self, architecture: str, recipe: Optimization, objective: dict, n_samples: int
    ) -> float:
        """Seconds of all steps of one training."""
        from bat.plan.pace import Step

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
        """Seconds for each sample of a pass in float32."""
        from bat.plan.pace import Pass

        return self.pace(Pass(self.counted(architecture), "float32", batch, 0))

    def counted(self, architecture: str) -> str:
        """The network whose steps and passes stand for those of an architecture."""
        return architecture if is_built_in(architecture) else STAND_IN

    def attack(self, architecture: str, steps: int, batch: int, precision: str) -> float:
        """Seconds for each sample of an attack, which leaves out those that are wrong already."""
        from bat.plan.pace import Pass

        return CORRECT * self.pace(Pass(self.counted(architecture), precision, batch, steps))

    def tables(self) -> Row:
        """Score tables and groups."""
        scores, groups = self.folder / "scores", self.folder / "groups"
        files = {scores / "memorization.parquet": 40 * self.size.n_train}
        if self.dataset.scores.source is None:
            # of each test sample's pairs in its class, one in ten is kept
            pairs = self.size.n_train * self.size.n_test / self.size.n_classes
            files[scores / "influence.parquet"] = 1.6 * pairs
            files[scores / "confidence.parquet"] = 12 * self.size.n_train
            files[scores / "convergence.csv"] = 10_000
            if self.dataset.scores.margins:
                files[scores / "privacy.parquet"] = 24 * self.size.n_train
        files[groups / "train.parquet"] = self.size.n_train
        done = sum(path.exists() for path in files)
        size = sum(files.values())
        return Row(self.name, "tables and groups", len(files), done, 0, 0, size, "minutes each")

    def training(self, architecture: str) -> Row:
        """Runs of adversarial training."""
        from bat.plan.pace import parameter_count

        n_classes, channels = self.size.n_classes, self.size.shape[0]
        parameters = 4 * parameter_count(self.counted(architecture), n_classes, channels)
        known, start = all_runs(self.dataset), self.pace.start
        return self._measured(
            f"training, {architecture}",
            architecture,
            "runs",
            lambda run: start + self.run_seconds(architecture, known[run]),
            2 * parameters,
        )

    def evaluations(self, architecture: str) -> list[Row]:
        """Attacks on the trained models, and on those of the last epoch where they are judged."""
        settings = self.dataset.evaluation
        n_test = min(settings.max_samples or self.size.n_test, self.size.n_test)
        batch = min(settings.batch_size, n_test)
        attack = functools.partial(self.attack, architecture, batch=batch, precision="float32")
        asked, seconds = evaluation_specification(self.name, self.dataset)["attacks"], {}
        for name, of_attack in asked.items():
            total = entry_of(name).steps(of_attack)
            steps = min(total, of_attack.get("steps", settings.pgd_steps))
            seconds[name] = total / steps * attack(steps)
        pgd = self.clean(architecture, batch) + seconds["pgd"]
        every = pgd + sum(each for name, each in seconds.items() if name != "pgd")
        each = {
            "evaluation": self.pace.start + n_test * every,
            "evaluation-ablation": self.pace.start + n_test * pgd,
        }
        comparison = self.comparison(architecture)
        return [
            self._measured(f"{title}, {architecture}", architecture, kind, seconds, 2 * n_test)
            for title, kind, seconds in (
                (
                    "evaluation",
                    "evaluations",
                    lambda run: each[inputs.evaluation_stage(run, comparison)],
                ),
                ("evaluation of last", "evaluations-last", lambda run: each["evaluation"]),
            )
        ]

    def masking(self, architecture: str) -> Row:
        """Checks for a masked gradient, where they are configured."""
        spec = self.comparison(architecture).get("masking")
        if spec is None:
            return Row(self.name, f"masking, {architecture}", 0, 0, 0, 0, 0, "")
        n, attack = min(spec["max_samples"], self.size.n_test), spec["attack"]
        batch, few, many = min(spec["batch_size"], n), attack["few"], attack["many"]
        # many steps on the model, on that of another seed, and unbounded; a query is one pass
        steps = (few + 3 * many) / many * self.attack(architecture, many, batch, "float32")
        queries = CORRECT * attack["queries"] * self.clean(architecture, batch)
        seconds = self.pace.start + n * (steps + queries)
        stage = f"masking, {architecture}"
        return self._measured(stage, architecture, "masking", lambda run: seconds, 2 * n)

    def poisoning(self, architecture: str) -> Row:
        """Poisoning scores of the training samples, for figure 3 and the annotation study."""
        each = self.attack(architecture, self.dataset.history.steps, 500, "float32") / CORRECT
        seconds = self.pace.start + self.size.n_train * each  # of all samples
        stage, size = f"poisoning scores, {architecture}", 14 * self.size.n_train
        return self._measured(stage, architecture, "poisoning", lambda run: seconds, size)

    def representation(self, architecture: str) -> Row:
        """Features of the studies' models; at most all samples are typical."""
        samples = self.size.n_train + self.size.n_test
        seconds = self.pace.start + samples * self.clean(architecture, 500)
        stage = f"representation, {architecture}"
        return self._measured(stage, architecture, "representation", lambda run: seconds, 3000)

    def comparison(self, architecture: str) -> dict:
        """The specification of what compares the runs of an architecture."""
        return comparison_specification(self.name, self.dataset, architecture)

    def run_seconds(self, architecture: str, run: AnyRun) -> float:
        """Seconds of a run: its steps, the choice of its epoch, what is followed of it."""
        from bat.training import EVALUATION_BATCH

        selection, history = run.selection or self.dataset.selection, self.dataset.history
        n_samples, n_selected = self.trained_on(run), 0
        if selection.by == "validation":
            n_selected = round(selection.validation * n_samples)
            n_samples -= n_selected
        elif selection.by == "test":
            n_selected = self.size.n_test
        method = objective(run, architecture, self.dataset)
        seconds = self.training_seconds(architecture, run.training, method, n_samples)
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

    def _measured(
        self,
        stage: str,
        architecture: str,
        kind: str,
        seconds_of: Callable[[str], float],
        bytes_each: float,
    ) -> Row:
        """A row of jobs on runs."""
        logs = self.logs / architecture / kind
        jobs = inputs.jobs(kind, self.comparison(architecture))
        each = {run: seconds_of(run) for run in dict(jobs)}
        found = [
            (
                each[run],
                self.folder / inputs.result_file(kind, architecture, run, seed),
                logs / f"{run}-seed{seed}.tsv",
            )
            for run, seed in jobs
        ]
        return self._row(stage, architecture, found, bytes_each)

    def _row(
        self,
        stage: str,
        architecture: str,
        jobs: Sequence[tuple[float, Path, Path]],
        bytes_each: float,
    ) -> Row:
        """A row of jobs: the seconds, result and benchmark of each.

        What is measured of some scales the seconds of the others.
        """
        seconds = [each for each, _, _ in jobs]
        done = [result.exists() for _, result, _ in jobs]
        measured = {
            at: benchmark
            for at, (_, _, log) in enumerate(jobs)
            if done[at] and (benchmark := read_benchmark(log)) is not None
        }
        basis = self.basis(architecture)
        if measured:
            scale = sum(measured.values()) / sum(seconds[at] for at in measured)
            seconds = [measured.get(at, scale * each) for at, each in enumerate(seconds)]
            basis = f"measured ({len(measured)})"
        return Row(
            self.name,
            stage,
            len(jobs),
            sum(done),
            sum(seconds) / 3600,
            sum(each for each, there in zip(seconds, done, strict=True) if not there) / 3600,
            len(jobs) * bytes_each,
            basis,
        )

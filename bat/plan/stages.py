"""The stages of one data set: jobs, hours and bytes of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bat.config import Config, Dataset
from bat.plan import inputs
from bat.plan.enough import reached
from bat.plan.runs import all_runs
from bat.plan.shards import shard_files, trial_counts
from bat.plan.sizes import size
from bat.plan.specifications import (
    comparison_specification,
    enough_specification,
    evaluation_specification,
)
from bat.plan.timings import finished_trials, read_benchmark
from bat.scores.proxies import needed

if TYPE_CHECKING:
    from bat.devices import Runtime


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

    def __init__(self, config: Config, name: str, dataset: Dataset, device: Runtime):
        from bat.plan.seconds import Seconds

        self.name, self.dataset = name, dataset
        self.folder, self.logs = config.results / name, config.logs / name
        self.size = size(dataset, self.folder)
        self.seconds = Seconds(dataset, self.size, self.folder, device)

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
        each, basis = self.seconds.trial(architecture, seconds)
        members = self.dataset.ensemble.members
        if architecture not in self.dataset.ensemble.architectures:
            members = 0
        bits = (2 * self.size.n_train + self.size.n_test) / 8
        if self.dataset.scores.margins:
            bits += 2 * (self.size.n_train + self.size.n_test)
        probabilities = 2 * self.size.n_train * self.size.n_classes
        made = [bool(seconds) and (self.folder / shard).exists() for shard in shards]
        left = sum(trial not in seconds for trial in range(first, end))
        start = self.seconds.pace.start
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
        proxies, architecture, logs = self.dataset.proxies, self.dataset.watched, self.logs
        recipe, seconds = proxies.training or self.dataset.scores.training, self.seconds.watched()
        jobs = [
            (seconds, self.folder / file, logs / "proxies" / f"{Path(file).stem}.tsv")
            for file in inputs.course_files(self.dataset)
        ]
        size = 4 * self.size.n_train * recipe.epochs * len(needed(proxies.names))
        return self._row(f"watched training, {architecture}", architecture, jobs, size)

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
        counted, known = self.seconds.counted(architecture), all_runs(self.dataset)
        return self._measured(
            f"training, {architecture}",
            architecture,
            "runs",
            lambda run: self.seconds.run(architecture, known[run]),
            8 * parameter_count(counted, n_classes, channels),  # best and last, in float32
        )

    def evaluations(self, architecture: str) -> list[Row]:
        """Attacks on the trained models, and on those of the last epoch where they are judged."""
        comparison, size = self.comparison(architecture), 2 * self.seconds.judged()
        attacks = evaluation_specification(self.name, self.dataset)["attacks"]
        each = {
            stage: self.seconds.evaluation(architecture, of_stage)
            for stage, of_stage in (
                ("evaluation", attacks),
                ("evaluation-ablation", {"pgd": attacks["pgd"]}),
            )
        }
        of_run = {
            "evaluations": lambda run: each[inputs.evaluation_stage(run, comparison)],
            "evaluations-last": lambda run: each["evaluation"],
        }
        titles = {"evaluations": "evaluation", "evaluations-last": "evaluation of last"}
        return [
            self._measured(f"{titles[kind]}, {architecture}", architecture, kind, seconds, size)
            for kind, seconds in of_run.items()
        ]

    def masking(self, architecture: str) -> Row:
        """Checks for a masked gradient, where they are configured."""
        stage, spec = f"masking, {architecture}", self.comparison(architecture).get("masking")
        if spec is None:
            return Row(self.name, stage, 0, 0, 0, 0, 0, "")
        seconds = self.seconds.masking(architecture, spec)
        size = 2 * min(spec["max_samples"], self.size.n_test)
        return self._measured(stage, architecture, "masking", lambda run: seconds, size)

    def poisoning(self, architecture: str) -> Row:
        """Poisoning scores of the training samples, for figure 3 and the annotation study."""
        seconds = self.seconds.poisoning(architecture)
        stage, size = f"poisoning scores, {architecture}", 14 * self.size.n_train
        return self._measured(stage, architecture, "poisoning", lambda run: seconds, size)

    def representation(self, architecture: str) -> Row:
        """Features of the studies' models."""
        seconds = self.seconds.representation(architecture)
        stage = f"representation, {architecture}"
        return self._measured(stage, architecture, "representation", lambda run: seconds, 3000)

    def comparison(self, architecture: str) -> dict:
        """The specification of what compares the runs of an architecture."""
        return comparison_specification(self.name, self.dataset, architecture)

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
        basis = self.seconds.basis(architecture)
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

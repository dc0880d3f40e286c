"""What a configuration will cost, before anything is spent: jobs, hours, disk, by stage.

What has been made tells its own time: trial shards their seconds for each trial,
benchmark files those of other jobs. Where nothing has been made, the time is that
of the steps and passes of a job (`bat.plan.pace`), counted from the network and an
assumed speed, or measured on this machine; the plan says which.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from bat.config import AnyRun, Config, Dataset, Optimization, TrainOn
from bat.config.attacks import ATTACKS, attacks
from bat.files.artifacts import ArtifactError, column, read_json, read_metadata, read_table
from bat.plan import studies
from bat.progress import progress
from bat.scores.significance import trials_for_influence

if TYPE_CHECKING:
    from bat.devices import Runtime
    from bat.plan.pace import Pace

KNOWN_SIZES = {
    "fashion_mnist": (60_000, 10_000, 10, (1, 28, 28)),
    "cifar10": (50_000, 10_000, 10, (3, 32, 32)),
    "cifar100": (50_000, 10_000, 100, (3, 32, 32)),
}
"""Training and test samples, classes and shape of data sets that are not prepared yet."""

ASSUMED_SIZE = KNOWN_SIZES["cifar10"]
"""For a data set of the user's own that is not prepared yet."""

CORRECT = 0.8
"""Assumed share of the samples that are classified right, which alone are attacked."""

RESULT_OF = {
    "runs": "/history.parquet",
    "evaluations": ".parquet",
    "poisoning": ".parquet",
    "representation": ".json",
}
"""What a job's name ends in where its result lies, by the folder of results and of logs."""


@dataclass(frozen=True)
class Size:
    """Samples, classes, and (channels, height, width) of a data set."""

    n_train: int
    n_test: int
    n_classes: int
    shape: tuple[int, int, int]
    assumed: bool = False


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


# -- the plan -------------------------------------------------------------------------------


def plan(
    config: Config,
    logs: Path = Path("logs"),
    device: str | None = None,
    *,
    measure: float = 0.0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """The stages of every data set, in the order in which they run.

    Parameters
    ----------
    config : Config
    logs : path
        Folder of the benchmark files, as the workflow's.
    device : {"auto", "cpu", "cuda"}, optional
        In place of the configured one; ``auto`` is a GPU where there is one here.
    measure : float
        Seconds for measuring steps and passes here; 0 counts them only.
    report : callable
        Called with the number of things measured and their number.

    Raises
    ------
    BatError
        If an architecture does not take the images, or a GPU that is not here
        is to be measured.
    """
    target = planned_device(config, device)
    places = [_Place(config, n, d, logs, target) for n, d in config.datasets.items()]
    rows = [row for place in places for row in place.rows()]
    if not measure:
        return rows
    from bat import devices
    from bat.plan import pace

    asked = [len(place.pace.asked) for place in places]
    with devices.runtime(target.device.type, compile=config.compute.compile) as here:
        for number, place in enumerate(places):
            place.pace.device = here
            before, share = sum(asked[:number]), measure * asked[number] / max(1, sum(asked))
            pace.measure(
                place.pace,
                place.folder / "data",
                share,
                lambda done, before=before: report(before + done, sum(asked)),
            )
    return [row for place in places for row in place.rows()]


def planned_device(config: Config, device: str | None = None) -> Runtime:
    """Where the jobs will run: as asked for, else as configured, else a GPU if there is one."""
    import torch

    from bat.devices import Runtime

    wanted = device or config.compute.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return Runtime(torch.device(wanted))


def seconds_per_trial(config: Config) -> dict[str, dict[str, float]]:
    """Measured seconds of one trial by data set and architecture, where shards are on disk."""
    measured: dict[str, dict[str, float]] = {}
    for name, dataset in config.datasets.items():
        for architecture in studies.trial_counts(dataset):
            seconds = finished_trials(config.results / name, dataset, architecture)
            if seconds:
                measured.setdefault(name, {})[architecture] = fmean(seconds.values())
    return measured


def finished_trials(folder: Path, dataset: Dataset, architecture: str) -> dict[int, float]:
    """Seconds of the trials of the configured recipe that are on disk, by number."""
    recipe = studies.trial_recipe(architecture, dataset.scores)
    found: dict[int, float] = {}
    folders = [folder / "trials", folder / "trials" / ".partial" / architecture]
    for path in (path for place in folders for path in place.glob("*.parquet")):
        if not re.fullmatch(rf"({re.escape(architecture)}-\d+-)?\d+", path.stem):
            continue
        try:
            if read_metadata(path, "trials")["recipe"] != recipe:
                continue
            table, _ = read_table(path, "trials", columns=["trial", "seconds"])
        except ArtifactError:
            continue  # the job that needs it says so, and trains its trials again
        found |= zip(
            column(table, "trial").tolist(), column(table, "seconds").tolist(), strict=True
        )
    return found


def trials_to_stand(dataset: Dataset, folder: Path) -> str:
    """How many trials an influence at the threshold needs to be told from chance, in a sentence."""
    n, influence = size(dataset, folder), dataset.groups.influence_above
    pairs = n.n_train * n.n_test
    if dataset.scores.influence.pairs == "same_class":
        pairs //= n.n_classes
    ratio, trials = dataset.scores.subset_ratio, dataset.scores.trials
    if influence == 0:
        return ""
    accuracy = min(0.8, 1 - influence * (1 - ratio))
    needed = trials_for_influence(influence, accuracy, pairs, ratio)
    assumed = " (size assumed)" if n.assumed else ""
    return (
        f"an influence of {influence:g} on a test sample of accuracy {accuracy:g} stands among "
        f"{pairs:,} candidate pairs{assumed} after about {needed:,} trials, and {trials:,} are "
        "configured"
    )


class _Place:
    """One data set: what it asks for, and what of it is on disk."""

    def __init__(self, config: Config, name: str, dataset: Dataset, logs: Path, device: Runtime):
        from bat.plan.pace import Pace

        self.name, self.dataset = name, dataset
        self.folder, self.logs = config.results / name, logs / name
        self.size = size(dataset, self.folder)
        self.pace: Pace = Pace(device, self.size.n_classes, self.size.shape)

    def rows(self) -> list[Row]:
        rows = [self.prepare()]
        if self.dataset.scores.source is None:
            rows += [self.trials(a, n) for a, n in studies.trial_counts(self.dataset).items()]
        rows.append(self.tables())
        for architecture in self.dataset.architectures:
            rows += [
                self.training(architecture),
                self.evaluation(architecture),
                self.poisoning(architecture),
                self.representation(architecture),
            ]
        return rows

    @property
    def basis(self) -> str:
        """Where hours come from that nothing on disk tells."""
        return "measured here" if self.pace.measured else "assumed"

    def prepare(self) -> Row:
        done = (self.folder / "data" / "dataset.json").exists()
        samples = self.size.n_train + self.size.n_test
        pixels = self.size.shape[0] * self.size.shape[1] * self.size.shape[2]
        basis = "size assumed" if self.size.assumed else ""
        return Row(self.name, "prepare", 1, int(done), 0, 0, samples * (pixels + 16), basis)

    def trials(self, architecture: str, n_trials: int) -> Row:
        shards = studies.shards(self.name, self.dataset, architecture)
        seconds = finished_trials(self.folder, self.dataset, architecture)
        each, basis = self.trial_seconds(architecture, seconds)
        members = self.dataset.ensemble.members
        if architecture not in self.dataset.ensemble.architectures:
            members = 0
        bits = (2 * self.size.n_train + self.size.n_test) / 8
        probabilities = 2 * self.size.n_train * self.size.n_classes
        made = [bool(seconds) and (self.folder.parent / shard).exists() for shard in shards]
        left = sum(trial not in seconds for trial in range(n_trials))
        return Row(
            self.name,
            f"{n_trials} trials, {architecture}",
            len(shards),
            sum(made),
            (n_trials * each + len(shards) * self.pace.start) / 3600,
            (left * each + sum(not there for there in made) * self.pace.start) / 3600,
            n_trials * bits + min(members, n_trials) * probabilities,
            basis,
        )

    def trial_seconds(self, architecture: str, measured: dict[int, float]) -> tuple[float, str]:
        """Seconds of one trial, and where they come from."""
        if measured:
            return fmean(measured.values()), f"measured ({len(measured)})"
        configured = self.dataset.scores.seconds_per_trial.get(architecture)
        if configured is not None:
            return configured, "configured"
        scores = self.dataset.scores
        included = round(scores.subset_ratio * self.size.n_train)
        training = self.training_seconds(architecture, scores.training, {"method": "erm"}, included)
        judged = self.size.n_train + self.size.n_test
        return training + judged * self.clean(architecture, 1000), self.basis

    def training_seconds(
        self, architecture: str, recipe: Optimization, objective: dict, n_samples: int
    ) -> float:
        """Seconds of all steps of one training."""
        from bat.plan.pace import Step

        batch = min(recipe.batch_size, n_samples)
        settings = {key: value for key, value in objective.items() if key != "method"}
        step = Step(
            architecture,
            self.pace.device.precision(recipe.precision),
            batch,
            objective["method"],
            tuple(sorted(settings.items())),
            recipe,
        )
        return recipe.epochs * (n_samples // batch) * self.pace(step)

    def clean(self, architecture: str, batch: int) -> float:
        """Seconds for each sample of a pass in float32."""
        from bat.plan.pace import Pass

        return self.pace(Pass(architecture, "float32", batch, 0))

    def attack(self, architecture: str, steps: int, batch: int, precision: str) -> float:
        """Seconds for each sample of an attack, which leaves out those that are wrong already."""
        from bat.plan.pace import Pass

        return CORRECT * self.pace(Pass(architecture, precision, batch, steps))

    def tables(self) -> Row:
        scores, groups = self.folder / "scores", self.folder / "groups"
        files = {scores / "memorization.parquet": 40 * self.size.n_train}
        if self.dataset.scores.source is None:
            # of each test sample's pairs in its class, one in ten is kept
            pairs = self.size.n_train * self.size.n_test / self.size.n_classes
            files[scores / "influence.parquet"] = 1.6 * pairs
            files[scores / "confidence.parquet"] = 12 * self.size.n_train
            files[scores / "convergence.csv"] = 10_000
        files[groups / "train.parquet"] = self.size.n_train
        done = sum(path.exists() for path in files)
        size = sum(files.values())
        return Row(self.name, "tables and groups", len(files), done, 0, 0, size, "minutes each")

    def training(self, architecture: str) -> Row:
        """Runs of adversarial training."""
        runs = [
            (f"{name}/seed{seed}", self.run_seconds(architecture, run))
            for name, run in studies.runs(self.dataset).items()
            for seed in self.dataset.seeds
        ]
        from bat.plan.pace import parameter_count

        n_classes, channels = self.size.n_classes, self.size.shape[0]
        parameters = 4 * parameter_count(architecture, n_classes, channels)
        stage = f"training, {architecture}"
        return self._measured(stage, architecture, "runs", runs, 2 * parameters)

    def evaluation(self, architecture: str) -> Row:
        """Attacks on the trained models."""
        settings = self.dataset.evaluation
        n_test = min(settings.max_samples or self.size.n_test, self.size.n_test)
        batch = min(settings.batch_size, n_test)
        attack = functools.partial(self.attack, architecture, batch=batch, precision="float32")
        asked, seconds = attacks(settings, self.dataset.adversary), {}
        for name, of_attack in asked.items():
            total = ATTACKS[name].steps(of_attack)
            steps = min(total, of_attack.get("steps", settings.pgd_steps))
            seconds[name] = total / steps * attack(steps)
        pgd = self.clean(architecture, batch) + seconds["pgd"]
        every = pgd + sum(each for name, each in seconds.items() if name != "pgd")
        substitutions = studies.substitution_runs(self.dataset)
        external = studies.external_models(self.dataset, architecture)
        listed = {*self.dataset.runs, *external, *substitutions}
        followed = studies.study_runs(self.dataset).keys() - self.dataset.runs.keys()
        runs = [name for name in studies.runs(self.dataset) if name not in followed]
        names = [*runs, *external]
        jobs = [
            (f"{name}/seed{seed}", n_test * (every if name in listed else pgd))
            for name in names
            for seed in ([0] if name in external else self.dataset.seeds)
        ]
        stage = f"evaluation, {architecture}"
        return self._measured(stage, architecture, "evaluations", jobs, 2 * n_test)

    def poisoning(self, architecture: str) -> Row:
        """Poisoning scores of the training samples, for figure 3 and the annotation study."""
        runs, seeds = studies.POISONING_RUNS, self.dataset.seeds
        each = self.attack(architecture, self.dataset.history.steps, 500, "float32") / CORRECT
        seconds = self.size.n_train * each  # of all samples
        jobs = [(f"{runs['fig3']}/seed{seed}", seconds) for seed in seeds]
        jobs.append((f"{runs['annotation']}/seed{seeds[0]}", seconds))
        stage = f"poisoning scores, {architecture}"
        return self._measured(stage, architecture, "poisoning", jobs, 14 * self.size.n_train)

    def representation(self, architecture: str) -> Row:
        """Features of the studies' models; at most all samples are typical."""
        seconds = (self.size.n_train + self.size.n_test) * self.clean(architecture, 500)
        jobs = [
            (f"{studies.study_name(method, share)}/seed{seed}", seconds)
            for method in ("erm", "pgd-at")
            for share in self.dataset.studies.atypical
            for seed in self.dataset.seeds
        ]
        stage = f"representation, {architecture}"
        return self._measured(stage, architecture, "representation", jobs, 3000)

    def run_seconds(self, architecture: str, run: AnyRun) -> float:
        """Seconds of a run: its steps, the choice of its epoch, what is followed of it."""
        from bat.training import EVALUATION_BATCH

        selection, history = run.selection or self.dataset.selection, self.dataset.history
        n_samples, n_selected = self.trained_on(run.train_on), 0
        if selection.by == "validation":
            n_selected = round(selection.validation * n_samples)
            n_samples -= n_selected
        elif selection.by == "test":
            n_selected = self.size.n_test
        objective = studies.objective(run, architecture, self.dataset)
        seconds = self.training_seconds(architecture, run.training, objective, n_samples)
        precision, epochs = self.pace.device.precision(run.training.precision), run.training.epochs
        attack = functools.partial(
            self.attack, architecture, batch=EVALUATION_BATCH, precision=precision
        )
        if n_selected:
            seconds += epochs * n_selected * attack(selection.steps)
        times = -(-epochs // history.every) if history.every else 1
        limit = history.max_samples or self.size.n_train + self.size.n_test
        followed = min(limit, self.size.n_train) + min(limit, self.size.n_test)
        return seconds + times * followed * attack(history.steps)

    def trained_on(self, part: TrainOn) -> int:
        """Training samples of a run: by the groups where they are made, else all of them."""
        if part.atypical is None:
            return self.size.n_train
        try:
            table, _ = read_table(self.folder / "groups" / "train.parquet", "groups")
        except ArtifactError:
            return self.size.n_train
        typical, atypical = (int(column(table, name).sum()) for name in ("typical", "atypical"))
        return max(1, typical + round(part.atypical * atypical))

    def _measured(
        self,
        stage: str,
        architecture: str,
        kind: str,
        jobs: list[tuple[str, float]],
        bytes_each: float,
    ) -> Row:
        """A row of jobs; what is measured of some scales the seconds of the others."""
        seconds = {name: self.pace.start + of_job for name, of_job in jobs}
        place, logs = self.folder / architecture / kind, self.logs / architecture / kind
        done = {name for name, _ in jobs if (place / f"{name}{RESULT_OF[kind]}").exists()}
        measured = {
            name: benchmark
            for name in done
            if (benchmark := read_benchmark(logs / f"{name.replace('/', '-')}.tsv")) is not None
        }
        basis = self.basis
        if measured:
            scale = sum(measured.values()) / sum(seconds[name] for name in measured)
            seconds = {name: measured.get(name, scale * s) for name, s in seconds.items()}
            basis = f"measured ({len(measured)})"
        return Row(
            self.name,
            stage,
            len(jobs),
            len(done),
            sum(seconds.values()) / 3600,
            sum(s for name, s in seconds.items() if name not in done) / 3600,
            len(jobs) * bytes_each,
            basis,
        )


def size(dataset: Dataset, folder: Path) -> Size:
    """The size of a data set: as prepared, or as it will be where that is known before.

    Parameters
    ----------
    dataset : Dataset
    folder : path
        Its folder below the results.
    """
    try:
        info = read_json(folder / "data" / "dataset.json")
        n_classes = len(info["class_names"])
        return Size(info["n_train"], info["n_test"], n_classes, tuple(info["shape"]))
    except ArtifactError:
        pass
    data = dataset.data
    if data.source == "digits":
        n_train, n_test, n_classes, shape = 1797 - data.n_test, data.n_test, 10, (1, 8, 8)
    elif data.source == "tiny_imagenet":
        n_classes, shape = data.classes, (3, 64, 64)
        n_train, n_test = 500 * n_classes, 50 * n_classes
    else:
        n_train, n_test, n_classes, shape = KNOWN_SIZES.get(data.source, ASSUMED_SIZE)
    part = data.subsample
    if part.train or part.train_per_class:
        n_train = part.train or part.train_per_class * n_classes
    if part.test or part.test_per_class:
        n_test = part.test or part.test_per_class * n_classes
    if data.resize:
        shape = (shape[0], data.resize, data.resize)
    known = data.source in (*KNOWN_SIZES, "digits", "tiny_imagenet")
    return Size(n_train, n_test, n_classes, shape, assumed=not known)


def read_benchmark(path: Path) -> float | None:
    """Seconds that a benchmark file of Snakemake tells, the mean over its rows."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return fmean(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    except (OSError, KeyError, ValueError):
        return None  # absent, or the job was killed while it was written


# -- printing -------------------------------------------------------------------------------


def show(config: Config, console, *, device: str | None = None, measure: float = 0.0) -> None:
    """Print the plan, its sums, and the measured seconds in the form the configuration takes.

    Parameters
    ----------
    config : Config
    console : rich.console.Console
    device, measure
        As for `plan`.
    """
    from rich.table import Table

    target = planned_device(config, device)
    on_cpu = target.device.type == "cpu"
    unit = "CPU core hours" if on_cpu else "GPU hours"
    table = Table(box=None, pad_edge=False)
    for title in ("data set", "stage"):
        table.add_column(title, no_wrap=True)
    for title in ("jobs", "done", unit, "left", "disk"):
        table.add_column(title, justify="right")
    table.add_column("hours from", no_wrap=True)
    with progress("steps and passes", 0) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done)

        rows = plan(config, device=device, measure=measure, report=report)
    for row in rows:
        hours = [_hours(row.hours), _hours(row.hours_left)] if row.hours else ["", ""]
        cells = [row.dataset, row.stage, str(row.jobs), str(row.done), *hours]
        table.add_row(*cells, _bytes(row.bytes), row.basis)
    sums = [sum(getattr(row, name) for row in rows) for name in ("jobs", "done")]
    hours = [_hours(sum(getattr(row, name) for row in rows)) for name in ("hours", "hours_left")]
    table.add_row("total", "", *map(str, sums), *hours, _bytes(sum(row.bytes for row in rows)))
    console.print(table)
    for line in sources(rows, target):
        console.print(line)
    for name, seconds in seconds_per_trial(config).items():
        values = ", ".join(f"{arch}: {value:.3g}" for arch, value in seconds.items())
        console.print(f"{name}: one trial takes, for `scores`, seconds_per_trial: {{{values}}}")


def sources(rows: list[Row], device: Runtime) -> list[str]:
    """What stands behind the hours of a plan, a line for each."""
    from bat.plan.pace import SPEEDS, START

    kind, lines = device.device.type, []
    where = {"cpu": "a CPU core", "cuda": "a data-centre GPU"}[kind]
    if any(row.basis == "assumed" for row in rows):
        lines += [
            f"assumed: {where} does {speed.flops:.2g} operations and moves {speed.bandwidth:.2g} "
            f"bytes in a second in {precision}, {1e6 * speed.overhead:.2g} µs a call"
            for (of_kind, precision), speed in SPEEDS.items()
            if of_kind == kind
        ]
        lines.append(
            f"assumed: a job starts in {START[kind]:g} s; {100 * CORRECT:g} % of the samples are "
            "right without an attack, which alone are attacked; measure: plan --measure"
        )
    if any(row.basis == "measured here" for row in rows):
        lines.append(
            f"measured here: steps, passes and attacks on {device.name}, in seconds of "
            f"{'the processor' if kind == 'cpu' else 'the clock'}"
        )
    if any(re.match(r"measured \(", row.basis) for row in rows):
        lines.append("measured (n): the mean of n that are done")
    return lines


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"

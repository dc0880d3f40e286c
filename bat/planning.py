"""What a configuration will cost, before anything is spent: jobs, hours, disk, by stage.

What has been made tells its own time: trial shards their seconds for each trial,
benchmark files those of other jobs. Where nothing has been made, the time is the
number of multiplications over an assumed speed, both stated in the plan.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bat import studies
from bat.artifacts import ArtifactError, column, read_json, read_metadata, read_table
from bat.config import AnyRun, Config, Dataset
from bat.significance import trials_for_influence

GPU_SPEED, CPU_SPEED = 4e13, 3e10
"""Assumed floating-point operations in a second that a training job sustains: on one data-centre
GPU with bfloat16 and compilation, and on one CPU core."""

KNOWN_SIZES = {
    "fashion_mnist": (60_000, 10_000, 10, (1, 28, 28)),
    "cifar10": (50_000, 10_000, 10, (3, 32, 32)),
    "cifar100": (50_000, 10_000, 100, (3, 32, 32)),
}
"""Training and test samples, classes and shape of data sets that are not prepared yet."""

ASSUMED_SIZE = KNOWN_SIZES["cifar10"]
"""For a data set of the user's own that is not prepared yet."""

AUTOATTACK_PASSES = {"standard": 6000, "aa-fast": 2000, "none": 0}
"""Assumed passes through the model for each test sample, half of them falling early."""

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


def plan(config: Config, logs: Path = Path("logs")) -> list[Row]:
    """The stages of every data set, in the order in which they run.

    Parameters
    ----------
    config : Config
    logs : path
        Folder of the benchmark files, as the workflow's.
    """
    rows: list[Row] = []
    for name, dataset in config.datasets.items():
        place = _Place(config, name, dataset, logs)
        rows.append(place.prepare())
        if dataset.scores.source is None:
            rows += [place.trials(a, n) for a, n in studies.trial_counts(dataset).items()]
        rows.append(place.tables())
        for architecture in dataset.architectures:
            rows += [
                place.training(architecture),
                place.evaluation(architecture),
                place.poisoning(architecture),
                place.representation(architecture),
            ]
    return rows


def seconds_per_trial(config: Config) -> dict[str, dict[str, float]]:
    """Measured seconds of one trial by data set and architecture, where shards are on disk."""
    measured: dict[str, dict[str, float]] = {}
    for name, dataset in config.datasets.items():
        for architecture in studies.trial_counts(dataset):
            seconds = _Place(config, name, dataset, Path()).finished_trials(architecture)
            if seconds:
                measured.setdefault(name, {})[architecture] = fmean(seconds.values())
    return measured


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

    def __init__(self, config: Config, name: str, dataset: Dataset, logs: Path):
        self.name, self.dataset = name, dataset
        self.folder, self.logs = config.results / name, logs / name
        self.speed = CPU_SPEED if config.compute.device == "cpu" else GPU_SPEED
        self.size = size(dataset, self.folder)

    def prepare(self) -> Row:
        done = (self.folder / "data" / "dataset.json").exists()
        samples = self.size.n_train + self.size.n_test
        pixels = self.size.shape[0] * self.size.shape[1] * self.size.shape[2]
        basis = "size assumed" if self.size.assumed else ""
        return Row(self.name, "prepare", 1, int(done), 0, 0, samples * (pixels + 16), basis)

    def trials(self, architecture: str, n_trials: int) -> Row:
        shards = studies.shards(self.name, self.dataset, architecture)
        seconds = self.finished_trials(architecture)
        each, basis = self.trial_seconds(architecture, seconds)
        members = self.dataset.ensemble.members
        if architecture not in self.dataset.ensemble.architectures:
            members = 0
        bits = (2 * self.size.n_train + self.size.n_test) / 8
        probabilities = 2 * self.size.n_train * self.size.n_classes
        done = sum((self.folder.parent / shard).exists() for shard in shards)
        left = sum(trial not in seconds for trial in range(n_trials))
        return Row(
            self.name,
            f"{n_trials} trials, {architecture}",
            len(shards),
            done if seconds else 0,
            n_trials * each / 3600,
            left * each / 3600,
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
        passes = 3 * included * scores.training.epochs + self.size.n_train + self.size.n_test
        return self.seconds(architecture, passes), "assumed"

    def finished_trials(self, architecture: str) -> dict[int, float]:
        """Seconds of the trials of the configured recipe that are on disk, by number."""
        recipe = studies.trial_recipe(architecture, self.dataset.scores)
        found: dict[int, float] = {}
        folders = [self.folder / "trials", self.folder / "trials" / ".partial" / architecture]
        for path in (p for folder in folders for p in folder.glob("*.parquet")):
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
            (f"{name}/seed{seed}", self.run_passes(run))
            for name, run in studies.runs(self.dataset).items()
            for seed in self.dataset.seeds
        ]
        parameters = 4 * parameter_count(architecture, self.size)
        stage = f"training, {architecture}"
        return self._measured(stage, architecture, "runs", runs, 2 * parameters)

    def evaluation(self, architecture: str) -> Row:
        """Attacks on the trained models."""
        settings = self.dataset.evaluation
        n_test = min(settings.max_samples or self.size.n_test, self.size.n_test)
        pgd = 2 * settings.pgd_steps * settings.pgd_restarts
        every = pgd + 2 * settings.cw_steps + AUTOATTACK_PASSES[settings.autoattack]
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
        passes = self.size.n_train * (2 * self.dataset.history.steps + 2)
        jobs = [(f"{runs['fig3']}/seed{seed}", passes) for seed in seeds]
        jobs.append((f"{runs['annotation']}/seed{seeds[0]}", passes))
        stage = f"poisoning scores, {architecture}"
        return self._measured(stage, architecture, "poisoning", jobs, 14 * self.size.n_train)

    def representation(self, architecture: str) -> Row:
        """Features of the studies' models; at most all samples are typical."""
        passes = self.size.n_train + self.size.n_test
        jobs = [
            (f"{studies.study_name(method, share)}/seed{seed}", passes)
            for method in ("erm", "pgd-at")
            for share in self.dataset.studies.atypical
            for seed in self.dataset.seeds
        ]
        stage = f"representation, {architecture}"
        return self._measured(stage, architecture, "representation", jobs, 3000)

    def run_passes(self, run: AnyRun) -> float:
        """Passes of one sample through the model in a run; a gradient counts as two."""
        samples = self.size.n_train * (1 - self.dataset.selection.validation)
        steps = 0
        if run.method != "erm":
            steps = run.steps or self.dataset.adversary.steps
        return run.training.epochs * samples * (2 * steps + 3)

    def _measured(
        self,
        stage: str,
        architecture: str,
        kind: str,
        jobs: list[tuple[str, float]],
        bytes_each: float,
    ) -> Row:
        """A row of jobs whose time is in proportion to their passes, by what is measured."""
        seconds = {name: self.seconds(architecture, passes) for name, passes in jobs}
        place, logs = self.folder / architecture / kind, self.logs / architecture / kind
        done = {name for name, _ in jobs if (place / f"{name}{RESULT_OF[kind]}").exists()}
        measured = {
            name: benchmark
            for name in done
            if (benchmark := read_benchmark(logs / f"{name.replace('/', '-')}.tsv")) is not None
        }
        basis = "assumed"
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

    def seconds(self, architecture: str, passes: float) -> float:
        """Assumed seconds for a number of forward passes of one sample."""
        return 2 * multiplications(architecture, self.size) * passes / self.speed


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


# -- architectures --------------------------------------------------------------------------


def multiplications(architecture: str, size: Size) -> int:
    """Multiplications in the convolutions of one forward pass of one sample."""
    return sum(
        n_in * n_out * kernel**2 * (size.shape[1] // scale) * (size.shape[2] // scale)
        for n_in, n_out, kernel, scale in _convolutions(architecture, size.shape[0])
    )


def parameter_count(architecture: str, size: Size) -> int:
    """Weights of the convolutions and the linear head."""
    layers = list(_convolutions(architecture, size.shape[0]))
    return sum(n_in * n_out * k**2 for n_in, n_out, k, _ in layers) + layers[-1][1] * size.n_classes


def _convolutions(architecture: str, channels: int) -> Iterator[tuple[int, int, int, int]]:
    """Input and output width, kernel, and reduction of the image's edge of each convolution."""
    family, *numbers = re.fullmatch(r"([a-z_]+)(\d*)-?(\d*)-?(\d*)", architecture).groups()
    first, second, third = (int(n) if n else None for n in numbers)
    if family == "small_cnn":
        w = second or 16
        yield from [(channels, w, 3, 1), (w, 2 * w, 3, 2), (2 * w, 4 * w, 3, 4)]
    elif family == "resnet" and first == 9:
        w = second or 64
        yield from [(channels, w, 3, 1), (w, 2 * w, 3, 1), *[(2 * w, 2 * w, 3, 2)] * 2]
        yield from [(2 * w, 4 * w, 3, 2), (4 * w, 8 * w, 3, 4), *[(8 * w, 8 * w, 3, 8)] * 2]
    elif family == "resnet" and first in (18, 34):
        w, blocks = second or 64, {18: [2, 2, 2, 2], 34: [3, 4, 6, 3]}[first]
        yield from _stages(channels, w, [w, 2 * w, 4 * w, 8 * w], blocks)
    elif family == "resnet":
        yield from _stages(channels, 16, [16, 32, 64], [(first - 2) // 6] * 3)
    else:
        yield from _stages(
            channels, 16, [16 * third, 32 * third, 64 * third], [(second - 4) // 6] * 3
        )


def _stages(
    channels: int, stem: int, widths: list[int], blocks: list[int]
) -> Iterator[tuple[int, int, int, int]]:
    """Convolutions of a residual network with blocks of two and projecting shortcuts."""
    yield channels, stem, 3, 1
    n_in = stem
    for stage, (n_out, n_blocks) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(n_blocks):
            yield n_in, n_out, 3, 2**stage
            yield n_out, n_out, 3, 2**stage
            if block == 0 and (stage or n_in != n_out):
                yield n_in, n_out, 1, 2**stage
            n_in = n_out


# -- printing -------------------------------------------------------------------------------


def show(config: Config, console) -> None:
    """Print the plan, its sums, and the measured seconds in the form the configuration takes.

    Parameters
    ----------
    config : Config
    console : rich.console.Console
    """
    from rich.table import Table

    on_cpu = config.compute.device == "cpu"
    unit = "CPU core hours" if on_cpu else "GPU hours"
    table = Table(box=None, pad_edge=False)
    for title in ("data set", "stage"):
        table.add_column(title, no_wrap=True)
    for title in ("jobs", "done", unit, "left", "disk"):
        table.add_column(title, justify="right")
    table.add_column("hours from", no_wrap=True)
    rows = plan(config)
    for row in rows:
        hours = [_hours(row.hours), _hours(row.hours_left)] if row.hours else ["", ""]
        cells = [row.dataset, row.stage, str(row.jobs), str(row.done), *hours]
        table.add_row(*cells, _bytes(row.bytes), row.basis)
    sums = [sum(getattr(row, name) for row in rows) for name in ("jobs", "done")]
    hours = [_hours(sum(getattr(row, name) for row in rows)) for name in ("hours", "hours_left")]
    table.add_row("total", "", *map(str, sums), *hours, _bytes(sum(row.bytes for row in rows)))
    console.print(table)
    where = "a CPU core" if on_cpu else "a GPU"
    speed = CPU_SPEED if on_cpu else GPU_SPEED
    console.print(
        f"assumed: {speed:.0e} operations a second on {where}; measured: the mean of what is done"
    )
    for name, seconds in seconds_per_trial(config).items():
        values = ", ".join(f"{arch}: {value:.3g}" for arch, value in seconds.items())
        console.print(f"{name}: one trial takes, for `scores`, seconds_per_trial: {{{values}}}")


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"

"""How long a training step, an attack and a forward pass take here: a few of each are run."""

from __future__ import annotations

import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch

from bat import data
from bat.attacks import PGD, full_precision
from bat.attacks.evaluation import evaluate
from bat.data import DeviceData
from bat.devices import Runtime
from bat.models import Classifier, build_model
from bat.plan.pace import START, Pace, Pass, Step, Work, objective_of
from bat.training import Training
from bat.training.trials import probabilities


def measure(pace: Pace, folder: Path, limit: float, report: Callable[[int], None]) -> None:
    """Run a few of each unit of work that was asked for, and note what they take.

    The parts of a job run: its training loop, objectives and attacks. Where one
    unit would take more than its share of the time, it runs on fewer samples, and
    then with fewer attack steps, and is scaled by what `Pace.assume` says of both.

    Parameters
    ----------
    pace : Pace
        That a plan was made with.
    folder : path
        The prepared data; where there is none, random images take their place.
    limit : float
        Seconds in all, about; on a GPU, compilation comes on top.
    report : callable
        Called with the number of units done.
    """
    pace.start = seconds_to_start(pace.device)
    share = max(0.0, limit - pace.start) / max(1, len(pace.asked))
    samples = _samples(pace, folder)
    for number, work in enumerate(pace.asked, start=1):
        run = _fit(work, pace, share)
        seconds = _repeat(_make(run, pace, samples), pace.device, share)
        if isinstance(run, Pass):
            seconds /= run.batch
        pace.measured[work] = seconds * pace.asked[work] / pace.assume(run)
        report(number)


def seconds_to_start(device: Runtime) -> float:
    """Seconds that a job takes to import what it works with; on a GPU, as assumed."""
    if device.device.type == "cuda":
        return START["cuda"]
    code = "import bat.__main__, bat.training"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _fit(work: Work, pace: Pace, share: float) -> Work:
    """The same work with fewer samples, then fewer steps, so that three fit into the share."""
    least = min(8, work.batch)
    size = math.floor(work.batch * share / (3 * max(pace.asked[work], 1e-9)))
    if isinstance(work, Pass):
        size = math.floor(share / (3 * max(pace.asked[work], 1e-9)))
    run = work._replace(batch=max(least, min(size, work.batch)))
    if run.batch > least or run.steps < 2:
        return run
    unit = run.batch if isinstance(run, Pass) else 1
    steps = math.floor(run.steps * share / (3 * max(unit * pace.assume(run), 1e-9)))
    steps = max(1, min(steps, run.steps))
    if isinstance(run, Pass):
        return run._replace(steps=steps)
    settings = dict(run.settings) | {"steps": steps}
    return run._replace(settings=tuple(sorted(settings.items())))


def _repeat(run: Callable[[], object], device: Runtime, share: float) -> float:
    """Mean seconds of a call: of the processor on a CPU, of the clock on a GPU."""
    clock = time.perf_counter if device.device.type == "cuda" else time.process_time
    begin = time.perf_counter()
    seconds: list[float] = []
    while not seconds or time.perf_counter() - begin < share:
        start = clock()
        run()
        device.wait()
        seconds.append(clock() - start)
        if len(seconds) == 1 and device.device.type == "cuda":
            begin = time.perf_counter()  # the first call compiled
    return fmean(seconds[1:] or seconds)


def _samples(pace: Pace, folder: Path) -> DeviceData:
    if (folder / "dataset.json").exists():
        return data.to_device(data.load(folder), pace.device.device)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1000, *pace.shape), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, pace.n_classes, (1000,), generator=generator)
    tensors = (tensor.to(pace.device.device) for tensor in (images, labels, images, labels))
    return DeviceData(*tensors)


def _make(work: Work, pace: Pace, samples: DeviceData) -> Callable[[], object]:
    """What does a unit of work once."""
    device = pace.device
    model = device.place(_build(work.architecture, pace))
    forward = torch.compile(model) if device.compile else model
    rows = torch.arange(work.batch, device=device.device) % len(samples.train_labels)
    if isinstance(work, Step):
        return _training(work, model, forward, samples, rows, device).run_epoch
    images = samples.train_images[rows]
    if not work.steps:
        return lambda: probabilities(model, images)
    with full_precision():
        labels = probabilities(model, images).argmax(1)  # so that the attack leaves none out
    attack = PGD(eps=8 / 255, step=2 / 255, steps=work.steps)

    def judge() -> None:
        with device.autocast(work.precision):
            evaluate(forward, images, labels, {"pgd": attack}, batch_size=work.batch, seed=0)

    return judge


def _build(architecture: str, pace: Pace) -> Classifier:
    return build_model(architecture, n_classes=pace.n_classes, channels=pace.shape[0], seed=0)


def _training(work: Step, model, forward, samples, rows, device: Runtime) -> Training:
    """A training whose epochs are one step each, at a rate that leaves the model as it is."""
    changes = {"lr": 1e-9, "schedule": "constant", "batch_size": work.batch}
    mask = torch.zeros(len(samples.train_labels), dtype=torch.bool, device=device.device)
    mask[::2] = True
    return Training(
        model,
        objective_of(work),
        samples,
        rows,
        work.recipe.model_copy(update=changes | {"precision": work.precision}),
        seed=0,
        trial=0,
        device=device,
        forward=forward if device.compile else None,
        memorized=mask,
        unmemorized=~mask,
    )

"""What `benchmarks/gpu.py` measures, each in a process of its own on a GPU.

    python benchmarks/gpu_measurements.py '{"kind": "trials", "compile": true, ...}'

prints the numbers of one measurement as a line of JSON. Images are made: smooth patterns
of each class with noise, so that a network can fit them and attacks can turn them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from adversarial_training import Ours, Plain, judge

from bat import config, data
from bat.attacks import PGD
from bat.attacks.evaluation import evaluate
from bat.data import DeviceData, PreparedData
from bat.devices import Runtime, runtime
from bat.models import build_model
from bat.plan.specifications import trial_recipe
from bat.training.trials import TrialTrainer

LOOPS = {
    "plain": (Plain, {}),
    "plain, autocast": (Plain, {"autocast": True}),
    "ours": (Ours, {"mode": "train", "precision": "auto"}),
}
N_CLASSES = 10


class _Enough(Exception):
    """The time of a measurement is over."""


def samples(n_train: int, n_test: int, edge: int) -> PreparedData:
    """Made images in the shape of a data set: a smooth pattern for each class, and noise."""
    generator = torch.Generator().manual_seed(0)
    patterns = F.interpolate(torch.rand(N_CLASSES, 3, 4, 4, generator=generator), edge)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = torch.randint(N_CLASSES, (n,), generator=generator)
        noise = torch.randn(n, 3, edge, edge, generator=generator)
        images = 0.5 + 0.6 * (patterns[labels] - 0.5) + 0.15 * noise
        return images.clamp_(0, 1).mul_(255).to(torch.uint8).numpy(), labels.numpy()

    (train_images, train_labels), (test_images, test_labels) = draw(n_train), draw(n_test)
    names = [str(label) for label in range(N_CLASSES)]
    info = {"class_names": names, "shape": [3, edge, edge], "mean": [0.5] * 3, "std": [0.2] * 3}
    return PreparedData(
        Path(),
        info,
        train_images,
        train_labels,
        np.arange(n_train),
        test_images,
        test_labels,
        np.arange(n_test),
    )


class Pacer:
    """What a trial reports to: it ends the trial after some steps, or when its time is over."""

    def __init__(self, steps: int | None = None, seconds: float = float("inf")):
        self.steps, self.until = steps, time.perf_counter() + seconds
        self.taken, self.share = -1, 0.0  # it is called before each step

    def __call__(self, share: float, note: str) -> None:
        self.taken, self.share = self.taken + 1, share
        if self.taken == self.steps or time.perf_counter() > self.until:
            raise _Enough


def measure_trials(spec: dict, device: Runtime) -> dict:
    """Train one trial in full, or as much of it as the time allows, behind some warm steps.

    With a ``meeting`` folder the jobs of one GPU begin together. ``share`` is what was
    trained of the trial; its accuracies are there only when it is whole.
    """
    prepared = samples(spec["n_train"], spec["n_test"], spec["edge"])
    training = config.SubsetTraining(**spec["training"])
    scores = config.Scores(architecture=spec["architecture"], training=training)
    trainer = TrialTrainer(prepared, trial_recipe(spec["architecture"], scores), device)
    begun = time.perf_counter()
    _run(trainer, 0, Pacer(steps=5), device)
    warm = time.perf_counter() - begun
    if spec.get("meeting"):
        _meet(Path(spec["meeting"]), spec["job"], spec["jobs"])
    pacer, start = Pacer(seconds=spec["seconds"]), time.perf_counter()
    row = _run(trainer, 1 + spec.get("job", 0), pacer, device)
    found = {
        "seconds": time.perf_counter() - start,
        "share": 1.0 if row else pacer.share,
        "seconds_of_first_steps": warm,
        "precision": device.precision(training.precision),
        "memory": _memory(device),
    }
    if row:
        found |= {key: row[f"{key}_accuracy"][0] for key in ("included", "excluded", "test")}
    return found


def _run(trainer: TrialTrainer, trial: int, pacer: Pacer, device: Runtime) -> dict | None:
    """The row of a trial, or nothing where the pacer ended it."""
    try:
        return trainer.train(trial, keep_probabilities=False, report=pacer)
    except _Enough:
        return None
    finally:
        device.wait()


def _meet(folder: Path, job: int, jobs: int) -> None:
    """Wait until all jobs are there."""
    (folder / str(job)).touch()
    while len(list(folder.iterdir())) < jobs:
        time.sleep(0.01)


def measure_steps(spec: dict, device: Runtime) -> dict:
    """Take steps of PGD-AT in rounds, behind some warm ones."""
    loop = _loop(spec, device, seed=0, epochs=10**6, schedule="constant")
    begun = time.perf_counter()
    loop.train(3)
    warm, each = time.perf_counter() - begun, loop.train(1)
    steps = max(1, min(100, int(spec["seconds"] / spec["rounds"] / each)))
    seconds = [loop.train(steps) / steps for _ in range(spec["rounds"])]
    return {
        "seconds_per_step": statistics.median(seconds),
        "range": [min(seconds), max(seconds)],
        "steps": steps,
        "seconds_of_first_steps": warm,
        "memory": _memory(device),
    }


def measure_accuracy(spec: dict, device: Runtime) -> dict:
    """Accuracies after equal numbers of steps from equal weights, for each seed."""
    clean, robust = [], []
    for seed in spec["seeds"]:
        loop = _loop(spec, device, seed, epochs=spec["epochs"], schedule="one_cycle")
        loop.train(spec["epochs"] * (spec["n_train"] // spec["batch_size"]))
        of_seed = judge(loop.model, loop.source, argparse.Namespace(eps=spec["eps"]))
        clean.append(of_seed[0])
        robust.append(of_seed[1])
    return {"clean": clean, "robust": robust}


def _loop(spec: dict, device: Runtime, seed: int, *, epochs: int, schedule: str) -> Plain | Ours:
    """A loop of `LOOPS` that keeps the data it trains on as ``source``."""
    prepared = samples(spec["n_train"], spec["n_test"], spec["edge"])
    options = argparse.Namespace(
        recipe=config.Optimization(
            epochs=epochs, batch_size=spec["batch_size"], schedule=schedule, milestones=()
        ),
        eps=spec["eps"],
        clock="wall",
        attack_steps=spec["attack_steps"],
        workers=spec["workers"],
    )
    kind, keywords = LOOPS[spec["loop"]]
    source = data.to_device(prepared, device.device)
    model = build_model(spec["architecture"], n_classes=N_CLASSES, seed=seed)
    loop = kind(model, source, options, device, seed, **keywords)
    loop.source = source
    return loop


def measure_evaluation(spec: dict, device: Runtime) -> dict:
    """Attack samples that are all classified right, as tables are made: in float32."""
    model = device.place(build_model(spec["architecture"], n_classes=N_CLASSES, seed=0)).eval()
    source = data.to_device(samples(8, spec["n_test"], spec["edge"]), device.device)
    attack = PGD(eps=spec["eps"], step=spec["eps"] / 4, steps=spec["attack_steps"])
    forward = torch.compile(model) if device.compile else model
    rate, seconds = 0.0, []
    begun = time.perf_counter()
    while len(seconds) < 2 or time.perf_counter() - begun < spec["seconds"]:
        start = time.perf_counter()
        _attack(forward, model, source, attack, spec["batch_size"])
        device.wait()
        seconds.append(time.perf_counter() - start)
    rate = spec["n_test"] / statistics.median(seconds[1:])  # the first one compiled
    return {"samples_per_second": rate, "memory": _memory(device)}


def _attack(forward, model, source: DeviceData, attack: PGD, batch_size: int) -> None:
    from bat.attacks import full_precision
    from bat.training.trials import outputs

    with full_precision():
        labels = outputs(model, source.test_images).argmax(1)  # so that none is left out
    evaluate(forward, source.test_images, labels, {"pgd": attack}, batch_size=batch_size, seed=0)


def _memory(device: Runtime) -> int | None:
    """Bytes that torch held at most on the GPU in this process."""
    if device.device.type != "cuda":
        return None
    return torch.cuda.max_memory_reserved(device.device)


KINDS = {
    "trials": measure_trials,
    "steps": measure_steps,
    "accuracy": measure_accuracy,
    "evaluation": measure_evaluation,
}


def measure(spec: dict) -> dict:
    """The numbers of one measurement."""
    settings = {"compile": spec.get("compile", True), "jobs_per_gpu": spec.get("jobs", 1)}
    with runtime(spec["device"], threads=spec["threads"], **settings) as device:
        return KINDS[spec["kind"]](spec, device)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))

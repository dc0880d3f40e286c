"""How many subset trainings a second, against a plain loop of the same recipe.

    python benchmarks/trials.py --repeats 5              # one thread each, images like CIFAR's
    python benchmarks/trials.py --repeats 5 --jobs 2     # a machine of two cores

The plain loop is the usual one: a `DataLoader` with torchvision's transforms of PIL images,
float32, contiguous tensors, `torch.optim.SGD`, no compilation. It trains the same network
from the same parameters on the same subset with the same schedule, and judges all training
and test samples as a trial does; order and augmentation are its own. Loops take turns, and
ratios are taken within a round. Time is that of the process by default, which other work on
the machine disturbs less than the clock.

With `--jobs` it is what a machine does in a second by the clock: the plain loop trains one
network with as many threads, ours one network a job with one thread each, side by side, as
`snakemake --cores` has them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch
import torch.nn.functional as F
from adversarial_training import Images, hardware, spread
from gpu_measurements import samples
from torch.utils.data import DataLoader, Subset

from bat import config
from bat.data import PreparedData
from bat.devices import Runtime, runtime
from bat.models import build_for
from bat.plan.specifications import trial_recipe
from bat.scores.subsets import subset
from bat.streams import torch_seed
from bat.training import learning_rate
from bat.training.trials import TrialTrainer


def plain_trial(prepared: PreparedData, recipe: dict, trial: int) -> float:
    """Train a trial as most code does; its accuracy on the samples trained on."""
    training = config.SubsetTraining.model_validate(recipe["training"])
    seed, n = recipe["seed"], len(prepared.train_labels)
    included = subset(seed, trial, n, recipe["subset_ratio"])
    torch.manual_seed(torch_seed(seed, trial, "order"))
    model = build_for(
        recipe["architecture"], prepared.info, seed=torch_seed(seed, trial, "init")
    ).train()
    images = Images(prepared.train_images, prepared.train_labels, training.augmentation)
    chosen = Subset(images, np.flatnonzero(included).tolist())
    loader = DataLoader(chosen, batch_size=training.batch_size, shuffle=True, drop_last=True)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=training.lr,
        momentum=training.momentum,
        nesterov=training.nesterov,
        weight_decay=training.weight_decay,
    )
    step = 0
    for _ in range(training.epochs):
        for x, y in loader:
            optimizer.param_groups[0]["lr"] = learning_rate(training, step, len(loader))
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    correct = judged(model, prepared.train_images, prepared.train_labels)
    judged(model, prepared.test_images, prepared.test_labels)
    return float(correct[included].mean())


@torch.no_grad()
def judged(model: torch.nn.Module, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which samples a model gets right, in eval mode."""
    still = config.Augmentation(crop=0, flip=False)
    model.eval()
    found = [model(x).argmax(1) for x, _ in DataLoader(Images(images, labels, still), 500)]
    return torch.cat(found).numpy() == labels


def recipe(options: argparse.Namespace, precision: str) -> dict:
    """What a trial is made from, of either loop."""
    training = config.SubsetTraining(
        epochs=options.epochs,
        batch_size=options.batch_size,
        augmentation=config.Augmentation(crop=options.crop, flip=options.flip),
        precision=precision,
    )
    scores = config.Scores(architecture=options.architecture, training=training)
    return trial_recipe(options.architecture, scores)


def our_trial(prepared: PreparedData, recipe: dict, device: Runtime) -> Callable[[int], float]:
    """What trains a trial here, and gives its accuracy on the samples trained on."""
    trainer = TrialTrainer(prepared, recipe, device)
    return lambda trial: trainer.train(trial, keep_probabilities=False)["included_accuracy"][0]


def side_by_side(
    pool: Executor, options: argparse.Namespace, precision: str
) -> Callable[[int], float]:
    """What trains a trial in each job at once, and gives their mean accuracy."""
    train = partial(_in_a_job, options, precision)
    jobs = options.jobs
    return lambda turn: statistics.mean(pool.map(train, range(turn * jobs, (turn + 1) * jobs)))


def _in_a_job(options: argparse.Namespace, precision: str, trial: int) -> float:
    if precision not in _OF_THIS_JOB:
        prepared = samples(options.train, options.test, options.edge)
        with runtime("cpu", threads=1) as device:
            _OF_THIS_JOB[precision] = our_trial(prepared, recipe(options, precision), device)
    return _OF_THIS_JOB[precision](trial)


_OF_THIS_JOB: dict[str, Callable[[int], float]] = {}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="resnet9-8")
    parser.add_argument("--train", type=int, default=3000, help="training images, 70 %% a subset")
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--edge", type=int, default=32, help="pixels")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--crop", type=int, default=4, help="padding in pixels")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--precision", nargs="+", default=["float32", "auto"], help="of ours")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="trials of ours side by side")
    parser.add_argument("--clock", choices=("wall", "cpu"), help="wall with several jobs, else cpu")
    options = parser.parse_args()
    options.clock = options.clock or ("wall" if options.jobs > 1 else "cpu")
    if options.jobs > 1 and options.clock == "cpu":
        parser.error("several jobs are compared by the clock: leave out --clock cpu")
    options.workers = 0
    return options


def main() -> None:
    options = parse()
    prepared = samples(options.train, options.test, options.edge)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    with (
        runtime("cpu", threads=options.jobs) as device,
        ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool,  # starts none until asked
    ):
        print(hardware(device, options))
        plain = recipe(options, "float32")
        loops = {"plain": lambda trial: plain_trial(prepared, plain, trial)}
        for precision in options.precision:
            name = f"ours, {precision}"
            name += f" ({device.precision('auto')})" if precision == "auto" else ""
            loops[name] = (
                side_by_side(pool, options, precision)
                if options.jobs > 1
                else our_trial(prepared, recipe(options, precision), device)
            )
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        accuracy: dict[str, list[float]] = {name: [] for name in loops}
        for trial in range(-1, options.repeats):  # the first sets up what the others reuse
            for name, train in loops.items():
                start = clock()
                right = train(max(trial, 0))
                if trial >= 0:
                    at_once = 1 if name == "plain" else options.jobs
                    seconds[name].append((clock() - start) / at_once)
                    accuracy[name].append(100 * right)
    report(options, seconds, accuracy)


def report(
    options: argparse.Namespace, seconds: dict[str, list[float]], accuracy: dict[str, list[float]]
) -> None:
    """Print a row for each loop, ratios within the rounds."""
    print(f"\n{options.architecture}, 70 % of {options.train} images of {options.edge} pixels, ")
    print(f"{options.epochs} epochs, {options.repeats} rounds, {options.clock} time, ", end="")
    print(f"plain with {options.jobs} threads, ours in {options.jobs} jobs of one thread")
    print(
        f"{'':24}{'s / trial':>10}{'range':>14}{'trials / s':>11}{'x plain':>9}{'range':>12}",
        end="",
    )
    print(f"{'accuracy':>10}")
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(seconds["plain"], times, strict=True)]
        middle = statistics.median(times)
        print(
            f"{name:24}{middle:10.2f}{spread(times, 2):>14}{1 / middle:11.3f}"
            f"{statistics.median(ratios):8.2f}x{spread(ratios, 2):>12}"
            f"{statistics.mean(accuracy[name]):10.1f}"
        )


if __name__ == "__main__":
    main()

"""How fast adversarial training with PGD-10 goes, against a plain loop of the published kind.

    python benchmarks/adversarial_training.py --batch-size 64 --steps 1 --rounds 3  # two cores
    python benchmarks/adversarial_training.py --architecture resnet18 wrn-28-10     # a GPU
    python benchmarks/adversarial_training.py --data results/digits/data --accuracy 20 \\
        --architecture small_cnn --eps 0.1 --crop 1 --no-flip

The plain loop does what the code of Rice et al. (2020), arXiv:2002.11569, does:
float32 tensors of contiguous layout, a `DataLoader` with worker processes and
torchvision's transforms, an attack in train mode that calls `loss.backward()` and so
also makes the gradients of the weights, ten times for nothing. Its two further
forward passes in each step, to choose among restarts and for its log, are left out,
which is to its advantage. Both loops train the same model, with the same threads.

Variants take turns, so that other work on the machine meets all of them, and the
ratio of each is taken within a round, after some steps each for warming up. Workers
run during the turns of the plain loop only.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bat import config, data
from bat.attacks import PGD
from bat.attacks.evaluation import evaluate
from bat.data import DeviceData
from bat.devices import Runtime, runtime
from bat.models import build_model
from bat.objectives import PGDAT
from bat.training import Training, learning_rate


class Images(Dataset):
    """Images and labels one at a time, as torchvision's data sets give them."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, augmentation: config.Augmentation):
        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).squeeze()
        self.labels = labels
        steps = [transforms.RandomCrop(images.shape[2:], padding=augmentation.crop)]
        steps += [transforms.RandomHorizontalFlip()] if augmentation.flip else []
        self.transform = transforms.Compose([*steps, transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class Plain:
    """The published kind of loop."""

    def __init__(
        self,
        model: nn.Module,
        source: DeviceData,
        options: argparse.Namespace,
        device: Runtime,
        seed: int,
        *,
        autocast: bool = False,
    ):
        self.recipe, self.eps, self.clock = options.recipe, options.eps, options.clock
        self.attack_steps, self.autocast = options.attack_steps, autocast
        self.device, self.model = device.device, model.to(device.device).train()
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=self.recipe.lr,
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
        )
        torch.manual_seed(seed)
        images, labels = source.train_images.cpu().numpy(), source.train_labels.cpu().numpy()
        self.loader = DataLoader(
            Images(images, labels, self.recipe.augmentation),
            batch_size=self.recipe.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=options.workers,
            pin_memory=self.device.type == "cuda",
        )
        self.done = 0

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def train(self, n_steps: int) -> float:
        """Take steps; the seconds they took. Workers start, and stop, outside of the time."""
        batches = self.batches()
        batch = next(batches)
        start = clock(self.device, self.clock)
        for step in range(n_steps):
            self.take_step(*batch)
            if step + 1 < n_steps:
                batch = next(batches)
        return clock(self.device, self.clock) - start

    def take_step(self, x: Tensor, y: Tensor) -> None:
        x, y = (t.to(self.device, non_blocking=True) for t in (x, y))
        self.optimizer.param_groups[0]["lr"] = learning_rate(
            self.recipe, self.done, len(self.loader)
        )
        delta = self.attack(x, y)
        loss = self.loss((x + delta).clamp(0, 1), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        loss.item()  # for the log
        self.done += 1

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            return F.cross_entropy(self.model(x), y)

    def attack(self, x: Tensor, y: Tensor) -> Tensor:
        delta = torch.empty_like(x).uniform_(-self.eps, self.eps)
        delta = ((x + delta).clamp(0, 1) - x).requires_grad_()
        for _ in range(self.attack_steps):
            self.loss(x + delta, y).backward()
            with torch.no_grad():
                moved = (delta + self.eps / 4 * delta.grad.sign()).clamp(-self.eps, self.eps)
                delta.copy_((x + moved).clamp(0, 1) - x)
            delta.grad.zero_()
        return delta.detach()


class Ours:
    """`bat.training.Training` with `bat.objectives.PGDAT`."""

    def __init__(
        self,
        model: nn.Module,
        source: DeviceData,
        options: argparse.Namespace,
        device: Runtime,
        seed: int,
        *,
        mode: str,
        precision: str,
    ):
        self.device, self.model = device.device, device.place(model)
        self.clock = options.clock
        recipe = options.recipe.model_copy(update={"precision": precision})
        self.training = Training(
            self.model,
            PGDAT(eps=options.eps, step=options.eps / 4, steps=options.attack_steps, mode=mode),
            source,
            torch.arange(len(source.train_labels), device=self.device),
            recipe,
            seed=seed,
            trial=0,
            device=device,
            forward=torch.compile(self.model) if device.compile else None,
        )

    @property
    def done(self) -> int:
        return self.training.epoch * self.training.steps_per_epoch + self.training.step

    def train(self, n_steps: int) -> float:
        """Take steps; the seconds they took."""
        target = self.done + n_steps
        start = clock(self.device, self.clock)
        while self.done < target:
            self.training.run_epoch(lambda: self.done >= target)
        return clock(self.device, self.clock) - start


def clock(device: torch.device, kind: str) -> float:
    """Seconds on the wall, or of this process on all its threads."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() if kind == "wall" else time.process_time()


def load(options: argparse.Namespace, device: torch.device) -> tuple[dict, DeviceData]:
    """What `build_model` needs and the data: a prepared folder, or random images like CIFAR's."""
    if options.data:
        prepared = data.load(options.data)
        return prepared.info, data.to_device(prepared, device)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (10_000, 3, 32, 32), np.uint8)).to(device)
    labels = torch.from_numpy(rng.integers(0, 10, 10_000)).to(device)
    info = {"class_names": range(10), "shape": [3, 32, 32], "mean": None, "std": None}
    return info, DeviceData(images, labels, images[:1000], labels[:1000])


def variants(options: argparse.Namespace) -> dict[str, dict]:
    """Keywords of `Ours` by name; those of `Plain` have no mode."""
    ours = {
        f"{mode} mode, {precision}": {"mode": mode, "precision": precision}
        for precision in options.precision
        for mode in options.mode
    }
    return {"plain loop": {}, "plain loop, autocast": {"autocast": True}} | ours


def build(
    architecture: str,
    keywords: dict,
    info: dict,
    source: DeviceData,
    options: argparse.Namespace,
    device: Runtime,
    seed: int,
) -> Plain | Ours:
    model = build_model(
        architecture,
        n_classes=len(info["class_names"]),
        channels=info["shape"][0],
        mean=info["mean"],
        std=info["std"],
        seed=seed,
    )
    kind = Ours if "mode" in keywords else Plain
    return kind(model, source, options, device, seed, **keywords)


def compare_speed(architecture: str, options: argparse.Namespace, device: Runtime) -> None:
    info, source = load(options, device.device)
    loops = {
        name: build(architecture, keywords, info, source, options, device, seed=0)
        for name, keywords in variants(options).items()
    }
    for loop in loops.values():
        loop.train(options.warmup)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        for name, loop in loops.items():
            seconds[name].append(loop.train(options.steps) / options.steps)
    print(
        f"\n{architecture}, batches of {options.recipe.batch_size}, PGD-{options.attack_steps}, ",
        end="",
    )
    print(f"{options.rounds} rounds of {options.steps} steps each, ", end="")
    print(f"{options.clock} time")
    print(f"{'':24}{'s / step':>10}{'range':>18}{'steps / s':>11}{'x plain':>9}{'range':>14}")
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(seconds["plain loop"], times, strict=True)]
        print(
            f"{name:24}{statistics.median(times):10.4f}{spread(times, 4):>18}"
            f"{1 / statistics.median(times):11.3f}{statistics.median(ratios):8.2f}x"
            f"{spread(ratios, 2):>14}",
            flush=True,
        )


def compare_accuracy(architecture: str, options: argparse.Namespace, device: Runtime) -> None:
    """Train each variant from the same weights for the same number of steps."""
    info, source = load(options, device.device)
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in variants(options)}
    for seed in options.seeds:
        for name, keywords in variants(options).items():
            loop = build(architecture, keywords, info, source, options, device, seed)
            steps = options.accuracy * (len(source.train_labels) // options.batch_size)
            found[name].append((loop.train(steps), *judge(loop.model, source, options)))
    print(
        f"\n{architecture}, {options.accuracy} epochs of {len(source.train_labels)} images, ",
        end="",
    )
    print(f"mean and range over {len(options.seeds)} seeds; robust: PGD-20")
    print(f"{'':24}{'clean %':>9}{'range':>14}{'robust %':>10}{'range':>14}{'seconds':>9}")
    for name, rows in found.items():
        seconds, clean, robust = zip(*rows, strict=True)
        print(
            f"{name:24}{statistics.mean(clean):9.1f}{spread(clean, 1):>14}"
            f"{statistics.mean(robust):10.1f}{spread(robust, 1):>14}"
            f"{statistics.mean(seconds):9.1f}",
            flush=True,
        )


def judge(model: nn.Module, source: DeviceData, options: argparse.Namespace) -> tuple[float, float]:
    """Clean and robust accuracy on the test set in percent, in float32."""
    attack = PGD(eps=options.eps, step=options.eps / 4, steps=20)
    flags = evaluate(
        model, source.test_images, source.test_labels, {"pgd": attack}, batch_size=500, seed=0
    )
    return 100 * flags["clean"].mean(), 100 * flags["pgd"].mean()


def spread(values, digits: int) -> str:
    return f"{min(values):.{digits}f}-{max(values):.{digits}f}"


def hardware(device: Runtime, options: argparse.Namespace) -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    where = f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if device.device.type == "cuda":
        where = f"{device.name}, {where}"
    return (
        f"{where}, {options.workers} workers, load {os.getloadavg()[0]:.1f} at the start\n"
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", nargs="+", default=["resnet18"])
    parser.add_argument("--data", type=Path, help="prepared folder; random images without it")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--clock",
        default="wall",
        choices=("wall", "cpu"),
        help="cpu: time of this process, for a busy machine; leaves out the plain loop's workers",
    )
    parser.add_argument("--workers", type=int, default=2, help="of the plain loop")
    parser.add_argument("--mode", nargs="+", default=["train", "eval"], help="in our attack")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"], help="of ours")
    parser.add_argument("--eps", type=float, default=8 / 255, help="steps are a fourth of it")
    parser.add_argument("--attack-steps", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--crop", type=int, default=4, help="padding in pixels")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--steps", type=int, default=20, help="in a turn")
    parser.add_argument("--warmup", type=int, default=1, help="steps before the first round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--accuracy", type=int, metavar="EPOCHS", help="compare accuracy instead")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    options.recipe = config.Optimization(
        epochs=options.accuracy or 10**6,
        batch_size=options.batch_size,
        lr=options.lr,
        schedule="one_cycle" if options.accuracy else "constant",
        milestones=(),
        augmentation=config.Augmentation(crop=options.crop, flip=options.flip),
    )
    return options


def main() -> None:
    options = parse()
    with runtime(options.device, threads=options.threads) as device:
        print(hardware(device, options))
        for architecture in options.architecture:
            (compare_accuracy if options.accuracy else compare_speed)(architecture, options, device)


if __name__ == "__main__":
    main()

"""AutoAttack, by its authors' code."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from bat.attacks.base import Progress, batch_of
from bat.attacks.linf import check_adversarial, check_eps, check_parameters
from bat.attacks.modes import AttackError, device_of, eval_mode, full_precision, uncompiled

log = logging.getLogger(__name__)

MAX_TARGETS = 9  # targets of the standard version


@dataclass(frozen=True, kw_only=True)
class AutoAttack:
    """AutoAttack, l_inf, by its authors' code.

    The authors' package ``autoattack`` runs where it is installed, else
    ``pyautoattack``, a repackaging that agreed with it on every sample.

    Attributes
    ----------
    eps : float
        On the [0, 1] scale.
    version : {"standard", "aa-fast"}
        "standard" is APGD-CE, APGD-T, FAB-T and Square; "aa-fast" only the
        first two, an upper bound of the robust accuracy to be named as such.

    Notes
    -----
    The targeted parts take ``min(9, classes - 1)`` targets. APGD-T needs four
    classes: with fewer, "standard" runs without it and "aa-fast" has FAB-T in
    its place. Always in float32 without TF32, autocast or compilation. The
    verdicts depend on the seed and on ``batch_size``, as the library draws its
    random numbers for a batch at a time.

    References
    ----------
    Croce and Hein (2020), arXiv:2003.01690.
    """

    eps: float
    version: Literal["standard", "aa-fast"] = "standard"

    def __post_init__(self) -> None:
        if self.version not in ("standard", "aa-fast"):
            raise AttackError(f"version is {self.version!r}, expected 'standard' or 'aa-fast'")
        check_eps(self.eps)

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        index: Tensor,
        *,
        seed: int,
        batch_size: int,
        progress: Progress | None = None,
    ) -> Tensor:
        """Attack some of the images in eval mode.

        Parameters, what is returned and errors are those of `PGD`; but all the
        samples are on the device at once, twice, as float32: the library draws
        its batches itself.
        """
        return _withstand(
            f"AutoAttack ({self.version})",
            self.eps,
            lambda n_classes: autoattack_parts(self.version, n_classes),
            *(model, images, labels, index),
            seed=seed,
            batch_size=batch_size,
            progress=progress,
        )


@dataclass(frozen=True, kw_only=True)
class Square:
    """The Square attack by the same code: a random search that asks for logits alone.

    What takes no gradient is not misled by one that is masked.

    Attributes
    ----------
    eps : float
        On the [0, 1] scale.
    queries : int
        Logits asked for of each sample at most; AutoAttack's is 5,000.

    References
    ----------
    Andriushchenko et al. (2020), arXiv:1912.00049.
    """

    eps: float
    queries: int = 5000

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise AttackError(f"queries is {self.queries}, expected at least 1")
        check_eps(self.eps)

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        index: Tensor,
        *,
        seed: int,
        batch_size: int,
        progress: Progress | None = None,
    ) -> Tensor:
        """Attack some of the images in eval mode; as `AutoAttack` does."""
        return _withstand(
            "Square",
            self.eps,
            lambda n_classes: ["square"],
            *(model, images, labels, index),
            seed=seed,
            batch_size=batch_size,
            progress=progress,
            queries=self.queries,
        )


def autoattack_parts(version: Literal["standard", "aa-fast"], n_classes: int) -> list[str]:
    """The library's names of the attacks that a version runs, in order."""
    if version == "standard":
        parts = ["apgd-ce", "apgd-t", "fab-t", "square"]
        return parts if n_classes >= 4 else [part for part in parts if part != "apgd-t"]
    return ["apgd-ce", "apgd-t" if n_classes >= 4 else "fab-t"]


def _withstand(
    name: str,
    eps: float,
    parts: Callable[[int], list[str]],
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    index: Tensor,
    *,
    seed: int,
    batch_size: int,
    progress: Progress | None,
    queries: int | None = None,
) -> Tensor:
    """Which samples withstand some parts of the library, which the number of classes names."""
    check_parameters(eps, eps, 1, "zero", None)
    x, y = batch_of(images, labels, index, device_of(model))
    x = x.float().contiguous()
    devices = [x.device] if x.device.type == "cuda" else []
    with (
        eval_mode(model),
        full_precision(),
        torch.autocast(x.device.type, enabled=False),
        uncompiled(),
        torch.random.fork_rng(devices=devices),
    ):
        with torch.no_grad():
            n_classes = model(x[:1]).shape[1]
        if n_classes < 2:
            raise AttackError(f"the model has {n_classes} logits, expected at least 2")
        attacks = parts(n_classes)
        adversarial, predicted = _run_autoattack(
            _Float32Logits(model),
            x,
            y,
            eps=eps,
            attacks=attacks,
            n_targets=min(MAX_TARGETS, n_classes - 1),
            seed=seed,
            batch_size=batch_size,
            listen=_listener(attacks, len(x), progress),
            queries=queries,
        )
    for rows in torch.arange(len(x)).split(batch_size):
        check_adversarial(name, x[rows], adversarial[rows], eps, index[rows])
    return predicted == y


class _Float32Logits(nn.Module):
    """Logits that the attacks may write into, as Square does."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.training = model.training

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).float().clone()


def _run_autoattack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    attacks: list[str],
    n_targets: int,
    seed: int,
    batch_size: int,
    listen: Callable[[str], None],
    queries: int | None,
) -> tuple[Tensor, Tensor]:
    """Call whichever package there is; adversarial images and their predictions."""
    if importlib.util.find_spec("autoattack") is not None:
        from autoattack import AutoAttack as Library

        call = {"bs": batch_size, "return_labels": True}
    else:
        from pyautoattack import AutoAttack as Library

        call = {"batch_size": batch_size}
    with _overheard(listen):
        library = Library(
            model, norm="Linf", eps=eps, seed=seed, version="standard", device=x.device
        )
        library.attacks_to_run = attacks
        library.apgd_targeted.n_target_classes = n_targets
        library.fab.n_target_classes = n_targets
        if queries is not None:
            library.square.n_queries = queries
        return library.run_standard_evaluation(x, y, **call)


def _listener(
    attacks: list[str], n_samples: int, progress: Progress | None
) -> Callable[[str], None]:
    """Turn the library's lines into progress, and its warnings into ours, once each."""
    warned = set()

    def listen(line: str) -> None:
        batch = re.match(r"([a-z-]+) - (\d+)/(\d+) - ", line)
        if batch and progress is not None and batch[1] in attacks:
            share = attacks.index(batch[1]) + int(batch[2]) / int(batch[3])
            progress(round(share * n_samples), len(attacks) * n_samples)
        elif line.startswith("Warning: ") and line not in warned:
            warned.add(line)
            log.warning("AutoAttack: %s", line.removeprefix("Warning: "))

    return listen


@contextlib.contextmanager
def _overheard(listen: Callable[[str], None]) -> Iterator[None]:
    """Send what either package logs or prints to ``listen``, and nowhere else."""
    stdout, tracer = sys.stdout, sys.gettrace()

    def hear(line: str) -> None:
        with contextlib.redirect_stdout(stdout):
            listen(line)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            urgent = record.levelno >= logging.WARNING
            hear(("Warning: " if urgent else "") + record.getMessage())

    class Lines(io.TextIOBase):
        def write(self, text: str) -> int:
            for line in text.splitlines():
                hear(line)
            return len(text)

    logger = logging.getLogger("auto-attack")
    before = logger.level, logger.propagate, logger.handlers
    logger.setLevel(logging.DEBUG)
    logger.propagate, logger.handlers = False, [Handler()]
    try:
        with contextlib.redirect_stdout(Lines()):
            yield
    finally:
        logger.setLevel(before[0])
        logger.propagate, logger.handlers = before[1:]
        sys.settrace(tracer)  # the library's check of dynamic defences removes it

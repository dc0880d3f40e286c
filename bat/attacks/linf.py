"""l_inf attacks: one PGD core for training and evaluation, and AutoAttack.

Everything works on float images in [0, 1], shape (batch, channels, height,
width), and on models that return logits. ``eps`` and ``step`` are on the
[0, 1] scale. `linf_attack` is the core: one start, no check and no host
synchronisation, as training needs it. `PGD` (with `fgsm` and `cw`) and
`AutoAttack` are evaluation attacks: they run in batches on the samples that
still withstand, judge each sample, and check what they return.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat.data import as_float
from bat.errors import BatError

log = logging.getLogger(__name__)

GAUSSIAN_START = 0.001  # standard deviation of the start in TRADES and MART
CW_CONFIDENCE = 50.0  # as in the tables of GAIRAT and MART
TOLERANCE = 1e-6  # rounding allowed outside of the ball
MAX_TARGETS = 9  # targets of the standard version of AutoAttack

Progress = Callable[[int, int], None]  # (samples done, samples in all)


class AttackError(BatError):
    """An attack cannot run as asked, or returned something that is no attack."""


class Attacked(NamedTuple):
    """Adversarial images and, if counted, the iterates classified right."""

    x: Tensor  # (batch, channels, height, width)
    correct_steps: Tensor | None  # (batch,) int64, 0 to the number of steps


class EvaluationAttack(Protocol):
    """What `bat.attacks.evaluation.evaluate` calls; `PGD` and `AutoAttack` are such.

    Of ``images`` and ``labels`` only the rows of ``index`` are attacked, all of
    them classified right as they are: bool, shape (len(index),), which of them
    withstand, on the model's device.
    """

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
    ) -> Tensor: ...


# The core


def linf_attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step: float,
    steps: int,
    loss: Literal["ce", "kl", "cw"] = "ce",
    start: Literal["zero", "uniform", "gaussian"] | Tensor = "uniform",
    generator: torch.Generator | None = None,
    mode: Literal["eval", "train"] = "eval",
    update_statistics: bool = False,
    gaussian: float = GAUSSIAN_START,
    confidence: float = CW_CONFIDENCE,
    count_correct: bool = False,
) -> Attacked:
    """Climb a loss by signed gradient steps within an l_inf ball.

    The gradient is taken with respect to the images only; forward passes run
    under the caller's autocast, losses in float32. The parameters'
    ``requires_grad`` and ``grad``, each module's mode and, unless asked for, the
    running statistics are afterwards as they were, also on an exception.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits, shape (batch, classes); may be compiled.
    x : Tensor, shape (batch, channels, height, width)
        Images in [0, 1].
    y : Tensor of int64, shape (batch,)
        Labels.
    eps, step : float
        Radius of the ball and length of a step, on the [0, 1] scale.
    steps : int
        Number of gradient steps, at least 1.
    loss : {"ce", "kl", "cw"}
        What is maximised, summed over the batch: cross-entropy; the
        divergence KL(p(x) || p(x')) from the clean prediction (TRADES), for
        which the clean logits are computed once; the margin loss of `cw`.
    start : {"zero", "uniform", "gaussian"} or Tensor
        ``x``; uniform in the ball, clipped to [0, 1] (Madry); ``x`` plus
        normal noise of standard deviation ``gaussian``, which is projected
        after the first step only (TRADES, MART); or the start itself.
    generator : torch.Generator, optional
        On the device of ``x``; needed for a random start.
    mode : {"eval", "train"}
        Mode of the model during the attack.
    update_statistics : bool
        Whether forward passes in train mode update running statistics.
    confidence : float
        Margin past which "cw" stops pushing a sample.
    count_correct : bool
        Also count, for each sample, the iterates from the start on, without
        the last, that are classified right (GAIRAT's kappa).

    Returns
    -------
    Attacked
        Images within ``eps`` of ``x`` and in [0, 1], and the counts or None.

    Raises
    ------
    AttackError
        If a parameter makes no attack.

    References
    ----------
    Madry et al. (2018), arXiv:1706.06083; Zhang et al. (2019),
    arXiv:1901.08573.
    """
    _check_parameters(eps, step, steps, start, generator)
    lower, upper = (x - eps).clamp_(min=0.0), (x + eps).clamp_(max=1.0)
    adversarial = _start(x, eps, start, gaussian, generator, lower, upper)
    correct_steps = torch.zeros_like(y) if count_correct else None

    with _attacking(model, mode, update_statistics):
        if loss == "kl":
            with torch.no_grad():
                clean = F.log_softmax(forward(model, x), dim=1)
        for _ in range(steps):
            adversarial.requires_grad_()
            with torch.enable_grad():
                logits = forward(model, adversarial)
                if loss == "ce":
                    height = F.cross_entropy(logits, y, reduction="sum")
                elif loss == "kl":
                    height = F.kl_div(
                        F.log_softmax(logits, dim=1), clean, log_target=True, reduction="sum"
                    )
                elif loss == "cw":
                    height = -(margins(logits, y) + confidence).clamp(min=0.0).sum()
                else:
                    raise AttackError(f"loss is {loss!r}, expected 'ce', 'kl' or 'cw'")
            (gradient,) = torch.autograd.grad(height, adversarial)
            if correct_steps is not None:
                correct_steps += logits.detach().argmax(dim=1) == y
            # The sign of NaN is 0, which would pass for robustness: let it through.
            direction = gradient.sign().add_(gradient, alpha=0)
            adversarial = adversarial.detach().add_(direction, alpha=step)
            adversarial.clamp_(lower, upper)
    return Attacked(adversarial, correct_steps)


def forward(model: nn.Module, x: Tensor) -> Tensor:
    """Logits in float32 at least, whatever precision autocast gives the model."""
    return at_least_float32(model(x))


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision raised to float32; anything finer as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are; a model without any is taken to be on the CPU."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def batch_of(
    images: Tensor, labels: Tensor, index: Tensor, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Some samples on a device: images as float in [0, 1], labels as int64."""
    index = index.to(images.device)
    x = images.index_select(0, index).to(device)
    y = labels.to(images.device).index_select(0, index).to(device, torch.int64)
    return (as_float(x) if x.dtype == torch.uint8 else x), y


def margins(logits: Tensor, y: Tensor) -> Tensor:
    """Logit of the label minus the largest other logit, shape (batch,)."""
    label = y[:, None]
    others = logits.scatter(1, label, -torch.inf).max(dim=1).values
    return logits.gather(1, label).squeeze(1) - others


def _start(
    x: Tensor,
    eps: float,
    start: str | Tensor,
    gaussian: float,
    generator: torch.Generator | None,
    lower: Tensor,
    upper: Tensor,
) -> Tensor:
    if isinstance(start, Tensor):
        return start.detach().clone()
    if start == "zero":
        return x.detach().clone()
    noise = torch.empty_like(x)
    if start == "uniform":
        return noise.uniform_(-eps, eps, generator=generator).add_(x).clamp_(lower, upper)
    return noise.normal_(0.0, gaussian, generator=generator).add_(x)


def _check_parameters(
    eps: float, step: float, steps: int, start: str | Tensor, generator: torch.Generator | None
) -> None:
    if not (math.isfinite(eps) and eps >= 0.0):
        raise AttackError(f"eps is {eps}, expected a number that is not negative, such as 8/255")
    if not (math.isfinite(step) and step >= 0.0):
        raise AttackError(f"step is {step}, expected a number that is not negative, such as 2/255")
    if steps < 1:
        raise AttackError(f"steps is {steps}, expected at least 1")
    if isinstance(start, Tensor) or start == "zero":
        return
    if start not in ("uniform", "gaussian"):
        raise AttackError(f"start is {start!r}, expected 'zero', 'uniform' or 'gaussian'")
    if generator is None:
        raise AttackError(f"a {start} start draws random numbers: pass a torch.Generator")


def eval_mode(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Eval mode with frozen parameters; afterwards everything is as it was."""
    return _attacking(model, "eval")


@contextlib.contextmanager
def _attacking(
    model: nn.Module, mode: Literal["eval", "train"], update_statistics: bool = False
) -> Iterator[None]:
    """Freeze the parameters and set the mode, then put everything back."""
    if mode not in ("eval", "train"):
        raise AttackError(f"mode is {mode!r}, expected 'eval' or 'train'")
    modes = [(module, module.training) for module in model.modules()]
    trained = [p for p in model.parameters() if p.requires_grad]
    tracking = [m for m, _ in modes if getattr(m, "track_running_stats", False)]
    frozen = tracking if mode == "train" and not update_statistics else []
    try:
        model.train(mode == "train")
        for parameter in trained:
            parameter.requires_grad_(False)
        for module in frozen:
            module.track_running_stats = False
        yield
    finally:
        for module in frozen:
            module.track_running_stats = True
        for parameter in trained:
            parameter.requires_grad_(True)
        for module, training in modes:
            module.training = training


# Evaluation attacks


@dataclass(frozen=True, kw_only=True)
class PGD:
    """PGD with restarts: a sample is robust if no restart ends in an error.

    A restart runs only on samples that withstood those before. Each sample's
    random start depends on the seed, the restart and the sample's index alone:
    batches and other samples do not change it.

    Attributes
    ----------
    eps, step : float
        On the [0, 1] scale. Papers do not agree on the step of PGD-20 and
        PGD-100 (eps/10, eps/4, 2/255), so there is no default.
    steps : int
    restarts : int
        Number of starts; more than one only with a random start.
    start : {"uniform", "zero"}
    loss : {"ce", "cw"}
    confidence : float
        Of the margin loss "cw".
    """

    eps: float
    step: float
    steps: int
    restarts: int = 1
    start: Literal["uniform", "zero"] = "uniform"
    loss: Literal["ce", "cw"] = "ce"
    confidence: float = CW_CONFIDENCE

    def __post_init__(self) -> None:
        if self.restarts < 1:
            raise AttackError(f"restarts is {self.restarts}, expected at least 1")
        if self.restarts > 1 and self.start == "zero":
            raise AttackError("restarts from 'zero' are all the same: use start='uniform'")

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
        """Attack some of the images in batches, in eval mode.

        Parameters
        ----------
        images : Tensor of uint8, or float in [0, 1], shape (n, channels, height, width)
            Only one batch at a time is on the model's device and in float.
        labels : Tensor of int64, shape (n,)
        index : Tensor of int64, shape (m,)
            Samples to attack, all classified right as they are. Their numbers
            fix their random starts.
        seed : int
            Not negative.
        progress : callable, optional
            Called with the samples done and the samples in all, a sample
            counting once for each restart.

        Returns
        -------
        Tensor of bool, shape (m,)
            Samples that no restart turned into an error, on the model's device.

        Raises
        ------
        AttackError
            If a result leaves the ball or [0, 1], or is not finite; says
            which sample.
        """
        device = device_of(model)
        robust = torch.ones(len(index), dtype=torch.bool, device=device)
        total = len(index) * self.restarts
        for restart in range(self.restarts):
            standing = robust.nonzero().squeeze(1)
            for rows in standing.split(batch_size):
                chosen = index[rows.to(index.device)]
                x, y = batch_of(images, labels, chosen, device)
                start: Literal["zero"] | Tensor = "zero"
                if self.start == "uniform":
                    noise = start_noise(chosen, x.shape[1:], seed, restart)
                    start = (x + self.eps * noise.to(device)).clamp_(0.0, 1.0)
                attacked = linf_attack(
                    model,
                    x,
                    y,
                    eps=self.eps,
                    step=self.step,
                    steps=self.steps,
                    loss=self.loss,
                    start=start,
                    confidence=self.confidence,
                ).x
                check_adversarial(self._name(), x, attacked, self.eps, chosen)
                robust[rows] = _is_correct(model, attacked, y)
                if progress is not None:
                    ahead = int((standing > rows[-1]).sum())
                    left = ahead + int(robust.sum()) * (self.restarts - restart - 1)
                    progress(total - left, total)
        return robust

    def _name(self) -> str:
        return f"{'CW' if self.loss == 'cw' else 'PGD'}-{self.steps}"


def fgsm(eps: float) -> PGD:
    """One step of length ``eps`` from the image itself, without a random start.

    References
    ----------
    Goodfellow et al. (2015), arXiv:1412.6572.
    """
    return PGD(eps=eps, step=eps, steps=1, start="zero")


def cw(
    eps: float,
    step: float,
    steps: int,
    *,
    restarts: int = 1,
    confidence: float = CW_CONFIDENCE,
) -> PGD:
    """PGD on the margin loss of Carlini and Wagner, the CW of robustness tables.

    Minimises ``max(z_y - max_{k != y} z_k + confidence, 0)`` from a uniform
    start. It is not their minimum-norm attack, which TRADES, MART and GAIRAT
    do not run either.

    References
    ----------
    Carlini and Wagner (2017), arXiv:1608.04644.
    """
    return PGD(eps=eps, step=step, steps=steps, restarts=restarts, loss="cw", confidence=confidence)


def start_noise(index: Tensor, shape: tuple[int, ...], seed: int, restart: int = 0) -> Tensor:
    """Uniform noise in [-1, 1), a function of (seed, restart, index) alone.

    Parameters
    ----------
    index : Tensor of int64, shape (n,)
    shape : tuple of int
        Of one sample.

    Returns
    -------
    Tensor of float32, shape (n, *shape), on the CPU
    """
    noise = np.empty((len(index), *shape), dtype=np.float32)
    for row, sample in zip(noise, index.tolist(), strict=True):
        stream = np.random.Philox(key=seed, counter=[0, 0, restart, sample])
        np.random.Generator(stream).random(dtype=np.float32, out=row)
    return torch.from_numpy(noise).mul_(2.0).sub_(1.0)


def check_adversarial(
    name: str, x: Tensor, adversarial: Tensor, eps: float, index: Tensor | None = None
) -> None:
    """Refuse images outside of the ball or of [0, 1], or not finite.

    Raises
    ------
    AttackError
        Names the attack, the first sample at fault and what is wrong with it.
    """
    if adversarial.shape != x.shape:
        raise AttackError(f"{name} returned shape {tuple(adversarial.shape)} for {tuple(x.shape)}")
    flat = adversarial.flatten(1)
    distance = (adversarial - x).abs().flatten(1).amax(dim=1)
    inside = (
        flat.isfinite().all(dim=1)
        & (distance <= eps + TOLERANCE)
        & (flat.amin(dim=1) >= 0.0)
        & (flat.amax(dim=1) <= 1.0)
    )
    if bool(inside.all()):
        return
    row = int((~inside).nonzero()[0])
    sample = row if index is None else int(index[row])
    raise AttackError(
        f"{name} returned an image for sample {sample} at distance {float(distance[row]):.6g} "
        f"(eps is {eps:.6g}) with values from {float(flat[row].min()):.6g} to "
        f"{float(flat[row].max()):.6g}, expected finite values in [0, 1] within eps: check that "
        "the model's logits and gradients are finite and that the images are in [0, 1]"
    )


def _is_correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with eval_mode(model), torch.no_grad():
        return forward(model, x).argmax(dim=1) == y


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Float32 products without TF32, as reported robustness needs them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of torch announce a new interface
        matmul = torch.get_float32_matmul_precision()
        convolution = torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.set_float32_matmul_precision(matmul)
            torch.backends.cudnn.allow_tf32 = convolution


# AutoAttack


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
        _check_parameters(self.eps, self.eps, 1, "zero", None)
        x, y = batch_of(images, labels, index, device_of(model))
        x = x.float().contiguous()
        devices = [x.device] if x.device.type == "cuda" else []
        with (
            eval_mode(model),
            full_precision(),
            torch.autocast(x.device.type, enabled=False),
            torch.compiler.set_stance("force_eager"),
            torch.random.fork_rng(devices=devices),
        ):
            with torch.no_grad():
                n_classes = model(x[:1]).shape[1]
            if n_classes < 2:
                raise AttackError(f"the model has {n_classes} logits, expected at least 2")
            attacks = autoattack_parts(self.version, n_classes)
            adversarial, predicted = _run_autoattack(
                _Float32Logits(model),
                x,
                y,
                eps=self.eps,
                attacks=attacks,
                n_targets=min(MAX_TARGETS, n_classes - 1),
                seed=seed,
                batch_size=batch_size,
                listen=_listener(attacks, len(x), progress),
            )
        name = f"AutoAttack ({self.version})"
        for rows in torch.arange(len(x)).split(batch_size):
            check_adversarial(name, x[rows], adversarial[rows], self.eps, index[rows])
        return predicted == y


def autoattack_parts(version: Literal["standard", "aa-fast"], n_classes: int) -> list[str]:
    """The library's names of the attacks that a version runs, in order."""
    if version == "standard":
        parts = ["apgd-ce", "apgd-t", "fab-t", "square"]
        return parts if n_classes >= 4 else [part for part in parts if part != "apgd-t"]
    return ["apgd-ce", "apgd-t" if n_classes >= 4 else "fab-t"]


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

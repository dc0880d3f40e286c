"""The core of l_inf attacks: one start, no check and no host synchronisation.

Everything works on float images in [0, 1], shape (batch, channels, height,
width), and on models that return logits. ``eps`` and ``step`` are on the
[0, 1] scale. Training calls `linf_attack` itself; the attacks of evaluations are
made of it, and check what they return.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat.attacks.modes import AttackError, attacking, forward
from bat.config import TradesRun

GAUSSIAN_START = TradesRun().gaussian  # standard deviation of the start in TRADES and MART
CW_CONFIDENCE = 50.0  # as in the tables of GAIRAT and MART
TOLERANCE = 1e-6  # rounding allowed outside of the ball


class Attacked(NamedTuple):
    """Adversarial images and, if counted, the iterates classified right."""

    x: Tensor  # (batch, channels, height, width)
    correct_steps: Tensor | None  # (batch,) int64, 0 to the number of steps


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
    gaussian : float
        Standard deviation of the start "gaussian", on the [0, 1] scale.
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
    check_parameters(eps, step, steps, start, generator)
    lower, upper = (x - eps).clamp_(min=0.0), (x + eps).clamp_(max=1.0)
    adversarial = _start(x, eps, start, gaussian, generator, lower, upper)
    correct_steps = torch.zeros_like(y) if count_correct else None

    with attacking(model, mode, update_statistics):
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
            gradient = _by_image(height, adversarial)
            if correct_steps is not None:
                correct_steps += logits.detach().argmax(dim=1) == y
            # The sign of NaN is 0, which would pass for robustness: let it through.
            direction = gradient.sign().add_(gradient, alpha=0)
            adversarial = adversarial.detach().add_(direction, alpha=step)
            adversarial.clamp_(lower, upper)
    return Attacked(adversarial, correct_steps)


def _by_image(height: Tensor, images: Tensor) -> Tensor:
    found = (None,)
    if height.requires_grad:
        found = torch.autograd.grad(height, images, allow_unused=True)
    if found[0] is None:
        raise AttackError(
            "the model's logits have no gradient by its images (no_grad or detach in its forward, "
            "or steps that torch does not differentiate), so that no attack moves them; have it "
            "compute them of its images throughout"
        )
    return found[0]


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


def check_eps(eps: float) -> None:
    """Refuse a radius that is not on the [0, 1] scale."""
    if not (isinstance(eps, Real) and 0.0 <= eps <= 1.0):
        raise AttackError(
            f"eps is {eps!r}, expected a number in [0, 1], such as 8/255: pixels go from 0 to 1"
        )


def check_parameters(
    eps: float, step: float, steps: int, start: str | Tensor, generator: torch.Generator | None
) -> None:
    """Refuse parameters of an attack that cannot be.

    Parameters
    ----------
    eps, step : float
        On the [0, 1] scale; a step may be longer.
    steps : int
        At least 1.
    start : str or Tensor
        As for `bat.attacks.pgd`.
    generator : torch.Generator or None
        Needed where the start is random.

    Raises
    ------
    AttackError
    """
    check_eps(eps)
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

"""GAIRAT (Zhang et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bat.attacks import Attacked, forward
from bat.config import GairatRun
from bat.config.methods import GAIRAT_EPOCHS, begin_epoch
from bat.objectives.base import Batch, SmoothedAdversarial, Statistics, weighted_mean


@dataclass(frozen=True, kw_only=True)
class GAIRAT(SmoothedAdversarial):
    """Adversarial training weighted by how soon the attack succeeds.

    Samples that few attack steps fool weigh more: see `geometry_weights`.

    Attributes
    ----------
    eps, step : float
        On the [0, 1] scale. The reference takes 0.031, not 8/255.
    steps : int
        The K of the weights.
    shift : float
        The method's Lambda.
    begin_epoch : int
        First epoch, counted from 1, with weights; before it the loss is the
        plain mean. The reference's 60 belongs to runs of 120 epochs; its Lambda
        schedule for shorter ones starts at 30.

    Notes
    -----
    The attack maximises cross-entropy in eval mode from a uniform start.
    Statistics: ``loss``, ``correct_steps`` (mean of kappa).

    Deviations from the reference: only the "tanh" weights with a fixed Lambda
    after the burn-in, its defaults; counts are summed on the device; for an odd
    K the weights follow the paper, where the code rounds K/2 down.

    References
    ----------
    Zhang et al. (2021), arXiv:2010.01736.
    """

    name: ClassVar[str] = "gairat"

    shift: float = GairatRun().shift
    begin_epoch: int = begin_epoch(GairatRun().begin, GAIRAT_EPOCHS)

    def attack(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Attacked:
        """Attack the batch from a uniform start, counting iterates that are classified right."""
        return self.attacked(
            model, batch, generator, loss="ce", start="uniform", count_correct=True
        )

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        x, correct_steps = attacked
        losses = self.losses(forward(model, x), batch.y)
        if epoch + 1 >= self.begin_epoch:
            weights = geometry_weights(correct_steps, self.steps, shift=self.shift)
        else:
            weights = torch.ones_like(losses)
        loss = weighted_mean(losses, weights)
        return loss, {"loss": loss.detach(), "correct_steps": correct_steps.float().mean()}


def geometry_weights(
    correct_steps: Tensor, steps: int, *, shift: float = GairatRun().shift
) -> Tensor:
    """GAIRAT's weights, with mean 1 over the batch.

    Proportional to ``(1 + tanh(shift + 5 * (1 - 2 * kappa / K))) / 2``.

    Parameters
    ----------
    correct_steps : Tensor of int64, shape (batch,)
        kappa: iterates of the attack classified right, 0 to ``steps``.
    steps : int
        K.
    shift : float
        Lambda.

    Returns
    -------
    Tensor of float32, shape (batch,)
        Larger for samples that the attack fools sooner.
    """
    height = shift + 5.0 * (1.0 - 2.0 * correct_steps.float() / steps)
    weights = torch.sigmoid(2.0 * height)  # (1 + tanh(a)) / 2 without its underflow to 0
    return weights / weights.mean()

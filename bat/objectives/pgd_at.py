"""PGD adversarial training (Madry et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bat.attacks import Attacked, forward
from bat.config import Adversary, PgdAtRun
from bat.objectives.base import Batch, SmoothedAdversarial, Statistics, weighted_mean


@dataclass(frozen=True, kw_only=True)
class PGDAT(SmoothedAdversarial):
    """PGD adversarial training: cross-entropy on PGD images.

    Attributes
    ----------
    eps, step : float
        On the [0, 1] scale.
    steps : int
    mode : {"train", "eval"}
        Mode of the model during the attack. The reference stays in train mode,
        and its running statistics follow every forward pass of the attack.
        Much later work attacks in eval mode, which is faster.
    label_smoothing : float
        As of `SmoothedAdversarial`.

    Notes
    -----
    Uniform start in the ball, clipped to [0, 1]. Statistics: ``loss``.

    Deviations from the reference: no forward pass to pick the best of one
    restart and none on clean images for its log, both of which updated running
    statistics; images are normalized inside the model.

    References
    ----------
    Madry et al. (2018), arXiv:1706.06083, as implemented by Rice et al. (2020),
    arXiv:2002.11569.
    """

    name: ClassVar[str] = "pgd-at"

    eps: float = Adversary().eps
    step: float = Adversary().step
    mode: Literal["train", "eval"] = PgdAtRun().mode

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        losses = self.losses(forward(model, attacked.x), batch.y)
        loss = weighted_mean(losses, torch.ones_like(losses))
        return loss, {"loss": loss.detach()}

    def attack(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Attacked:
        """Attack the batch by PGD on its cross entropy."""
        return self.attacked(
            model,
            batch,
            generator,
            loss="ce",
            start="uniform",
            mode=self.mode,
            update_statistics=True,
        )

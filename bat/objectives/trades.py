"""TRADES (Zhang et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from bat.attacks import Attacked
from bat.objectives.base import Batch, CleanAndAdversarial, Statistics


@dataclass(frozen=True, kw_only=True)
class TRADES(CleanAndAdversarial):
    """Clean cross-entropy plus ``beta`` times the divergence under attack.

    ``CE(f(x), y) + beta * KL(p(x) || p(x'))``, the divergence averaged over the
    batch and differentiated in both arguments. The attack maximises the same
    divergence in eval mode from ``x`` plus normal noise.

    Attributes
    ----------
    eps, step : float
        On the [0, 1] scale. The reference takes 0.031, not 8/255.
    steps : int
    beta : float
        ``1 / lambda``. 5 as in the BAT paper; the reference's script takes 6.
    gaussian : float
        Standard deviation of the start.
    label_smoothing : float
        In [0, 1): weight of the uniform distribution in the labels of the clean
        cross-entropy.

    Notes
    -----
    Statistics: ``loss``, ``clean_loss``, ``divergence``.

    Deviations from the reference: the clean prediction is computed once for the
    attack (same value), and once for the loss (same value and gradient, but the
    running statistics see the clean and the adversarial batch once each rather
    than the clean one twice); the divergence takes logarithms of both
    arguments, which has the same value and stays finite where a softmax entry
    underflows.

    References
    ----------
    Zhang et al. (2019), arXiv:1901.08573.
    """

    name: ClassVar[str] = "trades"
    passes: ClassVar[tuple[int, int]] = (1, 2)
    attack_loss: ClassVar[Literal["ce", "kl"]] = "kl"

    label_smoothing: float = 0.0

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        clean, adversarial = self.logits(model, batch, attacked)
        settings = {"beta": self.beta, "label_smoothing": self.label_smoothing}
        return trades_loss(clean, adversarial, batch.y, **settings)


def trades_loss(
    clean: Tensor,
    adversarial: Tensor,
    y: Tensor,
    *,
    beta: float,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Statistics]:
    """Loss of `TRADES` from clean and adversarial logits, shape (batch, classes).

    With ``weights``, shape (batch,), each sample's divergence is multiplied by its own.
    """
    clean_loss = F.cross_entropy(clean, y, label_smoothing=label_smoothing)
    logs = F.log_softmax(adversarial, dim=1), F.log_softmax(clean, dim=1)
    if weights is None:
        divergence = F.kl_div(*logs, log_target=True, reduction="batchmean")
    else:
        divergences = F.kl_div(*logs, log_target=True, reduction="none").sum(dim=1)
        divergence = (weights * divergences).mean()
    loss = clean_loss + beta * divergence
    return loss, {
        "loss": loss.detach(),
        "clean_loss": clean_loss.detach(),
        "divergence": divergence.detach(),
    }

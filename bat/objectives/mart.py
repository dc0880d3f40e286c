"""MART (Wang et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from bat.attacks import Attacked
from bat.config.methods import mart_beta
from bat.objectives.base import Batch, CleanAndAdversarial, Statistics


@dataclass(frozen=True, kw_only=True)
class MART(CleanAndAdversarial):
    """Boosted cross-entropy under attack plus a divergence weighted by error.

    With ``p`` and ``p'`` the clean and adversarial softmax,
    ``-log p'_y - log(1.0001 - max_{k != y} p'_k)
    + beta * KL(p || p') * (1.0000001 - p_y)``, averaged over the batch and
    differentiated in every part. The attack maximises cross-entropy in eval
    mode from ``x`` plus normal noise.

    Attributes
    ----------
    eps, step : float
        On the [0, 1] scale. The reference takes 0.031, not 8/255.
    steps : int
    beta : float
        5 in the reference for ResNet-18, 6 for wide residual networks.
    gaussian : float
        Standard deviation of the start.

    Notes
    -----
    Statistics: ``loss``, ``boosted_loss``, ``divergence`` (weighted).

    Deviation from the reference: the divergence takes the logarithm of the
    clean softmax from log-softmax, which has the same value and stays finite
    where an entry underflows.

    References
    ----------
    Wang et al. (2020), "Improving adversarial robustness requires revisiting
    misclassified examples", ICLR.
    """

    name: ClassVar[str] = "mart"
    passes: ClassVar[tuple[int, int]] = (0, 2)
    attack_loss: ClassVar[Literal["ce", "kl"]] = "ce"

    beta: float = mart_beta("")

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        clean, adversarial = self.logits(model, batch, attacked)
        return mart_loss(clean, adversarial, batch.y, beta=self.beta)


def mart_loss(
    clean: Tensor, adversarial: Tensor, y: Tensor, *, beta: float, weights: Tensor | None = None
) -> tuple[Tensor, Statistics]:
    """Loss of `MART` from clean and adversarial logits, shape (batch, classes).

    With ``weights``, shape (batch,), each sample's boosted cross-entropy is multiplied by its own.
    """
    label = y[:, None]
    log_clean = F.log_softmax(clean, dim=1)
    under_attack = F.softmax(adversarial, dim=1)
    wrong = under_attack.scatter(1, label, -1.0).max(dim=1).values
    boost = (1.0001 - wrong + 1e-12).log()
    if weights is None:
        boosted = F.cross_entropy(adversarial, y) - boost.mean()
    else:
        losses = F.cross_entropy(adversarial, y, reduction="none")
        boosted = (weights * (losses - boost)).mean()
    divergences = F.kl_div(
        (under_attack + 1e-12).log(), log_clean, log_target=True, reduction="none"
    ).sum(dim=1)
    doubt = 1.0000001 - log_clean.gather(1, label).squeeze(1).exp()
    divergence = (divergences * doubt).mean()
    loss = boosted + beta * divergence
    return loss, {
        "loss": loss.detach(),
        "boosted_loss": boosted.detach(),
        "divergence": divergence.detach(),
    }

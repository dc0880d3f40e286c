"""MAIL: methods weighted by the margin of probabilities under attack (Wang et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat.attacks import Attacked, forward
from bat.config import MailAtRun, MailMartRun, MailTradesRun
from bat.config.methods import MAIL_EPOCHS, first_epoch_after
from bat.objectives.base import Batch, SmoothedAdversarial, Statistics
from bat.objectives.mart import MART, mart_loss
from bat.objectives.trades import TRADES, trades_loss

BEGIN_EPOCH = first_epoch_after(MailAtRun().begin, MAIL_EPOCHS)


class Mail:
    """What the three methods share: a weight for each sample of a batch, by `mail_weights`.

    Attributes
    ----------
    slope, bias : float
        Of `mail_weights`.
    begin_epoch : int
        First epoch, counted from 1, with weights; before it the loss is the
        plain one, bit for bit. The reference's 76 belongs to runs of 120 epochs.
    """

    slope: float
    bias: float
    begin_epoch: int

    def weights(self, adversarial: Tensor, y: Tensor, epoch: int) -> Tensor | None:
        """Of the samples of a batch, (batch,); None in epochs (from 0) without weights."""
        if epoch + 1 < self.begin_epoch:
            return None
        return mail_weights(adversarial, y, slope=self.slope, bias=self.bias)


@dataclass(frozen=True, kw_only=True)
class MailAT(Mail, SmoothedAdversarial):
    """Adversarial training with MAIL's weights: the mean of ``w * CE(f(x'), y)``.

    Attributes
    ----------
    eps, step : float
        On the [0, 1] scale. The reference takes 0.031, not 8/255.
    steps : int
    gaussian : float
        Standard deviation of the start.
    slope, bias, begin_epoch
        See `Mail`; as in the paper.

    Notes
    -----
    The attack maximises cross-entropy in eval mode from ``x`` plus normal
    noise. Statistics: ``loss`` and, in epochs with weights, ``mean_weight``.

    The weights are those of the authors' code, which are not divided by their
    sum over the batch, as the paper has it: their mean is part of the step's
    size. They come without gradient from the forward pass of the loss.

    References
    ----------
    Wang et al. (2021), "Probabilistic margins for instance reweighting in
    adversarial training", NeurIPS, arXiv:2106.07904.
    """

    name: ClassVar[str] = "mail-at"

    gaussian: float = MailAtRun().gaussian
    slope: float = MailAtRun().slope
    bias: float = MailAtRun().bias
    begin_epoch: int = BEGIN_EPOCH

    def attack(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Attacked:
        """Attack the batch by its cross-entropy, from normal noise in eval mode."""
        attack = {"loss": "ce", "start": "gaussian", "gaussian": self.gaussian}
        return self.attacked(model, batch, generator, **attack)

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        logits = forward(model, attacked.x)
        losses = self.losses(logits, batch.y)
        weights = self.weights(logits, batch.y, epoch)
        loss = (losses if weights is None else weights * losses).mean()
        return loss, {"loss": loss.detach(), **mean_weight(weights)}


@dataclass(frozen=True, kw_only=True)
class MailTRADES(Mail, TRADES):
    """`TRADES` with MAIL's weights on the divergence, not on the clean cross-entropy.

    Attributes and notes are those of `TRADES` and `MailAT`.
    """

    name: ClassVar[str] = "mail-trades"

    slope: float = MailTradesRun().slope
    bias: float = MailTradesRun().bias
    begin_epoch: int = BEGIN_EPOCH

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        clean, adversarial = self.logits(model, batch, attacked)
        weights = self.weights(adversarial, batch.y, epoch)
        settings = {"beta": self.beta, "label_smoothing": self.label_smoothing}
        loss, found = trades_loss(clean, adversarial, batch.y, **settings, weights=weights)
        return loss, found | mean_weight(weights)


@dataclass(frozen=True, kw_only=True)
class MailMART(Mail, MART):
    """`MART` with MAIL's weights on the boosted cross-entropy, not on the divergence.

    Attributes and notes are those of `MART` and `MailAT`; slope and bias are
    the defaults of the authors' script.
    """

    name: ClassVar[str] = "mail-mart"

    slope: float = MailMartRun().slope
    bias: float = MailMartRun().bias
    begin_epoch: int = BEGIN_EPOCH

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        clean, adversarial = self.logits(model, batch, attacked)
        weights = self.weights(adversarial, batch.y, epoch)
        loss, found = mart_loss(clean, adversarial, batch.y, beta=self.beta, weights=weights)
        return loss, found | mean_weight(weights)


@torch.no_grad()
def mail_weights(logits: Tensor, y: Tensor, *, slope: float, bias: float) -> Tensor:
    """MAIL's weights, ``3 * sigmoid(slope * (margin + bias))``, without gradient.

    The margin is the largest softmax of a wrong class less that of the label.

    Parameters
    ----------
    logits : Tensor of float32, shape (batch, classes)
        On adversarial images.
    y : Tensor of int64, shape (batch,)
    slope, bias : float

    Returns
    -------
    Tensor of float32, shape (batch,)
        In [0, 3]; larger for samples that are closer to being wrong, or more so.
    """
    p = F.softmax(logits, dim=1)
    label = y[:, None]
    wrong = p.scatter(1, label, -1.0).max(dim=1).values
    margin = wrong - p.gather(1, label).squeeze(1)
    return 3.0 * torch.sigmoid(slope * (margin + bias))


def mean_weight(weights: Tensor | None) -> Statistics:
    """The statistic of a batch that has weights."""
    return {} if weights is None else {"mean_weight": weights.mean()}

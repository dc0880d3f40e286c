"""Benign adversarial training: weights against poisoning, and a discrimination loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat.attacks import Attacked, at_least_float32, forward
from bat.config import BatRun
from bat.errors import BatError
from bat.objectives.base import Batch, Statistics, weighted_mean
from bat.objectives.pgd_at import PGDAT

FEATURE_NORM_FLOOR = 1e-4  # shorter features are not stretched to unit length


@dataclass(frozen=True, kw_only=True)
class BAT(PGDAT):
    """Benign Adversarial Training.

    The attack of `PGDAT`; cross-entropy weighted by `poisoning_weights`, divided
    by the sum of the weights, plus ``beta`` times `discrimination_loss`. With
    ``alpha = beta = 0`` every step equals PGD-AT's bit for bit.

    Attributes
    ----------
    alpha : float
        How much poisoning samples lose weight.
    beta : float
        Factor of the discrimination loss.
    temperature : float
        tau of equation (9), which the paper does not give.
    form : {"printed_normalized", "printed_raw", "infonce"}
        See `discrimination_loss`.
    eps, step, steps, mode, label_smoothing
        As of `PGDAT`.

    Notes
    -----
    Statistics: ``loss``, ``adversarial_loss`` (the weighted mean),
    ``reweighted`` (share of samples), ``mean_weight`` (over all samples, so the
    reweighted ones have ``1 - (1 - mean_weight) / reweighted``) and, unless
    ``beta`` is 0, ``discrimination_loss`` (NaN for a batch without a pair).

    Equations (6) to (10) and algorithm 1. The paper leaves open: the weights
    come without gradient from the forward pass of the loss, with the model in
    train mode; the attack's mode is that of `PGDAT`.
    """

    name: ClassVar[str] = "bat"

    alpha: float = BatRun().alpha
    beta: float = BatRun().beta
    temperature: float = BatRun().temperature
    form: Literal["printed_normalized", "printed_raw", "infonce"] = BatRun().form

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        if batch.memorized is None or batch.unmemorized is None:
            raise BatError(
                "BAT needs to know which samples are memorized and which are not, and the batch "
                "does not say: give the training run a score table"
            )
        if self.beta == 0.0:
            logits = forward(model, attacked.x)
        else:
            features = model.features(attacked.x)
            logits = at_least_float32(model.logits(features))
        weights, reweighted = poisoning_weights(logits, batch.y, batch.memorized, alpha=self.alpha)
        losses = self.losses(logits, batch.y)
        loss = weighted_mean(losses, weights)
        statistics = {
            "adversarial_loss": loss.detach(),
            "reweighted": reweighted.float().mean(),
            "mean_weight": weights.mean(),
        }
        if self.beta != 0.0:
            apart, n_pairs = discrimination(
                features,
                batch.y,
                batch.unmemorized,
                temperature=self.temperature,
                form=self.form,
            )
            loss = loss + self.beta * apart
            statistics["discrimination_loss"] = apart.detach().where(n_pairs > 0, torch.nan)
        return loss, {"loss": loss.detach(), **statistics}


def wrong_class(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest class beside the label, and its probability, equation (6).

    Parameters
    ----------
    logits : Tensor of float32, shape (batch, classes)
    y : Tensor of int64, shape (batch,)

    Returns
    -------
    score : Tensor of float32, shape (batch,)
        The largest softmax of a wrong class, in [0, 1]. Above 0.5 the model
        is wrong.
    predicted : Tensor of int64, shape (batch,)
        That class; never the label.
    """
    wrong = F.softmax(logits, dim=1).scatter(1, y[:, None], -1.0)
    score, predicted = wrong.max(dim=1)
    return score, predicted


@torch.no_grad()
def poisoning_weights(
    logits: Tensor, y: Tensor, memorized: Tensor, *, alpha: float
) -> tuple[Tensor, Tensor]:
    """BAT's weights, equation (7), without gradient.

    Parameters
    ----------
    logits : Tensor of float32, shape (batch, classes)
        On adversarial images.
    y : Tensor of int64, shape (batch,)
    memorized : Tensor of bool, shape (batch,)
        Whether the sample's score is above sigma.
    alpha : float

    Returns
    -------
    weights : Tensor of float32, shape (batch,)
        ``exp(-alpha * q)`` for memorized samples that are misclassified, else
        1; q is the largest softmax of a wrong class, equation (6).
    reweighted : Tensor of bool, shape (batch,)
        Which samples are memorized and misclassified.
    """
    reweighted = memorized & (logits.argmax(dim=1) != y)
    score, _ = wrong_class(logits, y)
    return torch.where(reweighted, torch.exp(-alpha * score), 1.0), reweighted


def discrimination_loss(
    features: Tensor,
    y: Tensor,
    unmemorized: Tensor,
    *,
    temperature: float = BatRun().temperature,
    form: Literal["printed_normalized", "printed_raw", "infonce"] = BatRun().form,
) -> Tensor:
    """Contrast the typical samples of a batch, equation (9) with footnote 2.

    The mean of ``-log(exp(s_ij) / sum_k exp(s_ik))`` over ordered pairs of
    typical samples i and j, not the same, with one label, where k runs over the
    typical samples with another label than i, and ``s_ij`` is the product of
    the features of i and j divided by the temperature.

    Parameters
    ----------
    features : Tensor, shape (batch, dim)
        Penultimate features of adversarial images.
    y : Tensor of int64, shape (batch,)
    unmemorized : Tensor of bool, shape (batch,)
        Whether the sample's score is below sigma; what equation (9) calls typical.
    temperature : float
    form : {"printed_normalized", "printed_raw", "infonce"}
        As printed on features of unit length; as printed on the features as
        they are, which is not bounded below; with the positive pair added to
        the denominator, on features of unit length.

    Returns
    -------
    Tensor of float32, scalar
        0, with gradients of 0, where no such pair has a k.
    """
    return discrimination(features, y, unmemorized, temperature=temperature, form=form)[0]


def discrimination(
    features: Tensor, y: Tensor, unmemorized: Tensor, *, temperature: float, form: str
) -> tuple[Tensor, Tensor]:
    """`discrimination_loss`, and the number of pairs that it is the mean over, a scalar."""
    if form not in ("printed_normalized", "printed_raw", "infonce"):
        raise BatError(
            f"form is {form!r}, expected 'printed_normalized', 'printed_raw' or 'infonce'"
        )
    features = at_least_float32(features)
    if form != "printed_raw":
        features = F.normalize(features, dim=1, eps=FEATURE_NORM_FLOOR)
    with torch.autocast(features.device.type, enabled=False):
        similarity = features @ features.T / temperature  # (batch, batch)
    both = unmemorized[:, None] & unmemorized[None, :]
    same = y[:, None] == y[None, :]
    other = both & ~same
    comparable = other.any(dim=1, keepdim=True)
    pairs = both & same & comparable
    pairs = pairs & ~torch.eye(len(y), dtype=torch.bool, device=y.device)
    # What is masked takes no gradient, so a row without a negative does no harm.
    others = similarity.masked_fill(~other, -torch.inf)
    denominator = torch.logsumexp(others, dim=1, keepdim=True).expand_as(similarity)
    if form == "infonce":
        denominator = torch.logaddexp(denominator, similarity)
    terms = torch.where(pairs, denominator - similarity, 0.0)
    n_pairs = pairs.sum()
    return terms.sum() / n_pairs.clamp(min=1), n_pairs

"""Training objectives: ERM, PGD-AT, TRADES, MART, GAIRAT and BAT.

An objective is a frozen dataclass that one training loop calls for each batch::

    loss, statistics = objective(model, batch, generator, epoch=epoch)

It makes its own training attack, leaves the model's mode as it was (the loop
sets train mode) and returns a scalar to differentiate and scalars to record,
all on the device: nothing here waits for it. Forward passes run under the
caller's autocast; softmax, logarithms and losses are always in float32. Defaults
are those of the method's reference implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat.attacks import GAUSSIAN_START, Attacked, at_least_float32, forward, linf_attack
from bat.errors import BatError

FEATURE_NORM_FLOOR = 1e-4  # shorter features are not stretched to unit length


class Batch(NamedTuple):
    """What an objective is given."""

    x: Tensor  # (batch, channels, height, width) float in [0, 1], augmented
    y: Tensor  # (batch,) int64
    memorized: Tensor | None = None  # (batch,) bool, score above sigma; for BAT
    typical: Tensor | None = None  # (batch,) bool, score below sigma; for BAT


Statistics = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class ERM:
    """Cross-entropy on clean images. Statistics: ``loss``."""

    name: ClassVar[str] = "erm"

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        loss = F.cross_entropy(forward(model, batch.x), batch.y)
        return loss, {"loss": loss.detach()}


@dataclass(frozen=True, kw_only=True)
class _Adversarial:
    """The ball and the steps of a training attack, and how it is called."""

    eps: float = 0.031
    step: float = 0.007
    steps: int = 10

    def attacked(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, **settings: Any
    ) -> Attacked:
        """The batch under `linf_attack` with further settings."""
        return linf_attack(
            model,
            batch.x,
            batch.y,
            eps=self.eps,
            step=self.step,
            steps=self.steps,
            generator=generator,
            **settings,
        )


@dataclass(frozen=True, kw_only=True)
class PGDAT(_Adversarial):
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

    eps: float = 8 / 255
    step: float = 2 / 255
    mode: Literal["train", "eval"] = "train"

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        x = self.attack(model, batch, generator).x
        losses = F.cross_entropy(forward(model, x), batch.y, reduction="none")
        loss = weighted_mean(losses, torch.ones_like(losses))
        return loss, {"loss": loss.detach()}

    def attack(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Attacked:
        return self.attacked(
            model,
            batch,
            generator,
            loss="ce",
            start="uniform",
            mode=self.mode,
            update_statistics=True,
        )


@dataclass(frozen=True, kw_only=True)
class _CleanAndAdversarial(_Adversarial):
    """What TRADES and MART share: settings, the attack from normal noise, both logits."""

    beta: float = 5.0
    gaussian: float = GAUSSIAN_START

    def logits(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, loss: str
    ) -> tuple[Tensor, Tensor]:
        """Clean and adversarial logits, the attack maximising ``loss`` in eval mode."""
        x = self.attacked(
            model, batch, generator, loss=loss, start="gaussian", gaussian=self.gaussian
        ).x
        return forward(model, batch.x), forward(model, x)


@dataclass(frozen=True, kw_only=True)
class TRADES(_CleanAndAdversarial):
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

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        clean, adversarial = self.logits(model, batch, generator, loss="kl")
        return trades_loss(clean, adversarial, batch.y, beta=self.beta)


@dataclass(frozen=True, kw_only=True)
class MART(_CleanAndAdversarial):
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

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        clean, adversarial = self.logits(model, batch, generator, loss="ce")
        return mart_loss(clean, adversarial, batch.y, beta=self.beta)


@dataclass(frozen=True, kw_only=True)
class GAIRAT(_Adversarial):
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

    shift: float = -1.0
    begin_epoch: int = 60

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        x, correct_steps = self.attacked(
            model, batch, generator, loss="ce", start="uniform", count_correct=True
        )
        losses = F.cross_entropy(forward(model, x), batch.y, reduction="none")
        if epoch + 1 >= self.begin_epoch:
            weights = geometry_weights(correct_steps, self.steps, shift=self.shift)
        else:
            weights = torch.ones_like(losses)
        loss = weighted_mean(losses, weights)
        return loss, {"loss": loss.detach(), "correct_steps": correct_steps.float().mean()}


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

    alpha: float = 1.0
    beta: float = 0.2
    temperature: float = 0.1
    form: Literal["printed_normalized", "printed_raw", "infonce"] = "printed_normalized"

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        if batch.memorized is None or batch.typical is None:
            raise BatError(
                "BAT needs to know which samples are memorized and which are typical, and the "
                "batch does not say: give the training run a score table"
            )
        x = self.attack(model, batch, generator).x
        if self.beta == 0.0:
            logits = forward(model, x)
        else:
            features = model.features(x)
            logits = at_least_float32(model.logits(features))
        weights, reweighted = poisoning_weights(logits, batch.y, batch.memorized, alpha=self.alpha)
        losses = F.cross_entropy(logits, batch.y, reduction="none")
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
                batch.typical,
                temperature=self.temperature,
                form=self.form,
            )
            loss = loss + self.beta * apart
            statistics["discrimination_loss"] = apart.detach().where(n_pairs > 0, torch.nan)
        return loss, {"loss": loss.detach(), **statistics}


Objective = ERM | PGDAT | TRADES | MART | GAIRAT | BAT
OBJECTIVES = {method.name: method for method in (ERM, PGDAT, TRADES, MART, GAIRAT, BAT)}


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """``sum(w * l) / sum(w)``, equation (8)."""
    return (weights * losses).sum() / weights.sum()


def trades_loss(
    clean: Tensor, adversarial: Tensor, y: Tensor, *, beta: float
) -> tuple[Tensor, Statistics]:
    """Loss of `TRADES` from clean and adversarial logits, shape (batch, classes)."""
    clean_loss = F.cross_entropy(clean, y)
    divergence = F.kl_div(
        F.log_softmax(adversarial, dim=1),
        F.log_softmax(clean, dim=1),
        log_target=True,
        reduction="batchmean",
    )
    loss = clean_loss + beta * divergence
    return loss, {
        "loss": loss.detach(),
        "clean_loss": clean_loss.detach(),
        "divergence": divergence.detach(),
    }


def mart_loss(
    clean: Tensor, adversarial: Tensor, y: Tensor, *, beta: float
) -> tuple[Tensor, Statistics]:
    """Loss of `MART` from clean and adversarial logits, shape (batch, classes)."""
    label = y[:, None]
    log_clean = F.log_softmax(clean, dim=1)
    under_attack = F.softmax(adversarial, dim=1)
    wrong = under_attack.scatter(1, label, -1.0).max(dim=1).values
    boosted = F.cross_entropy(adversarial, y) - (1.0001 - wrong + 1e-12).log().mean()
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


def geometry_weights(correct_steps: Tensor, steps: int, *, shift: float = -1.0) -> Tensor:
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
    score = F.softmax(logits, dim=1).scatter(1, y[:, None], 0.0).amax(dim=1)
    return torch.where(reweighted, torch.exp(-alpha * score), 1.0), reweighted


def discrimination_loss(
    features: Tensor,
    y: Tensor,
    typical: Tensor,
    *,
    temperature: float = 0.1,
    form: Literal["printed_normalized", "printed_raw", "infonce"] = "printed_normalized",
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
    typical : Tensor of bool, shape (batch,)
        Whether the sample's score is below sigma.
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
    return discrimination(features, y, typical, temperature=temperature, form=form)[0]


def discrimination(
    features: Tensor, y: Tensor, typical: Tensor, *, temperature: float, form: str
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
    both = typical[:, None] & typical[None, :]
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

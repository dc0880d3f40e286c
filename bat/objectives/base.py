"""What every objective has: what it is given, what it gives, and its hooks in the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat.attacks import Attacked, forward, linf_attack
from bat.config import Adversary, TradesRun
from bat.config.methods import REFERENCE_EPS, REFERENCE_STEP


class Batch(NamedTuple):
    """What an objective is given."""

    x: Tensor  # (batch, channels, height, width) float in [0, 1], augmented
    y: Tensor  # (batch,) int64
    memorized: Tensor | None = None  # (batch,) bool, score above sigma; for BAT
    unmemorized: Tensor | None = None  # (batch,) bool, score below sigma; for BAT
    index: Tensor | None = None  # (batch,) int64, positions in the training set


Statistics = dict[str, Tensor]


class Objective:
    """A training objective; a method of one's own derives from it and writes ``__call__``.

    Attributes
    ----------
    name : str
        Of the method, as messages say it.
    passes : (int, int)
        Forward passes, and passes that are trained on, of a step beside its
        attack; a plan of costs counts with them.

    Notes
    -----
    One that keeps something from step to step (a moving average, a state for
    every sample) gives it in `state_dict`, so that a training that is stopped
    goes on exactly where it was.
    """

    name: ClassVar[str]
    passes: ClassVar[tuple[int, int]] = (0, 1)

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        """The loss of one batch, and what of it is recorded.

        Parameters
        ----------
        model : nn.Module
            In train mode, and afterwards so; may be compiled.
        batch : Batch
            On the model's device.
        generator : torch.Generator
            On this device, for whatever the objective draws.
        epoch : int
            Counted from 0.

        Returns
        -------
        loss : Tensor, scalar
            To be differentiated by the parameters.
        statistics : dict of str to Tensor
            Scalars on the device, among them ``loss``, by other names than the history
            has for an epoch; their means over an epoch are recorded, NaN left out.
        """
        raise NotImplementedError

    def after_step(self, model: nn.Module) -> None:
        """Called when the optimizer has taken the step of a batch.

        Parameters
        ----------
        model : nn.Module
            Not compiled; its parameters may be changed in place.
        """

    def state_dict(self) -> dict[str, Any]:
        """What the objective keeps between steps: tensors, numbers, text, and dicts of these."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; its tensors may lie on another device.

        Raises
        ------
        ValueError
            If the state is not one of this objective.
        """
        if state:
            raise ValueError(f"{self.name} keeps no state, and is given {sorted(state)}")


@dataclass(frozen=True, kw_only=True)
class Adversarial(Objective):
    """A method that attacks a batch and then takes its loss: `attack` and `loss`, one by one.

    What takes the loss of one attack more than once, as weight perturbation
    does, works with every method that is so written.
    """

    eps: float = REFERENCE_EPS
    step: float = REFERENCE_STEP
    steps: int = Adversary().steps

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        attacked = self.attack(model, batch, generator)
        return self.loss(model, batch, attacked, epoch=epoch)

    def attack(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Attacked:
        """The step's adversarial images, and what the attack counted on its way to them."""
        raise NotImplementedError

    def loss(
        self, model: nn.Module, batch: Batch, attacked: Attacked, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        """The loss on what `attack` gave; it draws nothing, and returns what a call does."""
        raise NotImplementedError

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
class CleanAndAdversarial(Adversarial):
    """What TRADES and MART share: settings, the attack from normal noise, both logits.

    Attributes
    ----------
    attack_loss : {"ce", "kl"}
        What the attack maximises, in eval mode.
    """

    attack_loss: ClassVar[Literal["ce", "kl"]]

    beta: float = TradesRun().beta
    gaussian: float = TradesRun().gaussian

    def attack(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Attacked:
        """Attack the batch from normal noise in eval mode."""
        return self.attacked(
            model,
            batch,
            generator,
            loss=self.attack_loss,
            start="gaussian",
            gaussian=self.gaussian,
        )

    def logits(self, model: nn.Module, batch: Batch, attacked: Attacked) -> tuple[Tensor, Tensor]:
        """Clean and adversarial logits."""
        return forward(model, batch.x), forward(model, attacked.x)


@dataclass(frozen=True, kw_only=True)
class SmoothedAdversarial(Adversarial):
    """A method with a cross-entropy of each sample under attack, whose labels may be smoothed.

    Attributes
    ----------
    label_smoothing : float
        In [0, 1): weight of the uniform distribution in the labels of the loss;
        those of the attack are as they are.
    """

    label_smoothing: float = 0.0

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy of each sample, (batch,), from logits, (batch, classes)."""
        return F.cross_entropy(logits, y, reduction="none", label_smoothing=self.label_smoothing)


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """``sum(w * l) / sum(w)``, equation (8)."""
    return (weights * losses).sum() / weights.sum()

"""Adversarial weight perturbation (Wu et al. 2020) around any method that attacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bat.attacks import Attacked
from bat.config.awp import GAMMA
from bat.errors import BatError
from bat.objectives.base import Adversarial, Batch, Objective, Statistics

TINY = 1e-20  # in place of the length of a gradient that is 0


@dataclass(frozen=True)
class AWP(Objective):
    """A method whose steps are taken at weights that were moved against it.

    Each weight ``w`` goes to ``w + v``, with ``v = gamma * ||w|| * g / ||g||`` and
    ``g`` the gradient of the method's own loss on the step's adversarial images.
    The step is that of the loss at these weights, with the same images; after it
    ``v`` is taken off again.

    Attributes
    ----------
    objective : Adversarial
        The method: of ours any but ERM; one's own where it writes `attack` and
        `loss` apart.
    gamma : float
        Length of ``v`` in parts of the weight's, at least 0; 0 leaves the method
        as it is, bit for bit.
    warmup : int
        Epochs of the plain method before.

    Raises
    ------
    BatError
        If the method attacks and takes its loss in one.

    Notes
    -----
    Moved are the trained parameters of more than one dimension with "weight" in
    their name, as in the authors' code. It takes the gradient in a proxy, a second
    model; here the weights are moved in place, and one gradient of them is kept
    during the step. The running statistics of batch normalization see the forward
    pass at the moved weights alone. A weight without a gradient, or with one of
    length 0, stays where it is.

    Statistics are those of the method at the moved weights. One forward and one
    backward pass more for each that the method trains on.

    References
    ----------
    Wu et al. (2020), "Adversarial weight perturbation helps robust
    generalization", NeurIPS, arXiv:2004.05884.
    """

    objective: Adversarial
    gamma: float = GAMMA
    warmup: int = 0
    moved: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False, repr=False)
    """Weights and what was added to them; empty but within a step."""

    def __post_init__(self):
        if type(self.objective).__call__ is not Adversarial.__call__:
            raise BatError(
                f"{self.objective.name} cannot take weight perturbation (awp), which takes the "
                "loss of one attack twice; leave awp out, or derive the method from "
                "bat.objectives.Adversarial and write `attack` and `loss` in place of `__call__`"
            )

    @property
    def name(self) -> str:
        """Of the method, as messages say it."""
        return f"{self.objective.name} with awp"

    @property
    def passes(self) -> tuple[int, int]:
        """Of a step beside its attack: what the method trains on counts twice."""
        forwards, trained = self.objective.passes
        return forwards, 2 * trained

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        attacked = self.objective.attack(model, batch, generator)
        if self.gamma > 0 and epoch >= self.warmup:
            self._move(model, batch, attacked, epoch)
        return self.objective.loss(model, batch, attacked, epoch=epoch)

    def _move(self, model: nn.Module, batch: Batch, attacked: Attacked, epoch: int) -> None:
        """Add to each weight its displacement."""
        weights = [
            weight
            for name, weight in model.named_parameters()
            if weight.requires_grad and weight.ndim > 1 and "weight" in name
        ]
        if not weights:
            raise BatError(
                f"{self.name}: the network has no trained parameter of more than one dimension "
                "with 'weight' in its name, which awp moves; name them so, or leave awp out"
            )
        kept = [buffer.clone() for buffer in model.buffers()]
        loss, _ = self.objective.loss(model, batch, attacked, epoch=epoch)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        with torch.no_grad():
            for buffer, before in zip(model.buffers(), kept, strict=True):  # some are new ones
                buffer.copy_(before)
            for weight, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    move = gradient * (self.gamma * weight.norm() / (gradient.norm() + TINY))
                    weight.add_(move)
                    self.moved.append((weight, move))
        torch.clear_autocast_cache()  # which holds the weights as they were, in half precision

    def after_step(self, model: nn.Module) -> None:
        """Take the displacements off; then what the method does after a step."""
        with torch.no_grad():
            for weight, move in self.moved:
                weight.sub_(move)
        self.moved.clear()
        self.objective.after_step(model)

    def state_dict(self) -> dict[str, Any]:
        """What the method keeps between steps."""
        return self.objective.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.objective.load_state_dict(state)

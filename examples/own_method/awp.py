"""Adversarial weight perturbation (Wu et al., 2020, arXiv:2004.05884) as a method in one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F

from bat.attacks import forward
from bat.objectives import PGDAT


@dataclass(frozen=True, kw_only=True)
class AWP(PGDAT):
    """PGD-AT on weights that were moved against it.

    Before the loss is taken, each weight matrix goes one step up the gradient of the loss on the
    attacked images, ``gamma`` times its own length; after the optimizer's step the same
    displacement is taken back (`after_step`).

    Attributes
    ----------
    gamma : float
        Size of the displacement, relative to the weight's; 0.01 in the paper.
    warmup : int
        Epochs of plain PGD-AT before.
    """

    name: ClassVar[str] = "awp"

    gamma: float = 0.01
    warmup: int = 0
    moved: dict = field(default_factory=dict, init=False, repr=False)  # by name, until the step

    def __call__(self, model, batch, generator, *, epoch=0):
        x = self.attack(model, batch, generator).x
        if epoch >= self.warmup:
            self._move(model, x, batch.y)
        loss = F.cross_entropy(forward(model, x), batch.y)
        return loss, {"loss": loss.detach()}

    def _move(self, model, x, y):
        weights = {n: w for n, w in model.named_parameters() if w.requires_grad and w.ndim > 1}
        statistics = {n: b.clone() for n, b in model.named_buffers()}
        loss = F.cross_entropy(forward(model, x), y)
        gradients = torch.autograd.grad(loss, list(weights.values()))
        with torch.no_grad():
            for name, buffer in model.named_buffers():  # seen once in a step, not twice
                buffer.copy_(statistics[name])
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                move = gradient * (self.gamma * weight.norm() / (gradient.norm() + 1e-12))
                weight += move
                self.moved[name.removeprefix("_orig_mod.")] = move
        torch.clear_autocast_cache()  # else bfloat16 goes on with the weights as they were

    def after_step(self, model):
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in self.moved:
                    weight -= self.moved[name]
        self.moved.clear()

"""Empirical risk minimization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat.attacks import forward
from bat.objectives.base import Batch, Objective, Statistics


@dataclass(frozen=True, kw_only=True)
class ERM(Objective):
    """Cross-entropy on clean images. Statistics: ``loss``.

    Attributes
    ----------
    label_smoothing : float
        In [0, 1): weight of the uniform distribution in the labels.
    """

    name: ClassVar[str] = "erm"

    label_smoothing: float = 0.0

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        loss = F.cross_entropy(
            forward(model, batch.x), batch.y, label_smoothing=self.label_smoothing
        )
        return loss, {"loss": loss.detach()}

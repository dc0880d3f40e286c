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
    """Cross-entropy on clean images. Statistics: ``loss``."""

    name: ClassVar[str] = "erm"

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, *, epoch: int = 0
    ) -> tuple[Tensor, Statistics]:
        loss = F.cross_entropy(forward(model, batch.x), batch.y)
        return loss, {"loss": loss.detach()}

"""What the attacks of an evaluation are called with, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from bat.attacks.modes import eval_mode, forward
from bat.data import as_float

Progress = Callable[[int, int], None]  # (samples done, samples in all)


class EvaluationAttack(Protocol):
    """What `bat.attacks.evaluation.evaluate` calls; `PGD` and `AutoAttack` are such.

    Of ``images`` and ``labels`` only the rows of ``index`` are attacked, all of
    them classified right as they are: bool, shape (len(index),), which of them
    withstand, on the model's device.
    """

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        index: Tensor,
        *,
        seed: int,
        batch_size: int,
        progress: Progress | None = None,
    ) -> Tensor: ...


def batch_of(
    images: Tensor, labels: Tensor, index: Tensor, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Some samples on a device: images as float in [0, 1], labels as int64."""
    index = index.to(images.device)
    x = images.index_select(0, index).to(device)
    y = labels.to(images.device).index_select(0, index).to(device, torch.int64)
    return (as_float(x) if x.dtype == torch.uint8 else x), y


def is_correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Which samples are classified right in eval mode: bool, shape (batch,)."""
    with eval_mode(model), torch.no_grad():
        return forward(model, x).argmax(dim=1) == y

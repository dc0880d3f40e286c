"""PGD with restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bat.attacks.base import Progress, batch_of, is_correct
from bat.attacks.linf import CW_CONFIDENCE, check_adversarial, check_eps, linf_attack
from bat.attacks.modes import AttackError, device_of


@dataclass(frozen=True, kw_only=True)
class PGD:
    """PGD with restarts: a sample is robust if no restart ends in an error.

    A restart runs only on samples that withstood those before. Each sample's
    random start depends on the seed, the restart and the sample's index alone:
    batches and other samples do not change it.

    Attributes
    ----------
    eps, step : float
        On the [0, 1] scale. Papers do not agree on the step of PGD-20 and
        PGD-100 (eps/10, eps/4, 2/255), so there is no default.
    steps : int
    restarts : int
        Number of starts; more than one only with a random start.
    start : {"uniform", "zero"}
    loss : {"ce", "cw"}
    confidence : float
        Of the margin loss "cw".
    """

    eps: float
    step: float
    steps: int
    restarts: int = 1
    start: Literal["uniform", "zero"] = "uniform"
    loss: Literal["ce", "cw"] = "ce"
    confidence: float = CW_CONFIDENCE

    def __post_init__(self) -> None:
        check_eps(self.eps)
        if self.restarts < 1:
            raise AttackError(f"restarts is {self.restarts}, expected at least 1")
        if self.restarts > 1 and self.start == "zero":
            raise AttackError("restarts from 'zero' are all the same: use start='uniform'")

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
    ) -> Tensor:
        """Attack some of the images in batches, in eval mode.

        Parameters
        ----------
        images : Tensor of uint8, or float in [0, 1], shape (n, channels, height, width)
            Only one batch at a time is on the model's device and in float.
        labels : Tensor of int64, shape (n,)
        index : Tensor of int64, shape (m,)
            Samples to attack, all classified right as they are. Their numbers
            fix their random starts.
        seed : int
            Not negative.
        progress : callable, optional
            Called with the samples done and the samples in all, a sample
            counting once for each restart.

        Returns
        -------
        Tensor of bool, shape (m,)
            Samples that no restart turned into an error, on the model's device.

        Raises
        ------
        AttackError
            If a result leaves the ball or [0, 1], or is not finite; says
            which sample.
        """
        device = device_of(model)
        robust = torch.ones(len(index), dtype=torch.bool, device=device)
        total = len(index) * self.restarts
        for restart in range(self.restarts):
            standing = robust.nonzero().squeeze(1)
            for rows in standing.split(batch_size):
                chosen = index[rows.to(index.device)]
                x, y = batch_of(images, labels, chosen, device)
                start: Literal["zero"] | Tensor = "zero"
                if self.start == "uniform":
                    noise = start_noise(chosen, x.shape[1:], seed, restart)
                    start = (x + self.eps * noise.to(device)).clamp_(0.0, 1.0)
                attacked = linf_attack(
                    model,
                    x,
                    y,
                    eps=self.eps,
                    step=self.step,
                    steps=self.steps,
                    loss=self.loss,
                    start=start,
                    confidence=self.confidence,
                ).x
                check_adversarial(self._name(), x, attacked, self.eps, chosen)
                robust[rows] = is_correct(model, attacked, y)
                if progress is not None:
                    ahead = int((standing > rows[-1]).sum())
                    left = ahead + int(robust.sum()) * (self.restarts - restart - 1)
                    progress(total - left, total)
        return robust

    def _name(self) -> str:
        return f"{'CW' if self.loss == 'cw' else 'PGD'}-{self.steps}"


def start_noise(index: Tensor, shape: tuple[int, ...], seed: int, restart: int = 0) -> Tensor:
    """Uniform noise in [-1, 1), a function of (seed, restart, index) alone.

    Parameters
    ----------
    index : Tensor of int64, shape (n,)
    shape : tuple of int
        Of one sample.
    seed, restart : int
        Not negative.

    Returns
    -------
    Tensor of float32, shape (n, *shape), on the CPU
    """
    noise = np.empty((len(index), *shape), dtype=np.float32)
    for row, sample in zip(noise, index.tolist(), strict=True):
        stream = np.random.Philox(key=seed, counter=[0, 0, restart, sample])
        np.random.Generator(stream).random(dtype=np.float32, out=row)
    return torch.from_numpy(noise).mul_(2.0).sub_(1.0)

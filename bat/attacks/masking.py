"""Attacks that tell whether a model is robust or only hides its gradient.

A model whose gradient says nothing withstands attacks that climb it, and falls to others: to
more steps, to images made on another model, to a search without gradients; and what it withstands
at eps it withstands at any distance. The checklists of Athalye et al. (2018), arXiv:1802.00420,
and Carlini et al. (2019), arXiv:1902.06705, ask for these comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bat.attacks.autoattack import Square
from bat.attacks.base import EvaluationAttack, Progress, batch_of, is_correct
from bat.attacks.evaluation import CLEAN, correctness, named, withstanding
from bat.attacks.linf import check_adversarial, linf_attack
from bat.attacks.modes import device_of, full_precision
from bat.attacks.pgd import PGD, start_noise
from bat.data import as_tensor

UNBOUNDED = 1.0
"""The eps that lets an image become any other."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """PGD on another model, whose images are shown to the one that is judged.

    Attributes
    ----------
    source : nn.Module
        The other model, on the device of the one that is judged, for the same classes.
    eps, step : float
        On the [0, 1] scale.
    steps : int
    """

    source: nn.Module
    eps: float
    step: float
    steps: int

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
        """Attack some of the images; as `PGD` does, from the same random starts."""
        device = device_of(model)
        robust = torch.ones(len(index), dtype=torch.bool, device=device)
        for rows in torch.arange(len(index)).split(batch_size):
            chosen = index[rows]
            x, y = batch_of(images, labels, chosen, device)
            start = (x + self.eps * start_noise(chosen, x.shape[1:], seed).to(device)).clamp_(0, 1)
            attacked = linf_attack(
                *(self.source, x, y), eps=self.eps, step=self.step, steps=self.steps, start=start
            ).x
            check_adversarial("PGD on another model", x, attacked, self.eps, chosen)
            robust[rows] = is_correct(model, attacked, y)
            if progress is not None:
                progress(int(rows[-1]) + 1, len(index))
        return robust


def masking_verdicts(
    model: nn.Module,
    images: Tensor | np.ndarray,
    labels: Tensor | np.ndarray,
    *,
    eps: float,
    step: float,
    few: int,
    many: int,
    queries: int,
    source: nn.Module | None = None,
    batch_size: int,
    seed: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Judge samples under the attacks that tell robustness from a masked gradient.

    Each attack runs on the samples that withstood those that it is compared with, so what an
    attack adds is counted by itself, and nothing is attacked twice.

    Parameters
    ----------
    model : nn.Module
        Maps float images in [0, 1] to logits, shape (batch, classes).
    images, labels, batch_size, seed, progress
        As for `bat.attacks.evaluation.evaluate`.
    eps, step : float
        Of PGD, on the [0, 1] scale.
    few, many : int
        Steps of PGD.
    queries : int
        Of the Square attack.
    source : nn.Module, optional
        Another model, such as one of another seed, for the transfer attack.

    Returns
    -------
    dict of str to ndarray of bool, shape (n,)
        ``clean``, right without attack; ``few``, also under PGD with few steps; ``many``, also
        with many; and of these ``transfer`` (only with a source), under PGD on the other model;
        ``square``, under Square; ``unbounded``, under PGD with eps 1, ``many`` steps and a
        length that lets them cross the whole range 2.5 times.

    Raises
    ------
    BatError, AttackError
        As `bat.attacks.evaluation.evaluate` does.
    """
    images, labels = as_tensor(images), as_tensor(labels)
    asked: dict[str, tuple[str, EvaluationAttack]] = {
        "few": (CLEAN, PGD(eps=eps, step=step, steps=few)),
        "many": ("few", PGD(eps=eps, step=step, steps=many)),
    }
    if source is not None:
        asked["transfer"] = ("many", Transfer(source=source, eps=eps, step=step, steps=many))
    asked["square"] = ("many", Square(eps=eps, queries=queries))
    across = 2.5 * UNBOUNDED / many
    asked["unbounded"] = ("many", PGD(eps=UNBOUNDED, step=min(across, 1.0), steps=many))

    with full_precision():
        right = correctness(
            model, images, labels, batch_size=batch_size, progress=named(progress, CLEAN)
        )
        found = {CLEAN: right}
        for name, (before, attack) in asked.items():
            found[name] = withstanding(
                *(attack, model, images, labels, found[before]),
                seed=seed,
                batch_size=batch_size,
                progress=named(progress, name),
            )
    return found

"""An attack of somebody's own, held to the rules of every attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bat import extensions
from bat.attacks.base import Progress, batch_of, is_correct
from bat.attacks.linf import check_adversarial
from bat.attacks.modes import AttackError, device_of, eval_mode, global_draws
from bat.extensions import ATTACK_NEEDED
from bat.streams import torch_seed


class OwnAttack:
    """A function that gives adversarial images, in batches; what it gives is checked and judged.

    Parameters
    ----------
    eps : float
        Of the ball, on the [0, 1] scale.
    code : mapping
        From `bat.extensions.record`.
    """

    def __init__(self, eps: float, code: Mapping[str, Any]):
        self.eps, self.code, self.function = eps, code, extensions.load(code)

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
        """Attack some of the images, as `bat.attacks.base.EvaluationAttack` says.

        The function sees the model in eval mode, and torch's global generators seeded for each
        batch; afterwards these are as they were. What it does to its own images and labels
        changes nothing. The model is compared after the first batch and after the last.

        Raises
        ------
        AttackError
            If it fails, gives images of another form, outside of the ball or of [0, 1], or not
            finite (says which sample), or changes the model.
        """
        text, device = self.code["code"], device_of(model)
        robust = torch.ones(len(index), dtype=torch.bool, device=device)
        before, parts = {k: v.clone() for k, v in _tensors(model).items()}, _parts(model)
        for rows in torch.arange(len(index)).split(batch_size):
            chosen = index[rows]
            x, y = batch_of(images, labels, chosen, device)
            drawn = torch_seed(seed, int(chosen[0]), text)
            given = {"model": model, "x": x.clone(), "y": y.clone(), "eps": self.eps, "seed": drawn}
            with eval_mode(model), global_draws(drawn, device), torch.enable_grad():
                attacked = extensions.call(
                    text, self.function, self.code["settings"], given, ATTACK_NEEDED
                )
            if not isinstance(attacked, Tensor):
                raise AttackError(f"{text}: gives {type(attacked).__name__}, expected a Tensor")
            first_or_last = int(rows[0]) == 0 or int(rows[-1]) == len(index) - 1
            if first_or_last and (changed := _changed(model, before, parts)) is not None:
                raise AttackError(
                    f"{text}: changes the model ({changed}), which other attacks are to judge too; "
                    "attack a copy of it, and leave it in eval mode"
                )
            attacked = attacked.detach().to(x)
            check_adversarial(text, x, attacked, self.eps, chosen)
            robust[rows] = is_correct(model, attacked, y)
            if progress is not None:
                progress(int(rows[-1]) + 1, len(index))
        return robust


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """What the model computes with, buffers that no checkpoint holds among it."""
    return {**model.state_dict(), **dict(model.named_buffers())}


def _parts(model: nn.Module) -> dict[str, tuple]:
    """Each module with what decides how it is run: class, forward of its own, and hooks."""
    return {
        name: (
            module,
            type(module),
            vars(module).get("forward"),
            {key: dict(value) for key, value in vars(module).items() if key.endswith("_hooks")},
        )
        for name, module in model.named_modules()
    }


def _changed(
    model: nn.Module, before: Mapping[str, Tensor], parts: Mapping[str, tuple]
) -> str | None:
    """A name of what is no longer as it was; None where all is. NaN is equal to itself here."""
    now, now_parts = _tensors(model), _parts(model)
    for name in [*before, *(now.keys() - before.keys())]:
        found, was = now.get(name), before.get(name)
        if found is None or was is None or (found.dtype, found.shape) != (was.dtype, was.shape):
            return name
        if not torch.equal(found.nan_to_num(), was.nan_to_num()):
            return name
    for name in [*parts, *(now_parts.keys() - parts.keys())]:
        if now_parts.get(name) != parts.get(name):
            return f"module {name!r}, its forward or its hooks" if name else "its forward or hooks"
    return None

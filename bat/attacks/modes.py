"""A model's modes, parameters and precision during an attack, and afterwards as they were."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from bat.errors import BatError


class AttackError(BatError):
    """An attack cannot run as asked, or returned something that is no attack."""


def eval_mode(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Eval mode with frozen parameters; afterwards everything is as it was."""
    return attacking(model, "eval")


@contextlib.contextmanager
def attacking(
    model: nn.Module, mode: Literal["eval", "train"], update_statistics: bool = False
) -> Iterator[None]:
    """Freeze the parameters and set the mode, then put everything back."""
    if mode not in ("eval", "train"):
        raise AttackError(f"mode is {mode!r}, expected 'eval' or 'train'")
    modes = [(module, module.training) for module in model.modules()]
    trained = [p for p in model.parameters() if p.requires_grad]
    tracking = [m for m, _ in modes if getattr(m, "track_running_stats", False)]
    frozen = tracking if mode == "train" and not update_statistics else []
    try:
        model.train(mode == "train")
        for parameter in trained:
            parameter.requires_grad_(False)
        for module in frozen:
            module.track_running_stats = False
        yield
    finally:
        for module in frozen:
            module.track_running_stats = True
        for parameter in trained:
            parameter.requires_grad_(True)
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Float32 products without TF32, as reported robustness needs them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of torch announce a new interface
        matmul = torch.get_float32_matmul_precision()
        convolution = torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.set_float32_matmul_precision(matmul)
            torch.backends.cudnn.allow_tf32 = convolution


@contextlib.contextmanager
def global_draws(seed: int | None, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, from which code of others may draw; put them back after.

    Without a seed, where no such code takes part, they are left alone.
    """
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def uncompiled() -> contextlib.AbstractContextManager[None]:
    """Compiled models run as they are written; where none is, torch's compiler stays unimported."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")


def forward(model: nn.Module, x: Tensor) -> Tensor:
    """Logits in float32 at least, whatever precision autocast gives the model."""
    return at_least_float32(model(x))


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision raised to float32; anything finer as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are; a model without any is taken to be on the CPU."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device

"""Plain trainings of a recipe, on all training samples or on some."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bat import config
from bat.data import DeviceData, PreparedData
from bat.devices import Runtime
from bat.models import build_for
from bat.objectives import ERM
from bat.streams import torch_seed
from bat.training.loop import Recorder, Training


def fresh_model(
    prepared: PreparedData, recipe: dict, device: Runtime, *, seed: int, trial: int, stream: str
) -> nn.Module:
    """A model of the recipe's architecture on the device, its parameters drawn from a stream."""
    model = build_for(
        recipe["architecture"],
        prepared.info,
        network=recipe.get("network"),
        seed=torch_seed(seed, trial, stream),
    )
    return device.place(model)


def plain_training(
    model: nn.Module,
    data: DeviceData,
    index: Tensor,
    recipe: dict,
    device: Runtime,
    *,
    seed: int,
    trial: int,
    forward: Callable | None = None,
    recorders: Sequence[Recorder] = (),
) -> Training:
    """A training of a model by cross entropy; arguments as `bat.training.loop.Training` has them.

    ``forward`` is compiled here where it is not given and the device compiles.
    """
    if forward is None:
        forward = torch.compile(model) if device.compile else model
    return Training(
        model,
        ERM(),
        data,
        index,
        config.SubsetTraining.model_validate(recipe["training"]),
        seed=seed,
        trial=trial,
        device=device,
        forward=forward,
        recorders=recorders,
    )

"""Weights averaged along a training: the model that is looked at in the place of the trained one.

Exponential moving average after each step (``ema``), or the mean of the weights after each
epoch with BatchNorm's statistics measured anew (``swa``: Izmailov et al. 2018, arXiv:1803.05407).
Both by `torch.optim.swa_utils`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from bat.attacks import global_draws
from bat.data import as_float, augment
from bat.errors import BatError
from bat.models import OwnNetwork
from bat.streams import torch_seed
from bat.training.loop import Recorder, Training


class WeightAverage(Recorder):
    """The average of a model's weights along its training.

    Attributes
    ----------
    model : nn.Module
        A copy of the model, with the averaged weights after each whole epoch; before
        ``begin_epoch``, with the weights of the model itself. Its files have the same keys.

    Notes
    -----
    The first weights that are averaged are the average. From then on, after each step, ``ema``
    is ``decay`` of itself and ``1 - decay`` of the weights and of BatchNorm's statistics; whole
    numbers, its counters, are taken over. ``swa`` is the mean of the weights after the epochs
    from ``begin_epoch`` on. Its statistics are those of one more pass over the training samples,
    clean, shuffled and augmented as in training, the mean over its batches.
    """

    def __init__(
        self, model: nn.Module, *, kind: str, begin_epoch: int, decay: float | None = None
    ):
        self.kind, self.begin_epoch = kind, begin_epoch
        self.averaged = AveragedModel(
            model,
            multi_avg_fn=None if decay is None else _moving_average(decay),
            use_buffers=kind == "ema",
        )
        self.model: nn.Module = self.averaged.module

    def after_step(self, training: Training) -> None:
        """Average after a step of an epoch that counts."""
        if self.kind == "ema" and training.epoch + 1 >= self.begin_epoch:
            self.averaged.update_parameters(training.model)

    def after_epoch(self, training: Training, statistics: dict[str, float]) -> None:
        """Average after an epoch that counts, or take the model as it is."""
        if training.epoch < self.begin_epoch:
            self.model.load_state_dict(training.model.state_dict())
        elif self.kind == "swa":
            self.averaged.update_parameters(training.model)
            self._measure_statistics(training)

    def _measure_statistics(self, training: Training) -> None:
        stream = f"averaging-{training.epoch}"
        seed = torch_seed(training.seed, training.trial, stream)
        own = isinstance(training.model, OwnNetwork)  # which may draw, as dropout does
        draws = global_draws(seed if own else None, training.device.device)
        with draws, training.device.autocast(training.precision):
            update_bn(_batches(training, seed), self.model)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights, and how many were averaged."""
        return {"model": self.model.state_dict(), "n_averaged": int(self.averaged.n_averaged)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.averaged.n_averaged.fill_(state["n_averaged"])


def averaged(spec: dict | None, model: nn.Module) -> tuple[list[WeightAverage], nn.Module]:
    """The recorders that a run's specification names, and the model that is looked at."""
    if spec is None:
        return [], model
    try:
        average = WeightAverage(model, **spec)
    except (TypeError, RuntimeError) as error:
        raise BatError(
            f"averaging keeps a copy of the network, and this one cannot be copied ({error}); "
            "leave averaging out, or keep out of it what copy.deepcopy does not take"
        ) from error
    return [average], average.model


def _moving_average(decay: float):
    """torch's, of floating values; BatchNorm's counters have no average."""
    average = get_ema_multi_avg_fn(decay)

    def update(averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            average(averaged, current, n_averaged)
        else:
            torch._foreach_copy_(averaged, current)

    return update


def _batches(training: Training, seed: int) -> Iterator[Tensor]:
    """Images of the training samples in whole batches, shuffled and augmented."""
    order = torch.randperm(len(training.index), generator=torch.Generator().manual_seed(seed))
    index = training.index[order.to(training.index.device)]
    shift = torch.Generator(training.device.device).manual_seed(seed)
    augmentation = training.recipe.augmentation
    for batch in index.split(training.batch_size)[: training.steps_per_epoch]:
        images = training.data.train_images.index_select(0, batch)
        yield as_float(augment(images, shift, crop=augmentation.crop, flip=augmentation.flip))

"""The one training loop: schedule, precision, checkpoints, resume, progress.

Every number that a training draws comes from streams named by its seed, its
trial and the epoch (`bat.streams`), so a training that is
resumed goes on exactly as one that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bat import config
from bat.attacks import global_draws
from bat.data import DeviceData, as_float, augment
from bat.devices import Runtime
from bat.errors import BatError
from bat.files import SCHEMAS, STATISTICS
from bat.models import OwnNetwork, not_finite
from bat.objectives import AWP, OBJECTIVES, Batch, Objective, Statistics
from bat.streams import torch_seed
from bat.training.sgd import SGD

OF_AN_EPOCH = {*SCHEMAS["history"].names, "undefined"} - {"loss", *STATISTICS}
"""What a history holds of an epoch beside the objective's statistics, which go by other names."""


class DivergedError(BatError):
    """A loss, a weight or a prediction that is no finite number."""


def learning_rate(recipe: config.Optimization, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one step.

    Parameters
    ----------
    recipe : Optimization
    step : int
        Counted from 0 over the whole training.
    steps_per_epoch : int
    """
    total, rise = (n * steps_per_epoch for n in (recipe.epochs, recipe.warmup_epochs or 0))
    if step < rise:
        return recipe.lr * (step + 1) / rise
    if recipe.schedule == "piecewise":
        decays = sum(step >= milestone * steps_per_epoch for milestone in recipe.milestones)
        return recipe.lr * recipe.gamma**decays
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / (total - rise)))
    if recipe.schedule == "one_cycle":
        rise = recipe.warmup * total
        return recipe.lr * min((step + 1) / max(rise, 1), (total - step) / max(total - rise, 1), 1)
    return recipe.lr


class Recorder:
    """Follows a training, as scores of its course need; derive from it, write `after_epoch`."""

    def after_epoch(self, training: Training, statistics: dict[str, float]) -> None:
        """Called after each whole epoch.

        Parameters
        ----------
        training : Training
            Its ``epoch`` is the number of epochs done; its ``model`` is to be
            left as it is, the mode aside.
        statistics : dict of str to float
            Means of the objective's statistics over the epoch.
        """
        raise NotImplementedError

    def after_step(self, training: Training) -> None:
        """Called after each step, in which ``training.epoch`` counts the epochs before it."""

    def state_dict(self) -> dict[str, Any]:
        """What was recorded so far: tensors, numbers, text, and lists and dicts of these."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


class Training:
    """One model on its way through one training.

    Parameters
    ----------
    model : Classifier
        On the device; trained in place.
    objective : Objective
        One of `bat.objectives`, or one's own.
    data : DeviceData
    index : Tensor of int64, shape (n,)
        Training samples that take part, as positions in the data set, on the
        device.
    recipe : Optimization
    seed, trial : int
        Fix the order and the augmentation.
    device : Runtime
    forward : callable, optional
        The compiled model, where there is one.
    memorized, unmemorized : Tensor of bool, shape (n_train,), optional
        For BAT: samples with a score above and below sigma.
    recorders : sequence of Recorder
        Called in this order after each step and epoch; what they keep is part of `state`.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        data: DeviceData,
        index: Tensor,
        recipe: config.Optimization,
        *,
        seed: int,
        trial: int,
        device: Runtime,
        forward: Callable | None = None,
        memorized: Tensor | None = None,
        unmemorized: Tensor | None = None,
        recorders: Sequence[Recorder] = (),
    ):
        self.model, self.objective = model, objective
        self.forward = model if forward is None else forward
        self.data, self.index, self.recipe = data, index, recipe
        self.seed, self.trial, self.device = seed, trial, device
        self.memorized, self.unmemorized = memorized, unmemorized
        self.recorders = tuple(recorders)
        self.precision = device.precision(recipe.precision)
        self.epoch, self.step = 0, 0
        self.statistics: dict[str, list[Tensor]] = {}  # of the steps of this epoch so far
        self.undefined: dict[str, int] = {}  # steps of the last epoch without a statistic
        self.generators: dict[str, torch.Generator] = {}
        method = objective.objective if isinstance(objective, AWP) else objective
        # code of one's own may draw from torch's global generators, as dropout does
        self.may_draw = isinstance(model, OwnNetwork) or type(method) not in OBJECTIVES.values()
        self.batch_size = min(recipe.batch_size, len(index))
        self.steps_per_epoch = len(index) // self.batch_size
        if next(model.parameters(), None) is None:
            raise BatError("the network has no parameters, so there is nothing to train")
        self.optimizer = SGD(
            model.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
            fused=True,
        )

    def run_epoch(self, stop: Callable[[], bool] = lambda: False) -> dict[str, float] | None:
        """Train to the end of the epoch; means of the objective's statistics over its steps.

        A statistic is NaN in steps that do not have it, which its mean leaves
        out; how many these were is in ``undefined``. The last batch of an epoch
        is left out where it would be smaller than the others. The device is
        waited for once, at the end.

        Parameters
        ----------
        stop : callable
            Asked before each step; where it says so the epoch is left in the
            middle, and a further call, or one after `restore`, goes on there.

        Returns
        -------
        dict of str to float, or None
            None where the epoch was left; NaN where no step had the statistic.

        Raises
        ------
        DivergedError
            If a loss, or a weight after the last step, is not finite, naming
            the method, the epoch and the step.
        """
        self.model.train()
        if not self.generators:
            self.generators = {name: self._generator(name) for name in ("augmentation", "attack")}
        permutation = torch.randperm(len(self.index), generator=self._generator("order", "cpu"))
        batches = self.index[permutation.to(self.index.device)].split(self.batch_size)
        while self.step < self.steps_per_epoch:
            if stop():
                return None
            self._take_step(batches[self.step])
            self.step += 1
        values = {
            name: torch.stack(of_steps).float().cpu() for name, of_steps in self.statistics.items()
        }
        wrong = (~values["loss"].isfinite()).nonzero()
        if len(wrong):
            step = int(wrong[0, 0])
            raise self._diverged(f"the loss is {values['loss'][step]:g} in step {step + 1}")
        broken = not_finite(self.model)
        if broken:
            raise self._diverged(
                f"{broken} is not finite after step {self.step}, the last one, in spite of a "
                "finite loss,"
            )
        self.epoch, self.step, self.statistics, self.generators = self.epoch + 1, 0, {}, {}
        self.undefined = {
            name: missing for name, v in values.items() if (missing := int(v.isnan().sum()))
        }
        means = {name: float(value.nanmean()) for name, value in values.items()}
        for recorder in self.recorders:
            recorder.after_epoch(self, means)
        return means

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"{self.objective.name}: {what} of epoch {self.epoch + 1}; lower the learning rate "
            f"({self.recipe.lr:g}), or warm up"
        )

    def _take_step(self, index: Tensor) -> None:
        position = self.epoch * self.steps_per_epoch + self.step
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, position, self.steps_per_epoch)
        self.model.train()  # whatever the step before left, so that a step is the same when resumed
        drawn = torch_seed(self.seed, self.trial, f"network-{position}") if self.may_draw else None
        with global_draws(drawn, self.device.device):
            with self.device.autocast(self.precision):
                given = self.objective(
                    self.forward,
                    self._batch(index, self.generators["augmentation"]),
                    self.generators["attack"],
                    epoch=self.epoch,
                )
            loss, statistics = _checked(self.objective, given)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.objective.after_step(self.model)
            for recorder in self.recorders:
                recorder.after_step(self)
        for name, value in statistics.items():
            self.statistics.setdefault(name, []).append(value.detach())
        if position == 0:
            self._kept_by_others()  # what cannot be kept is said before hours are spent

    def state(self) -> dict:
        """All that a training needs to go on exactly where it is, in or between epochs."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.precision,
            "epoch": self.epoch,
            "step": self.step,
            "statistics": {name: torch.stack(v) for name, v in self.statistics.items()},
            "generators": {name: g.get_state() for name, g in self.generators.items()},
            **self._kept_by_others(),
        }

    def _kept_by_others(self) -> dict:
        """What the objective and the recorders keep, of kinds that a file of ours holds."""
        kept = {
            "objective": self.objective.state_dict(),
            "recorders": [recorder.state_dict() for recorder in self.recorders],
        }
        states = [kept["objective"], *kept["recorders"]]
        for owner, state in zip((self.objective, *self.recorders), states, strict=True):
            if found := _not_kept(state):
                raise BatError(
                    f"{type(owner).__name__} keeps {found}, which no checkpoint holds; expected "
                    "tensors, numbers, text, and lists and dicts of these"
                )
        return kept

    def restore(self, state: dict) -> None:
        """Go on from what `state` gave, in the precision that it began in."""
        began = self.recipe.precision
        if began == "auto":
            began = state.get("precision", self.device.usual_precision)
        self.precision = self.device.precision(began)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step = state["epoch"], state["step"]
        statistics = state["statistics"].items()
        self.statistics = {name: list(v.to(self.device.device)) for name, v in statistics}
        self.generators = {name: self._generator(name) for name in state["generators"]}
        for name, generator_state in state["generators"].items():
            self.generators[name].set_state(generator_state.cpu())
        if "objective" in state:  # version 0.1.0 had none that keep something
            self.objective.load_state_dict(state["objective"])
            for recorder, kept in zip(self.recorders, state["recorders"], strict=True):
                recorder.load_state_dict(kept)

    def _batch(self, index: Tensor, shift: torch.Generator) -> Batch:
        augmentation = self.recipe.augmentation
        images = self.data.train_images.index_select(0, index)  # far faster than indexing
        images = augment(images, shift, crop=augmentation.crop, flip=augmentation.flip)
        return Batch(
            as_float(images),
            self.data.train_labels[index],
            None if self.memorized is None else self.memorized[index],
            None if self.unmemorized is None else self.unmemorized[index],
            index,
        )

    def _generator(self, stream: str, device: str | None = None) -> torch.Generator:
        """The generator of one stream in this epoch."""
        seed = torch_seed(self.seed, self.trial, f"{stream}-{self.epoch}")
        return torch.Generator(device or self.device.device).manual_seed(seed)


def _checked(objective: Objective, given: Any) -> tuple[Tensor, Statistics]:
    """What an objective gave, as `Objective.__call__` says it."""
    name = getattr(objective, "name", type(objective).__name__)
    parts = given if isinstance(given, tuple) else (given,)
    if len(parts) != 2 or not isinstance(parts[1], Mapping):
        raise BatError(
            f"{name}: gives {', '.join(type(part).__name__ for part in parts)}; expected the loss "
            "and a dict of statistics, as `return loss, {'loss': loss.detach()}`"
        )
    loss, statistics = parts
    named = {f"statistics[{key!r}]": value for key, value in statistics.items()}
    for what, value in {"the loss": loss, **named}.items():
        if not isinstance(value, Tensor) or value.numel() != 1:
            shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
            raise BatError(
                f"{name}: {what} is {type(value).__name__}{shape}, expected a Tensor of one number"
            )
    if "loss" not in statistics:
        raise BatError(
            f"{name}: its statistics are {', '.join(map(str, statistics)) or 'none'}, expected "
            "`loss` among them"
        )
    if taken := OF_AN_EPOCH & statistics.keys():
        raise BatError(
            f"{name}: statistics named {', '.join(sorted(taken))}, which is what the history calls "
            "something else; name them otherwise"
        )
    if not loss.requires_grad:
        raise BatError(
            "the loss has no gradient by the model's parameters: they are frozen, or the "
            "network or method computes without (no_grad, detach); nothing can be trained"
        )
    return loss, statistics


def _not_kept(value: Any, place: str = "") -> str:
    """The first of a state's values that a file of ours does not hold, or nothing."""
    if isinstance(value, dict):
        inner = [(f"{place}[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{place}[{number}]", part) for number, part in enumerate(value)]
    elif isinstance(value, Tensor) or type(value) in (int, float, bool, str, bytes, type(None)):
        inner = []
    else:
        return f"{type(value).__module__}.{type(value).__name__} in state_dict(){place}"
    return next((found for name, part in inner if (found := _not_kept(part, name))), "")

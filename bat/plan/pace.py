"""How long a training step, an attack and a forward pass take, counted without running them.

The network itself runs on torch's meta device, which has shapes and no values,
under torch's flop counter. A pass of a batch then takes ``flops / rate + bytes /
bandwidth + calls * overhead``, where bytes are those that its operations read and
write and calls the operations themselves: narrow networks are bound by the
second, small images by the third. What `bat.plan.measuring` found here goes before.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from bat.attacks import eval_mode
from bat.config import Optimization
from bat.devices import Runtime
from bat.errors import BatError
from bat.models import build_model
from bat.objectives import AWP, OBJECTIVES, Objective

COUNTED_BATCH = 16  # so many samples share the reading of the weights
STEP_CALLS = 100  # of a training step beside its passes: augmentation, start, optimizer


class Speed(NamedTuple):
    """What a device sustains."""

    flops: float  # floating-point operations in a second, an addition and a product being two
    bandwidth: float  # bytes in a second
    overhead: float  # seconds of a call


SPEEDS = {
    ("cpu", "float32"): Speed(1.2e11, 7e9, 7.5e-6),
    ("cpu", "bfloat16"): Speed(3.5e11, 1.1e10, 2.5e-5),
    ("cuda", "float32"): Speed(1.2e13, 1e12, 5e-6),
    ("cuda", "bfloat16"): Speed(1e14, 1e12, 5e-6),
}
"""Assumed by kind of device and precision: one core with AVX-512 and AMX, fitted to what eleven
networks took on it; one data-centre GPU, compiled, from its makers' figures, of which a third."""

EMULATED = 9.0
"""Times as long as in float32 that bfloat16 is assumed to take where there are no units for it."""


START = {"cpu": 3.0, "cuda": 60.0}
"""Assumed seconds of a job before its first step: imports, data and, on a GPU, compilation."""


class Pass(NamedTuple):
    """A clean pass of the samples and, with steps, an attack on each of them.

    Without steps it is the clean pass alone, as probabilities and features take it.
    """

    architecture: str
    precision: str
    batch: int
    steps: int


class Step(NamedTuple):
    """A step of a training."""

    architecture: str
    precision: str
    batch: int
    method: str
    settings: tuple[tuple[str, Any], ...]  # of the objective, sorted
    recipe: Optimization
    awp: bool = False  # whether the weights are perturbed first

    @property
    def steps(self) -> int:
        """Of the attack."""
        return dict(self.settings).get("steps", 0)


Work = Pass | Step


class Cost(NamedTuple):
    """Of a pass: flops and bytes of one sample, calls of a batch."""

    flops: float
    bytes: float
    calls: int


class _Traffic(TorchDispatchMode):
    """Counts operations that compute, and the bytes of their tensors."""

    def __init__(self):
        super().__init__()
        self.bytes, self.calls = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.calls += 1
            tensors = (t for t in tree_leaves((args, out)) if isinstance(t, torch.Tensor))
            self.bytes += sum(t.numel() * t.element_size() for t in tensors)
        return out


@functools.cache
def count(architecture: str, n_classes: int, shape: tuple[int, int, int], kind: str) -> Cost:
    """Count what a pass of one image costs, without making any numbers.

    Parameters
    ----------
    architecture : str
    n_classes : int
    shape : tuple of int
        Channels, height and width of an image.
    kind : {"forward", "attack", "training"}
        ``attack`` also differentiates by the image, ``training`` by the parameters.

    Raises
    ------
    BatError
        If there is no such architecture, or the images are too small for it.
    """
    try:
        with torch.device("meta"):
            model = build_model(architecture, n_classes=n_classes, channels=shape[0]).eval()
            x = torch.empty(COUNTED_BATCH, *shape, requires_grad=kind == "attack")
            y = torch.empty(COUNTED_BATCH, dtype=torch.int64)
        traffic = _Traffic()
        with FlopCounterMode(display=False) as counter, traffic:
            if kind == "forward":
                with torch.no_grad():
                    model(x)
            elif kind == "attack":
                with eval_mode(model):
                    F.cross_entropy(model(x), y).backward()
            else:
                F.cross_entropy(model(x), y).backward()
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, BatError):
            raise
        raise BatError(
            f"{architecture} cannot take images of {'x'.join(map(str, shape))} "
            f"({str(error).splitlines()[0]}); choose another architecture, or set data.resize"
        ) from error
    flops = counter.get_total_flops()
    return Cost(flops / COUNTED_BATCH, traffic.bytes / COUNTED_BATCH, traffic.calls)


def parameter_count(architecture: str, n_classes: int, channels: int) -> int:
    """Values in the state dict of a model."""
    with torch.device("meta"):
        model = build_model(architecture, n_classes=n_classes, channels=channels)
    return sum(value.numel() for value in model.state_dict().values())


class Pace:
    """Seconds of a unit of work: as measured where it was, else as counted.

    Attributes
    ----------
    measured : dict
        Seconds by work, as `bat.plan.measuring.measure` gives them.
    start : float
        Seconds of a job before its first step.
    asked : dict
        Seconds of the work that was asked for so far, and is not measured.
    """

    def __init__(self, device: Runtime, n_classes: int, shape: tuple[int, int, int]):
        self.device, self.n_classes, self.shape = device, n_classes, shape
        self.measured: dict[Work, float] = {}
        self.asked: dict[Work, float] = {}
        self.start = START[device.device.type]

    def __call__(self, work: Work) -> float:
        """Seconds of a training step, or of a pass and its attack for each sample."""
        if work in self.measured:
            return self.measured[work]
        return self.asked.setdefault(work, self.assume(work))

    def assume(self, work: Work) -> float:
        """As `__call__`, by counting alone."""
        attack = work.steps * self._pass("attack", work)
        if isinstance(work, Pass):
            # the pass before an attack, and the one that judges it
            clean = self._pass("forward", work) * (2 if work.steps else 1)
            return (clean + attack) / work.batch
        forwards, trained = objective_of(work).passes
        passes = forwards * self._pass("forward", work) + trained * self._pass("training", work)
        return passes + attack + STEP_CALLS * self._speed(work).overhead

    def _speed(self, work: Work) -> Speed:
        return SPEEDS[self.device.device.type, work.precision]

    def _pass(self, kind: str, work: Work) -> float:
        """Seconds of one pass of a batch."""
        cost = count(work.architecture, self.n_classes, self.shape, kind)
        speed, slower = self._speed(work), 1.0
        if work.precision == "bfloat16" and self.device.precision("auto") == "float32":
            speed, slower = SPEEDS[self.device.device.type, "float32"], EMULATED
        each = cost.flops / speed.flops + cost.bytes / speed.bandwidth
        return slower * work.batch * each + cost.calls * speed.overhead


def objective_of(work: Step) -> Objective:
    """The objective of a step, with its settings."""
    objective = OBJECTIVES[work.method](**dict(work.settings))
    return AWP(objective) if work.awp else objective

"""What is seen of a batch of samples, in as few passes of the model as it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from bat.errors import BatError
from bat.scores.proxies import PASSES, passes_of

STEP = 1e-3
"""Length of the random steps of curvature, in pixels of [0, 1] (Garg et al., 2024)."""

DRAWS = 10
"""Random steps of curvature for each sample."""


@contextmanager
def _no_clock(name: str) -> Iterator[None]:
    yield


def of_logits(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What the logits of a batch tell, of `bat.scores.proxies.OBSERVATIONS`.

    Parameters
    ----------
    logits : Tensor of float, shape (batch, n_classes)
    labels : Tensor of int64, shape (batch,)

    Returns
    -------
    dict of str to Tensor of float, shape (batch,)
        ``loss``, the cross-entropy; ``margin``, the label's logit less the largest
        other; ``error``, the length of probabilities less one-hot label, in [0, sqrt 2].

    Raises
    ------
    BatError
        If there are fewer than two classes, or a label is none of them.
    """
    wrong = (labels < 0) | (labels >= logits.shape[1])
    if logits.shape[1] < 2 or wrong.any():
        raise BatError(
            f"labels hold {labels[wrong][:3].tolist()} and logits are of {logits.shape[1]} "
            "classes; expected two classes or more, and labels among them, from 0"
        )
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    one_hot = functional.one_hot(labels, logits.shape[1])
    return {
        "loss": functional.cross_entropy(logits, labels, reduction="none"),
        "margin": own - others,
        "error": (logits.softmax(1) - one_hot).norm(dim=1),
    }


class Clock:
    """Seconds by pass; on a GPU each pass is waited for."""

    def __init__(self, device: torch.device):
        self.device, self.spent = device, dict.fromkeys(PASSES, 0.0)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.spent[name] += time.perf_counter() - start


def observed(model, x, labels, names, generator, clock) -> Iterator[tuple[str, Tensor]]:
    """The chosen observations of a batch, sharing the passes that they share."""
    passes = {name for observation in names for name in passes_of(observation)}
    gradient, seen = None, {}
    if "input_gradient" in passes:
        logits, gradient = _input_gradient(model, x, labels, clock)
        seen = of_logits(logits, labels)
    elif "logits" in passes:
        with clock("logits"), torch.no_grad():
            seen = of_logits(model(x).float(), labels)
    for name in names:
        if name in seen:
            yield name, seen[name]
        elif name == "input_gradient":
            yield name, gradient.flatten(1).norm(dim=1)
        elif name == "curvature":
            with clock("curvature"):
                found = _curvature(model, x, labels, gradient, generator)
            yield name, found
        else:
            with clock("weight_gradient"):
                found = _weight_gradient(model, x, labels)
            yield name, found


def _input_gradient(model, x, labels, clock=_no_clock) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of each sample's own loss by its image."""
    with torch.enable_grad():
        with clock("logits"):
            x = x.detach().requires_grad_()
            logits = model(x).float()
        with clock("input_gradient"):
            loss = functional.cross_entropy(logits, labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
    return logits.detach(), gradient


def _curvature(model, x, labels, gradient, generator) -> Tensor:
    total = torch.zeros(len(x), device=x.device)
    for _ in range(DRAWS):
        signs = torch.randint(0, 2, x.shape, generator=generator, device=x.device) * 2 - 1
        _, there = _input_gradient(model, x + STEP * signs, labels)
        total += (there - gradient).flatten(1).norm(dim=1)
    return total / DRAWS


def _weight_gradient(model, x, labels) -> Tensor:
    """The norm of each sample's gradient by all weights, one sample at a time by vmap."""
    from torch.func import functional_call, grad, vmap

    if isinstance(model, torch.nn.DataParallel):
        model = model.module
    weights = {name: v.detach() for name, v in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(weights, image, label):
        logits = functional_call(model, (weights, buffers), (image[None],))
        return functional.cross_entropy(logits.float(), label[None])

    squares = torch.zeros(len(x), device=x.device)
    per_sample = vmap(grad(loss), in_dims=(None, 0, 0))
    for part in torch.arange(len(x), device=x.device).split(50):
        found = per_sample(weights, x[part], labels[part])
        squares[part] = sum(v.flatten(1).square().sum(1) for v in found.values())
    return squares.sqrt()

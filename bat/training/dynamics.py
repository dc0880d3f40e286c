"""A recorder of trainings: what each sample looks like to the model after every epoch."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bat.data import as_float
from bat.errors import BatError
from bat.scores.proxies import OBSERVATIONS, PASSES, early_epoch, passes_of, proxy_scores
from bat.training.loop import Recorder, Training

STEP = 1e-3
"""Length of the random steps of curvature, in pixels of [0, 1] (Garg et al., 2024)."""

DRAWS = 10
"""Random steps of curvature for each sample."""

OF_LOGITS = ("loss", "margin", "error")


class Dynamics(Recorder):
    """Keeps what is seen of each sample in the course of a training, and scores it.

    Trainings of ours take it as it is: ``bat.train(..., recorders=[recorder])``. In a
    loop of one's own, hand it the model after each epoch (`look`), as the scores are
    defined: in eval mode, without augmentation; or the logits of every batch as they
    come (`step`), which costs nothing and sees what the training sees.

    Parameters
    ----------
    n : int
        Number of training samples.
    observe : collection of str
        What `look` observes: keys of `bat.scores.proxies.OBSERVATIONS`. The default
        takes one pass of the logits; ``input_gradient`` adds a backward pass,
        ``curvature`` ten more, ``weight_gradient`` one of each sample alone.
    seed : int
        Of the random steps of ``curvature``.

    Raises
    ------
    BatError
        If an observation is not known.

    Attributes
    ----------
    seconds : list of dict
        What each look took, by pass (`bat.scores.proxies.PASSES`).

    Examples
    --------
    >>> recorder = Dynamics(3)
    >>> labels = torch.tensor([0, 1, 1])
    >>> for confidence in (0.0, 2.0):
    ...     logits = torch.tensor([[confidence, 0.0], [confidence, 0.0], [0.0, confidence]])
    ...     recorder.step(torch.arange(3), logits, labels)
    >>> recorder.scores()["csl"].round(2)
    array([0.82, 2.82, 0.82])
    """

    def __init__(self, n: int, *, observe: Collection[str] = OF_LOGITS, seed: int = 0):
        if unknown := set(observe) - set(OBSERVATIONS):
            raise BatError(f"{sorted(unknown)} are no observations: {', '.join(OBSERVATIONS)}")
        self.n, self.observe, self.seed = n, tuple(observe), seed
        self._rows: dict[str, list[np.ndarray]] = {}
        self._seen = np.zeros(n, np.int64)
        self.seconds: list[dict[str, float]] = []

    def step(self, index, logits, labels) -> None:
        """Take in a batch; the k-th time that a sample comes is its k-th epoch.

        Parameters
        ----------
        index : Tensor or ndarray of int, shape (m,)
            Positions of the samples in [0, n), none twice.
        logits : Tensor or ndarray of float, shape (m, n_classes)
        labels : Tensor or ndarray of int, shape (m,)

        Raises
        ------
        BatError
            If shapes differ, or a position is out of range or comes twice.
        """
        index = np.asarray(torch.as_tensor(index).cpu())
        logits = torch.as_tensor(logits).detach().float()
        labels = torch.as_tensor(labels).to(logits.device)
        if logits.shape[:1] != index.shape or labels.shape != index.shape or logits.ndim != 2:
            raise BatError(
                f"index has shape {index.shape}, logits {tuple(logits.shape)} and labels "
                f"{tuple(labels.shape)}; expected (m,), (m, n_classes) and (m,)"
            )
        wrong = (index < 0) | (index >= self.n)
        if wrong.any() or np.unique(index).size < index.size:
            raise BatError(
                f"index holds {index[wrong][:3].tolist() or 'positions twice'}; expected positions "
                f"in [0, {self.n}), each once in a batch"
            )
        observed = _of_logits(logits, labels)
        epochs = self._seen[index]
        self._seen[index] += 1
        for name, values in observed.items():
            self._place(name, epochs, index, values.cpu().numpy())

    def after_epoch(self, training: Training, statistics: dict[str, float]) -> None:
        """Look at all samples of the data set, those that do not take part too."""
        data = training.data
        self.look(
            training.model, data.train_images, data.train_labels, epochs=training.recipe.epochs
        )

    def look(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        epochs: int | None = None,
        batch_size: int = 500,
    ) -> None:
        """Observe every sample with the model as it is, in eval mode; the mode is restored.

        No random stream but its own is touched and no gradient stays behind, so that
        a training goes on as it would without.

        Parameters
        ----------
        model : Module
            From images in [0, 1] to logits.
        images : Tensor, shape (n, channels, height, width)
            uint8, or float in [0, 1], without augmentation.
        labels : Tensor of int64, shape (n,)
        epochs : int, optional
            Of the whole training, where only the early epoch needs ``weight_gradient``;
            it is taken after each, by default.
        batch_size : int
        """
        epoch = int(self._seen.max(initial=0))
        early = epochs is None or epoch == early_epoch(epochs)
        chosen = [name for name in self.observe if name != "weight_gradient" or early]
        generator = torch.Generator(images.device).manual_seed(self.seed * 100_003 + epoch)
        training, clock = model.training, _Clock(images.device)
        model.eval()
        try:
            for start in range(0, len(images), batch_size):
                part = slice(start, start + batch_size)
                x = images[part]
                x = as_float(x) if x.dtype == torch.uint8 else x
                at = np.arange(start, start + len(x))
                for name, values in _observe(model, x, labels[part], chosen, generator, clock):
                    self._place(name, np.full(len(at), epoch), at, values.cpu().numpy())
        finally:
            model.train(training)
        self._seen[:] = epoch + 1
        self.seconds.append(clock.spent)

    def course(self) -> dict[str, np.ndarray]:
        """All observations, float32 of shape (n_epochs, n); NaN where there is none."""
        n_epochs = int(self._seen.max(initial=0))
        empty = np.full(self.n, np.nan, np.float32)
        return {
            name: np.stack(rows + [empty] * (n_epochs - len(rows)))
            for name, rows in self._rows.items()
        }

    def scores(self, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """The scores of `bat.scores.proxies.PROXIES` that the observations allow."""
        return proxy_scores(self.course(), names)

    def state_dict(self) -> dict:
        """All that a recorder needs to go on."""
        course = {name: torch.from_numpy(values) for name, values in self.course().items()}
        seen = torch.from_numpy(self._seen.copy())
        return {"course": course, "seen": seen, "seconds": list(self.seconds)}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` gave."""
        self._rows = {name: list(values.numpy().copy()) for name, values in state["course"].items()}
        self._seen = state["seen"].numpy().copy()
        self.seconds = list(state["seconds"])

    def _place(self, name, epochs, index, values):
        rows = self._rows.setdefault(name, [])
        while len(rows) <= epochs.max(initial=-1):
            rows.append(np.full(self.n, np.nan, np.float32))
        for epoch in np.unique(epochs):
            now = epochs == epoch
            rows[epoch][index[now]] = values[now]


@contextmanager
def _no_clock(name: str) -> Iterator[None]:
    yield


def _of_logits(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    one_hot = functional.one_hot(labels, logits.shape[1])
    return {
        "loss": functional.cross_entropy(logits, labels, reduction="none"),
        "margin": own - others,
        "error": (logits.softmax(1) - one_hot).norm(dim=1),
    }


class _Clock:
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


def _observe(model, x, labels, names, generator, clock) -> Iterator[tuple[str, Tensor]]:
    """The chosen observations of a batch, sharing the passes that they share."""
    passes = {name for observation in names for name in passes_of(observation)}
    gradient, of_logits = None, {}
    if "input_gradient" in passes:
        logits, gradient = _input_gradient(model, x, labels, clock)
        of_logits = _of_logits(logits, labels)
    elif "logits" in passes:
        with clock("logits"), torch.no_grad():
            of_logits = _of_logits(model(x).float(), labels)
    for name in names:
        if name in of_logits:
            yield name, of_logits[name]
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

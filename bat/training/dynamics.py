"""A recorder of trainings: what each sample looks like to the model after every epoch."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn

from bat.attacks import batch_of, device_of, eval_mode
from bat.data import as_tensor
from bat.errors import BatError
from bat.scores.proxies import OBSERVATIONS, early_epoch, proxy_scores
from bat.training.loop import Recorder, Training
from bat.training.observing import Clock, observed, of_logits

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
        If an observation is not known, or ``n`` is no number of samples.

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
        if not isinstance(n, int | np.integer) or n < 1:
            raise BatError(f"n is {n!r}; expected the number of training samples")
        self.n, self.observe, self.seed = n, tuple(observe), seed
        self._rows: dict[str, list[np.ndarray]] = {}
        self._seen = np.zeros(n, np.int64)
        self.seconds: list[dict[str, float]] = []

    def step(self, index, logits, labels) -> None:
        """Take in a batch; the k-th time that a sample comes is its k-th epoch.

        A sample that comes less often than others, as with a loader that drops the last
        batch, has no last epochs, and so no score that needs them; take `look` there.

        Parameters
        ----------
        index : Tensor or ndarray of int, shape (m,)
            Positions of the samples in [0, n), none twice.
        logits : Tensor or ndarray of float, shape (m, n_classes)
        labels : Tensor or ndarray of int, shape (m,)

        Raises
        ------
        BatError
            If shapes or types are wrong, a position or a label is out of range, a
            position comes twice, or what is seen of a sample is not finite.
        """
        index = _integers("index", index).cpu().numpy()
        logits = torch.as_tensor(logits).detach().float()
        labels = _integers("labels", labels).to(logits.device)
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
        found = of_logits(logits, labels)
        epochs = self._seen[index]
        self._seen[index] += 1
        for name, values in found.items():
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
        images,
        labels,
        *,
        epochs: int | None = None,
        batch_size: int = 500,
    ) -> None:
        """Observe every sample with the model as it is, in eval mode; modes are restored.

        No random stream but its own is touched and no gradient stays behind, so that
        a training goes on as it would without.

        Parameters
        ----------
        model : Module
            From images in [0, 1] to logits.
        images : array-like, shape (n, channels, height, width)
            uint8, or float in [0, 1], without augmentation.
        labels : array-like of int, shape (n,)
        epochs : int, optional
            Of the whole training, where only the early epoch needs ``weight_gradient``;
            it is taken after each, by default.
        batch_size : int

        Raises
        ------
        BatError
            If these are not ``n`` images and labels, a label is no class of the model,
            or what is seen of a sample is not finite.
        """
        images, labels = as_tensor(images), _integers("labels", as_tensor(labels))
        if not len(images) == self.n == len(labels) == labels.numel():
            raise BatError(
                f"images have shape {tuple(images.shape)} and labels {tuple(labels.shape)}; "
                f"expected all {self.n} samples, and a label for each"
            )
        epoch = int(self._seen.max(initial=0))
        early = epochs is None or epoch == early_epoch(epochs)
        chosen = [name for name in self.observe if name != "weight_gradient" or early]
        device = device_of(model)
        generator = torch.Generator(device).manual_seed(self.seed * 100_003 + epoch)
        clock = Clock(device)
        with torch.inference_mode(False), eval_mode(model):
            for index in torch.arange(self.n).split(batch_size):
                x, y = batch_of(images, labels, index, device)
                now = np.full(len(index), epoch)
                for name, values in observed(model, x, y, chosen, generator, clock):
                    self._place(name, now, index.numpy(), values.cpu().numpy())
        self._seen[:] = epoch + 1
        self.seconds.append(clock.spent)

    def course(self) -> dict[str, np.ndarray]:
        """All observations, float32 of shape (n_epochs, n); NaN where there is none."""
        n_epochs = int(self._seen.max(initial=0))
        empty = np.full(self.n, np.nan, np.float32)
        return {
            name: np.stack(rows + [empty] * (n_epochs - len(rows)))
            for name, rows in self._rows.items()
            if rows
        }

    def scores(self, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """The scores of `bat.scores.proxies.PROXIES` that the observations allow.

        NaN for samples that were not seen in an epoch that a score needs.
        """
        return proxy_scores(self.course(), names)

    def state_dict(self) -> dict:
        """All that a recorder needs to go on."""
        course = {name: torch.from_numpy(values) for name, values in self.course().items()}
        seen = torch.from_numpy(self._seen.copy())
        return {"course": course, "seen": seen, "seconds": list(self.seconds)}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` gave.

        Raises
        ------
        BatError
            If it is of another number of samples.
        """
        if len(state["seen"]) != self.n:
            raise BatError(
                f"the state is of {len(state['seen'])} samples, and this recorder of {self.n}; "
                "expected that of the same training set"
            )
        self._rows = {name: list(values.numpy().copy()) for name, values in state["course"].items()}
        self._seen = state["seen"].numpy().copy()
        self.seconds = list(state["seconds"])

    def _place(self, name, epochs, index, values):
        if (wrong := ~np.isfinite(values)).any():
            raise BatError(
                f"the {name} of sample {index[wrong][0]} in epoch {epochs[wrong][0] + 1} is "
                f"{values[wrong][0]} ({wrong.sum()} of {len(wrong)} in its batch); expected finite "
                "numbers: the training diverged, or float16 overflowed"
            )
        rows = self._rows.setdefault(name, [])
        while len(rows) <= epochs.max(initial=-1):
            rows.append(np.full(self.n, np.nan, np.float32))
        for epoch in np.unique(epochs):
            now = epochs == epoch
            rows[epoch][index[now]] = values[now]


def _integers(name: str, values) -> Tensor:
    values = torch.as_tensor(values)
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise BatError(f"{name} is {values.dtype}; expected integers")
    return values.long()

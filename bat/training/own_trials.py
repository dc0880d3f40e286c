"""Trials by a training of somebody's own, in whatever framework; the subsets stay ours."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bat import extensions
from bat.attacks import global_draws
from bat.data import PreparedData, as_array
from bat.devices import Runtime
from bat.errors import BatError
from bat.extensions import TRAINER_NEEDED
from bat.scores.margins import margins
from bat.scores.subsets import subset
from bat.streams import torch_seed
from bat.training.trial_rows import trial_row

Judged = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


class OwnTrainer:
    """Trains one trial after the other with the function that a recipe names.

    Parameters
    ----------
    prepared : PreparedData
    recipe : dict
        With ``trainer``, as `bat.extensions.record` gives it.
    device : Runtime
        Which the function is told by its name, as ``cpu`` or ``cuda:0``.
    """

    def __init__(self, prepared: PreparedData, recipe: dict, device: Runtime):
        self.prepared, self.recipe, self.device = prepared, recipe, device
        self.train_function = extensions.load(recipe["trainer"])

    def train(
        self,
        trial: int,
        *,
        keep_probabilities: bool,
        keep_margins: bool = True,
        report: Callable[[float, str], None] = lambda share, note: None,
    ) -> dict:
        """Train one trial; its row, as columns of length one.

        Raises
        ------
        BatError
            Naming the trial, if the function fails, or does not give correctness or
            finite logits of all training and test samples.
        """
        report(0.0, f"trial {trial}")
        start, text = time.monotonic(), self.recipe["trainer"]["code"]
        data = _own_copy(self.prepared)
        included = subset(
            self.recipe["seed"], trial, data.info["n_train"], self.recipe["subset_ratio"]
        )
        given = {
            "index": np.flatnonzero(included),
            "trial": trial,
            "seed": torch_seed(self.recipe["seed"], trial, "trainer") % 2**32,
            "data": data,
            "train_images": data.train_images,
            "train_labels": data.train_labels,
            "test_images": data.test_images,
            "test_labels": data.test_labels,
            "n_classes": len(data.class_names),
            "device": str(self.device.device),
        }
        settings = self.recipe["trainer"]["settings"]
        try:
            with global_draws(given["seed"], self.device.device):
                found = extensions.call(text, self.train_function, settings, given, TRAINER_NEEDED)
            train, test = self._both(found)
        except BatError as error:
            raise BatError(f"trial {trial}: {error}") from error.__cause__
        given_both = train[2] is not None and test[2] is not None
        if keep_probabilities and train[1] is None:
            raise BatError(
                f"trial {trial}: {text} gives correctness alone, and the ensemble of "
                "disagreement and confidence needs logits, shape (n, n_classes); return those, "
                "or take its name out of ensemble.architectures"
            )
        return trial_row(
            self.recipe,
            trial,
            included,
            train[0],
            test[0],
            seconds=time.monotonic() - start,
            device=self.device.name,
            probabilities=train[1] if keep_probabilities else None,
            margins=(train[2], test[2]) if keep_margins and given_both else None,
        )

    def _both(self, found: Any) -> list[Judged]:
        text = self.recipe["trainer"]["code"]
        if not isinstance(found, list | tuple) or len(found) != 2:
            raise BatError(
                f"{text}: returned {_kind(found)}, expected two arrays, of the training and of "
                "the test samples"
            )
        n_classes = len(self.prepared.class_names)
        labels = {"training": self.prepared.train_labels, "test": self.prepared.test_labels}
        return [
            judged(values, np.asarray(of_split), n_classes, f"{text}, {split} samples")
            for values, (split, of_split) in zip(found, labels.items(), strict=True)
        ]


def _own_copy(data: PreparedData) -> PreparedData:
    """The data with labels and ``info`` of their own, which may be written to; images may not."""
    labels = {name: np.array(getattr(data, name)) for name in ("train_labels", "test_labels")}
    return dataclasses.replace(data, info=copy.deepcopy(data.info), **labels)


def judged(values: Any, labels: np.ndarray, n_classes: int, what: str) -> Judged:
    """Correctness of each sample, with class probabilities and margins where logits are given.

    Parameters
    ----------
    values : array, or Tensor
        Correctness, bool of shape (n,), or logits, float of shape (n, n_classes).
    labels : ndarray of int, shape (n,)
    n_classes : int
    what : str
        What messages call the values.

    Returns
    -------
    correct : ndarray of bool, shape (n,)
    probabilities : ndarray of float64, shape (n, n_classes), or None
    margins : ndarray of float64, shape (n,), or None

    Raises
    ------
    BatError
        If it is neither, or a row of logits has no finite softmax, naming the sample.
    """
    try:
        values = as_array(values)
    except ValueError as error:  # rows of different lengths
        raise BatError(f"{what}: are no array ({error})") from None
    if values.dtype == bool and values.shape == labels.shape:
        return values, None, None
    if values.dtype.kind != "f" or values.shape != (len(labels), n_classes):
        raise BatError(
            f"{what}: {values.dtype} of shape {values.shape}, expected correctness (bool, shape "
            f"({len(labels)},), as predicted == labels) or logits (float, shape ({len(labels)}, "
            f"{n_classes}))"
        )
    with np.errstate(invalid="ignore"):  # which is looked for
        values = values.astype(np.float64)
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        found = powers / powers.sum(axis=1, keepdims=True)
    wrong = ~np.isfinite(found).all(axis=1)
    if wrong.any():
        raise BatError(
            f"{what}: the logits of {wrong.sum()} of {len(wrong)} samples are not finite, the "
            f"first of sample {wrong.argmax()}; lower the learning rate, or look at that sample"
        )
    return values.argmax(axis=1) == labels, found, margins(values, labels)


def _kind(found: Any) -> str:
    shape = getattr(found, "shape", None)
    return f"{type(found).__name__}{'' if shape is None else f' of shape {tuple(shape)}'}"

"""Which samples a model classifies right, as they are and under attack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bat.attacks.base import EvaluationAttack, batch_of
from bat.attacks.modes import at_least_float32, device_of, eval_mode, full_precision
from bat.data import as_tensor
from bat.errors import BatError
from bat.extensions import heard

CLEAN = "clean"


class NotFiniteError(BatError):
    """A model whose logits are no finite numbers."""


Progress = Callable[[str, int, int], None]  # (attack, samples done, samples in all)


def evaluate(
    model: nn.Module,
    images: Tensor | np.ndarray,
    labels: Tensor | np.ndarray,
    attacks: Mapping[str, EvaluationAttack],
    *,
    batch_size: int,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Judge each sample, clean and under each attack.

    Attacks run only on samples that are classified right without one, so
    robust implies correct. A batch of images at a time is converted and
    attacked; AutoAttack alone needs all at once. The model is in eval mode,
    and afterwards as it was; products are in float32 without TF32, or in the
    caller's autocast.

    Parameters
    ----------
    model : nn.Module
        Maps float images in [0, 1] to logits, shape (batch, classes).
    images : Tensor or ndarray, shape (n, channels, height, width)
        uint8, or float in [0, 1]. Batches move to the model's device.
    labels : Tensor or ndarray of int, shape (n,)
    attacks : mapping of str to EvaluationAttack
        For instance ``{"fgsm": fgsm(8 / 255), "aa": AutoAttack(eps=8 / 255)}``.
    batch_size : int
    seed : int
        Of the attacks' random numbers. The random starts of PGD belong to the
        sample's position and do not change with the batch size; those of
        AutoAttack do.
    progress : callable, optional
        Called between batches with the attack's name or ``clean``, the samples
        done and those in all. What it raises ends the evaluation.

    Returns
    -------
    dict of str to ndarray of bool, shape (n,)
        ``clean``, then each attack in the order given.

    Raises
    ------
    BatError
        If images and labels do not fit each other or the model, a logit is
        not finite, an attack is none, or one is called "clean".
    AttackError
        If an attack returns something outside of its ball.
    """
    if not isinstance(attacks, Mapping) or not all(map(callable, attacks.values())):
        raise BatError(
            f"attacks are {attacks!r}; expected a mapping of names to attacks, as "
            "{'fgsm': fgsm(8 / 255)}"
        )
    if CLEAN in attacks:
        raise BatError(f"an attack is named {CLEAN!r}, which is the column without attack: rename")
    if batch_size < 1 or seed < 0:
        raise BatError(
            f"batch_size is {batch_size} and seed {seed}; expected 1 or more, and 0 or more"
        )
    images, labels = _taken(images, model), as_tensor(labels)
    reports = {name: named(progress, name) for name in (CLEAN, *attacks)}
    with full_precision():
        correct = correctness(model, images, labels, batch_size=batch_size, progress=reports[CLEAN])
        flags = {CLEAN: correct}
        settings = {"seed": seed, "batch_size": batch_size}
        for name, attack in attacks.items():
            flags[name] = withstanding(
                attack, model, images, labels, correct, progress=reports[name], **settings
            )
    return flags


def withstanding(
    attack: EvaluationAttack,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    before: np.ndarray,
    **settings: Any,
) -> np.ndarray:
    """Which of the samples that withstood what came ``before`` withstand an attack too.

    ``settings`` are the attack's: ``seed``, ``batch_size`` and ``progress``. Flags are bool, of
    shape (n,); where none is left, nothing is attacked.
    """
    flags = np.zeros(len(before), dtype=bool)
    index = torch.from_numpy(np.flatnonzero(before))
    if len(index):
        robust = attack(model, images, labels, index, **settings)
        flags[index.numpy()] = robust.cpu().numpy()
    return flags


def correctness(
    model: nn.Module,
    images: Tensor | np.ndarray,
    labels: Tensor | np.ndarray,
    *,
    batch_size: int,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Which samples are classified right in eval mode, without attack.

    Parameters
    ----------
    model, images, labels, batch_size
        As for `evaluate`.
    progress : callable, optional
        Called between batches with the samples done and those in all.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    BatError
        If images and labels do not fit each other or the model, or a logit is
        not finite.
    """
    images, labels = _taken(images, model), as_tensor(labels)
    _check(images, labels)
    device = device_of(model)
    correct: list[Tensor] = []
    with eval_mode(model), torch.no_grad():
        for index in torch.arange(len(images)).split(batch_size):
            x, y = batch_of(images, labels, index, device)
            with nullcontext() if correct else heard(f"the model does not take {_form(x)}"):
                logits = model(x)
            _check_logits(logits, len(x))
            logits = at_least_float32(logits)
            if not correct and int(labels.max()) >= logits.shape[1]:
                raise BatError(
                    f"the model has {logits.shape[1]} classes and the data has a label "
                    f"{int(labels.max())}: this model was trained on another data set"
                )
            if not bool(logits.isfinite().all()):
                wrong = ~logits.isfinite().all(dim=1)
                sample = int(index[int(wrong.nonzero()[0])])
                raise NotFiniteError(
                    f"the model's logits for sample {sample} are not finite ({int(wrong.sum())} of "
                    f"{len(wrong)} in its batch), so nothing can be said of it: the training "
                    "diverged, or the file is damaged"
                )
            correct.append(logits.argmax(dim=1) == y)
            if progress is not None:
                progress(int(index[-1]) + 1, len(images))
    return torch.cat(correct).cpu().numpy()


def accuracy(
    model: nn.Module,
    images: Tensor | np.ndarray,
    labels: Tensor | np.ndarray,
    *,
    batch_size: int,
) -> float:
    """Share of samples classified right, as `correctness` finds them."""
    return float(correctness(model, images, labels, batch_size=batch_size).mean())


def named(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    """Progress of one attack, as the attack reports it."""
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)


def _taken(images: Tensor | np.ndarray, model: nn.Module) -> Tensor:
    """Images as a tensor; floats of another precision than the model's as float32."""
    images = as_tensor(images)
    if not images.is_floating_point() or any(p.dtype == images.dtype for p in model.parameters()):
        return images
    return images.float()


def _form(x: Tensor) -> str:
    shape, dtype = "x".join(map(str, x.shape[1:])), str(x.dtype).removeprefix("torch.")
    return f"{dtype} images of shape {shape} (channels x height x width)"


def _check_logits(logits: Any, n: int) -> None:
    if not isinstance(logits, Tensor):
        raise BatError(
            f"the model gives {type(logits).__name__}, expected a Tensor of logits: wrap it in a "
            "module that returns these alone"
        )
    if logits.ndim != 2 or len(logits) != n:
        raise BatError(
            f"the model gives shape {tuple(logits.shape)} for {n} images, expected logits of shape "
            f"({n}, classes)"
        )


def _check(images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4:
        raise BatError(
            f"images have shape {tuple(images.shape)}, expected (n, channels, height, width)"
        )
    if labels.shape != images.shape[:1]:
        raise BatError(
            f"{len(images)} images with labels of shape {tuple(labels.shape)}, expected one "
            "label for each image"
        )
    if len(images) == 0:
        raise BatError("there are no images to evaluate: the group or the data set is empty")
    if labels.is_floating_point() or int(labels.min()) < 0:
        raise BatError(
            f"labels are {labels.dtype} from {labels.min():g} to {labels.max():g}, expected "
            "integers from 0 up"
        )
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise BatError(f"images are {images.dtype}, expected uint8, or float in [0, 1]")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0.0 and high <= 1.0):
        raise BatError(
            f"float images have values from {low:g} to {high:g}, expected [0, 1]: divide bytes "
            "by 255 or pass them as uint8, and leave the normalization to the model"
        )

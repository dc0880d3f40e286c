"""Verdicts on samples as a data frame, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import nn

from bat.attacks import evaluation
from bat.attacks.base import EvaluationAttack
from bat.progress import Progress, messages_shown

if TYPE_CHECKING:
    import pandas as pd

BATCH = 250


def evaluate(
    model: nn.Module,
    images,
    labels,
    attacks: Mapping[str, EvaluationAttack] | None = None,
    *,
    batch_size: int = BATCH,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge each sample, as it is and under each attack.

    Parameters
    ----------
    model : nn.Module
        Anyone's: maps float images in [0, 1] to logits, shape (batch, classes), where
        its parameters are. It is judged in eval mode, and is afterwards as it was.
    images : array-like, shape (n, C, H, W)
        uint8, or float in [0, 1].
    labels : array-like of int, shape (n,)
    attacks : mapping of str to attack, optional
        By the name of their column, as ``{"pgd": bat.attacks.PGD(eps=8 / 255, step=2 /
        255, steps=20), "aa": bat.attacks.AutoAttack(eps=8 / 255)}``. ``eps`` and
        ``step`` are on the [0, 1] scale.
    batch_size : int
    seed : int
        Of the attacks' random numbers.

    Returns
    -------
    DataFrame
        A row for each sample: whether it is classified right, ``clean`` and under
        each attack. Robust implies right without attack; ``.mean()`` are the
        accuracies.

    Raises
    ------
    BatError
        If images, labels and model do not fit each other, or a logit is not finite.
    AttackError
        If an attack returns something outside of its ball.

    Examples
    --------
    A linear model loses up to ``eps`` times the sum of its weights of its margin:

    >>> import bat, torch
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> _ = model[1].load_state_dict(
    ...     {"weight": torch.tensor([[1.0] * 4, [0.0] * 4]), "bias": torch.tensor([0.0, 2.0])})
    >>> images = torch.tensor([0.9, 0.55, 0.2]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    >>> attack = bat.attacks.PGD(eps=0.1, step=0.05, steps=4)
    >>> bat.evaluate(model, images, [0, 0, 0], {"pgd": attack}).reset_index()
       index  clean    pgd
    0      0   True   True
    1      1   True  False
    2      2  False  False
    """
    import pandas as pd

    attacks, bars = attacks or {}, {}

    def report(name: str, done: int, total: int) -> None:
        if name not in bars:
            bars[name] = Progress(name, total, done=done)
        bars[name].update(done)

    with messages_shown():
        flags = evaluation.evaluate(
            model, images, labels, attacks, batch_size=batch_size, seed=seed, progress=report
        )
    return pd.DataFrame(flags).rename_axis("index")

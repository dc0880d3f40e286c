"""How much each training sample, under attack, looks like another class to a trained model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat import artifacts
from bat.attacks import check_adversarial, eval_mode, forward, full_precision, linf_attack
from bat.attacks import start_noise as noise_of
from bat.data import PreparedData, as_float
from bat.devices import Runtime
from bat.models import build_model
from bat.progress import progress
from bat.runs import load_weights

BATCH = 500
CHECKPOINT_LINE = 10.0  # seconds between two lines of progress


class Poisoning(NamedTuple):
    """What a model says of samples beside their labels."""

    score: np.ndarray  # (n,) float64 in [0, 1]
    predicted: np.ndarray  # (n,) int64, the wrong class that has the score
    predicted_clean: np.ndarray  # (n,) int64, the likeliest wrong class without attack


def wrong_class(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The largest softmax of a class other than the label, and that class.

    Parameters
    ----------
    logits : Tensor of float, shape (batch, classes)
    y : Tensor of int64, shape (batch,)

    Returns
    -------
    score : Tensor of float, shape (batch,)
        In [0, 1]; above 0.5 the model is surely wrong. Equation (6).
    predicted : Tensor of int64, shape (batch,)
    """
    wrong = F.softmax(logits, dim=1).scatter(1, y[:, None], -1.0)
    score, predicted = wrong.max(dim=1)
    return score, predicted

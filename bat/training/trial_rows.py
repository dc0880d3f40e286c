"""What a trial leaves behind: one row of a shard."""

from __future__ import annotations

from typing import Any

import numpy as np

from bat.files.bits import pack
from bat.scores.margins import half_precision


def trial_row(
    recipe: dict,
    trial: int,
    included: np.ndarray,
    train_correct: np.ndarray,
    test_correct: np.ndarray,
    *,
    seconds: float,
    device: str,
    probabilities: np.ndarray | None = None,
    margins: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, list[Any]]:
    """The row of one trial, as columns of length one.

    Parameters
    ----------
    recipe : dict
        Whose seed the subset was drawn with.
    trial : int
    included : ndarray of bool, shape (n_train,)
        The samples trained on.
    train_correct, test_correct : ndarray of bool, shape (n_train,), (n_test,)
        Which samples the model classifies right.
    seconds : float
        That the trial took.
    device : str
        Where it was trained.
    probabilities : ndarray of float, shape (n_train, n_classes), optional
        Of the training samples; kept in half precision.
    margins : tuple of two ndarrays of float, shapes (n_train,) and (n_test,), optional
        See `bat.scores.margins.margins`; kept in half precision.
    """
    kept = None if probabilities is None else probabilities.astype(np.float16).tobytes()
    train_margin, test_margin = margins or (None, None)
    return {
        "trial": [trial],
        "seed": [recipe["seed"]],
        "included": [pack(included)],
        "train_correct": [pack(train_correct)],
        "test_correct": [pack(test_correct)],
        "included_accuracy": [float(train_correct[included].mean())],
        "excluded_accuracy": [float(train_correct[~included].mean())],
        "test_accuracy": [float(test_correct.mean())],
        "seconds": [seconds],
        "device": [device],
        "probabilities": [kept],
        "train_margin": [_half(train_margin, train_correct)],
        "test_margin": [_half(test_margin, test_correct)],
    }


def _half(margins: np.ndarray | None, correct: np.ndarray) -> bytes | None:
    if margins is None:
        return None
    return half_precision(margins, correct).tobytes()

"""The training loop, trials on random subsets, and adversarial runs."""

from bat.training.loop import (
    DivergedError,
    Recorder,
    Training,
    learning_rate,
    not_finite,
)

__all__ = [
    "DivergedError",
    "Recorder",
    "Training",
    "learning_rate",
    "not_finite",
]

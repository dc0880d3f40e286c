"""A small shard of trials, with its provenance."""

import numpy as np

PROVENANCE = {"fingerprint": "f" * 64, "recipe": {"seed": 7, "ratio": 0.7}, "command": "a test"}


def trial_columns(n: int = 3, n_bytes: int = 60) -> dict:
    rng = np.random.default_rng(0)
    masks = ("included", "train_correct", "test_correct")
    accuracies = ("included_accuracy", "excluded_accuracy", "test_accuracy", "seconds")
    return {
        "trial": range(n),
        "seed": [7] * n,
        **{name: [rng.bytes(n_bytes) for _ in range(n)] for name in masks},
        **{name: rng.random(n) for name in accuracies},
        "device": ["cpu"] * n,
        "probabilities": [rng.bytes(40), *[None] * (n - 1)],
    }

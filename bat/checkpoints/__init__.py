"""Trained models from files, ours and anyone's, read without running code."""

from bat.checkpoints.loading import (
    BATCH,
    DECIDED,
    TRIED,
    load_model,
)

__all__ = [
    "BATCH",
    "DECIDED",
    "TRIED",
    "load_model",
]

"""Trained models from files, ours and anyone's, read without running code."""

from bat.checkpoints.loading import (
    BATCH,
    DECIDED,
    TRIED,
    load_model,
)
from bat.checkpoints.starting import start_from

__all__ = [
    "BATCH",
    "DECIDED",
    "TRIED",
    "load_model",
    "start_from",
]

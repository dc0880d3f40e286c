"""Architectures for small images, 8 x 8 to 64 x 64, with 1 or 3 channels."""

from bat.models.building import build_for
from bat.models.families import (
    Classifier,
    ResNet,
    ResNet9,
    SmallCNN,
    WideResNet,
    build_model,
    require_size,
)
from bat.models.own import OwnNetwork, wrap

__all__ = [
    "Classifier",
    "OwnNetwork",
    "ResNet",
    "ResNet9",
    "SmallCNN",
    "WideResNet",
    "build_for",
    "build_model",
    "require_size",
    "wrap",
]

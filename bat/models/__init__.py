"""Architectures for small images, 8 x 8 to 64 x 64, with 1 or 3 channels."""

from bat.models.families import (
    Classifier,
    ResNet,
    ResNet9,
    SmallCNN,
    WideResNet,
    build_model,
    require_size,
)

__all__ = [
    "Classifier",
    "ResNet",
    "ResNet9",
    "SmallCNN",
    "WideResNet",
    "build_model",
    "require_size",
]

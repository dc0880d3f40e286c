"""Architectures for small images, 8 x 8 to 64 x 64, with 1 or 3 channels."""

from bat.models.building import build_model, require_size
from bat.models.classifier import Classifier, not_finite
from bat.models.families.resnet import ResNet
from bat.models.families.resnet9 import ResNet9
from bat.models.families.small_cnn import SmallCNN
from bat.models.families.wide_resnet import WideResNet
from bat.models.own import OwnNetwork, wrap
from bat.models.specified import build_for

__all__ = [
    "Classifier",
    "OwnNetwork",
    "ResNet",
    "ResNet9",
    "SmallCNN",
    "WideResNet",
    "build_for",
    "build_model",
    "not_finite",
    "require_size",
    "wrap",
]

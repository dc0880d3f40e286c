"""Residual networks in their CIFAR forms, of four stages or three."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bat.models.classifier import Classifier, conv3x3

FAMILY = {
    "names": r"resnet(?P<depth>18|34|20|32|44|56|110)(?:(?<=18|34)-(?P<width>\d+))?",
    "written": "resnet18, resnet34 (optionally -WIDTH of the first stage); "
    "resnet20, 32, 44, 56, 110 (three stages)",
}
FOUR_STAGES = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3]}
"""Blocks of each stage by depth."""


class _BasicBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = conv3x3(n_in, n_out, stride)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = conv3x3(n_out, n_out)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet(Classifier):
    """ResNet in its CIFAR forms (He et al., 2016), 3 x 3 stem, no early pooling.

    Four stages from 64 channels are ResNet18 and 34; three stages from 16
    channels are the 6 n + 2 family.
    """

    def __init__(self, n_classes: int, channels: int, width: int, blocks: list[int]):
        super().__init__()
        self.conv1 = conv3x3(channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        stages, n_in = [], width
        for stage, n_blocks in enumerate(blocks):
            n_out = width * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (n_blocks - 1)
            layers = []
            for stride in strides:
                layers.append(_BasicBlock(n_in, n_out, stride))
                n_in = n_out
            stages.append(nn.Sequential(*layers))
        self.stages = len(stages)
        for number, stage in enumerate(stages, start=1):
            setattr(self, f"layer{number}", stage)
        self.linear = nn.Linear(n_in, n_classes)

    def embed(self, x: Tensor) -> Tensor:
        """Features, shape (batch, dim), of normalized images."""
        x = F.relu(self.bn1(self.conv1(x)))
        for number in range(1, self.stages + 1):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Logits, shape (batch, classes), of features; the last layer has the reference's name."""
        return self.linear(features)


def build(n_classes: int, channels: int, depth: int, width: int = 64) -> ResNet:
    """Four stages where the depth has them, else three from 16 channels."""
    if depth in FOUR_STAGES:
        return ResNet(n_classes, channels, width, FOUR_STAGES[depth])
    return ResNet(n_classes, channels, 16, [(depth - 2) // 6] * 3)

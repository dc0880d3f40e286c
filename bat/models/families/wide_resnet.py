"""Wide residual networks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bat.models.classifier import Classifier, conv3x3

FAMILY = {
    "names": r"wrn-(?P<depth>\d+)-(?P<width>\d+)",
    "written": "wrn-DEPTH-WIDTH, as wrn-28-10 (DEPTH = 6 n + 4)",
    "depths": (10, 6),
}


class _WideBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = conv3x3(n_in, n_out, stride)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv2 = conv3x3(n_out, n_out)
        self.convShortcut = (
            nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False) if n_in != n_out else None
        )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(out)
        return shortcut + self.conv2(F.relu(self.bn2(self.conv1(out))))


class _Stage(nn.Module):
    def __init__(self, n_blocks: int, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.layer = nn.Sequential(
            *(
                _WideBlock(n_in if i == 0 else n_out, n_out, stride if i == 0 else 1)
                for i in range(n_blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(Classifier):
    """WRN-depth-width (Zagoruyko and Komodakis, 2016).

    Parameters carry the names that the adversarial-training literature and
    RobustBench use (``block1.layer.0.bn1.weight``, ...). The code of TRADES, which most
    of it goes back to, makes a ``sub_block1`` and never calls it.
    """

    unused = ("sub_block1",)

    def __init__(self, n_classes: int, channels: int, depth: int, width: int):
        super().__init__()
        n_blocks, widths = (depth - 4) // 6, [16, 16 * width, 32 * width, 64 * width]
        self.conv1 = conv3x3(channels, widths[0])
        self.block1 = _Stage(n_blocks, widths[0], widths[1], 1)
        self.block2 = _Stage(n_blocks, widths[1], widths[2], 2)
        self.block3 = _Stage(n_blocks, widths[2], widths[3], 2)
        self.bn1 = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def embed(self, x: Tensor) -> Tensor:
        """Features, shape (batch, dim), of normalized images."""
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return F.relu(self.bn1(x)).mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Logits, shape (batch, classes), of features; the last layer has the reference's name."""
        return self.fc(features)


build = WideResNet

"""Architectures for small images, 8 x 8 to 64 x 64, with 1 or 3 channels.

Every model takes float images in [0, 1], shape (batch, channels, height,
width), normalizes them itself, and returns logits, shape (batch, classes).
``model.features(x)`` are the penultimate features, shape (batch, dim), and
``model(x) == model.logits(model.features(x))``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bat.config import smallest_edge
from bat.errors import BatError


def build_model(
    architecture: str,
    *,
    n_classes: int,
    channels: int = 3,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    seed: int | None = None,
) -> Classifier:
    """Build a model with freshly drawn parameters.

    Parameters
    ----------
    architecture : str
        ``small_cnn[-WIDTH]``, ``resnet9[-WIDTH]``, ``resnet18[-WIDTH]``,
        ``resnet34[-WIDTH]``, ``resnet20`` (32, 44, 56, 110), ``wrn-DEPTH-WIDTH``.
    n_classes : int
    channels : {1, 3}
    mean, std : list of float, optional
        Of the training images by channel, on the [0, 1] scale; without them
        the images enter as they are.
    seed : int, optional
        Fixes the parameters, whatever was drawn before; the state of the
        global generator is left as it was.

    Raises
    ------
    BatError
        If the architecture is unknown.
    """
    for pattern, make in _BUILDERS.items():
        match = re.fullmatch(pattern, architecture)
        if match:
            with torch.random.fork_rng(devices=[]):
                if seed is not None:
                    torch.manual_seed(seed)
                model = make(n_classes, channels, *(int(g) for g in match.groups() if g))
            model.set_normalization(mean or [0.0] * channels, std or [1.0] * channels)
            return model
    raise BatError(f"{architecture!r} is not a known architecture")


def require_size(architecture: str, shape: Sequence[int]) -> None:
    """Refuse images of which a network's poolings leave nothing.

    Parameters
    ----------
    architecture : str
    shape : sequence of int
        Channels, height and width of the images.

    Raises
    ------
    BatError
    """
    least = smallest_edge(architecture)
    if min(shape[1:]) < least:
        raise BatError(
            f"images of {shape[2]} x {shape[1]} pixels (width x height) are too small for "
            f"{architecture}, which needs {least} x {least}; set data.resize, or choose another "
            "architecture"
        )


class Classifier(nn.Module):
    """Normalization, an embedding, and a linear head named by the subclass.

    ``unused`` names modules that published models of the architecture carry and that
    their forward pass does not use.
    """

    unused: tuple[str, ...] = ()

    def set_normalization(self, mean: list[float], std: list[float]) -> None:
        """Set the channel statistics; they are no part of the state dict.

        A channel with a standard deviation of 0, which is constant, is divided by 1.
        """
        std = [value or 1.0 for value in std]
        for name, values in (("mean", mean), ("std", std)):
            buffer = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
            self.register_buffer(name, buffer, persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """Penultimate features, shape (batch, dim), of images in [0, 1]."""
        return self.embed((x - self.mean) / self.std)

    def logits(self, features: Tensor) -> Tensor:
        """Logits, shape (batch, classes), of penultimate features."""
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.features(x))


def _conv3x3(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)


def _conv_bn(n_in: int, n_out: int, *more: nn.Module) -> nn.Sequential:
    return nn.Sequential(_conv3x3(n_in, n_out), nn.BatchNorm2d(n_out), nn.ReLU(), *more)


class SmallCNN(Classifier):
    """Three convolutions, for 8 x 8 and 28 x 28 images."""

    def __init__(self, n_classes: int, channels: int, width: int = 16):
        super().__init__()
        self.body = nn.Sequential(
            _conv_bn(channels, width, nn.MaxPool2d(2)),  # (B, w, H/2, W/2)
            _conv_bn(width, 2 * width, nn.MaxPool2d(2)),  # (B, 2w, H/4, W/4)
            _conv_bn(2 * width, 4 * width),
        )
        self.head = nn.Linear(4 * width, n_classes)

    def embed(self, x: Tensor) -> Tensor:
        return self.body(x).amax(dim=(2, 3))


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(_conv_bn(width, width), _conv_bn(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResNet9(Classifier):
    """The nine-layer net of the DAWNBench entries, fast to train to interpolation."""

    def __init__(self, n_classes: int, channels: int, width: int = 64):
        super().__init__()
        w = width
        self.body = nn.Sequential(
            _conv_bn(channels, w),
            _conv_bn(w, 2 * w, nn.MaxPool2d(2), _Residual(2 * w)),
            _conv_bn(2 * w, 4 * w, nn.MaxPool2d(2)),
            _conv_bn(4 * w, 8 * w, nn.MaxPool2d(2), _Residual(8 * w)),
        )
        self.head = nn.Linear(8 * w, n_classes)

    def embed(self, x: Tensor) -> Tensor:
        return self.body(x).amax(dim=(2, 3))


class _BasicBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = _conv3x3(n_in, n_out, stride)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = _conv3x3(n_out, n_out)
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
        self.conv1 = _conv3x3(channels, width)
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
        x = F.relu(self.bn1(self.conv1(x)))
        for number in range(1, self.stages + 1):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        return self.linear(features)


class _WideBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = _conv3x3(n_in, n_out, stride)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv2 = _conv3x3(n_out, n_out)
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
        self.conv1 = _conv3x3(channels, widths[0])
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
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return F.relu(self.bn1(x)).mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        return self.fc(features)


def _resnet_four(n_classes: int, channels: int, depth: int, width: int = 64) -> ResNet:
    blocks = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3]}[depth]
    return ResNet(n_classes, channels, width, blocks)


def _resnet_three(n_classes: int, channels: int, depth: int) -> ResNet:
    return ResNet(n_classes, channels, 16, [(depth - 2) // 6] * 3)


_BUILDERS = {
    r"small_cnn(?:-(\d+))?": SmallCNN,
    r"resnet9(?:-(\d+))?": ResNet9,
    r"resnet(18|34)(?:-(\d+))?": _resnet_four,
    r"resnet(20|32|44|56|110)": _resnet_three,
    r"wrn-(\d+)-(\d+)": WideResNet,
}

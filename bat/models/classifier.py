"""What every architecture is, and the blocks that several are built of.

Every model takes float images in [0, 1], shape (batch, channels, height,
width), normalizes them itself, and returns logits, shape (batch, classes).
``model.features(x)`` are the penultimate features, shape (batch, dim), and
``model(x) == model.logits(model.features(x))``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


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
        """Logits, shape (batch, classes), of images in [0, 1]."""
        return self.logits(self.features(x))


def conv3x3(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)


def conv_bn(n_in: int, n_out: int, *more: nn.Module) -> nn.Sequential:
    """A 3 x 3 convolution, batch normalization, ReLU, and more layers behind them."""
    return nn.Sequential(conv3x3(n_in, n_out), nn.BatchNorm2d(n_out), nn.ReLU(), *more)


def not_finite(model: nn.Module) -> str:
    """The first weight or running statistic of a model that is not finite, or nothing."""
    tensors = {
        name: value
        for name, value in model.state_dict().items()
        if value.is_floating_point() and not is_lazy(value)  # not drawn before images are seen
    }
    if not tensors:
        return ""
    finite = torch.stack([value.isfinite().all() for value in tensors.values()]).cpu()
    return next((name for name, good in zip(tensors, finite, strict=True) if not good), "")

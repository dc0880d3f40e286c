"""The nine-layer residual network of the DAWNBench entries."""

from __future__ import annotations

from torch import Tensor, nn

from bat.models.classifier import Classifier, conv_bn

FAMILY = {
    "names": r"resnet9(?:-(?P<width>\d+))?",
    "written": "resnet9 or resnet9-WIDTH",
    "smallest_edge": 8,
}


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(conv_bn(width, width), conv_bn(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResNet9(Classifier):
    """The nine-layer net of the DAWNBench entries, fast to train to interpolation."""

    def __init__(self, n_classes: int, channels: int, width: int = 64):
        super().__init__()
        w = width
        self.body = nn.Sequential(
            conv_bn(channels, w),
            conv_bn(w, 2 * w, nn.MaxPool2d(2), _Residual(2 * w)),
            conv_bn(2 * w, 4 * w, nn.MaxPool2d(2)),
            conv_bn(4 * w, 8 * w, nn.MaxPool2d(2), _Residual(8 * w)),
        )
        self.head = nn.Linear(8 * w, n_classes)

    def embed(self, x: Tensor) -> Tensor:
        """Features, shape (batch, dim), of normalized images."""
        return self.body(x).amax(dim=(2, 3))


build = ResNet9

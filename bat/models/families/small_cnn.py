"""A small convolutional network, for 8 x 8 and 28 x 28 images."""

from __future__ import annotations

from torch import Tensor, nn

from bat.models.classifier import Classifier, conv_bn

FAMILY = {
    "names": r"small_cnn(?:-(?P<width>\d+))?",
    "written": "small_cnn or small_cnn-WIDTH",
    "smallest_edge": 4,
}


class SmallCNN(Classifier):
    """Three convolutions, for 8 x 8 and 28 x 28 images."""

    def __init__(self, n_classes: int, channels: int, width: int = 16):
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(channels, width, nn.MaxPool2d(2)),  # (B, w, H/2, W/2)
            conv_bn(width, 2 * width, nn.MaxPool2d(2)),  # (B, 2w, H/4, W/4)
            conv_bn(2 * width, 4 * width),
        )
        self.head = nn.Linear(4 * width, n_classes)

    def embed(self, x: Tensor) -> Tensor:
        """Features, shape (batch, dim), of normalized images."""
        return self.body(x).amax(dim=(2, 3))


build = SmallCNN

"""A network of one's own: any class or function that gives an nn.Module."""

import torch
from torch import nn


class Tiny(nn.Module):
    """Two convolutions and a linear layer, with dropout; takes images in [0, 1]."""

    def __init__(self, n_classes: int, channels: int = 1, width: int = 8, dropout: float = 0.1):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(2 * width, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classify(self.dropout(self.body(x).amax(dim=(2, 3))))

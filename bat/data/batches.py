"""The data set on a device as whole tensors, and batches of it: shifted, mirrored, as floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bat.data.prepared import FINGERPRINTED, PreparedData

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class DeviceData:
    """The whole data set on one device: uint8 images (n, C, H, W), int64 labels."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


def to_device(prepared: PreparedData, device: str | torch.device) -> DeviceData:
    """Copy a prepared data set to a device, as whole tensors.

    Images stay uint8 and (n, C, H, W) in memory; `as_float` makes a batch
    channels_last. ``images.index_select(0, index)`` takes a batch, on a CPU
    more than ten times as fast as ``images[index]``.
    """
    import torch

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(getattr(prepared, name))).to(device)

    return DeviceData(*(tensor(name) for name in FINGERPRINTED))


def augment(
    images: torch.Tensor, generator: torch.Generator, *, crop: int, flip: bool
) -> torch.Tensor:
    """Shift and mirror every image of a batch at random, on its device.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Any dtype; uint8 is the fastest.
    generator : torch.Generator
        On the device of ``images``. The result depends on its state alone;
        states of a CPU and of a GPU generator give different draws.
    crop : int
        Each side is padded with this many pixels of 0, and a window of the
        original size is taken at a uniformly drawn place.
    flip : bool
        Mirror each image left to right with probability 1/2.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        Of the same dtype; ``images`` itself where nothing is asked for.
    """
    import torch

    if not crop and not flip:
        return images
    n, device = len(images), images.device
    draw = torch.randint(0, 2 * crop + 1, (2, n), generator=generator, device=device)
    mirrored = torch.randint(0, 2 if flip else 1, (n,), generator=generator, device=device)
    return crop_windows(images, draw[0], draw[1], mirrored, crop)


def crop_windows(
    images: torch.Tensor,
    top: torch.Tensor,
    left: torch.Tensor,
    mirrored: torch.Tensor,
    crop: int,
) -> torch.Tensor:
    """Windows of the zero-padded images, some of them mirrored; no randomness.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
    top, left : Tensor of int64, shape (B,)
        The window's corner in the padded image, 0 to ``2 * crop``.
    mirrored : Tensor of int64, shape (B,)
        1 mirrors the window left to right, 0 does not.
    crop : int
        Pixels of padding on each side.

    Returns
    -------
    Tensor, shape (B, C, H, W)
    """
    import torch
    import torch.nn.functional as F

    n, channels, height, width = images.shape
    wide = width + 2 * crop
    padded = F.pad(images, (crop, crop, crop, crop)).reshape(n, channels, -1)
    row = top[:, None] + torch.arange(height, device=images.device)  # (B, H)
    column = torch.arange(width, device=images.device)
    column = torch.where(mirrored[:, None] == 1, width - 1 - column, column)  # (B, W)
    column = column + left[:, None]
    pixel = (row[:, :, None] * wide + column[:, None, :]).reshape(n, 1, -1)  # (B, 1, H W)
    return padded.gather(2, pixel.expand(n, channels, -1)).view(images.shape)


def as_float(images: torch.Tensor) -> torch.Tensor:
    """Bytes 0 to 255 as float32 in [0, 1], channels_last, shape (B, C, H, W)."""
    import torch

    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def as_tensor(values) -> torch.Tensor:
    """A tensor; arrays that torch cannot share, read-only ones and reversed views, are copied."""
    import torch

    if isinstance(values, torch.Tensor):
        return values
    values = np.asarray(values)
    shared = values.flags.writeable and min(values.strides, default=0) >= 0
    return torch.from_numpy(values if shared else np.array(values))


def as_array(values) -> np.ndarray:
    """An array; a tensor may be on a GPU, have a gradient, or be bfloat16, which numpy lacks."""
    if hasattr(values, "detach"):  # which spares those without tensors the import of torch
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values
    return np.asarray(values)

"""Mean and standard deviation of the colour channels."""

from __future__ import annotations

import numpy as np


def constant_channels(mean: list[float], std: list[float]) -> list[str]:
    """A warning for each colour channel in which all training images have one value."""
    flat = [channel for channel, deviation in enumerate(std) if deviation == 0]
    if not flat:
        return []
    if len(flat) == len(std):
        return ["every pixel of every training image has the same value: nothing can be learned"]
    names = ("red", "green", "blue") if len(std) == 3 else ("grey",)
    return [
        f"the {names[channel]} channel is {255 * mean[channel]:.0f} of 255 in every pixel of every "
        "training image; networks divide it by 1 in place of its standard deviation of 0"
        for channel in flat
    ]


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel on the [0, 1] scale, from exact counts."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for start in range(0, len(images), 4096):
        for channel in range(images.shape[1]):
            values = images[start : start + 4096, channel].ravel()
            counts[channel] += np.bincount(values, minlength=256)
    level = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ level
    std = np.sqrt((share * (level - mean[:, None]) ** 2).sum(axis=1))
    return mean.tolist(), std.tolist()

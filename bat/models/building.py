"""Models by the names of their architectures."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import torch

from bat.config import family_of, smallest_edge
from bat.errors import BatError
from bat.models.classifier import Classifier


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
        A name of one of `bat.models.families`: ``small_cnn[-WIDTH]``,
        ``resnet18[-WIDTH]``, ``wrn-DEPTH-WIDTH`` and others.
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
    family = family_of(architecture)
    if family is None:
        raise BatError(f"{architecture!r} is not a known architecture")
    module = importlib.import_module(f"bat.models.families.{family.module}")
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        model = module.build(n_classes, channels, **family.numbers(architecture))
    model.set_normalization(mean or [0.0] * channels, std or [1.0] * channels)
    return model


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

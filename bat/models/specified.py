"""The model that a specification asks for: a built-in, or a network of somebody's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from bat.errors import BatError
from bat.models.building import build_model, require_size
from bat.models.classifier import Classifier
from bat.models.own import build_own


def build_for(
    architecture: str,
    info: Mapping[str, Any],
    *,
    network: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Classifier:
    """Build a model for a data set, with freshly drawn parameters.

    Parameters
    ----------
    architecture : str
        Name of a built-in, or what a network of one's own is called.
    info : mapping
        Content of ``dataset.json``: classes, shape of the images, channel statistics.
    network : mapping, optional
        The code of a network of one's own, as its specification records it; it takes
        images in [0, 1] and normalizes them itself, if at all.
    seed : int, optional
        Fixes the parameters; the state of the global generator is left as it was.

    Raises
    ------
    BatError
        If the images are too small, or a network of one's own cannot be built or gives
        no logits.
    """
    n_classes, (channels, height, width) = len(info["class_names"]), info["shape"]
    if network is None:
        require_size(architecture, info["shape"])
        return build_model(
            architecture,
            n_classes=n_classes,
            channels=channels,
            mean=info["mean"],
            std=info["std"],
            seed=seed,
        )
    if height != width:
        raise BatError(
            f"{network['code']}: images are {width} x {height} pixels (width x height), and a "
            "network of one's own is given one image_size; set data.resize"
        )
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        return build_own(network, n_classes, channels, height)

"""A trained model from a file of anyone's, for whoever has no configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bat.checkpoints.formats import read_checkpoint
from bat.checkpoints.loading import load_model
from bat.data import PreparedData
from bat.devices import runtime
from bat.errors import ArtifactError
from bat.models import Classifier
from bat.models.anyones import code_of


def load(
    path: str | Path,
    data: PreparedData,
    network: str | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    head: str | None = None,
    normalize: bool | None = None,
    key: str | None = None,
    device: str = "auto",
) -> Classifier:
    """Load a trained model: a run's ``best.pt``, what `train` left, or anyone's state dict.

    Parameters
    ----------
    path : path-like
        A file of torch or of safetensors. No code in it is run.
    data : PreparedData
        The data set whose images it will see.
    network : str, optional
        As for `build_model`, by name or code; a file of a built-in says it itself.
    settings, head
        As for `build_model`.
    normalize : bool, optional
        Whether its images were normalized by the data set's channel statistics.
        Where the file does not say it, both are tried on training samples.
    key : str, optional
        Where in the file the weights are, if they could be several.
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    Classifier
        On the device, in eval mode.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, or of another network or other classes.
    """
    path = Path(path)
    if network is None:
        content = read_checkpoint(path)
        network = content.get("architecture") if isinstance(content, dict) else None
        if not isinstance(network, str) or ":" in network:  # what a file names is never run
            raise ArtifactError(
                f"{path}: does not say of which network it is; name it, as network='resnet18' or "
                "network='nets.py:Tiny'"
            )
    code = code_of(network, settings, head) if ":" in network else None
    with runtime(device, threads=torch.get_num_threads(), compile=False) as chosen:
        return load_model(path, network, data, chosen, normalize=normalize, key=key, network=code)

"""A model from a built-in's name, from code of one's own, or from a module that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from bat import extensions
from bat.data import PreparedData
from bat.errors import BatError
from bat.extensions import NETWORK_GIVEN, NETWORK_NEEDED
from bat.models.classifier import Classifier
from bat.models.own import wrap
from bat.models.specified import build_for


def build(
    network: str | nn.Module,
    data: PreparedData,
    *,
    settings: Mapping[str, Any] | None = None,
    head: str | None = None,
    seed: int = 0,
) -> Classifier:
    """Build a model for a data set.

    Parameters
    ----------
    network : str or nn.Module
        A built-in: ``small_cnn[-WIDTH]``, ``resnet9[-WIDTH]``, ``resnet18[-WIDTH]``,
        ``resnet34[-WIDTH]``, ``resnet20`` (32, 44, 56, 110), ``wrn-DEPTH-WIDTH``. Or
        code of one's own, ``path/to/file.py:attribute`` or ``module:attribute`` (also
        ``torchvision.models:resnet18``), **which is run**: it is called with
        ``n_classes`` (or ``num_classes``) and, where its signature has them,
        ``channels`` and ``image_size``. Or a module, which is used as it is.
    data : PreparedData
        Gives the number of classes and, to built-ins, the normalization; all others
        take images in [0, 1] and normalize them themselves, if at all.
    settings : mapping, optional
        Further arguments of code of one's own.
    head : str, optional
        The module whose input are the features, which BAT uses; by default the last
        linear layer.
    seed : int
        Fixes the parameters; the state of the global generator is left as it was.

    Returns
    -------
    Classifier
        Takes float images in [0, 1], shape (batch, C, H, W); returns logits.

    Raises
    ------
    BatError
        If there is no such network, the images are too small for it, or it does not
        give one finite logit for each class.

    Examples
    --------
    >>> import bat, numpy as np, torch
    >>> images, labels = np.random.default_rng(0).random((6, 8, 8)), [0, 1, 2, 0, 1, 2]
    >>> data = bat.from_arrays(images, labels, images, labels)
    >>> bat.build_model("small_cnn-4", data)(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 3])
    >>> mine = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    >>> bat.build_model(mine, data).features(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 64])
    """
    info = data.info
    if isinstance(network, nn.Module):
        if isinstance(network, Classifier):
            return network
        n_classes, (channels, *size) = len(info["class_names"]), info["shape"]
        return wrap(network, type(network).__name__, n_classes, (channels, *size), head)
    if not isinstance(network, str):
        raise BatError(
            f"the network is {type(network).__name__}; expected a name, code as module:attribute, "
            "or a torch.nn.Module"
        )
    if ":" not in network:
        if settings or head:
            raise BatError(f"{network!r} is a built-in, which takes no settings and no head")
        model = build_for(network, info, seed=seed)
        model.architecture = network  # which its checkpoints will say
        return model
    return build_for(network, info, network=code_of(network, settings, head), seed=seed)


def code_of(text: str, settings: Mapping[str, Any] | None, head: str | None) -> dict:
    """Code of one's own, as a specification records it."""
    code = extensions.record(text, settings or {}, NETWORK_GIVEN, NETWORK_NEEDED)
    return code | ({"head": head} if head else {})

"""A network of somebody's own as a classifier: built, tried on zeros, its features found."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bat import extensions
from bat.errors import BatError
from bat.extensions import NETWORK_GIVEN, NETWORK_NEEDED
from bat.models.classifier import Classifier, not_finite

TRIED = 2  # images of zeros that a new network is tried on


class OwnNetwork(Classifier):
    """A network that takes images in [0, 1] and returns logits.

    Its state dict is that of the network alone. Its features are what its methods ``features``
    and ``logits`` say where it has both, else the input of its head: of the module that the
    configuration names, or of the last linear layer, where that makes the logits.

    Parameters
    ----------
    network : nn.Module
    text : str
        What messages call it.
    head : str, optional
        Name of the module whose input are the features, as ``fc``.
    """

    def __init__(self, network: nn.Module, text: str, head: str | None = None):
        super().__init__()
        self.network, self.text = network, text
        self.own_features = all(_is_method(network, name) for name in ("features", "logits"))
        self.head_name = head
        self.no_features = ""  # why there are none

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, classes), of images in [0, 1]."""
        logits = self.network((x - self.mean) / self.std)
        if not isinstance(logits, Tensor):
            raise BatError(f"{self.text}: returned {type(logits).__name__}, expected logits")
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Penultimate features, shape (batch, dim), of images in [0, 1]."""
        if self.own_features:
            return self.network.features((x - self.mean) / self.std)
        if self.no_features:
            raise BatError(f"{self.text}: {self.no_features}")
        kept: list[Tensor] = []
        head = self.network.get_submodule(self.head_name)
        hook = head.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
        try:
            self.forward(x)
        finally:
            hook.remove()
        return kept[-1]

    def logits(self, features: Tensor) -> Tensor:
        """Logits, shape (batch, classes), of penultimate features."""
        if self.own_features:
            return self.network.logits(features)
        return self.network.get_submodule(self.head_name)(features)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """The network's own, so that its files carry no prefix of ours."""
        return self.network.state_dict(*args, **kwargs)

    def load_state_dict(self, state: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load what `state_dict` gave, or the network's own code wrote."""
        return self.network.load_state_dict(state, *args, **kwargs)


def build_own(network: Mapping[str, Any], n_classes: int, channels: int, size: int) -> OwnNetwork:
    """Build the network that a specification names, and try it on images of zeros.

    Parameters
    ----------
    network : mapping
        From `bat.extensions.record`, with ``head``.
    n_classes, channels : int
    size : int
        Edge of the images in pixels.

    Raises
    ------
    BatError
        If it cannot be built, is no ``nn.Module``, or does not give finite logits of shape
        (batch, n_classes).
    """
    text = network["code"]
    model = extensions.call(
        text,
        extensions.load(network),
        network["settings"],
        dict(zip(NETWORK_GIVEN, (n_classes, n_classes, channels, size), strict=True)),
        NETWORK_NEEDED,
    )
    if not isinstance(model, nn.Module):
        raise BatError(f"{text}: gives {type(model).__name__}, expected a torch.nn.Module")
    return wrap(model, text, n_classes, (channels, size, size), network.get("head")).train()


def wrap(
    network: nn.Module, text: str, n_classes: int, shape: Sequence[int], head: str | None = None
) -> OwnNetwork:
    """A network as a classifier that shares its parameters, tried on images of zeros.

    Parameters
    ----------
    network : nn.Module
    text : str
        What messages call it.
    n_classes : int
    shape : sequence of int
        Channels, height and width of the images.
    head : str, optional
        As for `OwnNetwork`.

    Raises
    ------
    BatError
        If it does not give finite logits of shape (batch, n_classes), its state holds more than
        tensors, a parameter is no floating number, or a weight or a buffer that is kept is not
        finite.
    """
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            raise BatError(
                f"{text}: its state dict holds {type(value).__name__} under {name!r}; expected "
                "tensors alone, which are what checkpoints hold"
            )
    for name, parameter in network.named_parameters():
        if not parameter.is_floating_point():
            raise BatError(
                f"{text}: its parameter {name} is {str(parameter.dtype).removeprefix('torch.')}; "
                "expected floating numbers: register a constant as a buffer, and a complex "
                "parameter by its real and imaginary parts (torch.view_as_complex)"
            )
    if broken := not_finite(network):
        raise BatError(
            f"{text}: {broken} holds values that are not finite, and is kept and checked as a "
            "weight is; register a constant, such as a mask of attention, with persistent=False"
        )
    training = network.training
    own = OwnNetwork(network, text, head)
    own.set_normalization([0.0] * shape[0], [1.0] * shape[0])
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    own.to(device).eval()
    _try(own, n_classes, torch.zeros(TRIED, *shape, device=device))
    return own.train(training)


def _try(own: OwnNetwork, n_classes: int, images: Tensor) -> None:
    """Refuse a network that gives no logits; find what its head is."""
    layers: list[tuple[str, Tensor]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: layers.append((name, output))
        )
        for name, module in own.network.named_modules()
        if isinstance(module, nn.Linear)
    ]
    shape = "x".join(map(str, images.shape[1:]))
    refused = f"{own.text}: does not take images of shape {shape} (channels x height x width)"
    try:
        with extensions.heard(refused), torch.no_grad():
            logits = own(images)
    finally:
        for hook in hooks:
            hook.remove()
    if tuple(logits.shape) != (len(images), n_classes):
        raise BatError(
            f"{own.text}: gives shape {tuple(logits.shape)} for {len(images)} images, expected "
            f"logits of shape ({len(images)}, {n_classes}), one for each class"
        )
    if not logits.isfinite().all():
        raise BatError(f"{own.text}: gives logits that are not finite for an image of zeros")
    if own.own_features:
        return
    if own.head_name is None:
        heads = [name for name, output in layers if torch.equal(output, logits)]
        own.head_name = heads[-1] if heads else None
    own.no_features = _why_no_features(own, images, logits)


def _why_no_features(own: OwnNetwork, images: Tensor, logits: Tensor) -> str:
    advice = (
        "name the module whose input they are, as head: fc, or give the network methods "
        "features(x) and logits(features)"
    )
    if own.head_name is None:
        return f"no linear layer gives its logits, so that its features are unknown; {advice}"
    names = [name for name, _ in own.network.named_modules() if name]
    if own.head_name not in names:
        raise BatError(f"{own.text}: has no module {own.head_name!r}, its head; it has {names}")
    try:
        with torch.no_grad():
            features = own.features(images)
            again = own.logits(features)
    except (IndexError, RuntimeError, TypeError) as error:
        return f"its head {own.head_name} does not give logits ({error}); {advice}"
    if features.ndim != 2 or not torch.equal(again, logits):
        return f"its logits are not what its head {own.head_name} gives for one row each; {advice}"
    return ""


def _is_method(network: nn.Module, name: str) -> bool:
    """Whether a class defines a method; torchvision's ``features`` are modules."""
    return inspect.isfunction(getattr(type(network), name, None))

"""What specifications say of code of one's own: which files it is, by their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bat import extensions
from bat.config import Network
from bat.extensions import NETWORK_GIVEN, NETWORK_NEEDED

NONE: Mapping = MappingProxyType({})


def network(architecture: str, networks: Mapping[str, Network]) -> dict:
    """``{"network": record}`` of a network of one's own; empty for a built-in.

    Raises
    ------
    BatError
        If its code is missing, or seen not to take what it will be called with.
    """
    own = networks.get(architecture)
    if own is None:
        return {}
    code = extensions.record(own.network, own.settings, NETWORK_GIVEN, NETWORK_NEEDED)
    return {"network": code | ({"head": own.head} if own.head else {})}

"""Networks of one's own in a configuration: defined where they are named, or under ``networks``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from bat.config.code import Code, Settings
from bat.config.values import Section

PLACES = (
    ("scores", "architecture"),
    ("ensemble", "architectures"),
    ("proxies", "architecture"),
    ("architectures",),
)
"""Where a data set names architectures, beside its external models."""


class Network(Section):
    """A network of one's own: a class or function that gives an ``nn.Module``.

    It is called with ``n_classes`` (or ``num_classes``) and, where its signature has them,
    ``channels`` and ``image_size``; it takes images in [0, 1] and returns logits.
    """

    network: Code
    settings: Settings = Field({})
    head: Annotated[str, Field(pattern=r"^[\w.]+$")] | None = Field(
        None, description="the module whose input are the features; unset: the last linear layer"
    )


def gathered(raw: dict) -> dict:
    """A data set's section with its own networks under ``networks``, and by name elsewhere.

    Parameters
    ----------
    raw : dict
        As read; ``{name: tiny, network: "nets.py:Tiny"}`` may stand wherever an
        architecture is named.

    Raises
    ------
    ValueError
        If one has no name, or one name two definitions.
    """
    networks = raw.get("networks") or {}
    if not isinstance(networks, dict):
        return raw
    networks = dict(networks)

    def named(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [named(item) for item in value]
        if not isinstance(value, dict):
            return value
        definition = {key: item for key, item in value.items() if key != "name"}
        name = value.get("name")
        if not isinstance(name, str):
            raise ValueError(
                "a network of one's own needs a name, what its folders are called: "
                "{name: tiny, network: 'nets.py:Tiny'}"
            )
        if networks.setdefault(name, definition) != definition:
            raise ValueError(
                f"two networks are named {name!r}; define it once, and write its name elsewhere"
            )
        return name

    def within(section: Any, path: tuple[str, ...]) -> Any:
        if not path:
            return named(section)
        if not isinstance(section, dict) or section.get(path[0]) is None:
            return section
        return section | {path[0]: within(section[path[0]], path[1:])}

    places = [*PLACES]
    if isinstance(raw.get("external"), dict):
        places += [("external", name, "architecture") for name in raw["external"]]
    for place in places:
        raw = within(raw, place)
    return raw | {"networks": networks} if networks else raw

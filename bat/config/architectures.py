"""Names of architectures: those that are built in, and what networks of one's own are called."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema

ARCHITECTURES = {
    r"small_cnn(?:-(\d+))?": "small_cnn or small_cnn-WIDTH",
    r"resnet9(?:-(\d+))?": "resnet9 or resnet9-WIDTH",
    r"resnet(18|34)(?:-(\d+))?": "resnet18, resnet34 (optionally -WIDTH of the first stage)",
    r"resnet(20|32|44|56|110)": "resnet20, 32, 44, 56, 110 (three stages)",
    r"wrn-(\d+)-(\d+)": "wrn-DEPTH-WIDTH, as wrn-28-10 (DEPTH = 6 n + 4)",
}


SMALLEST = {r"small_cnn(?:-\d+)?": 4, r"resnet9(?:-\d+)?": 8}
"""Edge in pixels of the smallest image that an architecture's poolings leave anything of."""


def smallest_edge(architecture: str) -> int:
    """Edge in pixels of the smallest image that a network can be trained on.

    >>> smallest_edge("resnet9-16"), smallest_edge("resnet18")
    (8, 1)
    """
    return next((n for pattern, n in SMALLEST.items() if re.fullmatch(pattern, architecture)), 1)


def is_built_in(architecture: str) -> bool:
    """Whether a name is that of a built-in.

    >>> is_built_in("resnet18"), is_built_in("tiny")
    (True, False)
    """
    return any(re.fullmatch(pattern, architecture) for pattern in ARCHITECTURES)


def _architecture(value: str, info: ValidationInfo) -> str:
    if value in (info.context or {}).get("networks", ()):
        return value
    if not is_built_in(value):
        known = "; ".join(ARCHITECTURES.values())
        raise ValueError(
            f"{value!r} is not an architecture. Known: {known}; or a network of your own, as "
            "{name: tiny, network: 'nets.py:Tiny'}"
        )
    if re.search(r"-0+$", value):
        raise ValueError(f"{value!r}: the width must be 1 or more")
    wrn = re.fullmatch(r"wrn-(\d+)-(\d+)", value)
    if wrn and ((int(wrn[1]) - 4) % 6 or int(wrn[1]) < 10 or int(wrn[2]) < 1):
        raise ValueError(f"{value!r}: the depth must be 6 n + 4 with n >= 1 (10, 16, 22, 28, 34)")
    return value


Architecture = Annotated[
    str,
    AfterValidator(_architecture),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/NamedNetwork"}]}),
]
"""A name; where it stands in a data set, a network of one's own may be defined in its place."""

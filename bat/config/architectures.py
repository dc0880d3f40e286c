"""Names of architectures: the built-in ones, as the files of their families state them,
and those of networks of one's own."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema


@dataclass(frozen=True)
class Family:
    """What one file of `bat.models.families` says in ``FAMILY``, where its keys are explained."""

    module: str
    names: str
    written: str
    smallest_edge: int = 1
    depths: tuple[int, int] | None = None

    def numbers(self, architecture: str) -> dict[str, int]:
        """The numbers in a name of the family.

        >>> family_of("wrn-28-10").numbers("wrn-28-10")
        {'depth': 28, 'width': 10}
        """
        found = re.fullmatch(self.names, architecture).groupdict()
        return {name: int(digits) for name, digits in found.items() if digits is not None}


@functools.cache
def families() -> tuple[Family, ...]:
    """All families, read from the text of their files: running these would import torch."""
    folder = resources.files("bat") / "models" / "families"
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py") and file.name != "__init__.py":
            tree = ast.parse(file.read_text(encoding="utf-8"))
            (value,) = (
                node.value
                for node in tree.body
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FAMILY"
            )
            found.append(Family(file.name.removesuffix(".py"), **ast.literal_eval(value)))
    return tuple(found)


def family_of(architecture: str) -> Family | None:
    """The family that builds an architecture; None where none does."""
    return next((f for f in families() if re.fullmatch(f.names, architecture)), None)


def smallest_edge(architecture: str) -> int:
    """Edge in pixels of the smallest image that a network can be trained on.

    >>> smallest_edge("resnet9-16"), smallest_edge("resnet18")
    (8, 1)
    """
    family = family_of(architecture)
    return family.smallest_edge if family else 1


def is_built_in(architecture: str) -> bool:
    """Whether a name is that of a built-in.

    >>> is_built_in("resnet18"), is_built_in("tiny")
    (True, False)
    """
    return family_of(architecture) is not None


def _architecture(value: str, info: ValidationInfo) -> str:
    if value in (info.context or {}).get("networks", ()):
        return value
    family = family_of(value)
    if family is None:
        known = "; ".join(family.written for family in families())
        raise ValueError(
            f"{value!r} is not an architecture. Known: {known}; or a network of your own, as "
            "{name: tiny, network: 'nets.py:Tiny'}"
        )
    numbers = family.numbers(value)
    if numbers.get("width") == 0:
        raise ValueError(f"{value!r}: the width must be 1 or more")
    if family.depths:
        least, step = family.depths
        if numbers["depth"] < least or (numbers["depth"] - least) % step:
            examples = ", ".join(str(least + step * n) for n in range(5))
            raise ValueError(
                f"{value!r}: the depth must be {step} n + {least - step} with n >= 1 ({examples})"
            )
    return value


Architecture = Annotated[
    str,
    AfterValidator(_architecture),
    WithJsonSchema({"type": "string", "format": "architecture"}),
]
"""A name; where it stands in a data set, a network of one's own may be defined in its place."""

"""What a run starts from: the weights of another run, or of a file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo

from bat.config.places import place
from bat.config.values import NAME

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar", ".safetensors")


def names_file(start: str) -> bool:
    """Whether a text names a checkpoint, and not a run.

    >>> names_file("weights/erm.pt"), names_file("erm.pt"), names_file("pgd-at")
    (True, True, False)
    """
    return "/" in start or start.lower().endswith(SUFFIXES)


def _start(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    value = place(value, info)
    if not names_file(value) and not NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} names neither a run nor a checkpoint; write a run's name, or the path of "
            f"a file that ends with {', '.join(SUFFIXES)} or has a folder before it"
        )
    return value


StartFrom = Annotated[
    str | None,
    BeforeValidator(_start),
    Field(
        description="a run, of whose best epoch and the same seed the weights are, or a "
        "checkpoint of the architecture, as weights/erm.pt; unset: weights drawn by seed"
    ),
]

"""What single keys of a configuration may hold: numbers, fractions, seeds, names.

Epsilons and step sizes are on the [0, 1] pixel scale and may be written as
fractions, ``8/255``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field


class ReadWhere(NamedTuple):
    """Keys of a section that are read in some cases alone; given in others, they are refused.

    ``by`` are the keys that decide on it, ``holds`` says of a section whether they are read, and
    ``words`` why not, with ``{key}`` and ``{of}``, the section, to be filled in.
    """

    keys: tuple[str, ...]
    by: tuple[str, ...]
    holds: Callable[[Any], bool]
    words: str


class Section(pydantic.BaseModel):
    READ_WHERE: ClassVar[tuple[ReadWhere, ...]] = ()

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


def _no_truth(value: Any) -> Any:
    """Refuse true and false, also written on, off, yes and no, where a number is due."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number; write one")
    return value


def _fraction(value: Any) -> Any:
    if not isinstance(value, str):
        return _no_truth(value)
    try:
        return float(Fraction(value.replace(" ", "")))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a number; write 0.031 or a fraction as 8/255") from None


def _pixel_scale(value: float) -> float:
    if 1 < value <= 255:
        raise ValueError(
            f"{value:g} is outside [0, 1]: this is on the pixel scale from 0 to 1; "
            f"write {value:g}/255 if 8-bit levels are meant"
        )
    if not 0 <= value <= 1:
        raise ValueError(f"{value:g} is outside [0, 1] (pixel scale); an example is 8/255")
    return value


Number = Annotated[float, BeforeValidator(_fraction)]

Epsilon = Annotated[
    float,
    BeforeValidator(_fraction),
    AfterValidator(_pixel_scale),
    Field(
        description="l_inf distance on the [0, 1] pixel scale; a fraction as 8/255 is accepted",
        json_schema_extra={"type": ["number", "string"]},
    ),
]


def _moves(value: float) -> float:
    if value == 0:
        raise ValueError("a step of 0 never moves an image; write one above 0, such as 2/255")
    return value


Step = Annotated[Epsilon, AfterValidator(_moves)]
"""Of an attack; one of 0 would leave every image at its start, and be taken for robustness."""

Share = Annotated[Number, Field(ge=0, le=1)]
TopShare = Annotated[Number, Field(gt=0, lt=1)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
NO_TRUTH = BeforeValidator(_no_truth)
Count = Annotated[int, Field(ge=1), NO_TRUTH]
Seed = Annotated[int, Field(ge=0, lt=2**31), NO_TRUTH]
_Several = Annotated[int, Field(ge=2), NO_TRUTH]


def _trials(value: Any) -> Any:
    if value == "auto":
        return value
    try:
        return pydantic.TypeAdapter(_Several).validate_python(value)
    except pydantic.ValidationError:
        raise ValueError(
            f"{value!r} is no number of trials; write a whole number from 2, or auto"
        ) from None


Trials = Annotated[_Several | Literal["auto"], BeforeValidator(_trials)]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} cannot name a folder; use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit"
        )
    return value


Name = Annotated[str, AfterValidator(_name)]


def fraction_text(value: float) -> str:
    """A length on the [0, 1] scale as readers write it.

    >>> fraction_text(8 / 255), fraction_text(0.1)
    ('8/255', '0.1')
    """
    levels = 255 * value
    whole = round(levels)
    return f"{whole}/255" if abs(levels - whole) < 1e-6 else f"{value:g}"

"""Paths and addresses in a configuration: what may stand in one, and what is expanded."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)

from bat.addresses import is_address, shown_address

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([^}]*)\})", re.ASCII)


def place(value: Any, info: ValidationInfo) -> Any:
    """A path without control characters; ``~`` and variables expanded where a file is read.

    A specification holds what they stood for, and is taken as it is.
    """
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if (info.context or {}).get("expand"):
        text = _expanded(text)
    odd = sorted({c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")})
    if odd:
        raise ValueError(
            f"{text!r} holds {', '.join(f'U+{ord(c):04X}' for c in odd)}: line breaks and control "
            "characters cannot stand in a path"
        )
    return text


def _expanded(text: str, shown: str = "") -> str:
    shown = shown or text

    def variable(match: re.Match) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(
                f"{shown!r}: the variable {name!r} is not set; set it, or write it out"
            )
        return os.environ[name]

    expanded = os.path.expanduser(_VARIABLE.sub(variable, text))
    if text.startswith("~") and expanded.startswith("~"):
        raise ValueError(
            f"{text!r}: {text.split('/')[0]!r} is no home folder known here; write the path out, "
            f"or ./{text} for a folder of that name"
        )
    return expanded


def _address_or_place(value: Any, info: ValidationInfo) -> Any:
    if not (isinstance(value, str) and is_address(value)):
        return place(value, info)
    address, mark, query = value.partition("?")
    expand = mark and (info.context or {}).get("expand")
    return f"{address}?{_expanded(query, shown_address(value))}" if expand else value


def _no_pattern(value: Path) -> Path:
    text = str(value)
    if found := re.search(r"\{\s*\w+\s*(,[^{}]*)?\}|<[a-z][a-z0-9_]*>", text):
        raise ValueError(
            f"{text!r}: Snakemake takes {found[0]!r} for a part to be filled in; use another name"
        )
    return value


def no_option(value: Path) -> Path:
    """A path that no command takes for an option."""
    text = str(value)
    if text.startswith("-"):
        raise ValueError(
            f"{text!r} begins with '-', so commands take it for an option; "
            f"write it with its whole path, as {Path(text).absolute()}"
        )
    return value


Place = Annotated[
    Path,
    BeforeValidator(place),
    Field(description="~ and $VARIABLES are expanded"),
]

WorkflowPlace = Annotated[Place, AfterValidator(_no_pattern)]
"""That Snakemake itself reads or writes."""

AddressOrPlace = Annotated[str, BeforeValidator(_address_or_place)]


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _unlisted(paths: tuple[Path, ...]) -> str | list[str]:
    return str(paths[0]) if len(paths) == 1 else [str(path) for path in paths]


Files = Annotated[
    tuple[Place, ...],
    BeforeValidator(_listed),
    PlainSerializer(_unlisted),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
    Field(min_length=1),
]
"""One path or a list of them; each a file, a folder, or a pattern as ``train-*.parquet``."""

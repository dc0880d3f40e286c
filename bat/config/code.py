"""Keys that name code of one's own, and the arguments that it is called with."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from bat import code_files
from bat.config.places import place


def _code(value: Any, info: ValidationInfo) -> Any:
    value = place(value, info)
    if isinstance(value, str) and not code_files.FORM.fullmatch(value):
        raise ValueError(f"{value!r} names no code; {code_files.HINT}")
    return value


def _json_values(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"settings must be numbers, texts, lists and mappings ({error})") from None
    return value


def spelled(raw: Any, key: str, name: str) -> Any:
    """A section in which ``key`` names code: the choice ``own``, and the code under ``name``.

    >>> spelled({"method": "mail.py:MAIL"}, "method", "objective")
    {'method': 'own', 'objective': 'mail.py:MAIL'}
    """
    text = raw.get(key) if isinstance(raw, dict) else None
    if isinstance(text, str) and ":" in text:
        return raw | {key: "own", name: text}
    return raw


Code = Annotated[
    str,
    BeforeValidator(_code),
    Field(
        description="path/to/file.py:attribute, relative to the working directory, or "
        "module:attribute; run by jobs alone"
    ),
]
Settings = Annotated[
    dict[str, Any],
    AfterValidator(_json_values),
    Field(description="arguments that it is called with, beside the package's"),
]

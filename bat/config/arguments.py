"""A section given as the arguments of a function, not in a file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic

from bat.config.unread import unread_arguments
from bat.config.values import Section
from bat.errors import BatError

S = TypeVar("S", bound=Section)


def from_arguments(section: type[S], settings: Mapping[str, Any], where: str) -> S:
    """Make a section of arguments.

    Parameters
    ----------
    section : type
        A model of the configuration.
    settings : mapping
        By the names of its keys.
    where : str
        What messages call the function.

    Raises
    ------
    BatError
        Naming every argument that is not known, or not what it must be.
    """
    try:
        made = section(**settings)
    except pydantic.ValidationError as error:
        problems = "; ".join(_problem(found, section) for found in error.errors())
        raise BatError(f"{where}: {problems}") from None
    if unread := unread_arguments(made):
        raise BatError(f"{where}: {'; '.join(unread)}")
    return made


def _problem(error: Any, section: type[Section]) -> str:
    path = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        found = f" (found {error['input']!r:.80})" if error["type"] != "value_error" else ""
        message = error["msg"].removeprefix("Value error, ") + found
        return f"{path}: {message}" if path else message
    near = difflib.get_close_matches(path, section.model_fields, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{path}: unknown; {hint}(known: {', '.join(section.model_fields)})"

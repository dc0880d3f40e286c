"""Public names without a docstring, which fail the site as broken links do (see `mkdocs.yml`)."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def undocumented(found: Any, name: str) -> Iterator[str]:
    """Names of a module's ``__all__``, and of their classes' members, that nothing is said of.

    Parameters
    ----------
    found : module, class or function
    name : str
        How readers call it.

    Yields
    ------
    str
        A member that says nothing itself may inherit what its class's base says of it.
    """
    if not inspect.getdoc(found):
        yield name
    if isinstance(found, ModuleType):
        members = getattr(found, "__all__", [])
    else:
        named = vars(found) if isinstance(found, type) else ()
        members = [member for member in named if not member.startswith("_")]
    for member in members:
        value = getattr(found, member)
        if isinstance(value, ModuleType | type | property) or inspect.isroutine(value):
            yield from undocumented(value, f"{name}.{member}")


def on_pre_build(config: Any) -> None:
    """Warn of each; the site is built strictly."""
    import bat

    for name in undocumented(bat, "bat"):
        logging.getLogger("mkdocs.hooks").warning("%s has no docstring", name)

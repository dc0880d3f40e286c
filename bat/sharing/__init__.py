"""Score tables between people: packed for others, fetched, shown and validated."""

from bat.sharing.exchange import (
    export,
    fetch,
    show,
    validate,
)

__all__ = [
    "export",
    "fetch",
    "show",
    "validate",
]

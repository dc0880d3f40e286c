"""Score tables between people: packed for others, fetched, shown and validated."""

from bat.sharing.exporting import export
from bat.sharing.fetching import fetch
from bat.sharing.looking import show, validate

__all__ = [
    "export",
    "fetch",
    "show",
    "validate",
]

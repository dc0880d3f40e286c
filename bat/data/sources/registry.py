"""Which function reads which source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bat.data.raw import Progress, RawData

Loader = Callable[[Any, Progress, int], RawData]
"""Takes the section ``data``, a callable (done, total), and a number of processes."""

LOADERS: dict[str, Loader] = {}


def source(*names: str) -> Callable[[Loader], Loader]:
    """Make a function the reader of the sources of these names."""

    def register(read: Loader) -> Loader:
        LOADERS.update(dict.fromkeys(names, read))
        return read

    return register

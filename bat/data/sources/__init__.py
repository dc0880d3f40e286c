"""The sources of data sets: one file a source, each read to `bat.data.raw.RawData`.

A file that is put here is found by itself; its function says with `source` which names in the
configuration it reads.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from typing import TYPE_CHECKING

from bat.data.raw import Progress, RawData, check, source_name
from bat.data.sources.registry import LOADERS

if TYPE_CHECKING:
    from bat import config

for _found in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_found.name}")


def read_source(
    config: config.Data, *, progress: Progress | None = None, workers: int | None = None
) -> RawData:
    """Read and check a source as it is, without writing a prepared folder.

    Parameters and errors as for `bat.data.prepare`.
    """
    read = LOADERS[config.source]
    raw = read(config, progress or (lambda done, total: None), workers or _cores())
    check(raw, where=source_name(config))
    return raw


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""Files of a data set that torchvision knows: found whole, or downloaded by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bat.errors import DataError

if TYPE_CHECKING:
    from bat import config


def obtain(
    name: str,
    config: config.TorchvisionData,
    problem: Callable[[], str | None],
    advice: str,
    *,
    unpack: bool = False,
) -> None:
    """Let torchvision download (or only unpack) what is missing or damaged."""
    found = problem()
    if found and (config.download or unpack):
        import torchvision.datasets

        try:
            getattr(torchvision.datasets, name)(config.folder, download=True)
        except Exception as error:  # what torchvision, urllib and tarfile raise
            raise DataError(f"{found}, and its download failed: {error}. {advice}") from None
        found = problem()
    if found:
        allow = "" if config.download else ", or set data.download to true"
        raise DataError(f"{found}. {advice}{allow}")

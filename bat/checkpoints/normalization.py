"""The normalization of images that lies beside the weights in a file of anyone's making."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from bat.checkpoints.formats import printable
from bat.checkpoints.searching import Entry, Search, is_plain
from bat.errors import ArtifactError

NORMALIZATION = re.compile(r"(.*?)(mu|means?)")
DEVIATIONS = ("sigma", "std", "stds", "sd", "sds")
"""Names of a channel's mean, and what takes their place in the name of its deviation."""


def find_normalization(
    search: Search, entries: list[Entry], used: set[str], holders: set[str], channels: int
) -> tuple[tuple[list[float], list[float]] | None, set[str]]:
    """Find the mean and the deviation of the channels beside the weights.

    Parameters
    ----------
    search : Search
    entries : list of Entry
        All that the file holds.
    used : set of str
        Names of the weights, which are neither.
    holders : set of str
        Names of what holds the weights.
    channels : int
        Of the images.

    Returns
    -------
    statistics : (mean, std) or None
        By channel, on the [0, 1] scale.
    names : set of str
        Those that they have in the file.

    Raises
    ------
    ArtifactError
        If there are several that differ, or values that cannot be.
    """
    beside = {e.name: e.value for e in entries if e.name not in used and _is_near(e, holders)}
    found: dict[tuple, str] = {}
    names: set[str] = set()
    for name, mean in beside.items():
        place, dot, last = name.rpartition(".")
        match = NORMALIZATION.fullmatch(last.lower())
        if match is None:
            continue
        for deviation in DEVIATIONS:
            partner = f"{place}{dot}{last[: len(match[1])]}{deviation}"
            if partner not in beside:
                continue
            values = tuple(_by_channel(v, channels) for v in (mean, beside[partner]))
            if None in values:
                continue
            _check_statistics(search, name, partner, *values)
            found.setdefault(values, name)
            names |= {name, partner}
    if len(found) > 1:
        listed = ", ".join(printable(name) for name in found.values())
        raise ArtifactError(
            f"{search.path}: has several normalizations that differ ({listed}); keep the one in use"
        )
    statistics = next(((list(m), list(s)) for m, s in found), None)
    return statistics, names


def _is_near(entry: Entry, holders: set[str]) -> bool:
    """Whether a value lies with the weights, in what holds them, or under "normalization"."""
    above = any(f"{holder}.".startswith(f"{entry.holder}.") for holder in holders)
    return entry.holder == "" or above or "norm" in entry.holder.lower()


def _by_channel(value: Any, channels: int) -> tuple[float, ...] | None:
    if isinstance(value, Tensor):
        if not is_plain(value) or value.numel() > channels:
            return None
        value = value.detach().to(torch.float64).flatten().tolist()
    if len(value) == 1:
        value = value * channels
    return tuple(map(float, value)) if len(value) == channels else None


def _check_statistics(search: Search, name: str, partner: str, mean: tuple, std: tuple) -> None:
    if all(0 <= m <= 1 for m in mean) and all(0 < s <= 1 for s in std):
        return
    raise ArtifactError(
        f"{search.path}: {printable(name)} is {printable(mean)}, {printable(partner)} is "
        f"{printable(std)}; expected a mean in [0, 1] and a standard deviation in (0, 1], of "
        "images in [0, 1]: take them out of the file"
        + (", and say --normalize or --no-normalize" if search.has_options else "")
    )

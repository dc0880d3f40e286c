"""Files and values from elsewhere, before anything looks at what they hold."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from bat.errors import BatError

MAX_DEPTH = 64  # of lists and mappings within each other


def regular_file(path: str | Path, error: type[BatError] = BatError) -> Path:
    """Refuse a path whose reading may never end, or be no reading at all.

    Parameters
    ----------
    path : path-like
    error : type
        What is raised.

    Returns
    -------
    Path
        The path, of a file or a link to one.

    Raises
    ------
    BatError
        If nothing is there, or it is a folder, a named pipe, a socket or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise error(f"{path}: the file does not exist") from None
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{path}: cannot be read ({reason})") from None
    if not stat.S_ISREG(mode):
        found = next((name for is_one, name in _KINDS if is_one(mode)), "no file")
        raise error(f"{path}: is {found}, expected a file")
    return Path(path)


_KINDS = [
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
]


def parse_json(text: str | bytes, *, longest: int | None = None) -> Any:
    """Parse JSON of somebody else.

    Parameters
    ----------
    text : str or bytes
    longest : int, optional
        Characters that are read at most.

    Raises
    ------
    ValueError
        If it is not JSON, longer than that, nested deeper than ``MAX_DEPTH``,
        names a key twice, or holds NaN, an infinity, or a number beyond
        floating point.
    """
    if longest is not None and len(text) > longest:
        raise ValueError(f"{len(text):,} characters of JSON, expected {longest:,} at most")
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once
        )
    except RecursionError:
        raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels") from None
    _check_depth(value)
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:40]} is too large for a number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key is given twice")
    return mapping


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level := [
        inner
        for one in level
        if isinstance(one, dict | list)
        for inner in (one.values() if isinstance(one, dict) else one)
    ]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")

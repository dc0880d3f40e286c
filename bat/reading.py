"""Files and values from elsewhere, before anything looks at what they hold."""

from __future__ import annotations

import json
import math
import os
import stat
import tokenize
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from bat.errors import BatError

if TYPE_CHECKING:
    import numpy as np

HEADER_ERRORS = (ValueError, SyntaxError, tokenize.TokenError)
"""What numpy raises at the header of a damaged ``.npy`` file, which is a literal of Python."""

LEFT_BY_PROGRAMS = {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "lost+found"}
"""Names that systems give to what they leave in folders, beside hidden ones."""

MAX_DEPTH = 64  # of lists and mappings within each other


def is_visible(path: str | PurePath) -> bool:
    """Whether people put a file into a folder, by its path in there: it is not hidden.

    >>> is_visible("a.npz"), is_visible("._a.npz"), is_visible("__MACOSX/a.npz")
    (True, False, False)
    """
    parts = PurePath(path).parts
    return not any(part.startswith(".") or part in LEFT_BY_PROGRAMS for part in parts)


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
        If nothing is there, or it is a folder, a named pipe, a socket, a device, a
        link that leads nowhere, or may not be read.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            raise error(
                f"{path}: is a link that leads to no file ({os.readlink(path)}); put the file "
                "back there, or remove the link"
            ) from None
        raise error(f"{path}: the file does not exist") from None
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"{path}: cannot be read ({reason})") from None
    if not stat.S_ISREG(mode):
        found = next((name for is_one, name in _KINDS if is_one(mode)), "no file")
        raise error(f"{path}: is {found}, expected a file")
    if not os.access(path, os.R_OK):
        raise error(f"{path}: cannot be read (no permission); allow reading it")
    return Path(path)


def lies_there(path: str | Path) -> bool:
    """Whether a name is taken, also by a link that leads nowhere.

    Raises
    ------
    OSError
        If the folder may not be looked into.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


_KINDS = [
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
]


def whole_number(text: str) -> int | None:
    """A number of a list of somebody else, from 0 up, spaces around it aside; None for no such.

    >>> whole_number(" 12"), whole_number("-1"), whole_number("9" * 5000)
    (12, None, None)
    """
    digits = text.strip()
    known = len(text) < _LONGEST and digits.isascii() and digits.isdigit()
    return int(digits) if known else None


_LONGEST = 20  # characters of such a number


def check_array(file: BinaryIO, size: int) -> None:
    """Refuse a ``.npy`` file whose header is not that of its values.

    Parameters
    ----------
    file : binary file
        At its start; afterwards behind the header.
    size : int
        Bytes of all of it.

    Raises
    ------
    ValueError
        If it is no such file, holds Python objects, or claims more or fewer
        values than there are.
    """
    import numpy as np

    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"format {version} of npy files is not read")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed != size - file.tell():
        raise ValueError(
            f"its header claims {claimed} bytes of values, shape {shape}, and {size - file.tell()} "
            "are there"
        )


def read_array(path: str | Path, error: type[BatError] = BatError) -> np.ndarray:
    """Read a ``.npy`` file of somebody else into memory.

    Raises
    ------
    BatError
        If it is missing, no such file, damaged, or claims to be larger than it is.
    """
    import numpy as np

    try:
        with open(regular_file(path, error), "rb") as file:
            check_array(file, os.fstat(file.fileno()).st_size)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except (*HEADER_ERRORS, OSError, EOFError, OverflowError, MemoryError) as problem:
        if isinstance(problem, BatError):
            raise
        raise error(f"{path}: no readable array ({problem})") from None


Expected = dict[str, tuple[type, float, float] | tuple[type]]
"""By key: a type, and for numbers the least and the largest value."""


def check_values(where: str, values: dict, expected: Expected, error: type[BatError]) -> None:
    """Refuse values of another type than is expected, or out of range; absent keys are let through.

    Raises
    ------
    BatError
        With the key, what was found and what is expected.
    """
    for key in expected.keys() & values.keys():
        kind, *span = expected[key]
        value = values[key]
        accepted = (int, float) if kind is float else kind
        # a bool is an int to Python
        fits = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
        if fits and span:
            fits = span[0] <= value <= span[1]
        if not fits:
            shown = repr(value)
            shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
            between = f" in [{span[0]:g}, {span[1]:g}]" if span else ""
            raise error(f"{where}: {key} is {shown}, expected {_TYPES[kind]}{between}")


_TYPES = {
    dict: "a mapping",
    list: "a list",
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}


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
        those of 64 bits.
    """
    if longest is not None and len(text) > longest:
        raise ValueError(f"{len(text):,} characters of JSON, expected {longest:,} at most")
    try:
        value = json.loads(
            text,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_once,
        )
    except RecursionError:
        raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels") from None
    _check_depth(value)
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > 19:
        raise ValueError(f"{digits[:40]} is too large for a whole number")
    return int(digits)


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

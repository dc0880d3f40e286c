"""Lists of samples by their positions in a data set, as people write them into a CSV file."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from bat.errors import BatError
from bat.reading import regular_file, whole_number

EXPECTED = "expected positions of samples, from 0 up, in a column `index` or one a line"


def read_indices(path: Path, n: int | None = None) -> list[int]:
    """Read a list of samples.

    Parameters
    ----------
    path : path
        CSV in UTF-8 with a column ``index``, others are not looked at; or without a
        header, one position a line.
    n : int, optional
        How many samples the data set has, where that is known.

    Returns
    -------
    list of int
        In rising order, each once.

    Raises
    ------
    BatError
        If the file is missing, empty or not such a list, if a position is there twice
        or is none of the data set's, naming file and line.
    """
    lines: dict[int, int] = {}
    for line, cell in _cells(Path(path)):
        index = whole_number(cell)
        if index is None:
            raise BatError(f"{path}: line {line}: {cell[:40]!r} is no position; {EXPECTED}")
        if n is not None and index >= n:
            raise BatError(
                f"{path}: line {line}: there is no sample {index} among the {n:,} training "
                f"samples, which count from 0 to {n - 1}; correct it"
            )
        if index in lines:
            raise BatError(
                f"{path}: line {line}: sample {index} stands in line {lines[index]} already; "
                "list each once"
            )
        lines[index] = line
    if not lines:
        raise BatError(f"{path}: lists no samples; {EXPECTED}")
    return sorted(lines)


def _cells(path: Path) -> list[tuple[int, str]]:
    """Line, counted from 1, and text of every cell that holds a position."""
    regular_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.reader(text.splitlines()))
    except OSError as error:
        raise BatError(f"{path}: cannot be read ({error.strerror}); correct the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BatError(f"{path}: is no CSV in UTF-8 ({error}); {EXPECTED}") from None
    numbered = [(line, [c.strip() for c in row]) for line, row in enumerate(rows, start=1)]
    numbered = [(line, row) for line, row in numbered if any(row)]
    if not numbered:
        return []
    header = numbered[0][1]
    if header.count("index") > 1:
        raise BatError(f"{path}: has two columns index; keep one")
    if "index" in header:
        _check_review(path, header, numbered[1:])
        place = header.index("index")
        return [(line, row[place] if place < len(row) else "") for line, row in numbered[1:]]
    if len(header) > 1:
        raise BatError(
            f"{path}: has the columns {', '.join(header)[:80]}, and none is index; {EXPECTED}"
        )
    return [(line, row[0]) for line, row in numbered]


def _check_review(path: Path, header: list[str], rows: list[tuple[int, list[str]]]) -> None:
    """Refuse the review of browse.html, all of whose rows would be taken, and test samples."""
    if "verdict" in header:
        raise BatError(
            f"{path}: has a column verdict, as the review in browse.html, and all its rows would "
            "be taken; leave out what is wrong with `data: {drop: FILE}`, or make a list of the "
            "column index alone"
        )
    if "split" in header:
        place = header.index("split")
        for line, row in rows:
            found = row[place] if place < len(row) else ""
            if found != "train":
                raise BatError(
                    f"{path}: line {line}: is of the split {found[:40]!r}, expected train; leave "
                    "such rows out"
                )


def indices_digest(indices: Sequence[int]) -> str:
    """The sha256 of a list of samples, whatever their order and the file around them.

    >>> indices_digest([2, 1]) == indices_digest([1, 2]) != indices_digest([12])
    True
    """
    return hashlib.sha256(",".join(map(str, sorted(indices))).encode()).hexdigest()

"""Rows of our CSV files, which have no metadata: whole, and those that their label speaks of."""

from __future__ import annotations

import csv
from pathlib import Path

from bat.errors import REMAKE, ArtifactError
from bat.reading import regular_file


def csv_rows(path: Path, what: str) -> list[dict[str, str]]:
    """The rows of a CSV file by column, each with a cell for every column.

    Parameters
    ----------
    path : path
    what : str
        What the file is to be, for the message.

    Raises
    ------
    ArtifactError
        If it cannot be read as CSV, or a row has fewer or more cells than the head.
    """
    regular_file(path, ArtifactError)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise ArtifactError(f"{path}: not {what} ({error}); {REMAKE}") from None
    for line, row in rows:
        if None in row or None in row.values():
            raise ArtifactError(
                f"{path}: line {line} has fewer or more cells than the head (cut off, or edited); "
                f"{REMAKE}"
            )
    return [row for _, row in rows]

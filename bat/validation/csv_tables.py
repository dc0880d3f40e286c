"""Rows of our CSV files, which have no metadata: whole, and those that their label speaks of."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bat.errors import REMAKE, ArtifactError
from bat.files import check_label
from bat.reading import regular_file


@dataclass(frozen=True)
class CsvCheck:
    """The check of one kind of CSV file.

    Attributes
    ----------
    what : str
        What the file is to be, for messages.
    rules : callable
        Called with the path and the rows by column; raises `ArtifactError`.
    """

    what: str
    rules: Callable[[Path, list[dict[str, str]]], None]

    def __call__(
        self,
        path: Path,
        fingerprint: str | None = None,
        made_of: Mapping[str, str] | None = None,
    ) -> int:
        """Check a file; the number of its rows.

        Parameters
        ----------
        path : path
        fingerprint, made_of
            As for `bat.files.check_label`.

        Raises
        ------
        ArtifactError
            If it is no such table, or not the one that its label speaks of.
        """
        rows = read_rows(path, self.what)
        self.rules(path, rows)
        check_label(path, fingerprint, made_of)
        return len(rows)


def read_rows(path: Path, what: str) -> list[dict[str, str]]:
    """The rows of a CSV file by column, each with a cell for every column.

    Parameters
    ----------
    path : path
    what : str
        What the file is to be, for the message.

    Raises
    ------
    ArtifactError
        If it cannot be read as CSV, ends within a line, or a row has fewer or more
        cells than the head.
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
    if rows and not path.read_bytes().endswith(b"\n"):  # half a number is one too
        raise ArtifactError(f"{path}: ends within a line (cut off); {REMAKE}")
    return [row for _, row in rows]

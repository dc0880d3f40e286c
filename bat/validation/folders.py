"""Many files, one by one and then together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from bat.data import PreparedData
from bat.validation.convergence import check_convergence
from bat.validation.privacy import check_rates
from bat.validation.reading import check_table
from bat.validation.together import check_beside, check_together


def check_files(
    paths: list[Path], prepared: PreparedData | None = None
) -> Iterator[tuple[Path, str]]:
    """Check files one by one, then those that lie together against each other.

    Parameters
    ----------
    paths : list of path
        Parquet tables of ours, ``convergence.csv`` and ``privacy.csv``.
    prepared : PreparedData, optional
        The data set; rows, labels, classes and subsets are then checked too.

    Yields
    ------
    path, text
        A file that holds what it must, and in a few words what that is.

    Raises
    ------
    ArtifactError
        At the first file that does not, with the rule that it breaks.
    """
    fingerprint = prepared.fingerprint if prepared else None
    by_folder: dict[Path, dict[str, tuple[pa.Table, dict]]] = {}
    for path in paths:
        if path.name == "privacy.csv":
            yield path, f"privacy, {check_rates(path, fingerprint)} rows"
            continue
        if path.suffix == ".csv":
            yield path, f"convergence, {check_convergence(path, fingerprint)} rows"
            continue
        kind, table, metadata = check_table(path, prepared)
        if kind not in ("trials", "groups"):
            by_folder.setdefault(path.parent, {})[kind] = table, metadata
        yield path, f"{kind}, {table.num_rows} rows"
    for folder, tables in by_folder.items():
        check_together(folder, tables)
    for path in paths:
        if path.suffix == ".csv":
            check_beside(path, by_folder.get(path.parent, {}))


def check_all(files: Iterable[Path], prepared: PreparedData | None = None) -> None:
    """Check files as `check_files` does, all of them at once."""
    for _ in check_files(list(files), prepared):
        pass

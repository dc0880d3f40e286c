"""What score tables are, printed; and whether they hold what they must."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from bat import validation
from bat.data import PreparedData
from bat.data.names import NAMES
from bat.errors import ArtifactError
from bat.escaping import plain
from bat.files import column
from bat.reading import is_visible, lies_there
from bat.sharing import published
from bat.sharing.cards import description, facts
from bat.sharing.folders import (
    FILE_NAMES,
    REQUIRED,
    SUMS,
    check_info,
    check_sums,
    opened,
)
from bat.sharing.lists import is_score_list, read_score_list
from bat.validation import check_all


def show(path: Path, console, *, top: int = 10) -> None:
    """Print what the tables at a path are, and their most memorized samples.

    Parameters
    ----------
    path : path
        As for `opened`, or a single table in a folder of tables.
    console : rich.console.Console
    top : int
        Samples to list.
    """
    from rich.table import Table
    from rich.text import Text

    path = Path(path)
    is_table = path.is_file() and path.name in FILE_NAMES.values()
    with opened(path.parent if is_table else path) as source:
        if source.arrays or source.score_list:
            raise ArtifactError(
                f"{source.name}: no tables yet; name it as scores.source in a configuration, "
                "which makes tables of it, and look at those"
            )
        source.require(REQUIRED)
        check_all(source.tables.values())
        check_info(source)
        found = facts(source)
        table = Table(title=Text(plain(source.name)), show_header=False, title_justify="left")
        table.add_column()
        table.add_column(overflow="fold")
        for name, text in description(source, found):
            table.add_row(Text(name), Text(plain(text)))
        console.print(table)
        console.print(_top_samples(found["memorization"], source.info.get("class_names"), top))


def _top_samples(memorization: pa.Table, class_names: list[str] | None, top: int):
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text("Most memorized training samples"), title_justify="left")
    for name in ("index", "label", "memorization", "standard error"):
        table.add_column(name, justify="left" if name == "label" else "right")
    values = column(memorization, "memorization")
    order = np.lexsort((np.arange(len(values)), -values))[:top]
    labels, errors = column(memorization, "label"), column(memorization, "memorization_se")
    for index in order.tolist():
        label = class_names[labels[index]] if class_names else labels[index]
        error = float(errors[index]) if errors[index] is not None else float("nan")
        table.add_row(
            str(index),
            Text(plain(str(label))),
            f"{values[index]:.3f}",
            "not known" if np.isnan(error) else f"{error:.3f}",
        )
    return table


def validate(path: Path, prepared: PreparedData | None = None) -> Iterator[tuple[str, str]]:
    """Check every score file at a path against every rule of its kind.

    Parameters
    ----------
    path : path
        A table, a list of scores, a folder (all tables below it, but for the file names of
        prepared images, which are no scores), or an archive.
    prepared : PreparedData, optional
        The data set; the tables must be of it.

    Yields
    ------
    name, text
        Of each file that holds what it must.

    Raises
    ------
    ArtifactError
        At the first file that does not.
    """
    path = Path(path)
    if is_score_list(path):
        yield str(path), _score_list(path, prepared)
    elif path.is_file() and path.suffix in (".parquet", ".csv"):
        for file, text in validation.check_files([path], prepared):
            yield str(file), text
    elif path.is_dir():
        files = [
            p
            for p in sorted(path.rglob("*.parquet"))
            if is_visible(p.relative_to(path)) and p.name != NAMES
        ]
        names = {REQUIRED[0]: FILE_NAMES["convergence"], "privacy": "privacy.csv"}
        beside = [p.with_name(names[p.stem]) for p in files if p.stem in names]
        files += [p for p in beside if lies_there(p)]
        if not files:
            raise ArtifactError(f"{path}: no table there")
        for folder in sorted({file.parent for file in files}):
            if (folder / SUMS).is_file():
                check_sums(folder)
        for file, text in validation.check_files(files, prepared):
            yield str(file), text
    else:
        with opened(path) as source:
            if source.arrays:
                read = published.read_published(source.arrays, keep_above=0.0)
                yield str(path), f"published arrays, {read.tables['memorization'].num_rows} samples"
                return
            source.require(REQUIRED)
            check_info(source)
            for file, text in validation.check_files(list(source.tables.values()), prepared):
                yield f"{path}:{file.name}", text


def _score_list(path: Path, prepared: PreparedData | None) -> str:
    scores = read_score_list(path)
    n = len(scores.memorization)
    if prepared is not None and n < prepared.info["n_train"]:
        raise ArtifactError(
            f"{path}: {n} scores, and the data set has {prepared.info['n_train']} training samples"
        )
    return f"list of scores ({', '.join(scores.columns)}), {n} rows; use it with scores.match"

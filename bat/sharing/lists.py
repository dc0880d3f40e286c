"""Memorization scores as people share them: CSV, TSV, ``npy``, ``npz`` or Parquet of their own.

Such a list has a score for each training sample and perhaps an index, a file name or a label
beside it, and nothing else that is known: no influence, no counts, no standard errors. It is
read into columns by their usual names; what it does not say stays null.
"""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bat.errors import ArtifactError
from bat.reading import HEADER_ERRORS
from bat.sharing import published
from bat.sharing.published import TOLERANCE

TEXT = {".csv", ".tsv", ".txt"}
SUFFIXES = TEXT | {".npy", ".npz", ".parquet"}
SCORE_NAMES = [
    *("memorization", "memorisation", "memorization_score", "memorization_scores"),
    *("mem", "mem_score", "mem_scores", "tr_mem", "memscore", "score", "scores"),
]
"""Usual names of the scores, the clearest first."""

INDEX_NAMES = [
    *("index", "idx", "id", "ids", "sample", "sample_index", "sample_id", "train_index"),
    *("train_idx", "tr_idx", "indices", "position", "sample_idx", "data_index", "data_idx"),
    *("", "unnamed:_0", "__index_level_0__"),  # as pandas writes them
]
LABEL_NAMES = ["label", "labels", "target", "targets", "class", "y", "tr_labels", "train_labels"]
FILE_NAMES = ["file_name", "filename", "filenames", "file", "path", "image", "tr_filenames"]
ERROR_NAMES = ["memorization_se", "se", "std_err", "stderr", "standard_error"]
EXPECTED = (
    "expected a column of scores (memorization, mem, score, ...) for every training sample and, "
    "if they are not in the order of the data, index or file_name beside it; label is compared. "
    "Masks and correctness of models become scores with `python -m bat scores import-trials`"
)


@dataclass(frozen=True)
class ScoreList:
    """A list of scores in the order of its file.

    Attributes
    ----------
    memorization : ndarray of float64, shape (n,)
        In [-1, 1].
    memorization_se : ndarray of float64, shape (n,), or None
    index : ndarray of int64, shape (n,), or None
        Each row's sample; no number twice, none below 0.
    file_name : ndarray of str, shape (n,), or None
    label : ndarray of int64 or str, shape (n,), or None
        Class numbers, or names of classes.
    columns : list of str
        What the file calls what was read.
    ignored : list of str
        Columns that were not.
    """

    memorization: np.ndarray
    memorization_se: np.ndarray | None
    index: np.ndarray | None
    file_name: np.ndarray | None
    label: np.ndarray | None
    columns: list[str]
    ignored: list[str]


def is_score_list(path: Path) -> bool:
    """Whether a file is a list of scores by its kind, and not a table of ours or published."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or not path.is_file():
        return False
    if suffix == ".npz":
        return not (published.is_published(path) and _has_published_keys(path))
    if suffix == ".parquet":
        try:
            return b"bat" not in (pq.read_schema(path).metadata or {})
        except (pa.ArrowException, OSError, ValueError):
            return False
    return not (suffix == ".csv" and _starts_with(path, b"n_trials"))


def _has_published_keys(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    return bool(names & {"tt_labels.npy", "tr_filenames.npy", "infl.npy"})


def _starts_with(path: Path, start: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(3 + len(start)).removeprefix(b"\xef\xbb\xbf").startswith(start)


def read_score_list(path: Path) -> ScoreList:
    """Read a list of scores.

    Parameters
    ----------
    path : path
        ``csv``, ``tsv`` or ``txt`` in UTF-8 or UTF-16, with commas, semicolons, tabs or
        spaces between columns and a decimal point or comma; ``npy`` with one row of numbers
        or named fields; ``npz``; Parquet without metadata of ours.

    Returns
    -------
    ScoreList

    Raises
    ------
    ArtifactError
        If the file is damaged, no column or several are scores, a value is no
        number in [-1, 1], or an index is twice there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    try:
        if suffix in TEXT:
            columns = _text_columns(path)
        elif suffix == ".parquet":
            table = pq.read_table(path)
            columns = {name: table.column(name).to_numpy() for name in table.column_names}
        else:
            columns = _array_columns(path)
    except ArtifactError:
        raise
    except _UNREADABLE as error:
        # numpy takes what it does not know for a pickle, and advises to load that
        reason = "holds something else than numbers" if "pickle" in str(error) else error
        raise ArtifactError(f"{path}: cannot be read as a list of scores ({reason})") from None
    return _recognised(path, columns)


_UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, RuntimeError, MemoryError),
    *(pa.ArrowException, zlib.error, zipfile.BadZipFile, csv.Error, *HEADER_ERRORS),
)


# -- columns --------------------------------------------------------------------------------


def _text_columns(path: Path) -> dict[str, np.ndarray]:
    text = _decoded(path)
    lines = text.splitlines()
    if lines and lines[0].startswith("#"):
        lines[0] = lines[0].lstrip("# ")  # as numpy.savetxt writes a header
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if not lines:
        raise ArtifactError(f"{path}: holds no rows; {EXPECTED}")
    delimiter = next((d for d in ("\t", ";", ",", "|") if d in lines[0]), " ")
    if delimiter == " ":
        lines = [line.strip() for line in lines]
    text = io.StringIO("\n".join(lines))
    rows = list(csv.reader(text, delimiter=delimiter, skipinitialspace=True))
    rows = [[cell.strip() for cell in row] for row in rows]
    ragged = next((n for n, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if ragged is not None and all(len(row) == len(rows[0]) + 1 for row in rows[1:]):
        rows[0].insert(0, "")  # as R's write.table leaves out the name of the rows
    elif ragged is not None:
        raise ArtifactError(
            f"{path}: row {ragged} has {len(rows[ragged])} columns, and the first line "
            f"{len(rows[0])}; {EXPECTED}"
        )
    header = rows.pop(0)
    if all(_number(cell) is not None for cell in header):
        if len(header) > 1:
            raise ArtifactError(
                f"{path}: the first line ({', '.join(header)[:80]}) has no names of columns; "
                f"{EXPECTED}"
            )
        rows.insert(0, header)
        header = [SCORE_NAMES[0]]
    if not rows:
        raise ArtifactError(f"{path}: holds no rows below {', '.join(header)[:80]!r}; {EXPECTED}")
    return _named(path, zip(header, map(np.array, zip(*rows, strict=True)), strict=True))


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArtifactError(
            f"{path}: is not text in UTF-8 or UTF-16 ({error.reason} at byte {error.start}); "
            "save it as CSV in UTF-8"
        ) from None


def _array_columns(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            fields = loaded.dtype.names
            columns = {SCORE_NAMES[0]: loaded} if fields is None else {f: loaded[f] for f in fields}
        else:
            columns = {name: loaded[name] for name in loaded.files}
    if list(columns) == ["arr_0"]:
        columns = {SCORE_NAMES[0]: columns["arr_0"]}
    long = {name: values.ravel() for name, values in columns.items() if _is_row(values)}
    if not long:
        shapes = ", ".join(f"{name} of shape {v.shape}" for name, v in columns.items())
        raise ArtifactError(f"{path}: holds {shapes or 'nothing'}; {EXPECTED}")
    return _named(path, long.items())


def _is_row(values: np.ndarray) -> bool:
    return values.ndim > 0 and max(values.shape) == values.size


def _named(path: Path, pairs) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for name, values in pairs:
        if name in columns:
            raise ArtifactError(f"{path}: has two columns {name!r}; keep one")
        columns[name] = values
    return columns


def _number(text: str) -> float | None:
    """A number as written in a cell, with a decimal point or comma; NaN where it is missing."""
    if text.lower() in ("", "na", "nan", "null", "none"):
        return math.nan
    if re.fullmatch(r"[+-]?\d*,\d+(e[+-]?\d+)?", text.lower()):
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return None


# -- meaning --------------------------------------------------------------------------------


def _recognised(path: Path, columns: Mapping[str, np.ndarray]) -> ScoreList:
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in columns}

    def find(names: list[str]) -> str | None:
        return next((plain[name] for name in names if name in plain), None)

    listed = ", ".join(map(repr, list(columns)[:8])) + (", ..." if len(columns) > 8 else "")
    score = find(SCORE_NAMES)
    if score is None:
        raise ArtifactError(f"{path}: has the columns {listed}, and none of scores; {EXPECTED}")
    found = {
        "memorization": score,
        "memorization_se": find(ERROR_NAMES),
        "index": find(INDEX_NAMES),
        "file_name": find(FILE_NAMES),
        "label": find(LABEL_NAMES),
    }
    n = len(columns[score])
    if n == 0:
        raise ArtifactError(f"{path}: holds no rows; {EXPECTED}")
    for name in filter(None, found.values()):
        if len(columns[name]) != n:
            raise ArtifactError(
                f"{path}: {name} has {len(columns[name])} values and {score} {n}; expected as many"
            )
    values = {what: columns[name] for what, name in found.items() if name is not None}
    scores = _numbers(path, score, values["memorization"])
    _within(path, score, scores, -1, 1)
    errors = None
    if "memorization_se" in values:
        errors = _numbers(path, found["memorization_se"], values["memorization_se"])
        _within(path, found["memorization_se"], errors, 0, 1)
    index = None
    if "index" in values:
        index = _whole(path, found["index"] or "the index", values["index"])
        order = np.sort(index)
        twice = order[1:][order[1:] == order[:-1]]
        if twice.size:
            raise ArtifactError(
                f"{path}: {found['index'] or 'the index'} has {twice[0]} twice; expected each "
                "sample once"
            )
    ignored = [name for name in columns if name not in found.values()]
    if index is None and "file_name" not in values:
        _check_order(path, {name: columns[name] for name in ignored}, scores)
    names = values.get("file_name")
    if names is not None and np.asarray(names).dtype.kind not in "UO":
        names = None
    return ScoreList(
        memorization=np.clip(scores, -1, 1),
        memorization_se=errors,
        index=index,
        file_name=None if names is None else np.asarray(names).astype(str),
        label=_labels(path, found["label"], values.get("label")),
        columns=[name or "the first column" for name in found.values() if name is not None],
        ignored=ignored,
    )


def _check_order(path: Path, columns: Mapping[str, np.ndarray], scores: np.ndarray) -> None:
    """Refuse rows in the order of the file where a column may say which sample each is.

    That is one of whole numbers, none twice, which do not rise; but not the rank of the score.
    """
    for name, values in columns.items():
        cells = [_number(str(cell)) for cell in values] if len(values) == len(scores) else [None]
        if None in cells:
            continue
        numbers = np.array(cells)
        order = np.argsort(numbers, kind="stable")
        whole = np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()
        once = numbers[order[0]] >= 0 and (np.diff(numbers[order]) > 0).all()
        rises = (np.diff(numbers) > 0).all()
        along = np.diff(scores[order])
        if whole and once and not rises and not ((along <= 0).all() or (along >= 0).all()):
            raise ArtifactError(
                f"{path}: no column is called index, and {name!r} holds whole numbers, each once "
                "and out of order, which may be one: the rows would be taken in the order of the "
                "file. Call it index if it says which sample a row is; else leave it out"
            )


def _numbers(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "fiu":
        numbers = values.astype(np.float64)
    elif values.dtype.kind in "UO":
        cells = [_number("" if cell is None else str(cell)) for cell in values]
        bad = next((i for i, cell in enumerate(cells) if cell is None), None)
        if bad is not None:
            raise ArtifactError(
                f"{path}: row {bad}: {name} is {str(values[bad])[:40]!r}, no number"
            )
        numbers = np.array(cells)
    else:
        raise ArtifactError(f"{path}: {name} is of type {values.dtype}, expected numbers")
    missing = np.flatnonzero(~np.isfinite(numbers))
    if missing.size:
        raise ArtifactError(
            f"{path}: row {missing[0]}: {name} is missing or not finite, as in {missing.size} of "
            f"{len(numbers)} rows; expected a number in each"
        )
    return numbers


def _within(path: Path, name: str, values: np.ndarray, low: float, high: float) -> None:
    bad = np.flatnonzero((values < low - TOLERANCE) | (values > high + TOLERANCE))
    if bad.size:
        raise ArtifactError(
            f"{path}: row {bad[0]}: {name} is {values[bad[0]]:g}, and {bad.size} of {len(values)} "
            f"values lie outside of [{low:g}, {high:g}]; expected shares, not percent"
        )


def _whole(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    numbers = _numbers(path, name, values)
    bad = np.flatnonzero((numbers != np.rint(numbers)) | (numbers < 0) | (numbers >= 2**31))
    if bad.size:
        raise ArtifactError(
            f"{path}: row {bad[0]}: {name} is {numbers[bad[0]]:g}; expected whole numbers from 0 up"
        )
    return numbers.astype(np.int64)


def _labels(path: Path, name: str | None, values: np.ndarray | None) -> np.ndarray | None:
    if name is None or values is None:
        return None
    if values.dtype.kind in "UO" and any(_number(str(cell)) is None for cell in values):
        return values.astype(str)
    return _whole(path, name, values)

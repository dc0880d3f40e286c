"""Training samples that a person found wrong, left out of the data set.

The file is the CSV that the review on the page of all images saves (`browse.html`): of its columns
``source_index`` must be there; rows of the ``split`` test, or of the ``verdict`` keep or unsure,
are passed over; ``label`` is compared.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from bat.errors import DataError
from bat.escaping import shown
from bat.files.archives import FileState, state_of
from bat.reading import regular_file, whole_number

EXPECTED = (
    "expected a CSV file with the column source_index, as the review in browse.html saves it "
    "(split, index, source_index, label, class, verdict)"
)

COLUMNS = ("split", "index", "source_index", "label", "class", "verdict")
SPLITS = ("train", "test")
VERDICTS = ("keep", "wrong", "unsure")


def read_dropped(path: Path) -> dict[int, int | None]:
    """Read which training samples are to be left out.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of int to int or None
        The label that the file says, or None, by index in the source.

    Raises
    ------
    DataError
        If the file is no such list; the message says in which line.
    """
    found: dict[int, int | None] = {}
    judged: dict[int, tuple[str, int | None]] = {}
    regular_file(path, DataError)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or ()
            if "source_index" not in columns:
                raise DataError(f"{shown(path)}: has no column source_index; {EXPECTED}")
            for name in columns:
                if name not in COLUMNS and name.strip().lower() in COLUMNS:
                    raise ValueError(f"the column {name!r} is to be called {name.strip().lower()}")
            for row in rows:
                if None in row or None in row.values():
                    raise ValueError("more or fewer cells than columns")
                split = _one_of(SPLITS, row.get("split", "train"), "split")
                verdict = _one_of(VERDICTS, row.get("verdict", "wrong"), "verdict")
                if split != "train":
                    continue
                index, label = _number(row["source_index"]), row.get("label")
                said = verdict, None if label is None else _number(label)
                if judged.setdefault(index, said) != said:
                    raise ValueError(f"sample {index} is there already, with another verdict")
                if verdict == "wrong":
                    found[index] = said[1]
    except OSError as error:
        raise DataError(f"{shown(path)} cannot be read ({error.strerror}); {EXPECTED}") from None
    except (ValueError, csv.Error) as error:
        where = f"{shown(path)}, line {rows.line_num}"
        raise DataError(f"{where}: {error}; {EXPECTED}") from None
    return found


def _one_of(known: tuple[str, ...], text: str, column: str) -> str:
    if text not in known:
        raise ValueError(f"{text[:40]!r} is no {column} (known: {', '.join(known)})")
    return text


def _number(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise ValueError(f"{text[:40]!r} is no index or label")
    return number


def drop(
    path: Path, arrays: dict[str, np.ndarray], label_noise: dict, every: np.ndarray
) -> tuple[dict, dict[str, FileState]]:
    """Leave samples out of the training arrays, in place of the dictionaries' values.

    Parameters
    ----------
    path : path
        As for `read_dropped`.
    arrays : dict of ndarray
        ``train_images``, ``train_labels``, ``train_source_index`` become shorter.
    label_noise : dict
        Its positions ``changed`` stay those of the same samples.
    every : ndarray of int
        Indices of all training samples that the source has; samples that a subsample left out
        need no leaving out.

    Returns
    -------
    dropped : dict
        For ``dataset.json``: ``source_index`` of the samples left out.
    states : dict of FileState
        Of the file, for the record of what was read.

    Raises
    ------
    DataError
        If the file names a sample that the source does not have, or has with another label.
    """
    states = {f"drop/{path.name}": state_of(path)} if path.is_file() else {}
    wanted, source_index = read_dropped(path), arrays["train_source_index"]
    if unknown := sorted(set(wanted) - set(every.tolist())):
        raise DataError(
            f"{shown(path)}: {unknown[0]} is no index of a training sample in the source, which "
            f"has {len(every)}; use the file that was saved for this data set"
        )
    places = np.flatnonzero(np.isin(source_index, list(wanted)))
    for at in places.tolist():
        label = wanted[int(source_index[at])]
        if label not in (None, int(arrays["train_labels"][at])):
            raise DataError(
                f"{shown(path)}: sample {source_index[at]} has label {label}, and "
                f"{arrays['train_labels'][at]} in the source; use the file that was saved for "
                "this data set"
            )
    kept = np.ones(len(source_index), bool)
    kept[places] = False
    for name in ("train_images", "train_labels", "train_source_index"):
        arrays[name] = np.ascontiguousarray(arrays[name][kept])
    _keep_noise(label_noise, kept)
    return {"source_index": source_index[places].tolist()}, states


def _keep_noise(label_noise: dict, kept: np.ndarray) -> None:
    place = np.cumsum(kept) - 1
    pairs = zip(label_noise["changed"], label_noise["original_labels"], strict=True)
    left = [(int(place[at]), label) for at, label in pairs if kept[at]]
    label_noise["changed"] = [at for at, _ in left]
    label_noise["original_labels"] = [label for _, label in left]

"""The score arrays that Feldman and Zhang published, as tables of ours.

Their files (https://pluskid.github.io/influence-memorization) are read key by
key, without pickle, one class at a time:

- ``cifar100_infl_matrix.npz``, ``imagenet_infl_matrix.npz``: ``tr_mem``, ``tr_labels``,
  ``tt_labels``, and for each class K the ids ``tr_classidx_K`` and ``tt_classidx_K``
  and the influence ``infl_matrix_classK`` of the former on the latter;
- ``imagenet_index.npz``: ``tr_filenames``, ``tr_labels``, ``tt_filenames``, ``tt_labels``,
  ``tr_mem``, in the arbitrary order that the ids mean;
- ``*_high_infl_pairs_*.npz``: ``tr_idx``, ``tt_idx``, ``infl``, ``mem`` of the pairs with
  influence above 0.15 and memorization above 0.25. Beside a matrix it is a check;
  beside the index it is all the influence there is.

What was never published stays null: the accuracies behind the scores, the counts
of models with and without a sample, the accuracy on the test samples. The number
of models is stated for both data sets, and gives the largest standard error that
a score can have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bat.errors import ArtifactError
from bat.files import SCHEMAS
from bat.files.zips import open_zip
from bat.sharing.arrays import LIMITS, TOLERANCE, Arrays, file_names, one_with
from bat.statistics import proportion_variance

SUBSET_RATIO = 0.7
PAIRS_ABOVE, PAIRS_MEMORIZATION_ABOVE = 0.15, 0.25
"""Influence, and memorization, above which a pair is in the files of pairs."""

MODELS = {50_000: ("cifar100", 4000), 1_281_167: ("imagenet", 2000)}
"""Data set and number of ResNet-50 models, by number of training samples."""


@dataclass(frozen=True)
class Published:
    """Published scores in the order of their ids.

    Attributes
    ----------
    tables : dict of str to pyarrow.Table
        ``memorization``, ``influence`` and ``test``.
    metadata : dict
        What the tables' metadata say of their making.
    file_names : dict of str to list of str, or None
        By split, in the order of the ids; ImageNet's index has them.
    """

    tables: dict[str, pa.Table]
    metadata: dict
    file_names: dict[str, list[str]] | None = None


def is_published(path: Path) -> bool:
    """Whether a file is an ``npz`` archive: a zip whose members are all arrays."""
    try:
        with open_zip(path, LIMITS, ArtifactError) as archive:
            names = archive.namelist()
    except ArtifactError:
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_published(paths: Sequence[Path], *, keep_above: float) -> Published:
    """Read published arrays.

    Parameters
    ----------
    paths : sequence of path
        The files of one data set, in any order; told apart by their keys.
    keep_above : float
        Pairs with a larger influence are kept. Of the files of pairs alone, all
        are kept that are above 0.15, and a lower value is raised to that.

    Returns
    -------
    Published

    Raises
    ------
    ArtifactError
        If a file or key is missing, an array has another shape than its key
        says, ids are no permutation of the samples, values leave their range,
        or two files contradict each other.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(Arrays(Path(path))) for path in paths]
        matrix, index, pairs = (
            one_with(files, key) for key in ("infl_matrix_class0", "tr_filenames", "infl")
        )
        base = index or matrix
        if base is None:
            found = "; ".join(f"{file.path.name}: {', '.join(file.keys[:6])}" for file in files)
            raise ArtifactError(
                f"no file holds tr_mem, the memorization of every sample ({found}); expected "
                "cifar100_infl_matrix.npz, or imagenet_index.npz with the influence beside it"
            )
        if matrix is None and pairs is None:
            raise ArtifactError(
                f"{base.path}: holds no influence; put imagenet_infl_matrix.npz, or the file of "
                "pairs, beside it and name their folder"
            )
        labels = {"train": base.integers("tr_labels"), "test": base.integers("tt_labels")}
        n_train, n_test = len(labels["train"]), len(labels["test"])
        memorization = base.numbers("tr_mem", (n_train,))
        facts: dict = {"pairs": "same_class"}
        if matrix is not None:
            parts = list(_classes(matrix, labels, np.float32(keep_above)))
            kept, best = _join(parts, n_test)
        else:
            keep_above = max(keep_above, PAIRS_ABOVE)
            kept, best = _pairs_alone(pairs, n_test, np.float32(keep_above))
            facts["memorization_above"] = PAIRS_MEMORIZATION_ABOVE
        if pairs is not None:
            _check_pairs(pairs, memorization, n_train, n_test, kept, keep_above)
        names = None if index is None else file_names(index, n_train, n_test)
    facts["keep_above"] = keep_above
    return _published(labels, memorization, kept, best, facts, names)


def largest_standard_error(score: np.ndarray, n_included: float, n_excluded: float) -> np.ndarray:
    """The largest standard error that a difference of two shares can have.

    Parameters
    ----------
    score : ndarray of float, shape (n,)
        In [-1, 1]: the share of right predictions among ``n_included`` models, less
        that among ``n_excluded``.
    n_included, n_excluded : float

    Returns
    -------
    ndarray of float64, shape (n,)
        Above 0. Over all pairs of shares with that difference, the largest of
        ``sqrt(p (1 - p) / n_included + q (1 - q) / n_excluded)``, with the correction of
        `statistics.proportion_variance`.

    Examples
    --------
    >>> largest_standard_error(np.array([0.0, 0.9]), 2800, 1200).round(4)
    array([0.0173, 0.0087])
    """
    share = np.clip(
        0.5 + score * n_included / (n_included + n_excluded), np.maximum(0, score), 1 + score
    )
    share = np.minimum(share, 1)
    variance = proportion_variance(share * n_included, n_included)
    return np.sqrt(variance + proportion_variance((share - score) * n_excluded, n_excluded))


# -- influence ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pairs:
    train: np.ndarray
    test: np.ndarray
    influence: np.ndarray


def _classes(
    matrix: Arrays, labels: dict[str, np.ndarray], keep_above: np.float32
) -> Iterator[tuple[_Pairs, _Pairs]]:
    """Kept pairs, and the largest pair of each test sample, class by class."""
    for label in np.unique(labels["train"]).tolist():
        ids = []
        for split, key in (("train", "tr_classidx"), ("test", "tt_classidx")):
            found = matrix.integers(f"{key}_{label}", len(labels[split]))
            expected = np.flatnonzero(labels[split] == label)
            if not np.array_equal(np.sort(found), expected):
                raise ArtifactError(
                    f"{matrix.path}: {key}_{label} names {len(found)} samples, which are not the "
                    f"{len(expected)} of class {label} by the labels"
                )
            ids.append(found)
        train, test = ids
        values = matrix.numbers(f"infl_matrix_class{label}", (len(train), len(test)))
        # the lowest training sample comes first, for ties
        order = np.argsort(train)
        train, values = train[order], values[order].astype(np.float32)
        row, col = np.nonzero(values > keep_above)
        top = values.argmax(axis=0)
        yield (
            _Pairs(train[row], test[col], values[row, col]),
            _Pairs(train[top], test, values[top, np.arange(len(test))]),
        )


def _join(
    parts: Sequence[tuple[_Pairs, _Pairs]], n_test: int
) -> tuple[_Pairs, tuple[np.ndarray, np.ndarray]]:
    kept, tops = (
        _Pairs(*(np.concatenate([getattr(p, f) for p in ps]) for f in _Pairs.__annotations__))
        for ps in zip(*parts, strict=True)
    )
    return _ordered(kept), _best(tops, n_test)


def _ordered(pairs: _Pairs) -> _Pairs:
    order = np.lexsort((pairs.test, pairs.train))
    return _Pairs(pairs.train[order], pairs.test[order], pairs.influence[order])


def _best(tops: _Pairs, n_test: int) -> tuple[np.ndarray, np.ndarray]:
    best, index = np.full(n_test, np.nan), np.full(n_test, -1)
    best[tops.test], index[tops.test] = tops.influence, tops.train
    return best, index


def _pairs_alone(
    pairs: Arrays, n_test: int, keep_above: np.float32
) -> tuple[_Pairs, tuple[np.ndarray, np.ndarray]]:
    """The published pairs; a test sample without one has no known largest influence."""
    test, influence = pairs.integers("tt_idx", n_test), pairs.read("infl").astype(np.float32)
    train = pairs.integers("tr_idx")
    if not len(train) == len(test) == len(influence):
        raise ArtifactError(f"{pairs.path}: tr_idx, tt_idx and infl differ in length")
    above = influence > keep_above
    kept = _ordered(_Pairs(train[above], test[above], influence[above]))
    order = np.lexsort((-kept.train, kept.influence))  # the largest, lowest sample is set last
    return kept, _best(_Pairs(kept.train[order], kept.test[order], kept.influence[order]), n_test)


def _check_pairs(
    file: Arrays,
    memorization: np.ndarray,
    n_train: int,
    n_test: int,
    kept: _Pairs,
    keep_above: float,
) -> None:
    """The file of pairs says the same as the other files."""
    train, test = file.integers("tr_idx", n_train), file.integers("tt_idx", n_test)
    influence, mem = (file.numbers(key, train.shape) for key in ("infl", "mem"))
    wrong = np.flatnonzero(np.abs(memorization[train] - mem) > TOLERANCE)
    if wrong.size:
        raise ArtifactError(
            f"{file.path}: memorization of training sample {train[wrong[0]]} is {mem[wrong[0]]}, "
            f"and {memorization[train[wrong[0]]]} in tr_mem; the files are of different data sets"
        )
    keys = kept.train * n_test + kept.test  # sorted
    sought = train * n_test + test
    at = np.minimum(np.searchsorted(keys, sought), max(len(keys) - 1, 0))
    missing = keys[at] != sought if len(keys) else np.ones(len(sought), bool)
    other = np.where(missing, np.nan, kept.influence[at] if len(keys) else np.nan)
    expected = influence > keep_above + TOLERANCE
    wrong = np.flatnonzero(expected & ~(np.abs(other - influence) <= TOLERANCE))
    if wrong.size:
        row = wrong[0]
        raise ArtifactError(
            f"{file.path}: the influence of training sample {train[row]} on test sample "
            f"{test[row]} is {influence[row]}, and {other[row]} in the other file (nan: not kept)"
        )


# -- tables ---------------------------------------------------------------------------------


def _published(
    labels: dict[str, np.ndarray],
    memorization: np.ndarray,
    kept: _Pairs,
    best: tuple[np.ndarray, np.ndarray],
    influence_facts: dict,
    names: dict[str, list[str]] | None,
) -> Published:
    n_train, n_test = len(labels["train"]), len(labels["test"])
    recipe = {
        "source": "Feldman and Zhang (2020), arXiv:2008.03703",
        "architecture": "ResNet-50",
        "subset_ratio": SUBSET_RATIO,
    }
    memorization = memorization.astype(np.float64)
    errors = {"memorization": None, "influence": None}
    if n_train in MODELS:
        recipe["trials"] = models = MODELS[n_train][1]
        counts = SUBSET_RATIO * models, (1 - SUBSET_RATIO) * models
        errors = {
            "memorization": largest_standard_error(memorization, *counts),
            "influence": largest_standard_error(kept.influence.astype(np.float64), *counts),
        }
    columns = {
        "memorization": {
            "index": np.arange(n_train),
            "label": labels["train"],
            "memorization": memorization,
            "memorization_se": errors["memorization"],
        },
        "influence": {
            "train_index": kept.train,
            "test_index": kept.test,
            "influence": kept.influence,
            "influence_se": errors["influence"],
        },
        "test": {
            "index": np.arange(n_test),
            "label": labels["test"],
            "max_influence": best[0],
            "max_influence_train_index": best[1],
        },
    }
    metadata = {
        "recipe": recipe,
        "influence": influence_facts,
        "standard_errors": "the largest that are possible" if n_train in MODELS else "not known",
    }
    return Published(
        {kind: _table(kind, values) for kind, values in columns.items()}, metadata, names
    )


def _table(kind: str, columns: dict) -> pa.Table:
    n = len(next(iter(columns.values())))
    arrays = []
    for field in SCHEMAS[kind]:
        values = columns.get(field.name)
        if values is None:
            arrays.append(pa.nulls(n, field.type))
        else:
            arrays.append(pa.array(np.asarray(values).astype(field.type.to_pandas_dtype())))
    return pa.table(arrays, schema=SCHEMAS[kind])

"""Trials as others keep them: which samples each model saw, and what it then got right.

Three forms are read, told apart by their keys; arrays have a row for each model:

- Feldman and Zhang's estimation code, and what grew from it (the label memorization of
  CIFAR-10N, for one): ``trainset_mask``, ``trainset_correctness`` and
  ``testset_correctness``, with ``trainset_predictions`` and ``testset_predictions``
  where they were kept;
- the ``aux_arrays.npz`` that Feldman and Zhang released beside each model, one file
  a model: ``index_{train,removed,test}``, the positions of the samples, and
  ``correctness_{train,removed,test}`` in their order;
- ours, of ``scores export-datamodels``, which have margins.

What their makers can only say in words, that a column is the sample of its position in
the data, is held against all that can tell: predictions, labels, and that models are
right more often on what they saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.progress import log
from bat.reading import is_visible, parse_json
from bat.sharing.arrays import Arrays
from bat.sharing.raw_arrays import (
    check_finite,
    check_labels,
    check_predictions,
    checked_margins,
    checked_mask,
)

KEYS = {
    "included": ("trainset_mask", "masks", "included"),
    "train_correct": ("trainset_correctness", "train_correct"),
    "test_correct": ("testset_correctness", "test_correct"),
    "train_margin": ("trainset_margins", "train_margins"),
    "test_margin": ("testset_margins", "test_margins", "margins"),
    "train_predictions": ("trainset_predictions", "train_predictions"),
    "test_predictions": ("testset_predictions", "test_predictions"),
}
"""What arrays with a row for each model are called, by what they are."""

PARTS = ("train", "removed", "test")
ONE_MODEL = {f"{what}_{part}" for what in ("index", "correctness") for part in PARTS}
"""The keys of a file of one model."""

LONGEST = 100_000  # characters of a recipe


@dataclass(frozen=True, eq=False)
class RawTrials:
    """Trials of one file or several, one row a model.

    Attributes
    ----------
    included, train_correct : ndarray of bool, shape (n_models, n_train)
    test_correct : ndarray of bool, shape (n_models, n_test)
    margins : dict of str to ndarray of float16
        ``train_margin`` and ``test_margin``, of the shapes of the correctness, where all
        files have them.
    recipe : dict
        How the models were trained, where all files say the same; else empty.
    """

    included: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray
    margins: dict[str, np.ndarray] = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)


def read_raw_trials(paths: Sequence[Path], prepared: PreparedData) -> RawTrials:
    """Read trials of others, of one data set.

    Parameters
    ----------
    paths : sequence of path
        ``npz`` files, or folders with such files below them; models in their order.
    prepared : PreparedData
        The data that the columns are the samples of.

    Returns
    -------
    RawTrials

    Raises
    ------
    ArtifactError
        If a file is damaged or holds objects, lacks a key, or an array is not of this
        data: another number of samples, values beside 0 and 1, or labels, predictions or
        margins that contradict it.
    """
    parts = [_read(path, prepared) for path in _files(paths)]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("included", "train_correct", "test_correct")
    }
    shared = set.intersection(*(set(part.margins) for part in parts))
    margins = {
        name: np.concatenate([part.margins[name] for part in parts]) for name in sorted(shared)
    }
    recipe = parts[0].recipe if all(part.recipe == parts[0].recipe for part in parts) else {}
    return RawTrials(**joined, margins=margins, recipe=recipe)


def _files(paths: Sequence[Path]) -> list[Path]:
    found = []
    for path in map(Path, paths):
        files = [path]
        if path.is_dir():
            below = sorted(path.rglob("*.npz"))
            files = [file for file in below if is_visible(file.relative_to(path))]
        if not files:
            raise ArtifactError(f"{path}: no trials there; expected npz files in it or below")
        found += files
    return found


def _read(path: Path, prepared: PreparedData) -> RawTrials:
    sizes = {"train": len(prepared.train_labels), "test": len(prepared.test_labels)}
    with Arrays(path) as file:
        check_labels(file, prepared)
        if set(file.keys) >= ONE_MODEL:
            return _one_model(file, sizes)
        return _models(file, sizes, prepared)


# -- a row for each model -------------------------------------------------------------------


def _models(file: Arrays, sizes: dict[str, int], prepared: PreparedData) -> RawTrials:
    read = {}
    for name, known in KEYS.items():
        keys = [key for key in known if key in file.keys]
        if len(keys) > 1:
            raise ArtifactError(
                f"{file.path}: holds {' and '.join(map(repr, keys))}, which are names of the same; "
                "leave the one that these trials have"
            )
        if keys:
            read[name] = keys[0], file.read(keys[0])
    rows = _by_model(file, read, sizes)
    _require(file, rows)
    margins = {}
    for split, labels in (("train", prepared.train_labels), ("test", prepared.test_labels)):
        correct, margin, predicted = (f"{split}_{n}" for n in ("correct", "margin", "predictions"))
        if margin in rows:
            check_finite(file, *rows[margin])
        if correct not in rows:
            rows[correct] = rows[margin][0], rows[margin][1] > 0
        rows[correct] = rows[correct][0], checked_mask(file, *rows[correct])
        if margin in rows:
            margins[margin] = checked_margins(file, *rows[margin], rows[correct][1])
        if predicted in rows:
            check_predictions(file, *rows[predicted], np.asarray(labels), rows[correct])
    included = checked_mask(file, *rows["included"])
    recipe = _recipe(file) if "recipe" in file.keys else {}
    return RawTrials(included, rows["train_correct"][1], rows["test_correct"][1], margins, recipe)


def _split(name: str) -> str:
    return "test" if name.startswith("test") else "train"


def _require(file: Arrays, rows: dict[str, tuple[str, np.ndarray]]) -> None:
    """Refuse a file without masks or correctness, or with several numbers of models."""
    lacking = [
        f"{' or '.join(map(repr, KEYS[name]))}"
        for name in ("included", "train_correct", "test_correct")
        if name not in rows and name.replace("correct", "margin") not in rows
    ]
    if lacking:
        raise ArtifactError(
            f"{file.path}: holds no array {', and none '.join(lacking)}; found "
            f"{', '.join(file.keys[:12]) or 'none'}. Expected masks and correctness of trials, a "
            f"row for each model, or the keys of one model: {', '.join(sorted(ONE_MODEL))}"
        )
    counts = {key: len(values) for key, values in rows.values()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{key} of {n}" for key, n in counts.items())
        raise ArtifactError(
            f"{file.path}: the arrays are of different numbers of models ({said}); expected one "
            "row for each model in all of them"
        )


def _by_model(
    file: Arrays, read: dict[str, tuple[str, np.ndarray]], sizes: dict[str, int]
) -> dict[str, tuple[str, np.ndarray]]:
    """The arrays with a row for each model and a column for each sample, turned where they must.

    One with as many rows as columns may be either, and is what the others are.
    """
    fits, rows = {}, {}
    for name, (key, values) in read.items():
        n = sizes[_split(name)]
        values = values[None] if values.shape == (n,) else values
        if values.ndim != 2 or n not in values.shape:
            raise ArtifactError(
                f"{file.path}: {key!r} has shape {values.shape}, expected (models, {n}): the data "
                f"set has {sizes['train']} training and {sizes['test']} test samples; give the "
                "data that these trials were trained on"
            )
        rows[name] = key, values
        if values.shape != (n, n):
            fits[key] = values.shape[1] == n
    all_turned = bool(fits) and not any(fits.values())
    for name, (key, values) in rows.items():
        if fits.get(key, not all_turned):
            continue
        log.warning(
            "%s: %r has a row for each sample and a column for each model (%s), and is turned",
            *(file.path, key, " x ".join(map(str, values.shape))),
        )
        rows[name] = key, np.ascontiguousarray(values.T)
    return rows


def _recipe(file: Arrays) -> dict:
    text = file.text("recipe")
    try:
        recipe = parse_json(text, longest=LONGEST)
    except ValueError as error:
        raise ArtifactError(f"{file.path}: 'recipe' is no JSON ({error})") from None
    if not isinstance(recipe, dict):
        raise ArtifactError(f"{file.path}: 'recipe' is no mapping; expected one, as JSON")
    return recipe


# -- a file for each model ------------------------------------------------------------------


def _one_model(file: Arrays, sizes: dict[str, int]) -> RawTrials:
    index = {part: file.integers(f"index_{part}") for part in PARTS}
    correct = {}
    for part in PARTS:
        key = f"correctness_{part}"
        correct[part] = checked_mask(file, key, file.read(key))
        if correct[part].shape != index[part].shape:
            raise ArtifactError(
                f"{file.path}: {key!r} has shape {correct[part].shape}, and 'index_{part}' "
                f"{index[part].shape}; expected a value for each sample"
            )
    train = np.concatenate([index["train"], index["removed"]])
    for what, found, n in (
        ("index_train' and 'index_removed", train, sizes["train"]),
        ("index_test", index["test"], sizes["test"]),
    ):
        if not np.array_equal(np.sort(found), np.arange(n)):
            raise ArtifactError(
                f"{file.path}: '{what}' name {len(np.unique(found))} samples up to "
                f"{found.max(initial=-1)}, expected each of 0 to {n - 1} once; give the data that "
                "these models were trained on"
            )
    included = np.zeros((1, sizes["train"]), bool)
    included[0, index["train"]] = True
    return RawTrials(
        included,
        _placed(train, np.concatenate([correct["train"], correct["removed"]])),
        _placed(index["test"], correct["test"]),
    )


def _placed(index: np.ndarray, values: np.ndarray) -> np.ndarray:
    row = np.empty((1, len(values)), bool)
    row[0, index] = values
    return row

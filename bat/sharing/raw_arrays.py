"""Arrays of trials of others, held against the data that they should be of."""

from __future__ import annotations

import numpy as np

from bat.data import PreparedData
from bat.errors import ArtifactError, BatError
from bat.scores.counts import as_mask
from bat.scores.margins import half_precision
from bat.sharing.arrays import Arrays

LABELS = {
    "train": ("labels", "train_labels", "tr_labels"),
    "test": ("test_labels", "tt_labels"),
}


def check_labels(file: Arrays, prepared: PreparedData) -> None:
    """Refuse a file that says it is of other data."""
    if "fingerprint" in file.keys:
        found = file.text("fingerprint")
        if found != prepared.fingerprint:
            raise ArtifactError(
                f"{file.path}: trials on the data set with fingerprint {found:.80}, and that of "
                f"the data in use is {prepared.fingerprint}; give the data that they were "
                "trained on"
            )
    labels = {"train": prepared.train_labels, "test": prepared.test_labels}
    for split, expected in labels.items():
        key = next((key for key in LABELS[split] if key in file.keys), None)
        if key is None:
            continue
        found = file.integers(key)
        if found.shape != expected.shape or (found != expected).any():
            raise ArtifactError(
                f"{file.path}: {key!r} are not the {len(expected)} {split} labels of the data in "
                f"use ({_first_difference(found, expected)}); give the data that these trials "
                "were trained on, in its order"
            )


def _first_difference(found: np.ndarray, expected: np.ndarray) -> str:
    if found.shape != expected.shape:
        return f"there are {len(found)}"
    at = int((found != expected).argmax())
    return f"sample {at} has {found[at]}, expected {expected[at]}"


def checked_mask(file: Arrays, key: str, values: np.ndarray) -> np.ndarray:
    """Truth values; a byte of a boolean may hold anything."""
    if values.dtype == bool and (values.view(np.uint8) > 1).any():
        raise ArtifactError(
            f"{file.path}: {key!r} holds booleans that are neither 0 nor 1; the file is damaged"
        )
    try:
        return as_mask(repr(key), values)
    except BatError as error:
        raise ArtifactError(f"{file.path}: {error}") from None


def check_finite(file: Arrays, key: str, values: np.ndarray) -> None:
    """Refuse margins that are no numbers."""
    known = values.dtype.kind == "f" and np.isfinite(values).all()
    if not known:
        raise ArtifactError(
            f"{file.path}: {key!r} is {values.dtype}, or has values that are not finite; expected "
            "margins: the logit of the label less the largest other one"
        )
    if not values.any():
        raise ArtifactError(
            f"{file.path}: {key!r} is 0 everywhere, so margins were not kept there; leave it out"
        )


def checked_margins(file: Arrays, key: str, values: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Margins in half precision, of the sign that the correctness says."""
    wrong = np.where(correct, values < 0, values > 0)
    if wrong.any():
        model, sample = np.argwhere(wrong)[0]
        raise ArtifactError(
            f"{file.path}: {key!r} contradicts the correctness of {wrong.sum()} predictions (model "
            f"{model}, sample {sample}: {values[model, sample]:g}, "
            f"{'right' if correct[model, sample] else 'wrong'}); expected positive margins where "
            "the prediction is right"
        )
    return half_precision(values, correct)


def check_predictions(
    file: Arrays, key: str, values: np.ndarray, labels: np.ndarray, correct: tuple
) -> None:
    """Refuse trials whose predictions are right at other places than by these labels."""
    differ = (values == labels) != correct[1]
    if differ.any():
        model, sample = np.argwhere(differ)[0]
        raise ArtifactError(
            f"{file.path}: by the labels of the data in use, {correct[0]!r} is wrong for "
            f"{differ.mean():.1%} of {key!r} (model {model}, sample {sample}: predicted "
            f"{values[model, sample]}, the label is {labels[sample]}); the data have another "
            "order, or other labels: give those that the trials were trained on"
        )

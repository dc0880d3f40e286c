"""Rules of ``memorization.parquet``."""

from __future__ import annotations

import numpy as np

from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.statistics import proportion_variance
from bat.validation.rows import ROUNDING, Rows


def check_memorization(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Scores that are the difference of two shares, with counts that sum to the trials."""
    rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
    rows.within("memorization", -1, 1)
    if rows.known("memorization_se"):
        se = rows["memorization_se"]
        rows.every((se > 0) & (se <= 1), "memorization_se is above 0, and at most 1")
    if rows.known("memorization_margin"):
        found, se = rows["memorization_margin"], rows["memorization_margin_se"]
        rows.every(~(np.abs(found) > 1), "memorization_margin lies in [-1, 1], or is NaN")
        good = (se >= 0) & (se <= 1)
        rows.every(good | np.isnan(se), "memorization_margin_se lies in [0, 1], or is NaN")
        rows.every(np.isnan(se) == np.isnan(found), "both by margins are known, or neither is")
    counts = ("n_included", "n_excluded", "accuracy_included", "accuracy_excluded")
    if not all([rows.known(name) for name in counts]):
        if "trials" in metadata.get("inputs", {}):
            raise ArtifactError(
                f"{rows.path}: made of trials, and {' or '.join(counts)} have no values; remove it "
                "and run the command again that made it"
            )
        return
    n_in, n_out, acc_in, acc_out = (rows[name] for name in counts)
    rows.every((n_in > 0) & (n_out > 0), "n_included and n_excluded are at least 1")
    for name in counts[2:]:
        rows.within(name, 0, 1)
    difference = np.abs(rows["memorization"] - (acc_in - acc_out))
    rows.every(difference <= ROUNDING, "memorization is accuracy_included less accuracy_excluded")
    for n, accuracy, name in ((n_in, acc_in, counts[2]), (n_out, acc_out, counts[3])):
        rows.every(
            np.abs(accuracy * n - np.rint(accuracy * n)) < 1e-6, f"{name} is a share of its trials"
        )
    right = np.rint(acc_in * n_in), np.rint(acc_out * n_out)
    if rows.known("memorization_se"):
        parts = [(proportion_variance(k, n), n) for k, n in zip(right, (n_in, n_out), strict=True)]
        wrong = [
            np.abs(np.sqrt(variance) - rows["memorization_se"]) > ROUNDING
            for variance in (
                sum(part for part, _ in parts),
                sum(part * n / (n + 2) for part, n in parts),  # files of version 0.1.0
            )
        ]
        rows.every(
            ~min(wrong, key=np.count_nonzero),
            "memorization_se is that of the difference of the two shares",
        )
    recipe = metadata["recipe"]
    if "trials" in recipe:
        rows.every(
            n_in + n_out == recipe["trials"],
            f"n_included and n_excluded sum to the {recipe['trials']} trials",
        )
    if "trials" in recipe and "subset_ratio" in recipe and "matched" not in metadata:
        _check_sums(rows, metadata, n_in, right)


def _check_sums(
    rows: Rows, metadata: dict, n_in: np.ndarray, right: tuple[np.ndarray, np.ndarray]
) -> None:
    """The trials' subsets all have one size, and the mean accuracies stated are these rows'."""
    recipe = metadata["recipe"]
    size = round(recipe["subset_ratio"] * len(n_in))
    if n_in.sum() != size * recipe["trials"]:
        raise ArtifactError(
            f"{rows.path}: n_included sums to {n_in.sum()}; {recipe['trials']} subsets of "
            f"{size} samples give {size * recipe['trials']}"
        )
    for name, total, count in (
        ("included", right[0].sum(), size),
        ("excluded", right[1].sum(), len(n_in) - size),
    ):
        stated = metadata.get("accuracies", {}).get(name)
        mean = total / (count * recipe["trials"])
        if stated is not None and abs(stated - mean) > ROUNDING:
            raise ArtifactError(
                f"{rows.path}: the metadata state a mean accuracy {name} of {stated}, and the "
                f"rows give {mean}"
            )

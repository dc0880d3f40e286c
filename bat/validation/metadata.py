"""What the metadata of a table may say: types, ranges, lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bat.errors import ArtifactError
from bat.reading import Expected, check_values
from bat.scores import ENSEMBLE_SCORES
from bat.validation.kinds import CHECKS

_METADATA: Expected = {
    "dataset": (str,),
    "recipe": (dict,),
    "accuracies": (dict,),
    "influence": (dict,),
    "matched": (dict,),
    "thresholds": (dict,),
    "chance": (dict,),
    "converged": (bool,),
    "min_included_accuracy": (float, 0, 1),
    "chance_accuracy": (float, 0, 1),
    "checkpoints": (dict,),
    "checkpoint_sha256": (str,),
    "best_epoch": (int, 0, 2**31 - 1),
    "best_accuracy": (float, -1, 1),
    "undefined_steps": (dict,),
    "attack": (dict,),
    "standard_errors": (str,),
    "samples": (str,),
    "command": (str,),
    "package_version": (str,),
}

_RECIPE: Expected = {
    "source": (str,),
    "architecture": (str,),
    "trials": (int, 1, 2**31 - 1),
    "subset_ratio": (float, 0, 1),
    "seed": (int, 0, 2**63 - 1),
    "training": (dict,),
    "stage_version": (int,),
    "dataset": (str,),
    "run": (str,),
    "attacks": (dict,),
    "adversary": (dict,),
    "history": (dict,),
}

_INFLUENCE: Expected = {"pairs": (str,), "keep_above": (float, -1, 1)}
_MATCHED: Expected = {"by": (str,), "n_train": (int, 1, 2**31 - 1), "n_test": (int, 0, 2**31 - 1)}

_REQUIRED = {
    "trials": {"architecture", "subset_ratio", "seed", "training"},
}
"""Keys of the recipe, by kind of table."""

_LONGEST = 10_000  # characters of one text
_SAID = ("command", "package_version")


def check_metadata(path: Path, kind: str, metadata: dict) -> None:
    """Check that what the metadata of a table say is of the right type, and in range.

    Raises
    ------
    ArtifactError
        With the key, what was found and what is expected.
    """
    where = str(path)
    _require_keys(where, "metadata", metadata, {"fingerprint", "recipe", *_SAID})
    check_values(where, metadata, _METADATA, ArtifactError)
    for text in _texts(metadata):
        if len(text) > _LONGEST:
            raise ArtifactError(
                f"{where}: the metadata hold a text of {len(text):,} characters "
                f"({text[:40]!r}...), expected {_LONGEST:,} at most"
            )
    recipe, fingerprint = metadata["recipe"], metadata["fingerprint"]
    if kind in ENSEMBLE_SCORES:
        check_values(where, recipe, {name: (dict,) for name in recipe}, ArtifactError)
        recipes = list(recipe.values())
    else:
        recipes = [recipe] if kind in CHECKS else []
    for one in recipes:
        required = _REQUIRED.get(kind, set())
        if "trainer" in one:  # a training of somebody's own has no recipe of ours
            required = required - {"training"}
        _require_keys(where, "recipe", one, required)
        check_values(where, one, _RECIPE, ArtifactError)
    check_values(where, metadata.get("influence", {}), _INFLUENCE, ArtifactError)
    if "matched" in metadata:
        _require_keys(where, "matched", metadata["matched"], {*_MATCHED, "fingerprint"})
        check_values(where, metadata["matched"], _MATCHED, ArtifactError)
    for value in (fingerprint, metadata.get("matched", {}).get("fingerprint")):
        if value is not None and not re.fullmatch("[0-9a-f]{64}", str(value)):
            raise ArtifactError(f"{where}: the fingerprint {value!r:.80} is no sha256 in hex")
    for name, value in metadata.get("accuracies", {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ArtifactError(
                f"{where}: the mean accuracy {name!r:.80} is {value!r:.80}, which is no number in "
                "[0, 1]"
            )


def _require_keys(where: str, what: str, values: dict, keys: set[str]) -> None:
    missing = sorted(keys - values.keys())
    if missing:
        raise ArtifactError(f"{where}: the {what} lack {', '.join(missing)}; get it anew")


def _texts(value: Any) -> Iterator[str]:
    """All texts of nested metadata, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)

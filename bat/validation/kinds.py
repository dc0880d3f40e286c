"""Which rules hold for which kind of table, and which kind a file says it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bat import files
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.reading import parse_json, regular_file
from bat.scores import ENSEMBLE_SCORES, SCORES
from bat.validation.groups import check_groups
from bat.validation.influence import check_influence, check_test
from bat.validation.memorization import check_memorization
from bat.validation.metrics import check_confidence, check_metric
from bat.validation.poisoning import check_poisoning
from bat.validation.privacy import check_privacy
from bat.validation.proxies import check_by_seed, check_courses, check_proxies
from bat.validation.rows import Rows
from bat.validation.runs import check_evaluations, check_history, check_masking
from bat.validation.trials import check_trials

CHECKS: dict[str, Callable[[Rows, dict, PreparedData | None], None]] = {
    "memorization": check_memorization,
    "influence": check_influence,
    "test": check_test,
    **{name: check_metric(SCORES[name]) for name in ENSEMBLE_SCORES},
    "confidence": check_confidence,
    "groups": check_groups,
    "trials": check_trials,
    "evaluations": check_evaluations,
    "masking": check_masking,
    "history": check_history,
    "poisoning": check_poisoning,
    "courses": check_courses,
    "proxies": check_proxies,
    "proxies_by_seed": check_by_seed,
    "privacy": check_privacy,
}

SPLIT = {
    **dict.fromkeys(SCORES, "train"),
    "poisoning": "train",
    "proxies": "train",
    "privacy": "train",
    "test": "test",
}
"""Whose samples the rows of a kind are."""


def kind_of(path: Path) -> str:
    """The kind that a table's metadata states.

    Raises
    ------
    ArtifactError
        If the file is no table of ours, is damaged or of a newer format.
    """
    regular_file(path, ArtifactError)
    try:
        text = (pq.read_schema(path).metadata or {})[b"bat"]
        metadata = parse_json(text, longest=files.MAX_METADATA)
        kind = metadata["kind"]
    except (KeyError, TypeError):
        raise ArtifactError(
            f"{path}: no key 'bat' in its metadata that names its kind; it is no table of scores"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: damaged ({str(error).splitlines()[0]}); get it from its maker again"
        ) from None
    if not isinstance(kind, str) or kind not in files.SCHEMAS:
        newer = metadata.get("format_version", 0)
        raise ArtifactError(
            f"{path}: a table of the unknown kind {kind!r:.80}, format version {newer!s:.80}; this "
            f"package reads up to {files.FORMAT_VERSION}"
        )
    return kind

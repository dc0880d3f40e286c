"""Whether the models behind scores fitted the samples that they were trained on.

Memorization compares models that have seen a sample with models that have not;
where the ones that have seen it do not know it, there is nothing to compare. On
300 digits with 100 trials, scores of models half-way from chance to a perfect
included accuracy and below correlate with those of fitted models by 0.02 and
-0.09 (0.31 at 76 % of the way, 0.56 at 87 %, 0.86 at 98 %).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from bat.errors import BatError

HALF_WAY = 0.5  # from chance to 1; below it scores are noise
FACTS = ("accuracies", "chance_accuracy", "min_included_accuracy", "converged")
"""Metadata of scores that tell how their models fitted; whatever is made of scores has them too."""


def chance_accuracy(labels: np.ndarray) -> float:
    """Accuracy of a model that knows nothing but the most frequent label."""
    return float(np.bincount(labels).max() / len(labels))


def fit_facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``FACTS`` that metadata hold."""
    return {key: metadata[key] for key in FACTS if key in metadata}


def fit_of(metadata: Mapping[str, Any]) -> Literal["full", "partial", "none"]:
    """How the models fitted, from the metadata of their scores.

    Parameters
    ----------
    metadata : mapping
        ``accuracies`` (``included``), ``chance_accuracy``, ``converged`` and
        ``min_included_accuracy``; what is absent is taken for good, a chance for 0.

    Returns
    -------
    {"full", "partial", "none"}
        ``none`` is an included accuracy less than half-way from chance to 1,
        ``partial`` one below ``min_included_accuracy``.
    """
    included = metadata.get("accuracies", {}).get("included")
    if included is not None and included < least_accuracy(metadata):
        return "none"
    return "full" if metadata.get("converged", True) else "partial"


def least_accuracy(metadata: Mapping[str, Any]) -> float:
    """The included accuracy below which scores are noise."""
    chance = metadata.get("chance_accuracy", 0.0)
    return chance + HALF_WAY * (1 - chance)


def fit_sentence(metadata: Mapping[str, Any]) -> str:
    """What a reader of anything made of these scores must know; empty where all is well."""
    fit = fit_of(metadata)
    if fit == "full":
        return ""
    numbers = [
        f"{name} {100 * value:.1f}\u00a0%"
        for name, value in (
            ("included accuracy", metadata.get("accuracies", {}).get("included")),
            ("chance", metadata.get("chance_accuracy")),
        )
        if value is not None
    ]
    known = f" ({', '.join(numbers)})" if numbers else ""
    if fit == "none":
        return f"The models behind the scores do not fit{known}: the scores are noise."
    return (
        f"The models behind the scores did not fit their subsets fully{known}, so memorization is "
        "understated."
    )


def require_fit(metadata: Mapping[str, Any], allowed: bool) -> None:
    """Refuse scores that are noise.

    Parameters
    ----------
    metadata : mapping
        As for `fit_of`.
    allowed : bool
        They are asked for, marked as what they are.

    Raises
    ------
    BatError
        If the models do not fit, saying what would.
    """
    if fit_of(metadata) == "none" and not allowed:
        raise BatError(
            f"{fit_sentence(metadata)} At least {100 * least_accuracy(metadata):.1f}\u00a0% is "
            "expected, half-way from chance to 1. Train longer (scores.training.epochs) or with "
            "another rate (scores.training.lr), or set scores.allow_unfitted: true to have them "
            "all the same, marked in all that is made of them"
        )

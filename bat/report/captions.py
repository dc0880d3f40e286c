"""What captions have in common: where scores come from, of which data set, what to beware of.

Captions say the number of samples, the trials and the seed, and what each interval is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bat.report.words import exact_percent, percent
from bat.scores.chance import caution
from bat.scores.fit import fit_sentence
from bat.scores.ranking import atypical_end


def provenance(metadata: Mapping[str, Any]) -> str:
    """Say in a sentence or two where scores come from.

    Parameters
    ----------
    metadata : mapping
        Metadata of a score table: ``dataset``, ``recipe`` (``architecture``,
        ``trials``, ``subset_ratio``, ``seed``), ``accuracies`` (``included``,
        ``excluded``, ``test``) and what `bat.scores.fit` reads; what is absent is left out.

    Returns
    -------
    str
        Ends with a warning where the models did not fit their subsets.
    """
    recipe = metadata.get("recipe", {})
    parts = []
    if "trials" in recipe:
        models = f"{recipe['trials']} {recipe.get('architecture', '')}".strip() + " models"
        parts.append(f"Scores from {models}")
        if "subset_ratio" in recipe:
            parts.append(
                f"each trained on a random {percent(recipe['subset_ratio'], 0)} of the samples"
            )
        if "seed" in recipe:
            parts.append(f"seed {recipe['seed']}")
    text = ", ".join(parts) + "." if parts else ""
    accuracies = metadata.get("accuracies", {})
    means = [
        f"{percent(accuracies[key])} on {what}"
        for key, what in (
            ("included", "samples trained on"),
            ("excluded", "samples left out"),
            ("test", "test samples"),
        )
        if key in accuracies
    ]
    if means:
        text += f" Mean accuracy {', '.join(means)}."
    if "matched" in metadata:
        text += (
            " The scores were made on another version of the data and matched by "
            f"{metadata['matched']['by']}."
        )
    return f"{text} {fit_sentence(metadata)}".strip()


def of_dataset(metadata: Mapping[str, Any]) -> str:
    """Name the data set of a table, as the end of a phrase; empty where it is not stated."""
    return f" of {metadata['dataset']}" if "dataset" in metadata else ""


def captioned(metadata: Mapping[str, Any], text: str) -> str:
    """A caption that ends with where the scores come from."""
    return f"{text} {provenance(metadata)}".strip()


def sentences(*parts: str) -> str:
    """Join the parts that are not empty.

    >>> sentences("One.", "", "Two.")
    'One. Two.'
    """
    return " ".join(part for part in parts if part)


def ranked_text(thresholds: Mapping[str, Any]) -> str:
    """Say in a sentence that training groups go by the ends of a score; nothing where they do not.

    Parameters
    ----------
    thresholds : mapping
        Of the groups, as their metadata hold them.

    Examples
    --------
    >>> ranked_text({"score": "confidence", "top": 0.1, "bottom": 0.5})  # doctest: +ELLIPSIS
    'Training samples are grouped by confidence: atypical are the 10\xa0% of lowest, typical ...'
    """
    if (kind := thresholds.get("score")) is None:
        return ""
    first, last = ("highest", "lowest") if atypical_end(kind) == "high" else ("lowest", "highest")
    top, bottom = (exact_percent(thresholds[key]) for key in ("top", "bottom"))
    return (
        f"Training samples are grouped by {kind}: atypical are the {top} of {first}, typical the "
        f"{bottom} of {last}."
    )


def about_groups(metadata: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what training groups go by, where not memorization, and which are built on chance.

    Parameters
    ----------
    metadata : mapping of str to mapping
        Of group tables, by split.
    """
    return sentences(
        ranked_text(metadata.get("train", {}).get("thresholds", {})), caution(metadata)
    )

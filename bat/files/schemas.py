"""The kinds of tables: their columns, types, and which of them may be missing."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from bat.config.attacks import ATTACKS
from bat.scores.proxies import KEPT, PASSES, PROXIES

FORMAT_VERSION = 1

STATISTICS = [
    "clean_loss",
    "adversarial_loss",
    "boosted_loss",
    "divergence",
    "discrimination_loss",
    "correct_steps",
    "reweighted",
    "mean_weight",
]
"""Means over an epoch's steps that some method has beside the loss."""

FLAGS = ["clean", "pgd"]
"""Packed bits of the history: right without attack, and under PGD."""

MASKING = ("few", "many", "transfer", "square", "unbounded")
"""Verdicts that tell robustness from a masked gradient; see `bat.attacks.masking_verdicts`."""

NO_SOURCE = "none"
"""What stands for the digest of the other model where no transfer attack was made."""

PREDICTED = tuple((f"predicted_{place}", f"predicted_{place}_share") for place in (1, 2, 3))
"""Columns of the classes that models trained without a sample predict most often, and the shares
of these models."""

SCHEMAS = {
    "trials": pa.schema(
        [
            ("trial", pa.int32()),
            ("seed", pa.int64()),
            ("included", pa.binary()),
            ("train_correct", pa.binary()),
            ("test_correct", pa.binary()),
            ("included_accuracy", pa.float64()),
            ("excluded_accuracy", pa.float64()),
            ("test_accuracy", pa.float64()),
            ("seconds", pa.float64()),
            ("device", pa.string()),
            ("probabilities", pa.binary()),
            ("train_margin", pa.binary()),
            ("test_margin", pa.binary()),
        ]
    ),
    "memorization": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            ("memorization", pa.float64()),
            ("memorization_se", pa.float64()),
            ("n_included", pa.int32()),
            ("n_excluded", pa.int32()),
            ("accuracy_included", pa.float64()),
            ("accuracy_excluded", pa.float64()),
            ("memorization_margin", pa.float64()),
            ("memorization_margin_se", pa.float64()),
        ]
    ),
    "influence": pa.schema(
        [
            ("train_index", pa.int32()),
            ("test_index", pa.int32()),
            ("influence", pa.float32()),
            ("influence_se", pa.float32()),
            ("q", pa.float32()),
            ("influence_margin", pa.float32()),
            ("influence_margin_se", pa.float32()),
            ("q_margin", pa.float32()),
        ]
    ),
    "test": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            ("accuracy", pa.float64()),
            ("max_influence", pa.float64()),
            ("max_influence_train_index", pa.int32()),
        ]
    ),
    "disagreement": pa.schema(
        [("index", pa.int32()), ("label", pa.int32()), ("disagreement", pa.float64())]
    ),
    "confidence": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            ("confidence", pa.float64()),
            ("n_held_out", pa.int32()),
            *(
                field
                for name, share in PREDICTED
                for field in ((name, pa.int32()), (share, pa.float64()))
            ),
        ]
    ),
    "courses": pa.schema(
        [
            ("epoch", pa.int32()),
            ("seconds", pa.float64()),
            *((f"{name}_seconds", pa.float64()) for name in PASSES),
            ("second_split_seconds", pa.float64()),
            *((name, pa.binary()) for name in KEPT),
        ]
    ),
    "proxies": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            *((n, pa.float64()) for name in PROXIES for n in (name, f"{name}_se")),
        ]
    ),
    "proxies_by_seed": pa.schema(
        [
            ("seed", pa.int64()),
            ("index", pa.int32()),
            *((name, pa.float64()) for name in PROXIES),
        ]
    ),
    "privacy": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            ("auc", pa.float64()),
            ("auc_se", pa.float64()),
        ]
    ),
    "history": pa.schema(
        [
            ("epoch", pa.int32()),
            ("loss", pa.float64()),
            *((name, pa.float64()) for name in STATISTICS),
            ("selection_accuracy", pa.float64()),
            *((f"{split}_{flag}", pa.binary()) for split in ("train", "test") for flag in FLAGS),
        ]
    ),
    "evaluations": pa.schema(
        [("index", pa.int32()), *((name, pa.bool_()) for name in ("clean", *ATTACKS))]
    ),
    "masking": pa.schema(
        [("index", pa.int32()), *((name, pa.bool_()) for name in ("clean", *MASKING))]
    ),
    "groups": pa.schema([("index", pa.int32()), ("typical", pa.bool_()), ("atypical", pa.bool_())]),
    "poisoning": pa.schema(
        [
            ("index", pa.int32()),
            ("label", pa.int32()),
            ("predicted", pa.int32()),
            ("predicted_clean", pa.int32()),
            ("score", pa.float64()),
        ]
    ),
}


def schema_of(kind: str, recipe: Any) -> pa.Schema:
    """The columns of a table; an evaluation has one more for each attack of one's own.

    Parameters
    ----------
    kind : str
    recipe : any
        Of the table, as its metadata have it.
    """
    schema = SCHEMAS[kind]
    asked = recipe.get("attacks") if isinstance(recipe, dict) else None
    if kind == "evaluations" and isinstance(asked, dict):
        for name in (name for name in asked if name not in SCHEMAS[kind].names):
            schema = schema.append(pa.field(name, pa.bool_()))
    return schema


_PREDICTED_COLUMNS = {"n_held_out", *(name for names in PREDICTED for name in names)}
_PROXY_COLUMNS = {n for name in PROXIES for n in (name, f"{name}_se")}

NULLABLE = {
    "trials": {"probabilities", "train_margin", "test_margin"},
    "memorization": {
        *("memorization_se", "n_included", "n_excluded", "accuracy_included", "accuracy_excluded"),
        *("memorization_margin", "memorization_margin_se"),
    },
    "influence": {"influence_se", "q", "influence_margin", "influence_margin_se", "q_margin"},
    "test": {"accuracy"},
    "confidence": _PREDICTED_COLUMNS,
    "courses": {*KEPT, "second_split_seconds", *(f"{name}_seconds" for name in PASSES)},
    "proxies": _PROXY_COLUMNS,
    "proxies_by_seed": _PROXY_COLUMNS,
    "history": {
        *STATISTICS,
        "selection_accuracy",
        *(f"{split}_{flag}" for split in ("train", "test") for flag in FLAGS),
    },
    "evaluations": set(ATTACKS),
    "masking": {"transfer"},
}
"""Columns that a file may lack, by kind: they are read as null. A column that is added to a kind
belongs here, so that what was made before it stays readable."""

LEFT_OUT = {
    "trials": {"train_margin", "test_margin"},
    "memorization": {"memorization_margin", "memorization_margin_se"},
    "influence": {"influence_margin", "influence_margin_se", "q_margin"},
    "confidence": _PREDICTED_COLUMNS,
    "courses": NULLABLE["courses"],
    "proxies": _PROXY_COLUMNS,
    "proxies_by_seed": _PROXY_COLUMNS,
}
"""Columns that a file lacks where no row has a value, by kind: it is then as those of before."""

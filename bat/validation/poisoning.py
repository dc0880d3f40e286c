"""Rules of the scores of the poisoning study."""

from __future__ import annotations

import numpy as np

from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.validation.rows import Rows


def check_poisoning(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Classes that differ from the label, found by the attack that the run asks for."""
    rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
    rows.within("score", 0, 1)
    recipe, attack = metadata["recipe"], metadata.get("attack")
    asked = {**recipe.get("adversary", {}), "steps": recipe.get("history", {}).get("steps")}
    if "adversary" in recipe and attack != asked:
        raise ArtifactError(
            f"{rows.path}: the attack is {attack!r:.80}, and the run asks for {asked!r:.80}; "
            "remove it and run the command again that made it"
        )
    for name in ("predicted", "predicted_clean"):
        rows.every(rows[name] != rows["label"], f"{name} is another class than the label")
        if prepared is not None:
            rows.within(name, 0, len(prepared.info["class_names"]) - 1)

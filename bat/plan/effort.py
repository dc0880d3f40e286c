"""What a training step costs, in steps of PGD-AT: counted in passes, without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORWARD, ATTACK, TRAINED = 1, 2, 3
"""Passes of one batch in forward passes: alone; with the gradient by the images, as a step of an
attack; with the gradients by all, of which those by the weights cost another one."""

LOOKS = {
    "logits": FORWARD,
    "input_gradient": ATTACK - FORWARD,
    "curvature": 10 * ATTACK,
    "weight_gradient": TRAINED,
}
"""Forward passes of what is looked at in a single training (`bat.scores.proxies.PASSES`)."""

PASSES = {
    "trades": (1, 2),
    "mart": (0, 2),
    "mail-trades": (1, 2),
    "mail-mart": (0, 2),
}
"""Forward passes, and passes that are trained on, of a step beside its attack, as the classes in
`bat.objectives` say too; of other methods (0, 1)."""


def step_cost(objective: Mapping[str, Any], attack_steps: int) -> float:
    """Return what a training step of a method costs, PGD-AT's being 1.

    Parameters
    ----------
    objective : mapping
        Of a run's specification: ``method``, ``steps`` of the attack, and its constants.
        Where it has ``awp``, the step is one after the warm-up.
    attack_steps : int
        Of the PGD-AT step that is the unit, on a batch of the same size.

    Returns
    -------
    float
        Above 0; NaN for a method of one's own, of which no passes are known. With
        weight perturbation that of an epoch after its warm-up.

    Examples
    --------
    >>> [round(step_cost({"method": m, "steps": 10}, 10), 2) for m in ("pgd-at", "trades")]
    [1.0, 1.17]
    """
    if objective["method"] == "own":
        return float("nan")
    forwards, trained = PASSES.get(objective["method"], (0, 1))
    if objective.get("awp", {}).get("gamma"):
        trained *= 2
    found = FORWARD * forwards + TRAINED * trained + ATTACK * objective.get("steps", 0)
    return found / (TRAINED + ATTACK * attack_steps)

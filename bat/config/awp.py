"""Section of adversarial weight perturbation, a switch of every method that attacks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from bat.config.values import NO_TRUTH, NotNegative, Section

GAMMA, TRADES_GAMMA = 0.01, 0.005
"""Of PGD-AT and of TRADES in the authors' code."""

TRADES_WARMUP = 10 / 200
"""Share of the training before it, with TRADES in the authors' code; with PGD-AT none."""


class Awp(Section):
    """Adversarial weight perturbation (Wu et al., 2020): steps at weights moved against the method.

    Written ``awp: {}`` for the authors' settings.
    """

    gamma: NotNegative | None = Field(
        None,
        description="length of a weight's displacement in parts of its own; unset: "
        f"{GAMMA:g}, with trades and mail-trades {TRADES_GAMMA:g}",
    )
    warmup: Annotated[int, Field(ge=0), NO_TRUTH] | None = Field(
        None,
        description="epochs of the plain method before; unset: 0, with trades and mail-trades "
        f"{100 * TRADES_WARMUP:g} % of the epochs, as 10 of 200",
    )


def awp_constants(awp: Awp, method: str, epochs: int) -> dict:
    """Both settings, with the method's own where they are unset; keywords of its objective."""
    trades = method in ("trades", "mail-trades")
    gamma, warmup = awp.gamma, awp.warmup
    if gamma is None:
        gamma = TRADES_GAMMA if trades else GAMMA
    if warmup is None:
        warmup = round(TRADES_WARMUP * epochs) if trades else 0
    return {"gamma": gamma, "warmup": warmup}


def awp_sets_in(run):
    """Refuse a warm-up that is as long as the training."""
    if run.awp is not None and (run.awp.warmup or 0) >= run.training.epochs:
        raise ValueError(
            f"awp.warmup is {run.awp.warmup} of {run.training.epochs} epochs, so awp would never "
            "set in; lower it, or leave awp out"
        )
    return run


def without_awp(raw: Any) -> Any:
    """Refuse it of a method without an attack."""
    if isinstance(raw, dict) and raw.get("awp") is not None:
        raise ValueError(
            "awp moves the weights against a method's loss on adversarial images, and erm has "
            "none; leave awp out, or choose pgd-at or another method that attacks"
        )
    return raw

"""Sections of what is averaged over a training: its weights, after steps or after epochs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bat.config.methods import first_epoch_after
from bat.config.values import Number, Section, Share


class Ema(Section):
    """Exponential moving average of the weights, after each step."""

    kind: Literal["ema"] = Field(description="names the average")
    decay: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.999,
        description="share of the old average in the new one, which so looks back on about "
        "1 / (1 - decay) steps; 0 is the model itself",
    )
    start: Share = Field(0.0, description="share of the training before it, without averaging")


class Swa(Section):
    """Stochastic weight averaging: mean of the weights after each epoch."""

    kind: Literal["swa"] = Field(description="names the average")
    start: Share = Field(
        0.275,
        description="share of the training before it; in the reference 55 of 200 epochs",
    )


Averaging = Annotated[Ema | Swa, Field(discriminator="kind")]


def with_epochs_to_average(run):
    """Refuse a run whose averaging would set in after its last epoch."""
    if run.averaging is not None:
        start, epochs = run.averaging.start, run.training.epochs
        if first_epoch_after(start, epochs) > epochs:
            raise ValueError(
                f"averaging.start ({start:g}) leaves none of the {epochs} epochs to average; "
                "choose a smaller share"
            )
    return run

"""Section of the scores of one training, which stand in for memorization."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bat.config.architectures import Architecture
from bat.config.training import SubsetTraining
from bat.config.values import Section, Seed
from bat.scores import SCORES
from bat.scores.proxies import PROXIES

ProxyName = Literal[tuple(PROXIES)]
AnyScore = Literal[*SCORES, *PROXIES]

CHEAP = ("csl", "last_loss", "forgetting", "el2n", "aum", "margin")
"""Those that take one pass of the logits after each epoch."""


class Proxies(Section):
    """Scores of single trainings on the whole training set, beside memorization."""

    names: tuple[ProxyName, ...] = Field(
        CHEAP,
        min_length=1,
        description="curvature takes eleven passes forward and back after each epoch, where the "
        "default ones share one forward; ssft takes two trainings of its own; one that needs what "
        "is kept already trains nothing",
    )
    seeds: tuple[Seed, ...] = Field(
        (0, 1, 2), min_length=1, description="one training each; their mean is the score"
    )
    architecture: Architecture | None = Field(None, description="unset: that of the scores")
    training: SubsetTraining | None = Field(None, description="unset: that of the scores")

    @model_validator(mode="after")
    def _once(self):
        for key in ("names", "seeds"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise ValueError(f"{key} lists one twice; list each once")
        return self

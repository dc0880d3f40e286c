"""Sections of what is compared with the runs: models of others, BAT over a grid, the studies."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from bat.config.architectures import Architecture
from bat.config.places import WorkflowPlace
from bat.config.scores import EnsembleScore
from bat.config.training import StudyTraining
from bat.config.values import NotNegative, ReadWhere, Section, Seed, Share
from bat.scores.registry import ENSEMBLE_SCORES


class External(Section):
    """Anyone's trained model, to be evaluated beside the runs."""

    checkpoint: WorkflowPlace
    architecture: Architecture | None = Field(
        None, description="one of `architectures`; by default the first of them"
    )
    normalize: bool | None = Field(
        None,
        description="whether the model expects images normalized by the channel statistics; "
        "to be said where its file does not, else both are tried on training samples",
    )
    key: Annotated[str, Field(pattern=r"^[\w.-]*$")] | None = Field(
        None, description="where in the file the weights are, if they could be several"
    )


class Ablation(Section):
    """BAT over a grid; its (0, 0) cell is the run ``pgd-at`` (paper, figure 4)."""

    alpha: tuple[NotNegative, ...] = Field((0, 1, 2, 3), description="values of BAT's alpha")
    beta: tuple[NotNegative, ...] = Field((0, 0.1, 0.2, 0.3), description="values of BAT's beta")


class Studies(Section):
    """What memorizing atypical samples does to ERM and to adversarial training."""

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("seed",),
            ("atypical",),
            lambda of: not {*of.atypical} <= {0, 1},
            "is of the draw of atypical samples, and no share of them lies between 0 and 1; "
            "remove it, or list such a share under atypical",
        ),
    )

    training: StudyTraining = StudyTraining()
    atypical: tuple[Share, ...] = Field(
        (0, 0.2, 1), description="shares of the atypical samples beside all typical ones"
    )
    seed: Seed = Field(0, description="of the drawn part of the atypical samples")
    scores: tuple[EnsembleScore, ...] = Field(
        ENSEMBLE_SCORES,
        description="scores that take memorization's place in BAT(1, 0.2)",
    )

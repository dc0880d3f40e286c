"""Sections that say how something is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_serializer, model_validator

from bat.config.values import NO_TRUTH, Count, NotNegative, Number, Positive, Section, Share

LATER = {"warmup_epochs": None, "label_smoothing": 0.0}
"""Keys that recipes of before lack, with what stands for that."""


class Augmentation(Section):
    """Random shifts and mirror images, drawn anew for every batch."""

    crop: Annotated[int, Field(ge=0, le=64), NO_TRUTH] = Field(
        4, description="zero padding in pixels before a random crop of the original size"
    )
    flip: bool = Field(True, description="mirror half of the images left to right")


class Optimization(Section):
    """Stochastic gradient descent with momentum and a learning-rate schedule."""

    epochs: Count = 200
    batch_size: Count = 128
    lr: Positive = 0.1
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 5e-4
    schedule: Literal["piecewise", "cosine", "one_cycle", "constant"] = Field(
        "piecewise",
        description="one_cycle: a straight line up and one down to 0; with warmup 0 down alone",
    )
    milestones: tuple[Count, ...] = Field(
        (100, 150), description="piecewise: epochs after which the rate is multiplied by gamma"
    )
    gamma: Annotated[Number, Field(gt=0, le=1)] = 0.1
    warmup: Share = Field(0.2, description="one_cycle: share of the steps in which the rate rises")
    warmup_epochs: Count | None = Field(
        None,
        description="other schedules: epochs in which the rate rises in a straight line to lr "
        "first; cosine falls from there on; unset: none",
    )
    augmentation: Augmentation = Augmentation()
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="auto: bfloat16 autocast where the device has units for it (GPUs from Ampere "
        "on, CPUs with AVX512-BF16 or AMX), else float32; kept with each result",
    )

    @model_validator(mode="after")
    def _milestones(self):
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} must increase")
        if self.schedule == "piecewise" and any(m > self.epochs for m in self.milestones):
            raise ValueError(
                f"milestones {list(self.milestones)} lie beyond the {self.epochs} epochs; "
                "the rate would never decay there"
            )
        return self

    @model_validator(mode="after")
    def _look_ahead(self):
        if self.nesterov and not self.momentum:
            raise ValueError(
                "nesterov is a kind of momentum, and momentum is 0; set nesterov: false, or a "
                "momentum above 0"
            )
        return self

    @model_validator(mode="after")
    def _warm_up(self):
        rise = self.warmup_epochs
        if rise is None:
            return self
        if self.schedule == "one_cycle":
            raise ValueError("warmup_epochs is of other schedules; one_cycle rises by warmup")
        first = min((self.epochs, *(self.milestones if self.schedule == "piecewise" else ())))
        if rise >= first:
            what = "the end" if first == self.epochs else "the first milestone"
            raise ValueError(
                f"warmup_epochs ({rise}) leaves no epoch at the whole rate before {what} "
                f"({first}); lower it"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_later_keys(self, handler) -> dict:
        """Keys of version 0.2.0 are left out where they are not set: recipes of before stay."""
        return {k: v for k, v in handler(self).items() if k not in LATER or v != LATER[k]}


class SubsetTraining(Optimization):
    """ERM to interpolation, the recipe of the models behind the scores."""

    epochs: Count = 30
    lr: Positive = 0.2
    batch_size: Count = 256
    nesterov: bool = True
    schedule: Literal["piecewise", "cosine", "one_cycle", "constant"] = "one_cycle"
    milestones: tuple[Count, ...] = ()


class Training(Optimization):
    """The paper's settings for the comparison of methods (section 5)."""

    epochs: Count = 160
    milestones: tuple[Count, ...] = Field(
        (80, 120), description="piecewise: epochs after which the rate is multiplied by gamma"
    )
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.0,
        description="weight of the uniform distribution in the labels of the cross-entropy, on "
        "clean images or under attack, as the method has it; not in the attack's; not for mart",
    )


class StudyTraining(Training):
    """The paper's settings for the studies of section 3 and appendix B."""

    epochs: Count = 200
    milestones: tuple[Count, ...] = (150,)

"""Sections that say how something is trained."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_serializer, model_validator

from bat.config.values import (
    NO_TRUTH,
    Count,
    NotNegative,
    Number,
    Positive,
    ReadWhere,
    Section,
    Share,
)

LATER = {"warmup_epochs": None, "label_smoothing": 0.0}
"""Keys that recipes of before lack, with what stands for that."""

Schedule = Literal["piecewise", "cosine", "one_cycle", "constant"]

EPOCHS = "passes over the training samples"
BATCH_SIZE = "samples of one step"
LR = "highest learning rate of the schedule"
NESTEROV = "Nesterov's form of the momentum"
SCHEDULE = (
    "piecewise: falls at milestones; cosine: along half a cosine to 0; one_cycle: a straight line "
    "up and one down to 0, with warmup 0 down alone; constant: stays"
)
MILESTONES = "piecewise: epochs after which the rate is multiplied by gamma"


class Augmentation(Section):
    """Random shifts and mirror images, drawn anew for every batch."""

    crop: Annotated[int, Field(ge=0, le=64), NO_TRUTH] = Field(
        4, description="zero padding in pixels before a random crop of the original size"
    )
    flip: bool = Field(True, description="mirror half of the images left to right")


class Optimization(Section):
    """Stochastic gradient descent with momentum and a learning-rate schedule."""

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("milestones", "gamma"),
            ("schedule",),
            lambda of: of.schedule == "piecewise",
            "only the schedule piecewise reads it, and schedule is {of.schedule}; remove it, or "
            "set schedule: piecewise",
        ),
        ReadWhere(
            ("warmup",),
            ("schedule",),
            lambda of: of.schedule == "one_cycle",
            "only the schedule one_cycle reads it, and schedule is {of.schedule}; for a rise of "
            "the rate there set warmup_epochs, else remove it",
        ),
        ReadWhere(
            ("warmup_epochs",),
            ("schedule",),
            lambda of: of.schedule != "one_cycle",
            "other schedules read it, and one_cycle rises by warmup, a share of the steps; set "
            "that, or another schedule",
        ),
    )

    epochs: Count = Field(200, description=EPOCHS)
    batch_size: Count = Field(128, description=BATCH_SIZE)
    lr: Positive = Field(0.1, description=LR)
    momentum: Annotated[Number, Field(ge=0, lt=1)] = Field(0.9, description="of SGD; 0: none")
    nesterov: bool = Field(False, description=NESTEROV)
    weight_decay: NotNegative = Field(
        5e-4, description="L2 penalty of all parameters, as torch's SGD takes it"
    )
    schedule: Schedule = Field("piecewise", description=SCHEDULE)
    milestones: tuple[Count, ...] = Field((100, 150), description=MILESTONES)
    gamma: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.1, description="piecewise: factor of the rate at each milestone"
    )
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
        if rise is None or self.schedule == "one_cycle":
            return self
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

    epochs: Count = Field(30, description=EPOCHS)
    lr: Positive = Field(0.2, description=LR)
    batch_size: Count = Field(256, description=BATCH_SIZE)
    nesterov: bool = Field(True, description=NESTEROV)
    schedule: Schedule = Field("one_cycle", description=SCHEDULE)
    milestones: tuple[Count, ...] = Field((), description=MILESTONES)


class Training(Optimization):
    """The paper's settings for the comparison of methods (section 5)."""

    epochs: Count = Field(160, description=EPOCHS)
    milestones: tuple[Count, ...] = Field((80, 120), description=MILESTONES)
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.0,
        description="weight of the uniform distribution in the labels of the cross-entropy, on "
        "clean images or under attack, as the method has it; not in the attack's; not for mart",
    )


class StudyTraining(Training):
    """The paper's settings for the studies of section 3 and appendix B."""

    epochs: Count = Field(200, description=EPOCHS)
    milestones: tuple[Count, ...] = Field((150,), description=MILESTONES)

"""Sections of the scores, of the ensemble's scores, and of the groups made of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bat.addresses import address_problem, is_address, shown_address
from bat.config.architectures import Architecture
from bat.config.places import AddressOrPlace
from bat.config.proxies import AnyScore
from bat.config.trainers import Trainer
from bat.config.training import SubsetTraining
from bat.config.values import (
    NO_TRUTH,
    Count,
    Number,
    Positive,
    ReadWhere,
    Section,
    Seed,
    Share,
    TopShare,
    Trials,
)
from bat.scores import ATYPICAL_ABOVE, ENSEMBLE_SCORES, INFLUENCE_ABOVE

EnsembleScore = Literal[ENSEMBLE_SCORES]
ScoreTable = Literal[*ENSEMBLE_SCORES, "proxies", "convergence"]


class Influence(Section):
    pairs: Literal["same_class", "all"] = Field(
        "same_class", description="estimate between samples of one class, or all pairs"
    )
    keep_above: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.02, description="only pairs with a higher influence are kept"
    )


class Scores(Section):
    """Memorization and influence from trainings on random subsets (paper, A.1)."""

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("min_trials", "max_trials", "precise_share"),
            ("trials",),
            lambda of: of.trials == "auto",
            "{key} says when trials: auto has enough, and trials is {of.trials}; remove it, or "
            "set trials: auto",
        ),
        ReadWhere(
            ("sha256", "match", "tables"),
            ("source",),
            lambda of: of.source is not None,
            "{key} says something of a source, and source is not given; remove it, or name the "
            "source",
        ),
    )

    architecture: Architecture = Field(
        "resnet9", description="what the trials train: a built-in network, or one of your own"
    )
    trainer: Trainer | None = Field(
        None,
        description="a training of your own in place of the architecture, as my_training.py:train",
    )
    trials: Trials = Field(
        1000,
        description="subset trainings; auto trains jobs until the standard error of memorization "
        "is at most precision for precise_share of the samples, or max_trials are trained",
    )
    min_trials: Annotated[int, Field(ge=2), NO_TRUTH] = Field(
        100, description="trials after which auto looks for the first time"
    )
    max_trials: Annotated[int, Field(ge=2), NO_TRUTH] = Field(
        1000, description="trials after which auto ends, precise or not"
    )
    precise_share: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.95, description="of the training samples, those that auto asks the precision of"
    )
    trials_per_job: Count = Field(50, description="trials that one job trains in one process")
    seconds_per_trial: dict[Architecture, Positive] = Field(
        {},
        description="measured seconds, as `python -m bat plan` prints them; jobs of the "
        "architecture then get as many trials as job_minutes hold, in place of trials_per_job",
    )
    job_minutes: Count = Field(60, description="minutes that a job of trials is meant to take")
    subset_ratio: Annotated[Number, Field(gt=0, lt=1)] = Field(
        0.7, description="share of the training samples that each trial is trained on"
    )
    seed: Seed = Field(0, description="of subsets and trainings, with the number of the trial")
    training: SubsetTraining = SubsetTraining()
    margins: bool = Field(
        True,
        description="trials keep how far from wrong they were on every sample, 2 bytes each; "
        "changing it trains nothing again",
    )
    min_included_accuracy: Share = Field(
        0.99, description="mean accuracy on the samples trained on, below which scores are flagged"
    )
    allow_unfitted: bool = Field(
        False,
        description="take scores of models whose mean accuracy on the samples trained on is less "
        "than half-way from chance to 1; they are noise, refused by default, and marked as such",
    )
    influence: Influence = Influence()
    precision: Positive = Field(
        0.05, description="standard error that auto and the convergence study ask trials for"
    )
    source: AddressOrPlace | None = Field(
        None,
        description="tables to use as they are, so that nothing is trained for them: an archive "
        "of `scores export`, a folder of tables, published arrays, a list of memorization scores "
        "(csv, npy, npz, ...), or an http(s) address of one; what follows its "
        "?, as a token, is used for the download and kept in no file, and $VARIABLES there are "
        "expanded",
    )
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="of the source; required with an address"
    )
    match: Literal["fingerprint", "index", "source_index", "file_name"] = Field(
        "fingerprint", description="what tells which row of the source is which sample in use"
    )
    tables: tuple[ScoreTable, ...] = Field(
        (), description="what is used of the source beside memorization, influence and test"
    )

    @model_validator(mode="after")
    def _enough(self):
        if self.trials == "auto" and self.min_trials > self.max_trials:
            raise ValueError(
                f"min_trials ({self.min_trials}) must not exceed max_trials ({self.max_trials})"
            )
        return self

    @model_validator(mode="after")
    def _sourced(self):
        if self.source is not None and is_address(self.source):
            if problem := address_problem(self.source):
                raise ValueError(f"source {shown_address(self.source)!r} {problem}")
            if self.sha256 is None:
                raise ValueError("source is an address, so sha256 must say which file is meant")
        return self


class Ensemble(Section):
    """Disagreement and confidence over subset trainings of several architectures."""

    architectures: tuple[Architecture, ...] = Field(
        ("resnet9", "wrn-16-2"),
        description="two or more; trials of scores.architecture are members where it is among them",
    )
    members: Annotated[int, Field(ge=2), NO_TRUTH] = Field(
        50, description="models of each architecture"
    )
    samples: Literal["held_out", "in_sample"] = Field(
        "held_out", description="held_out: for each sample only models that did not train on it"
    )

    @model_validator(mode="after")
    def _several(self):
        if len(set(self.architectures)) < 2:
            raise ValueError("at least two different architectures make an ensemble (paper, A.1)")
        if len(set(self.architectures)) < len(self.architectures):
            raise ValueError("an architecture is listed twice")
        return self


class Groups(Section):
    """Thresholds of the typical and atypical sets (paper, 3.1 and 3.2)."""

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("top", "bottom"),
            ("score",),
            lambda of: of.score is not None,
            "{key} is a share of the samples by score; set score, or remove it",
        ),
        ReadWhere(
            ("typical_below",),
            ("score",),
            lambda of: of.score is None,
            "typical_below is the threshold of memorization, and the groups go by the ends of "
            "{of.score}; remove it, or say with bottom which share is typical",
        ),
    )

    score: AnyScore | None = Field(
        None,
        description="whose ends the training groups are; unset: memorization, by the thresholds "
        "below. Test samples go by the influence of the atypical training samples either way",
    )
    top: TopShare | None = Field(
        None, description="share of the training samples that are atypical by that score"
    )
    bottom: TopShare = Field(
        0.5, description="share of the training samples that are typical by that score"
    )
    atypical_above: Share = Field(
        ATYPICAL_ABOVE, description="memorization above which a training sample is atypical"
    )
    typical_below: Share = Field(
        0.02, description="memorization below which a training sample is typical"
    )
    influence_above: Share = Field(
        INFLUENCE_ABOVE,
        description="influence of an atypical training sample of its class above which a test "
        "sample is atypical",
    )
    influence_touch: Share = Field(
        0.02,
        description="influence up to which atypical training samples leave a test sample typical",
    )
    min_accuracy: Share = Field(
        0.8, description="share of the models that get a typical test sample right, at least"
    )
    significance: Positive | None = Field(
        None,
        description="ask also that value / standard error exceed this number; with another score "
        "of influence alone",
    )
    false_discovery: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        None,
        description="ask also that a member is real: the share of false ones among the atypical "
        "samples stays below this (Benjamini-Hochberg of exact tests, of test samples by Simes, "
        "and of their margins where trials have them); with another score of test samples alone",
    )

    @model_validator(mode="after")
    def _of_a_score(self):
        if self.score is None:
            return self
        if self.top is None:
            raise ValueError(
                f"score {self.score} needs top, the share of the training samples that is "
                "atypical (as top: 0.1)"
            )
        if self.top + self.bottom > 1:
            raise ValueError(
                f"top ({self.top:g}) and bottom ({self.bottom:g}) are more than all samples "
                "together: a sample would be both; lower one of them"
            )
        return self

    @model_validator(mode="after")
    def _apart(self):
        if self.typical_below > self.atypical_above:
            raise ValueError(
                f"typical_below ({self.typical_below:g}) must not exceed atypical_above "
                f"({self.atypical_above:g}): a sample would be both"
            )
        if self.significance is not None and self.false_discovery is not None:
            raise ValueError("significance and false_discovery are two rules; set one of them")
        return self

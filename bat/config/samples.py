"""Which training samples a run trains on, and which of them count as memorized."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from bat.config.places import Place
from bat.config.proxies import AnyScore
from bat.config.values import ReadWhere, Section, Seed, Share, TopShare
from bat.scores.proxies import PROXIES


class TrainOn(Section):
    """The training samples of a run, by the share of the atypical ones."""

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("seed",),
            ("atypical",),
            lambda of: of.atypical not in (None, 0, 1),
            "is of the draw of atypical samples, and none are drawn; remove it, or set atypical "
            "to a share between 0 and 1",
        ),
    )

    atypical: Share | None = Field(
        None,
        description="unset: the whole training set; else all typical samples and this share of "
        "the atypical ones, drawn by seed (paper, 3.2)",
    )
    seed: Seed = Field(0, description="of the draw")


def with_threshold(section):
    """Refuse a score with two thresholds, or none."""
    if section.top is not None and (section.sigma is not None or section.score is None):
        other = "score is not given" if section.score is None else "sigma is another one"
        raise ValueError(f"top is the threshold of a score, and {other}")
    if section.score in PROXIES and section.top is None:
        unranged = ", not sigma: its values have no range of their own"
        raise ValueError(
            f"score {section.score} needs top, the share of the samples that counts as memorized "
            f"(as top: 0.1){'' if section.sigma is None else unranged}"
        )
    return section


DROPPED = "drop: atypical, or drop: {score: memorization, top: 0.1}"
BOTH = "train_on and samples both choose the training samples; keep one of them"
WRITTEN = (
    "samples: all, typical, {drop: atypical}, {drop: {score: memorization, top: 0.1}}, or "
    "{keep: file.csv}"
)


class Dropped(Section):
    """Training samples that a run leaves out: a group, or those of highest score."""

    group: Literal["atypical"] | None = Field(None, description="also written drop: atypical")
    score: AnyScore | None = Field(
        None, description="whose end of the atypical samples is left out"
    )
    sigma: Share | None = Field(
        None, description="threshold of the score; unset, and top too: as of bat"
    )
    top: TopShare | None = Field(
        None, description="in place of sigma: the share of the samples that is left out"
    )

    @model_validator(mode="after")
    def _one_way(self):
        if self.score is None and self.sigma is not None:
            raise ValueError("sigma is the threshold of a score, and score is not given")
        with_threshold(self)
        if (self.group is None) == (self.score is None):
            raise ValueError(
                f"names {'no' if self.group is None else 'both a'} group and "
                f"{'no' if self.group is None else 'a'} score; write {DROPPED}"
            )
        return self


def _group(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value != "atypical":
        raise ValueError(f"{value!r} is no group to leave out; write {DROPPED}")
    return {"group": value}


def _or(*words: str):
    """A schema's addition of words that may stand in the place of a section."""
    return Field(json_schema_extra=lambda schema: schema["anyOf"].append({"enum": list(words)}))


class Samples(Section):
    """All training samples but some, or none but some."""

    drop: Annotated[Dropped | None, BeforeValidator(_group), _or("atypical")] = None
    keep: Place | None = Field(
        None,
        description="CSV with the positions of the samples to train on, from 0 up, in a column "
        "`index` or one a line; ~ and $VARIABLES are expanded",
    )

    @model_validator(mode="after")
    def _one_way(self):
        if (self.drop is None) == (self.keep is None):
            raise ValueError(f"expected one way to choose; write {WRITTEN}")
        return self


MEMORIZATION = "memorization"  # what groups and BAT go by unless they name another score

WITHOUT_MEMORIZED = (
    "bat lets poisoning samples among the memorized ones weigh less, and these leave none of them "
    "in; choose another method, or alpha: 0 for its second loss alone"
)


def not_typical(raw: Any, info: ValidationInfo) -> Any:
    """Refuse BAT of weights for memorized samples on those that are typical by the same score."""
    if not isinstance(raw, dict) or raw.get("samples") != "typical":
        return raw
    grouped_by = (info.context or {}).get("groups", MEMORIZATION)
    if raw.get("score", MEMORIZATION) == grouped_by and raw.get("alpha") != 0:
        raise ValueError(f"samples: {WITHOUT_MEMORIZED}")
    return raw


def _no_word(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f"{value!r} chooses no samples; write {WRITTEN}")
    return value


class Chosen(Section):
    """What says the training samples of a run."""

    train_on: TrainOn = TrainOn()
    samples: Annotated[Samples | None, BeforeValidator(_no_word), _or("all", "typical")] = Field(
        None,
        description="all; typical, that group alone, as train_on: {atypical: 0}; {drop: atypical}, "
        "all but that group; {drop: {score: memorization, top: 0.1}}, all but those of highest "
        "score; {keep: file.csv}, a list of your own. Samples keep their numbers",
    )

    @model_validator(mode="before")
    @classmethod
    def _words(cls, raw: Any) -> Any:
        """``samples: typical`` is a way to write what ``train_on`` says, ``all`` is its default."""
        if not isinstance(raw, dict) or raw.get("samples") not in ("all", "typical"):
            return raw
        if raw.get("train_on"):
            raise ValueError(BOTH)
        said = {} if raw["samples"] == "all" else {"train_on": {"atypical": 0.0}}
        return {key: value for key, value in raw.items() if key != "samples"} | said

    @model_validator(mode="after")
    def _one_way(self):
        if self.samples is not None and self.train_on != TrainOn():
            raise ValueError(BOTH)
        return self

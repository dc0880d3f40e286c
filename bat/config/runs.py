"""Sections of adversarial training: one class a method, what is selected, measured, evaluated."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bat.config.averaging import Averaging, with_epochs_to_average
from bat.config.awp import Awp, awp_sets_in, without_awp
from bat.config.code import Code, Settings
from bat.config.methods import with_epochs_to_weigh, with_smooth_labels
from bat.config.proxies import AnyScore
from bat.config.samples import Chosen, not_typical, with_threshold
from bat.config.starting import StartFrom
from bat.config.training import Training
from bat.config.values import (
    NO_TRUTH,
    Count,
    Epsilon,
    Name,
    NotNegative,
    Number,
    Positive,
    ReadWhere,
    Section,
    Seed,
    Share,
    Step,
    TopShare,
)
from bat.scores.registry import default_sigmas

METHOD = "names the method"
GAUSSIAN = "deviation of the noise that the attack starts from, on the [0, 1] pixel scale"
SLOPE = "of the weight 3 sigmoid(slope (margin + bias)), of a sample"
BIAS = "added to the margin, the largest wrong probability less that of the label"


class Adversary(Section):
    """The attack of adversarial training; methods may set their own values."""

    eps: Epsilon = Field(
        8 / 255, description="l_inf radius of the ball around an image; 8/255 or 0.031, not 8"
    )
    step: Step = Field(2 / 255, description="size of a step of PGD, on the same scale")
    steps: Count = Field(10, description="steps of PGD")


class Selection(Section):
    """Which epoch's model counts as a run's result, by its accuracy under PGD."""

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("validation",),
            ("by",),
            lambda of: of.by == "validation",
            "by is {of.by}, which holds out no training samples; remove it, or set by: validation",
        ),
        ReadWhere(
            ("steps",),
            ("by",),
            lambda of: of.by != "last",
            "by is last, which attacks no model to select one; remove it, or set by: validation",
        ),
    )

    by: Literal["validation", "test", "last"] = Field(
        "validation",
        description="validation: samples held out from training; test: the paper's protocol, "
        "which selects on the test set; last: the last epoch",
    )
    validation: Share = Field(0.02, description="share of the training samples held out for it")
    steps: Count = Field(10, description="PGD steps")

    @model_validator(mode="after")
    def _leaves_some(self):
        if self.by == "validation" and self.validation in (0, 1):
            held = "none" if self.validation == 0 else "all"
            raise ValueError(
                f"validation ({self.validation:g}) holds out {held} of the training samples; "
                "choose a share that leaves some on both sides, or by: last"
            )
        return self


class History(Section):
    """What is measured along training, on every split and group."""

    every: Annotated[int, Field(ge=0), NO_TRUTH] = Field(
        10, description="epochs; 0 measures the last only"
    )
    steps: Count = Field(20, description="PGD steps")
    max_samples: Count | Literal["all"] | None = Field(
        None,
        description="measure at most this many samples of each split, drawn by seed; unset: 2000",
    )


class OwnAttack(Section):
    """An attack of one's own: a function of ``model``, ``x``, ``y`` and ``eps`` that gives images.

    What it gives is refused outside of the ball of ``evaluation.eps`` and of [0, 1].
    """

    attack: Code
    settings: Settings = Field({})


class Masking(Section):
    """Whether a model is robust or only hides its gradient, asked by attacks that need none of it.

    More steps, images made on another seed's model, Square and an unbounded PGD; PGD is that of
    ``evaluation``, with 10 steps and 100 of eps / 5 or longer, so that 10 cross the ball.
    """

    samples: Count = Field(200, description="of the evaluated ones, the first of the draw by seed")
    queries: Count = Field(1000, description="of Square, for each sample at most")


class Evaluation(Section):
    """The columns of the tables; unset values are those of the adversary."""

    eps: Epsilon | None = Field(
        None, description="l_inf radius of every attack; unset: the adversary's"
    )
    pgd_steps: Count = Field(100, description="steps of PGD")
    pgd_step: Step | None = Field(None, description="size of a step of PGD; unset: the adversary's")
    pgd_restarts: Count = Field(
        1, description="starts of PGD; a sample counts as robust if it withstands all of them"
    )
    pgd_more: tuple[Count, ...] = Field(
        (),
        description="steps of further PGD attacks, each with a column of its own: [20] beside the "
        "100 of pgd_steps",
    )
    cw_steps: Count = Field(100, description="steps of PGD on the margin loss of CW")
    cw_step: Step | None = Field(None, description="size of a step of CW; unset: the adversary's")
    autoattack: Literal["standard", "aa-fast", "none"] = Field(
        "standard",
        description="standard: the whole AutoAttack; aa-fast: APGD-CE and targeted APGD only; "
        "none: no such column",
    )
    batch_size: Count = Field(500, description="images attacked at once")
    seed: Seed = Field(0, description="of random starts, of AutoAttack and of max_samples")
    max_samples: Count | None = Field(
        None, description="evaluate only this many test samples, the first of a draw by seed"
    )
    masking: Masking | None = Field(
        None, description="check every evaluated model for a masked gradient; unset: none is"
    )
    last: bool = Field(
        False,
        description="judge the models of the last epoch too, beside those of the epoch selected: "
        "the difference is robust overfitting",
    )
    attacks: dict[Name, OwnAttack] = Field(
        {}, description="attacks of your own, by the name of their column"
    )


class Run(Chosen):
    """One training: a method, on some samples, with its own settings where they differ."""

    training: Training = Training()
    selection: Selection | None = Field(None, description="unset: the data set's")
    start_from: StartFrom = None
    averaging: Averaging | None = Field(
        None,
        description="of the weights along training; the averaged model is what is selected, "
        "followed and evaluated; unset: none",
    )
    _smooths = model_validator(mode="after")(with_smooth_labels)
    _averages = model_validator(mode="after")(with_epochs_to_average)


class ErmRun(Run):
    """Empirical risk minimization on clean images."""

    method: Literal["erm"] = Field("erm", description=METHOD)

    _without_awp = model_validator(mode="before")(without_awp)


class AttackRun(Run):
    eps: Epsilon | None = Field(None, description="unset: the adversary's")
    step: Step | None = Field(None, description="unset: the adversary's")
    steps: Count | None = Field(None, description="unset: the adversary's")
    awp: Awp | None = Field(
        None, description="weight perturbation with the method's own loss; unset: none"
    )

    _awp_sets_in = model_validator(mode="after")(awp_sets_in)


class PgdAtRun(AttackRun):
    """PGD adversarial training."""

    method: Literal["pgd-at"] = Field("pgd-at", description=METHOD)
    mode: Literal["train", "eval"] = Field("train", description="mode during the attack")


class ReferenceRun(AttackRun):
    step: Step | None = Field(
        None, description="unset: the reference's 0.007 at 0.031, in proportion to eps"
    )


class TradesRun(ReferenceRun):
    """TRADES; beta is 1 / lambda."""

    method: Literal["trades"] = Field("trades", description=METHOD)
    beta: NotNegative = Field(5.0, description="weight of the divergence beside the clean loss")
    gaussian: Epsilon = Field(0.001, description=GAUSSIAN)


class MartRun(ReferenceRun):
    """MART."""

    method: Literal["mart"] = Field("mart", description=METHOD)
    beta: NotNegative | None = Field(
        None,
        description="weight of the divergence; unset: the reference's 6 for wide residual "
        "networks, 5 for others",
    )
    gaussian: Epsilon = Field(0.001, description=GAUSSIAN)


class GairatRun(ReferenceRun):
    """GAIRAT; shift is its Lambda."""

    method: Literal["gairat"] = Field("gairat", description=METHOD)
    shift: Number = Field(-1.0, description="Lambda of its weights")
    begin: Share = Field(
        0.5,
        description="the weights set in with the epoch at this share of the training, as in the "
        "reference: with 0.5 the 60th of 120 epochs, or the third of 6, is the first with them",
    )


class Mail(Section):
    slope: Number = Field(description=SLOPE)
    bias: Number = Field(description=BIAS)
    begin: Share = Field(
        0.625,
        description="share of the training without weights; in the reference 75 of 120 epochs",
    )
    _weighs = model_validator(mode="after")(with_epochs_to_weigh)


class MailAtRun(Mail, ReferenceRun):
    """Adversarial training weighted by probability margins; slope and bias as in the paper."""

    method: Literal["mail-at"] = Field("mail-at", description=METHOD)
    gaussian: Epsilon = Field(0.001, description=GAUSSIAN)
    slope: Number = Field(10.0, description=SLOPE)
    bias: Number = Field(-0.5, description=BIAS)


class MailTradesRun(Mail, TradesRun):
    """TRADES whose divergence is weighted by probability margins; defaults as in the paper."""

    method: Literal["mail-trades"] = Field("mail-trades", description=METHOD)
    slope: Number = Field(2.0, description=SLOPE)
    bias: Number = Field(0.0, description=BIAS)


class MailMartRun(Mail, MartRun):
    """MART whose boosted cross-entropy is so weighted; defaults of the authors' script."""

    method: Literal["mail-mart"] = Field("mail-mart", description=METHOD)
    slope: Number = Field(1.0, description=SLOPE)
    bias: Number = Field(-1.5, description=BIAS)


class BatRun(PgdAtRun):
    """Benign adversarial training."""

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("temperature", "form"),
            ("beta",),
            lambda of: of.beta > 0,
            "is of the discrimination loss, and beta: 0 leaves that out; remove it, or set a beta "
            "above 0",
        ),
    )

    method: Literal["bat"] = Field("bat", description=METHOD)
    alpha: NotNegative = Field(
        1.0,
        description="how strongly a memorized sample that is misclassified under attack loses "
        "weight (equation 7); 0: all weigh the same",
    )
    beta: NotNegative = Field(
        0.2, description="weight of the discrimination loss (equation 8); 0: none"
    )
    temperature: Positive = Field(0.1, description="of the discrimination loss")
    form: Literal["printed_normalized", "printed_raw", "infonce"] = Field(
        "printed_normalized",
        description="of the discrimination loss: as printed, of features of length 1; as printed, "
        "of the features as they are; InfoNCE, with the positive pair in the denominator",
    )
    score: AnyScore = Field("memorization", description="that says which samples are memorized")
    sigma: Share | None = Field(
        None,
        description=f"threshold of the score; unset: {default_sigmas()}",
    )
    top: TopShare | None = Field(
        None,
        description="in place of sigma: the share of the samples that counts as memorized, those "
        "that the score ranks highest; scores of single trainings have no other threshold",
    )

    _has_memorized = model_validator(mode="before")(not_typical)
    _one_threshold = model_validator(mode="after")(with_threshold)


class OwnRun(AttackRun):
    """A method of one's own, written ``method: mail.py:MAIL``.

    A class derived from ``bat.objectives.Objective``, made with the settings and, where its
    signature has them, ``eps``, ``step`` and ``steps``.
    """

    method: Literal["own"] = Field(
        description="written as the class, path/to/file.py:attribute; filled in as own"
    )
    objective: Code
    settings: Settings = Field({})
    score: AnyScore | None = Field(
        None, description="that tells which samples of a batch are memorized, where it asks"
    )
    sigma: Share | None = Field(None, description="threshold of the score; unset: as of bat")
    top: TopShare | None = Field(None, description="as of bat")

    @model_validator(mode="after")
    def _of_a_score(self):
        if self.sigma is not None and self.score is None:
            raise ValueError("sigma is the threshold of a score, and score is not given")
        return with_threshold(self)


AnyRun = Annotated[
    ErmRun
    | PgdAtRun
    | TradesRun
    | MartRun
    | GairatRun
    | MailAtRun
    | MailTradesRun
    | MailMartRun
    | BatRun
    | OwnRun,
    Field(discriminator="method"),
]

RUNS = {
    "pgd-at": PgdAtRun(),
    "trades": TradesRun(),
    "mart": MartRun(),
    "gairat": GairatRun(),
    "bat-1-0.2": BatRun(alpha=1, beta=0.2),
    "bat-2-0.2": BatRun(alpha=2, beta=0.2),
}

"""The configuration: typed, closed, checked before anything runs.

A configuration names data sets; each data set is one section that holds all
its settings. The top-level section ``defaults`` is laid under every data set,
so that what they share is written once. Every default here is the paper's
where the paper gives one.

Epsilons and step sizes are on the [0, 1] pixel scale and may be written as
fractions, ``8/255``.
"""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
import types
import typing
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from bat import extensions
from bat.addresses import address_problem, is_address, shown_address
from bat.config.networks import gathered
from bat.errors import BatError
from bat.escaping import plain
from bat.reading import regular_file


class ConfigError(BatError):
    """Everything that is wrong with one configuration, one line each."""

    def __init__(self, source: str, problems: list[str]):
        self.problems = problems
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__(
            f"{source}: {count} in the configuration\n" + "\n".join(f"  {p}" for p in problems)
        )


class Section(pydantic.BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


# -- values ---------------------------------------------------------------------------------


def _fraction(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(Fraction(value.replace(" ", "")))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a number; write 0.031 or a fraction as 8/255") from None


def _pixel_scale(value: float) -> float:
    if 1 < value <= 255:
        raise ValueError(
            f"{value:g} is outside [0, 1]: this is on the pixel scale from 0 to 1; "
            f"write {value:g}/255 if 8-bit levels are meant"
        )
    if not 0 <= value <= 1:
        raise ValueError(f"{value:g} is outside [0, 1] (pixel scale); an example is 8/255")
    return value


Number = Annotated[float, BeforeValidator(_fraction)]
Epsilon = Annotated[
    float,
    BeforeValidator(_fraction),
    AfterValidator(_pixel_scale),
    Field(
        description="l_inf distance on the [0, 1] pixel scale; a fraction as 8/255 is accepted",
        json_schema_extra={"type": ["number", "string"]},
    ),
]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} cannot name a folder; use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit"
        )
    return value


Name = Annotated[str, AfterValidator(_name)]

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([^}]*)\})", re.ASCII)


def _place(value: Any, info: ValidationInfo) -> Any:
    """A path without control characters; ``~`` and variables expanded where a file is read.

    A specification holds what they stood for, and is taken as it is.
    """
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if (info.context or {}).get("expand"):
        text = _expanded(text)
    odd = sorted({c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")})
    if odd:
        raise ValueError(
            f"{text!r} holds {', '.join(f'U+{ord(c):04X}' for c in odd)}: line breaks and control "
            "characters cannot stand in a path"
        )
    return text


def _expanded(text: str) -> str:
    def variable(match: re.Match) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(f"{text!r}: the variable {name!r} is not set; set it, or write it out")
        return os.environ[name]

    expanded = os.path.expanduser(_VARIABLE.sub(variable, text))
    if text.startswith("~") and expanded.startswith("~"):
        raise ValueError(
            f"{text!r}: {text.split('/')[0]!r} is no home folder known here; write the path out, "
            f"or ./{text} for a folder of that name"
        )
    return expanded


def _address_or_place(value: Any, info: ValidationInfo) -> Any:
    is_address = isinstance(value, str) and "://" in value
    return value if is_address else _place(value, info)


def _no_pattern(value: Path) -> Path:
    text = str(value)
    if found := re.search(r"\{\s*\w+\s*(,[^{}]*)?\}|<[a-z][a-z0-9_]*>", text):
        raise ValueError(
            f"{text!r}: Snakemake takes {found[0]!r} for a part to be filled in; use another name"
        )
    return value


def _no_option(value: Path) -> Path:
    text = str(value)
    if text.startswith("-"):
        raise ValueError(
            f"{text!r} begins with '-', so commands take it for an option; "
            f"write it with its whole path, as {Path(text).absolute()}"
        )
    return value


Place = Annotated[
    Path,
    BeforeValidator(_place),
    Field(description="~ and $VARIABLES are expanded"),
]
WorkflowPlace = Annotated[Place, AfterValidator(_no_pattern)]
"""That Snakemake itself reads or writes."""
AddressOrPlace = Annotated[str, BeforeValidator(_address_or_place)]

ARCHITECTURES = {
    r"small_cnn(?:-(\d+))?": "small_cnn or small_cnn-WIDTH",
    r"resnet9(?:-(\d+))?": "resnet9 or resnet9-WIDTH",
    r"resnet(18|34)(?:-(\d+))?": "resnet18, resnet34 (optionally -WIDTH of the first stage)",
    r"resnet(20|32|44|56|110)": "resnet20, 32, 44, 56, 110 (three stages)",
    r"wrn-(\d+)-(\d+)": "wrn-DEPTH-WIDTH, as wrn-28-10 (DEPTH = 6 n + 4)",
}

SMALLEST = {r"small_cnn(?:-\d+)?": 4, r"resnet9(?:-\d+)?": 8}
"""Edge in pixels of the smallest image that an architecture's poolings leave anything of."""
EDGES = {"digits": 8, "fashion_mnist": 28, "cifar10": 32, "cifar100": 32, "tiny_imagenet": 64}
"""Edge in pixels of the images of the sources whose size is known."""


def smallest_edge(architecture: str) -> int:
    """Edge in pixels of the smallest image that a network can be trained on.

    >>> smallest_edge("resnet9-16"), smallest_edge("resnet18")
    (8, 1)
    """
    return next((n for pattern, n in SMALLEST.items() if re.fullmatch(pattern, architecture)), 1)


def _is_built_in(architecture: str) -> bool:
    return any(re.fullmatch(pattern, architecture) for pattern in ARCHITECTURES)


def _architecture(value: str, info: ValidationInfo) -> str:
    if value in (info.context or {}).get("networks", ()):
        return value
    if not _is_built_in(value):
        known = "; ".join(ARCHITECTURES.values())
        raise ValueError(
            f"{value!r} is not an architecture. Known: {known}; or a network of your own, as "
            "{name: tiny, network: 'nets.py:Tiny'}"
        )
    if re.search(r"-0+$", value):
        raise ValueError(f"{value!r}: the width must be 1 or more")
    wrn = re.fullmatch(r"wrn-(\d+)-(\d+)", value)
    if wrn and ((int(wrn[1]) - 4) % 6 or int(wrn[1]) < 10 or int(wrn[2]) < 1):
        raise ValueError(f"{value!r}: the depth must be 6 n + 4 with n >= 1 (10, 16, 22, 28, 34)")
    return value


Architecture = Annotated[
    str,
    AfterValidator(_architecture),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/NamedNetwork"}]}),
]


# -- code of one's own ----------------------------------------------------------------------


def _code(value: Any, info: ValidationInfo) -> Any:
    value = _place(value, info)
    if isinstance(value, str) and not extensions.FORM.fullmatch(value):
        raise ValueError(f"{value!r} names no code; {extensions.HINT}")
    return value


def _json_values(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"settings must be numbers, texts, lists and mappings ({error})") from None
    return value


Code = Annotated[
    str,
    BeforeValidator(_code),
    Field(
        description="path/to/file.py:attribute, relative to the working directory, or "
        "module:attribute; run by jobs alone"
    ),
]
Settings = Annotated[
    dict[str, Any],
    AfterValidator(_json_values),
    Field(description="arguments that it is called with beside the package's"),
]


class Network(Section):
    """A network of one's own: a class or function that gives an ``nn.Module``.

    It is called with ``n_classes`` (or ``num_classes``) and, where its signature has them,
    ``channels`` and ``image_size``; it takes images in [0, 1] and returns logits.
    """

    network: Code
    settings: Settings = {}
    head: Annotated[str, Field(pattern=r"^[\w.]+$")] | None = Field(
        None, description="the module whose input are the features; unset: the last linear layer"
    )


# -- data -----------------------------------------------------------------------------------


class Subsample(Section):
    """Keep a part of the data, drawn by seed, equally from every class.

    ``train`` and ``test`` are total numbers of samples; ``train_per_class``
    and ``test_per_class`` numbers for each class.
    """

    train: Count | None = None
    test: Count | None = None
    train_per_class: Count | None = None
    test_per_class: Count | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _one_of(self):
        for split in ("train", "test"):
            if getattr(self, split) and getattr(self, f"{split}_per_class"):
                raise ValueError(f"give {split} or {split}_per_class, not both")
        return self


class LabelNoise(Section):
    """Make a share of the training labels wrong, by seed (for validation studies)."""

    share: Share = 0.0
    seed: Seed = 0


class Data(Section):
    subsample: Subsample = Subsample()
    label_noise: LabelNoise = LabelNoise()
    resize: Annotated[int, Field(ge=4, le=512)] | None = Field(
        None,
        description="edge in pixels to which every image is resized; unset refuses mixed sizes",
    )

    @model_serializer(mode="wrap")
    def _serialize(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``held_out`` where it is unset: such specifications stay as they were."""
        values = serialize(self)
        return {k: v for k, v in values.items() if k != "held_out" or v is not None}


class HeldOut(Section):
    """Take the test set out of the training images, by seed, where a source has none.

    ``share`` takes that part of every class, ``samples`` a total number,
    equally from every class.
    """

    share: Annotated[Number, Field(gt=0, lt=1)] | None = None
    samples: Count | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _one_of(self):
        if (self.share is None) == (self.samples is None):
            raise ValueError("give share or samples, one of them")
        return self


OptionalHeldOut = Annotated[
    HeldOut | None,
    Field(description="a test set taken out of the training images, where there is none"),
]


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _unlisted(paths: tuple[Path, ...]) -> str | list[str]:
    return str(paths[0]) if len(paths) == 1 else [str(path) for path in paths]


Files = Annotated[
    tuple[Place, ...],
    BeforeValidator(_listed),
    PlainSerializer(_unlisted),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
    Field(min_length=1),
]
"""One path or a list of them; each a file, a folder, or a pattern as ``train-*.parquet``."""


class DigitsData(Data):
    """The 1,797 handwritten digits (8 x 8) that come with scikit-learn."""

    source: Literal["digits"] = "digits"
    n_test: Count = Field(500, description="samples held out as the test set, equally by class")
    seed: Seed = Field(0, description="seed of the split into training and test set")


class TorchvisionData(Data):
    """A data set of torchvision, downloaded with its checksums into ``folder``."""

    source: Literal["fashion_mnist", "cifar10", "cifar100"]
    folder: Place = Path("resources/data")
    download: bool = True


class TinyImagenetData(Data):
    """Tiny ImageNet from its official zip or the folder unpacked from it."""

    source: Literal["tiny_imagenet"]
    path: Place = Path("resources/data/tiny-imagenet-200.zip")
    download: bool = True
    classes: Annotated[int, Field(ge=2, le=200)] = Field(50, description="the first N classes")
    class_order: Literal["sorted", "wnids"] = Field(
        "sorted", description="sorted WordNet ids, or the order of wnids.txt"
    )


class ImageFolderData(Data):
    """``path/train`` and ``path/test`` (or ``val``), each with one folder of images per class.

    Without a test set, ``held_out`` takes one out of the training images; then the folders of the
    classes may lie directly in ``path``. Files that are no images are left out and counted.
    """

    source: Literal["image_folder"]
    path: Place
    channels: Literal[1, 3] = 3
    held_out: OptionalHeldOut = None


class ParquetData(Data):
    """Parquet as on the Hugging Face hub.

    `train` and `test` are a file, a folder, a pattern as `data/train-*.parquet`, or a list of
    these. Of a folder that holds the shards of several splits each takes its own, by file name.
    """

    source: Literal["parquet"]
    train: Files
    test: Files | None = Field(None, description="required unless a test set is held out")
    image_column: str = "image"
    label_column: str = "label"
    channels: Literal[1, 3] = 3
    held_out: OptionalHeldOut = None

    @model_validator(mode="after")
    def _has_test(self):
        if (self.test is None) == (self.held_out is None):
            raise ValueError(
                "give test, the files of the test set, or held_out (as {share: 0.2}) to take it "
                "out of the training images; one of them"
            )
        return self


AnyData = Annotated[
    DigitsData | TorchvisionData | TinyImagenetData | ImageFolderData | ParquetData,
    Field(discriminator="source"),
]


# -- training -------------------------------------------------------------------------------


class Augmentation(Section):
    """Random shifts and mirror images, drawn anew for every batch."""

    crop: Annotated[int, Field(ge=0, le=64)] = Field(
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
    schedule: Literal["piecewise", "cosine", "one_cycle", "constant"] = "piecewise"
    milestones: tuple[Count, ...] = Field(
        (100, 150), description="piecewise: epochs after which the rate is multiplied by gamma"
    )
    gamma: Annotated[Number, Field(gt=0, le=1)] = 0.1
    warmup: Share = Field(0.2, description="one_cycle: share of the steps in which the rate rises")
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


class SubsetTraining(Optimization):
    """ERM to interpolation, the recipe of the models behind the scores."""

    epochs: Count = 30
    lr: Positive = 0.2
    batch_size: Count = 256
    nesterov: bool = True
    schedule: Literal["piecewise", "cosine", "one_cycle", "constant"] = "one_cycle"
    milestones: tuple[Count, ...] = ()


class Influence(Section):
    pairs: Literal["same_class", "all"] = Field(
        "same_class", description="estimate between samples of one class, or all pairs"
    )
    keep_above: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.02, description="only pairs with a higher influence are kept"
    )


class Scores(Section):
    """Memorization and influence from trainings on random subsets (paper, A.1)."""

    architecture: Architecture = "resnet9"
    trials: Annotated[int, Field(ge=2)] = 1000
    trials_per_job: Count = Field(50, description="trials that one job trains in one process")
    seconds_per_trial: dict[Architecture, Positive] = Field(
        {},
        description="measured seconds, as `python -m bat plan` prints them; jobs of the "
        "architecture then get as many trials as job_minutes hold, in place of trials_per_job",
    )
    job_minutes: Count = Field(60, description="minutes that a job of trials is meant to take")
    subset_ratio: Annotated[Number, Field(gt=0, lt=1)] = 0.7
    seed: Seed = 0
    training: SubsetTraining = SubsetTraining()
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
        0.05, description="standard error that the convergence study asks trials for"
    )
    source: AddressOrPlace | None = Field(
        None,
        description="tables to use as they are, so that nothing is trained for them: an archive "
        "of `scores export`, a folder of tables, published arrays, a list of memorization scores "
        "(csv, npy, npz, ...), or an http(s) address of one",
    )
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="of the source; required with an address"
    )
    match: Literal["fingerprint", "index", "source_index", "file_name"] = Field(
        "fingerprint", description="what tells which row of the source is which sample in use"
    )
    tables: tuple[Literal["disagreement", "confidence", "convergence"], ...] = Field(
        (), description="what is used of the source beside memorization, influence and test"
    )

    @model_validator(mode="after")
    def _sourced(self):
        if self.source is None:
            for key in ("sha256", "match", "tables"):
                if getattr(self, key) != Scores.model_fields[key].default:
                    raise ValueError(f"{key} says something of a source, and source is not given")
        elif is_address(self.source):
            if problem := address_problem(self.source):
                raise ValueError(f"source {shown_address(self.source)!r} {problem}")
            if self.sha256 is None:
                raise ValueError("source is an address, so sha256 must say which file is meant")
        return self


class Ensemble(Section):
    """Disagreement and confidence over subset trainings of several architectures."""

    architectures: tuple[Architecture, ...] = ("resnet9", "wrn-16-2")
    members: Annotated[int, Field(ge=2)] = Field(50, description="models of each architecture")
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

    atypical_above: Share = 0.15
    typical_below: Share = 0.02
    influence_above: Share = 0.15
    influence_touch: Share = 0.02
    min_accuracy: Share = 0.8
    significance: Positive | None = Field(
        None, description="ask also that value / standard error exceed this number"
    )
    false_discovery: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        None,
        description="ask also that a member is real: the share of false ones among the atypical "
        "samples stays below this (exact tests, Benjamini-Hochberg; test samples by Simes)",
    )

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


# -- adversarial training -------------------------------------------------------------------


class Adversary(Section):
    """The attack of adversarial training; methods may set their own values."""

    eps: Epsilon = 8 / 255
    step: Epsilon = 2 / 255
    steps: Count = 10


class Training(Optimization):
    """The paper's settings for the comparison of methods (section 5)."""

    epochs: Count = 160
    milestones: tuple[Count, ...] = Field(
        (80, 120), description="piecewise: epochs after which the rate is multiplied by gamma"
    )


class TrainOn(Section):
    """The training samples of a run."""

    atypical: Share | None = Field(
        None,
        description="unset: the whole training set; else all typical samples and this share of "
        "the atypical ones, drawn by seed (paper, 3.2)",
    )
    seed: Seed = 0


class Selection(Section):
    """Which epoch's model counts as a run's result, by its accuracy under PGD."""

    by: Literal["validation", "test", "last"] = Field(
        "validation",
        description="validation: samples held out from training; test: the paper's protocol, "
        "which selects on the test set; last: the last epoch",
    )
    validation: Share = Field(0.02, description="share of the training samples held out for it")
    steps: Count = Field(10, description="PGD steps")


class History(Section):
    """What is measured along training, on every split and group."""

    every: Annotated[int, Field(ge=0)] = Field(10, description="epochs; 0 measures the last only")
    steps: Count = Field(20, description="PGD steps")
    max_samples: Count | Literal["all"] | None = Field(
        None,
        description="measure at most this many samples of each split, drawn by seed; unset: 2000",
    )


class Evaluation(Section):
    """The columns of the tables; unset values are those of the adversary."""

    eps: Epsilon | None = None
    pgd_steps: Count = 100
    pgd_step: Epsilon | None = None
    pgd_restarts: Count = 1
    cw_steps: Count = 100
    cw_step: Epsilon | None = None
    autoattack: Literal["standard", "aa-fast", "none"] = Field(
        "standard", description="aa-fast: APGD-CE and targeted APGD only"
    )
    batch_size: Count = 500
    seed: Seed = 0
    max_samples: Count | None = Field(
        None, description="evaluate only this many test samples, the first of a draw by seed"
    )


class Run(Section):
    """One training: a method, on some samples, with its own settings where they differ."""

    train_on: TrainOn = TrainOn()
    training: Training = Training()
    selection: Selection | None = Field(None, description="unset: the data set's")


class ErmRun(Run):
    """Empirical risk minimization on clean images."""

    method: Literal["erm"] = "erm"


class AttackRun(Run):
    eps: Epsilon | None = Field(None, description="unset: the adversary's")
    step: Epsilon | None = Field(None, description="unset: the adversary's")
    steps: Count | None = Field(None, description="unset: the adversary's")


class PgdAtRun(AttackRun):
    """PGD adversarial training."""

    method: Literal["pgd-at"] = "pgd-at"
    mode: Literal["train", "eval"] = Field("train", description="mode during the attack")


class ReferenceRun(AttackRun):
    step: Epsilon | None = Field(
        None, description="unset: the reference's 0.007 at 0.031, in proportion to eps"
    )


class TradesRun(ReferenceRun):
    """TRADES; beta is 1 / lambda."""

    method: Literal["trades"] = "trades"
    beta: NotNegative = 5.0
    gaussian: Epsilon = 0.001


class MartRun(ReferenceRun):
    """MART."""

    method: Literal["mart"] = "mart"
    beta: NotNegative | None = Field(
        None, description="unset: the reference's 6 for wide residual networks, 5 for others"
    )
    gaussian: Epsilon = 0.001


class GairatRun(ReferenceRun):
    """GAIRAT; shift is its Lambda."""

    method: Literal["gairat"] = "gairat"
    shift: Number = -1.0
    begin: Share = Field(
        0.5,
        description="the weights set in with the epoch at this share of the training, as in the "
        "reference: with 0.5 the 60th of 120 epochs, or the third of 6, is the first with them",
    )


class BatRun(PgdAtRun):
    """Benign adversarial training."""

    method: Literal["bat"] = "bat"
    alpha: NotNegative = 1.0
    beta: NotNegative = 0.2
    temperature: Positive = 0.1
    form: Literal["printed_normalized", "printed_raw", "infonce"] = "printed_normalized"
    score: Literal["memorization", "disagreement", "confidence"] = "memorization"
    sigma: Share | None = Field(
        None,
        description="threshold of the score; unset: 0.15 for memorization, 0.1 for disagreement, "
        "0.5 for confidence, where lower is atypical",
    )


AnyRun = Annotated[
    ErmRun | PgdAtRun | TradesRun | MartRun | GairatRun | BatRun, Field(discriminator="method")
]

RUNS = {
    "pgd-at": PgdAtRun(),
    "trades": TradesRun(),
    "mart": MartRun(),
    "gairat": GairatRun(),
    "bat-1-0.2": BatRun(alpha=1, beta=0.2),
    "bat-2-0.2": BatRun(alpha=2, beta=0.2),
}


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

    alpha: tuple[NotNegative, ...] = (0, 1, 2, 3)
    beta: tuple[NotNegative, ...] = (0, 0.1, 0.2, 0.3)


class StudyTraining(Training):
    """The paper's settings for the studies of section 3 and appendix B."""

    epochs: Count = 200
    milestones: tuple[Count, ...] = (150,)


class Studies(Section):
    """What memorizing atypical samples does to ERM and to adversarial training."""

    training: StudyTraining = StudyTraining()
    atypical: tuple[Share, ...] = Field(
        (0, 0.2, 1), description="shares of the atypical samples beside all typical ones"
    )
    seed: Seed = Field(0, description="of the drawn part of the atypical samples")
    scores: tuple[Literal["disagreement", "confidence"], ...] = Field(
        ("disagreement", "confidence"),
        description="scores that take memorization's place in BAT(1, 0.2)",
    )


class Dataset(Section):
    """One data set and everything that is made of it."""

    data: AnyData
    scores: Scores = Scores()
    ensemble: Ensemble = Ensemble()
    groups: Groups = Groups()
    networks: dict[Name, Network] = Field(
        {},
        description="networks of your own by name; one may also be defined where it is first "
        "named, as {name: tiny, network: 'nets.py:Tiny'}",
    )
    architectures: tuple[Architecture, ...] = Field(("resnet18",), min_length=1)
    seeds: tuple[Seed, ...] = Field(
        (0,), min_length=1, description="each run is made once for each"
    )
    adversary: Adversary = Adversary()
    training: Training = Field(Training(), description="of every run that does not set its own")
    selection: Selection = Selection()
    history: History = History()
    evaluation: Evaluation = Evaluation()
    runs: dict[Name, AnyRun] = Field(
        RUNS, description="added to, or laid over, the paper's methods"
    )
    external: dict[Name, External] = Field({}, description="models by the name of their row")
    ablation: Ablation = Ablation()
    studies: Studies = Studies()

    @model_validator(mode="before")
    @classmethod
    def _runs(cls, raw: Any) -> Any:
        """Lay a data set's training under each run, and the paper's runs under its own."""
        if not isinstance(raw, dict) or not isinstance(raw.get("runs") or {}, dict):
            return raw
        shared = {"training": raw["training"]} if isinstance(raw.get("training"), dict) else {}
        paper = {
            name: run.model_dump(exclude_unset=True) | {"method": run.method}
            for name, run in RUNS.items()
        }
        runs = overlay(paper, raw.get("runs") or {})
        return raw | {
            "runs": {
                name: overlay(shared, run) if isinstance(run, dict) else run
                for name, run in runs.items()
                if run is not None
            }
        }

    @model_validator(mode="before")
    @classmethod
    def _networks(cls, raw: Any, info: ValidationInfo) -> Any:
        """Take networks of one's own from where they are named, and make their names known."""
        if not isinstance(raw, dict):
            return raw
        raw = gathered(raw)
        if info.context is not None:
            info.context["networks"] = frozenset(raw.get("networks") or ())
        return raw

    @model_validator(mode="after")
    def _own_names(self):
        for name in self.networks:
            if _is_built_in(name):
                raise ValueError(f"networks.{name} has the name of a built-in; rename it")
        return self

    @model_validator(mode="after")
    def _named_once(self):
        twice = sorted(self.runs.keys() & self.external.keys())
        if twice:
            raise ValueError(f"{', '.join(twice)} names a run and an external model; rename one")
        return self

    @model_validator(mode="after")
    def _large_enough(self):
        edge = self.data.resize or EDGES.get(self.data.source)
        trained = [] if self.scores.source else [self.scores.architecture]
        trained += [] if self.scores.source else self.ensemble.architectures
        for architecture in dict.fromkeys([*trained, *self.architectures]):
            if edge is not None and edge < smallest_edge(architecture):
                raise ValueError(
                    f"images of {edge} x {edge} pixels are too small for {architecture}, which "
                    f"needs {smallest_edge(architecture)} x {smallest_edge(architecture)}; set "
                    "data.resize, or choose another architecture"
                )
        return self

    @model_validator(mode="after")
    def _external_architectures(self):
        for name, model in self.external.items():
            if model.architecture not in (None, *self.architectures):
                raise ValueError(
                    f"external.{name} is of {model.architecture}, which is not among "
                    f"architectures ({', '.join(self.architectures)}), so no table would have "
                    "its row; add it there"
                )
        return self

    @model_validator(mode="after")
    def _consistent(self):
        if self.groups.influence_touch < self.scores.influence.keep_above:
            raise ValueError(
                f"groups.influence_touch ({self.groups.influence_touch:g}) lies below "
                f"scores.influence.keep_above ({self.scores.influence.keep_above:g}): "
                "the pairs it asks for are not kept; lower keep_above"
            )
        return self


class Compute(Section):
    """Where and how jobs run. Nothing here makes a finished job run again."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = Field(True, description="torch.compile on a GPU")
    jobs_per_gpu: Count = Field(1, description="jobs that may share one GPU")


class Config(Section):
    """The whole configuration."""

    results: Annotated[WorkflowPlace, AfterValidator(_no_option)] = Path("results")
    compute: Compute = Compute()
    datasets: dict[Name, Dataset] = Field(min_length=1)


# -- reading --------------------------------------------------------------------------------


def read_config(*paths: str | Path) -> Config:
    """Read YAML files, each laid over the one before, and check the result.

    Raises
    ------
    ConfigError
        With every problem found, each with its key and what is expected.
    """
    merged: dict = {}
    for path in paths:
        document, _ = _read_yaml(path)
        if document is not None and not isinstance(document, dict):
            raise ConfigError(str(path), ["expected a mapping of keys at the top level"])
        merged = overlay(merged, document or {})
    return load_config(merged, files=paths)


def load_config(raw: dict, files: Sequence[str | Path] = ()) -> Config:
    """Check a configuration given as nested mappings.

    Parameters
    ----------
    raw : dict
        As read from YAML. ``raw["defaults"]`` is laid under every data set.
    files : sequence of path
        That ``raw`` was read from. The error message names them, and they are
        searched for keys that are given twice, of which a mapping holds the last.

    Raises
    ------
    ConfigError
        With every problem found.
    """
    repeated = [problem for path in files for problem in _read_yaml(path)[1]]
    source = " + ".join(map(str, files)) or "configuration"
    try:
        checked = _check(raw, source)
    except ConfigError as error:
        raise ConfigError(source, repeated + error.problems) from None
    if repeated:
        raise ConfigError(source, repeated)
    return checked


def _check(raw: dict, source: str) -> Config:
    raw = copy.deepcopy(dict(raw))
    defaults = raw.pop("defaults", None) or {}
    datasets = raw.get("datasets")
    if not isinstance(defaults, dict):
        raise ConfigError(source, ["defaults: expected a mapping of keys"])
    if isinstance(datasets, dict):
        raw["datasets"] = {
            name: overlay(defaults, own or {}) if isinstance(own or {}, dict) else own
            for name, own in datasets.items()
        }
    try:
        return Config.model_validate(raw, context={"expand": True})
    except pydantic.ValidationError as error:
        problems = [_problem(e, datasets, defaults) for e in error.errors()]
        raise ConfigError(source, list(dict.fromkeys(problems))) from None


MAX_YAML = 4 << 20  # bytes of a configuration file
MAX_YAML_DEPTH = 64
MAX_YAML_ALIASES = 1000
MAX_YAML_KEYS = 10_000  # of one mapping, with those that it takes in
MAX_YAML_VALUES = 1_000_000  # with all aliases written out


class _Loader(yaml.SafeLoader):
    """Notes the keys that one mapping holds twice; YAML forbids them, PyYAML takes the last."""

    def __init__(self, stream: str):
        super().__init__(stream)
        self.repeated: list[tuple[int, str, int]] = []  # line, key, line of the first
        self.depth = self.aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        mark = self.peek_event().start_mark
        self.depth += 1
        if self.depth > MAX_YAML_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"lists and mappings lie deeper than {MAX_YAML_DEPTH} levels", mark
            )
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_YAML_ALIASES:
                raise yaml.composer.ComposerError(
                    None, None, f"more than {MAX_YAML_ALIASES} aliases", mark
                )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_YAML_KEYS:  # before the next one takes them in several times
            raise yaml.constructor.ConstructorError(
                None, None, f"a mapping of more than {MAX_YAML_KEYS:,} keys", node.start_mark
            )

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in first:
                self.repeated.append((line, key.value, first[key.value]))
            first.setdefault(key.value, line)
        return node


def _read_yaml(path: str | Path) -> tuple[Any, list[str]]:
    """The document in a YAML file, and a problem for each key that is given twice."""
    try:
        if regular_file(path).stat().st_size > MAX_YAML:
            raise ConfigError(str(path), [f"is larger than {MAX_YAML >> 20} MiB"])
        loader = _Loader(Path(path).read_text(encoding="utf-8"))
        document = loader.get_single_data()
        _check_values(document)
    except ConfigError:
        raise
    except BatError as error:
        raise ConfigError(str(path), [str(error).removeprefix(f"{plain(str(path))}: ")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from None
    except yaml.YAMLError as error:
        raise ConfigError(str(path), [f"not valid YAML: {error}"]) from None
    except Exception as error:  # PyYAML raises whatever it likes on a value as 2020-99-99
        raise ConfigError(str(path), [f"a value in it cannot be read: {error}"]) from None
    problems = [
        f"{path}, line {line}: the key {key!r} is given twice, first in line {first}; keep one"
        for line, key, first in sorted(loader.repeated)
    ]
    return document, problems


def _check_values(document: Any) -> None:
    """Refuse a document that grows without measure, or without end, when aliases are followed."""
    level, n_values = [document], 0
    for _ in range(MAX_YAML_DEPTH + 1):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list | tuple | set)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        n_values += len(level)
        if n_values > MAX_YAML_VALUES:
            raise ValueError(f"aliases make more than {MAX_YAML_VALUES:,} values of it")
        if not level:
            return
    raise ValueError(f"lists and mappings lie deeper than {MAX_YAML_DEPTH} levels")


def overlay(base: dict, top: dict) -> dict:
    """Lay one nested mapping over another; the upper one wins, lists are replaced."""
    merged = dict(base)
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            value = overlay(merged[key], value)
        merged[key] = value
    return merged


def json_schema() -> dict:
    """The JSON schema of a configuration file, for editors.

    ``defaults`` accepts the keys of a data set, none of them required.
    """
    schema = Config.model_json_schema()
    runs = schema["$defs"]["Dataset"]["properties"]["runs"]
    # a file may leave out a run of the paper, or give only what differs of it
    runs["additionalProperties"] = {
        "anyOf": [*runs["additionalProperties"]["oneOf"], {"type": "null"}]
    }
    partial = copy.deepcopy(schema["$defs"]["Dataset"])
    partial.pop("required", None)
    schema["$defs"]["Defaults"] = partial | {"title": "Defaults"}
    schema["properties"]["defaults"] = {
        "$ref": "#/$defs/Defaults",
        "description": "laid under every data set",
    }
    named = copy.deepcopy(schema["$defs"]["Network"])
    named["properties"] = {"name": {"type": "string"}} | named["properties"]
    schema["$defs"]["NamedNetwork"] = named | {"required": ["name", "network"]}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


# -- messages -------------------------------------------------------------------------------


def _problem(error: dict, datasets: Any, defaults: dict) -> str:
    loc, known = _resolve(tuple(part for part in error["loc"] if part != "[key]"))
    place = list(loc)
    if place[2:3] == ["runs"] and place[4:5] == ["training"] and not _has(datasets, place[1:]):
        place[2:5] = ["training"]  # it was laid under the run
    inherited = not _has(datasets, place[1:]) and _has(defaults, place[2:])
    if len(place) > 2 and place[0] == "datasets" and inherited:
        place = ["defaults", *place[2:]]
    path = ".".join(str(part) for part in place) or "(top level)"
    if error["type"] == "extra_forbidden":
        if not loc[:-1]:
            known = [*known, "defaults"]
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{path}: unknown key; {hint}(known keys: {', '.join(known)})"
    if error["type"] == "missing":
        return f"{path}: required, and not given"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"].startswith("union_tag"):
        key = error["ctx"]["discriminator"].strip("'")
        if error["type"] == "union_tag_not_found":
            return f"{path}.{key}: required, and not given"
        known = error["ctx"]["expected_tags"]
        return f"{path}.{key}: {error['input'].get(key)!r} is none of {known}"
    if isinstance(error["input"], int | float | str | bool) and error["type"] != "value_error":
        message += f" (found {error['input']!r})"
    return f"{path}: {message}"


def _has(mapping: Any, path: list) -> bool:
    for part in path:
        if not isinstance(mapping, dict) or part not in mapping:
            return False
        mapping = mapping[part]
    return True


def _resolve(loc: tuple) -> tuple[list, list[str]]:
    """The user's key path (union tags taken out) and the keys known where it ends."""
    path, model, known = [], Config, list(Config.model_fields)
    for part in loc:
        if isinstance(model, tuple):  # a union: this part is the tag that chose the member
            model = next(
                (m for m in model if _is_tagged(m, part)),
                None,
            )
            continue
        path.append(part)
        if isinstance(model, type) and issubclass(model, Section):
            known = list(model.model_fields)
            field = model.model_fields.get(part)
            model = _unwrap(field.rebuild_annotation()) if field else None
        elif isinstance(model, dict):
            model = model["value"]
    return path, known


def _is_tagged(member: type[Section], tag: Any) -> bool:
    fields = member.model_fields.values()
    return any(tag in typing.get_args(field.annotation) for field in fields)


def _unwrap(annotation: Any) -> Any:
    """The section, tuple of sections, or ``{"value": section}`` behind an annotation."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _unwrap(args[0])
    if origin is dict:
        return {"value": _unwrap(args[1])}
    if origin in (typing.Union, types.UnionType):
        members = [a for a in (_unwrap(a) for a in args) if a is not None]
        return tuple(members) if len(members) > 1 else (members[0] if members else None)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None

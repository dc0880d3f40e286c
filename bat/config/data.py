"""The section ``data``: one class a source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from bat.config.code import Code, Settings
from bat.config.places import Files, Place
from bat.config.values import NO_TRUTH, Count, Number, ReadWhere, Section, Seed, Share

EDGES = {"digits": 8, "fashion_mnist": 28, "cifar10": 32, "cifar100": 32, "tiny_imagenet": 64}
"""Edge in pixels of the images of the sources whose size is known."""


class Subsample(Section):
    """Keep a part of the data, drawn by seed, equally from every class.

    ``train`` and ``test`` are total numbers of samples; ``train_per_class``
    and ``test_per_class`` numbers for each class.
    """

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("seed",),
            ("train", "test", "train_per_class", "test_per_class"),
            lambda of: of.train or of.test or of.train_per_class or of.test_per_class,
            "is of the draw, and all samples are kept; say how many with train or test, or "
            "remove it",
        ),
    )

    train: Count | None = Field(None, description="training samples in all; unset: every one")
    test: Count | None = Field(None, description="test samples in all; unset: every one")
    train_per_class: Count | None = Field(
        None, description="in place of train: training samples of each class"
    )
    test_per_class: Count | None = Field(
        None, description="in place of test: test samples of each class"
    )
    seed: Seed = Field(0, description="of the draw")

    @model_validator(mode="after")
    def _one_of(self):
        for split in ("train", "test"):
            if getattr(self, split) and getattr(self, f"{split}_per_class"):
                raise ValueError(f"give {split} or {split}_per_class, not both")
        return self


class LabelNoise(Section):
    """Make a share of the training labels wrong, by seed (for validation studies)."""

    READ_WHERE: ClassVar = (
        ReadWhere(
            ("seed",),
            ("share",),
            lambda of: of.share > 0,
            "is of the draw, and share is 0; set a share above 0, or remove it",
        ),
    )

    share: Share = Field(0.0, description="of the training labels, from 0 to 1")
    seed: Seed = Field(0, description="of the draw")


class Data(Section):
    subsample: Subsample = Subsample()
    label_noise: LabelNoise = LabelNoise()
    resize: Annotated[int, Field(ge=4, le=512), NO_TRUTH] | None = Field(
        None,
        description="edge in pixels to which every image is resized; unset refuses mixed sizes",
    )

    drop: Place | None = Field(
        None,
        description="CSV of training samples to leave out, as the review in browse.html saves it: "
        "rows of verdict wrong, by source_index",
    )

    @model_serializer(mode="wrap")
    def _serialize(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is unset of the later keys: such specifications stay as they were."""
        values = serialize(self)
        return {k: v for k, v in values.items() if k not in ("held_out", "drop") or v is not None}


class HeldOut(Section):
    """Take the test set out of the training images, by seed, where a source has none.

    ``share`` takes that part of every class, ``samples`` a total number,
    equally from every class.
    """

    share: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        None, description="of each class, between 0 and 1; or samples"
    )
    samples: Count | None = Field(None, description="in all, equally from every class; or share")
    seed: Seed = Field(0, description="of the draw")

    @model_validator(mode="after")
    def _one_of(self):
        if (self.share is None) == (self.samples is None):
            raise ValueError("give share or samples, one of them")
        return self


OptionalHeldOut = Annotated[
    HeldOut | None,
    Field(description="a test set taken out of the training images, where there is none"),
]


class DigitsData(Data):
    """The 1,797 handwritten digits (8 x 8) that come with scikit-learn."""

    source: Literal["digits"] = Field("digits", description="embedded: nothing is downloaded")
    n_test: Count = Field(500, description="samples held out as the test set, equally by class")
    seed: Seed = Field(0, description="seed of the split into training and test set")


class TorchvisionData(Data):
    """A data set of torchvision, downloaded with its checksums into ``folder``."""

    source: Literal["fashion_mnist", "cifar10", "cifar100"] = Field(
        description="which data set of torchvision"
    )
    folder: Place = Field(
        Path("resources/data"),
        description="where its files lie, as torchvision lays them out, or are downloaded to; ~ "
        "and $VARIABLES are expanded",
    )
    download: bool = Field(True, description="false: never; where files are missing, say so")


class TinyImagenetData(Data):
    """Tiny ImageNet from its official zip or the folder unpacked from it."""

    source: Literal["tiny_imagenet"] = Field(description="names this source")
    path: Place = Field(
        Path("resources/data/tiny-imagenet-200.zip"),
        description="the zip, or the folder unpacked from it; ~ and $VARIABLES are expanded",
    )
    download: bool = Field(True, description="false: never; where the zip is missing, say so")
    classes: Annotated[int, Field(ge=2, le=200), NO_TRUTH] = Field(
        50, description="the first N classes"
    )
    class_order: Literal["sorted", "wnids"] = Field(
        "sorted", description="sorted WordNet ids, or the order of wnids.txt"
    )


class ImageFolderData(Data):
    """``path/train`` and ``path/test`` (or ``val``), each with one folder of images per class.

    Without a test set, ``held_out`` takes one out of the training images; then the folders of the
    classes may lie directly in ``path``. Files that are no images are left out and counted.
    """

    source: Literal["image_folder"] = Field(description="names this source")
    path: Place = Field(
        description="the folder that holds them, which is only read; ~ and $VARIABLES are expanded"
    )
    channels: Literal[1, 3] = Field(3, description="3: colour; 1: every image is made grey")
    held_out: OptionalHeldOut = None


class ParquetData(Data):
    """Parquet as on the Hugging Face hub.

    `train` and `test` are a file, a folder, a pattern as `data/train-*.parquet`, or a list of
    these. Of a folder that holds the shards of several splits each takes its own, by file name.
    """

    source: Literal["parquet"] = Field(description="names this source")
    train: Files = Field(
        description="the training images: file, folder, pattern, or a list of these; ~ and "
        "$VARIABLES are expanded"
    )
    test: Files | None = Field(
        None, description="the test images, named alike; required unless a test set is held out"
    )
    image_column: str = Field("image", description="name of the column of images")
    label_column: str = Field("label", description="name of the column of labels")
    channels: Literal[1, 3] = Field(3, description="3: colour; 1: every image is made grey")
    held_out: OptionalHeldOut = None

    @model_validator(mode="after")
    def _has_test(self):
        if (self.test is None) == (self.held_out is None):
            raise ValueError(
                "give test, the files of the test set, or held_out (as {share: 0.2}) to take it "
                "out of the training images; one of them"
            )
        return self


class OwnData(Data):
    """A function of one's own that gives arrays, written ``source: mydata.py:load``."""

    source: Literal["own"] = Field(
        description="written as the function, path/to/file.py:attribute; filled in as own"
    )
    load: Code
    settings: Settings = Field({})


AnyData = Annotated[
    DigitsData | TorchvisionData | TinyImagenetData | ImageFolderData | ParquetData | OwnData,
    Field(discriminator="source"),
]

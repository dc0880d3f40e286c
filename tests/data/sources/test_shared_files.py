"""All images of the real data sets, where they lie."""

import os
from pathlib import Path

import numpy as np
import pytest
from samples import refused, tiny

from bat import config
from bat.data.sources import read_source

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("BAT_SHARED_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared data sets")
def test_all_images_of_cifar10_and_tiny_imagenet():
    cifar = read_source(
        config.ParquetData(
            source="parquet",
            train=SHARED / "cifar10-jpeg-train.parquet",
            test=SHARED / "cifar10-jpeg-test.parquet",
        )
    )
    assert cifar.train_images.shape == (50000, 3, 32, 32)
    assert cifar.class_names[0] == "airplane"
    np.testing.assert_array_equal(np.bincount(cifar.train_labels), np.full(10, 5000))
    np.testing.assert_array_equal(np.bincount(cifar.test_labels), np.full(10, 1000))
    tiny_imagenet = read_source(tiny(SHARED / "tiny-imagenet-50.zip", classes=50))
    assert tiny_imagenet.train_images.shape == (25000, 3, 64, 64)
    assert tiny_imagenet.class_names[0] == "goldfish"
    np.testing.assert_array_equal(np.bincount(tiny_imagenet.train_labels), np.full(50, 500))
    np.testing.assert_array_equal(np.bincount(tiny_imagenet.test_labels), np.full(50, 50))
    refused(tiny(SHARED / "tiny-imagenet-50.zip", classes=51), "50 of the first 51")

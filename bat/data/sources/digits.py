"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bat.data.raw import Progress, RawData, draw_balanced
from bat.data.sources.registry import source

if TYPE_CHECKING:
    from bat import config


@source("digits")
def read(config: config.DigitsData, progress: Progress, workers: int) -> RawData:
    """Hold out a test set by seed, equally by class; the rest is the training set."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    rng = np.random.default_rng(config.seed)
    test = draw_balanced(labels, rng, "data.n_test", total=config.n_test)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return RawData(
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        class_names=tuple(str(name) for name in bunch.target_names),
        notes=("scikit-learn's load_digits, values 0 to 16 scaled to 0 to 255",),
        train_source_index=train,
        test_source_index=test,
    )

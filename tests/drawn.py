"""What tests of figures draw, and how they look at it."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)


ALIGNMENT = pd.DataFrame(
    {
        "metric_a": ["memorization", "memorization", "disagreement"],
        "metric_b": ["disagreement", "1 − confidence", "1 − confidence"],
        "spearman": [0.81, 0.72, 0.93],
        "overlap_10": [0.5, 0.6, 0.7],
        "overlap_20": [0.6, 0.7, 0.8],
        "overlap_40": [0.7, 0.8, 0.9],
        "auc": [0.97, np.nan, np.nan],
    }
)


GRID = pd.DataFrame(
    {
        "alpha": [0.0, 1.0, 0.0],
        "beta": [0.0, 0.0, 0.2],
        "mean": [0.5, 0.62, 0.55],
        "sd": [np.nan, 0.01, np.nan],
    }
)


EPOCHS = pd.DataFrame(
    {
        "series": ["PGD-AT"] * 3 + ["mine"] * 3,
        "epoch": [1, 2, 3] * 2,
        "mean": [0.1, 0.2, 0.3, 0.2, 0.3, 0.4],
        "sd": [0.01, 0.01, 0.01, np.nan, np.nan, np.nan],
    }
)


METADATA = {
    "dataset": "digits",
    "recipe": {"architecture": "small_cnn", "trials": 200, "subset_ratio": 0.7, "seed": 3},
    "accuracies": {"included": 0.998, "excluded": 0.95, "test": 0.94},
    "converged": True,
}


def words(ax):
    return [text.get_text() for text in ax.texts]


def overlapping(fig):
    """Pairs of texts whose boxes overlap by more than a point."""
    renderer = FigureCanvasAgg(fig).get_renderer()
    texts = [text for ax in fig.axes for text in ax.texts]
    boxes = [text.get_window_extent(renderer).padded(-1) for text in texts]
    return [
        (a.get_text(), b.get_text())
        for (a, box_a), (b, box_b) in itertools.combinations(zip(texts, boxes, strict=True), 2)
        if box_a.overlaps(box_b)
    ]

"""Made-up scores."""

import numpy as np
import pandas as pd
import pytest

from bat.figures import alignment, fig5


@pytest.fixture
def memorization():
    """Six samples of two classes, scores and errors chosen by hand."""
    return pd.DataFrame(
        {
            "index": np.arange(6),
            "label": [0, 0, 0, 1, 1, 1],
            "memorization": [0.0, 0.0, 0.95, 0.45, 0.16, -0.05],
            "memorization_se": [0.02, 0.01, 0.03, 0.1, 0.02, 0.02],
        }
    )


@pytest.fixture
def thirty():
    return pd.DataFrame(
        {
            "index": np.arange(30),
            "label": np.arange(30) % 10,
            "memorization": np.repeat([-0.03, 0.5, 0.97], 10),
            "memorization_se": 0.05,
        }
    )


@pytest.fixture
def examples(thirty):
    names = [f"a very long class name {i}" for i in range(10)]
    return fig5.memorization_examples(thirty[:-1], names)


@pytest.fixture
def pairs():
    return pd.DataFrame(
        {
            "train_index": np.arange(7),
            "test_index": np.arange(7)[::-1],
            "influence": 0.44,
            "influence_se": 0.05,
            "train_class": "a very long class name",
            "memorization": 0.91,
            "memorization_se": 0.02,
            "test_class": "another very long class name",
            "q": [0.01] * 2 + [0.8] * 5,
            "stands": [True] * 2 + [False] * 5,
        }
    )


@pytest.fixture
def convergence_rows():
    return pd.DataFrame(
        {
            "n_trials": [50, 100],
            "repeats": 5,
            "split_half_correlation": [0.8, 0.9],
            "split_half_correlation_sd": 0.01,
            "split_half_spearman": [0.7, 0.8],
            "split_half_spearman_sd": 0.01,
            "se_mean": [0.1, 0.07],
            "se_p95": [0.14, 0.1],
        }
    )


@pytest.fixture
def values(thirty):
    metrics = {"disagreement": np.linspace(0, 0.6, 30), "1 − confidence": np.linspace(0, 1, 30)}
    return alignment.metric_values(thirty, metrics)

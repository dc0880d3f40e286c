"""Made-up evaluations of runs."""

import numpy as np
import pandas as pd

ATTACKS = {
    "fgsm": {"eps": 8 / 255},
    "pgd": {"eps": 8 / 255, "step": 2 / 255, "steps": 100, "restarts": 1},
    "cw": {"eps": 8 / 255, "step": 2 / 255, "steps": 100},
    "aa": {"eps": 8 / 255, "version": "standard"},
}


EVALUATION = {"dataset": "cifar100", "attacks": ATTACKS}


def evaluation(aa=None, **right):
    """Ten test samples of which the first ``right[column]`` are right."""
    right = {"clean": 10, "fgsm": 8, "pgd": 6, "cw": 5} | right
    columns = {name: np.arange(10) < n for name, n in right.items()}
    return pd.DataFrame(
        {"index": np.arange(10) * 3, **columns, "aa": None if aa is None else np.arange(10) < aa}
    )


def judged(**by_run):
    """Accuracies under one attack, a value for each seed from 0."""
    rows = [
        (run.replace("_", "-"), seed, "pgd", value, 100)
        for run, values in by_run.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["run", "seed", "attack", "accuracy", "n"])


def judgements(under="pgd", **by_run):
    """Evaluations with those accuracies under one attack, of 100 samples, the right ones first."""
    table = judged(**by_run)
    names = ("clean", *ATTACKS)
    return {
        (row.run, row.seed): pd.DataFrame(
            {
                "index": np.arange(100),
                **dict.fromkeys(names),
                under: np.arange(100) < round(100 * row.accuracy),
            }
        )
        for row in table.itertuples()
    }


def spec(epochs=160, **selection):
    return {
        "architecture": "resnet18",
        "training": {"epochs": epochs},
        "selection": {"by": "validation", "validation": 0.02, "steps": 10} | selection,
    }

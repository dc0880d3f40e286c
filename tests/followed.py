"""A made-up history of two runs."""

import numpy as np
import pandas as pd

SHARES = [0.0, 1.0]


RUNS = {"pgd-at-atypical-0": "0 %", "pgd-at-atypical-100": "100 %"}


def followed(empty=()):
    """Two seeds and two epochs; accuracies that are easy to compute with."""
    rows = []
    for share, run in enumerate(RUNS):
        for seed in (0, 1):
            for epoch in (5, 10):
                for group in ("typical", "atypical"):
                    for attack in ("clean", "pgd"):
                        accuracy = 0.5 + 0.02 * epoch - 0.1 * share + 0.01 * seed * (1 + share)
                        accuracy -= 0.3 * (attack == "pgd")
                        n = 0 if group in empty else 40
                        rows.append(
                            {
                                "run": run,
                                "seed": seed,
                                "epoch": epoch,
                                "split": "test",
                                "group": group,
                                "attack": attack,
                                "accuracy": accuracy if n else np.nan,
                                "n": n,
                            }
                        )
    return pd.DataFrame(rows)

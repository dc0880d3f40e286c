"""End values of the studies, from hand-made histories."""

import numpy as np
import pandas as pd
import pytest

from bat.files.bits import pack
from bat.intervals import crossed_mean
from bat.report.along_training import end_verdicts
from bat.report.crossed import DIFFERENCES, NUMBERS
from bat.tables import typical

RUNS = {"pgd-at-atypical-0": "0 %", "pgd-at-atypical-100": "100 %"}
INFO = {"n_train": 10, "n_test": 60}
RNG = np.random.default_rng(0)
RIGHT = {
    (run, seed): RNG.random((2, 60)) < share
    for seed in (0, 1, 2)
    for run, share in zip(RUNS, (0.9, 0.5), strict=True)
}


def histories():
    """Two epochs: the first is never right, the last as in `RIGHT`, clean and under PGD."""
    nothing = pack(np.zeros(60, bool))
    return {
        of: pd.DataFrame(
            {
                "epoch": [1, 2],
                **dict.fromkeys(("train_clean", "train_pgd")),
                "test_clean": [nothing, pack(clean)],
                "test_pgd": [nothing, pack(clean & pgd)],
            }
        )
        for of, (clean, pgd) in RIGHT.items()
    }


def table(members):
    groups = pd.DataFrame({"index": np.arange(60), "typical": members, "atypical": ~members})
    verdicts = end_verdicts(histories(), groups, INFO, None)
    return typical.end_values(verdicts, RUNS, "pgd-at-atypical-0")


def test_end_values_are_those_of_the_last_epoch_paired_by_seed_and_sample():
    members = np.arange(60) % 3 > 0
    found = table(members).set_index(["run", "attack"])
    own, other = (np.array([RIGHT[run, s][0][members] for s in range(3)], float) for run in RUNS)
    row, expected = found.loc["pgd-at-atypical-100", "clean"], crossed_mean(other - own)
    assert row["mean"] == pytest.approx(other.mean())
    assert row["sd"] == pytest.approx(other.mean(axis=1).std(ddof=1))
    assert row[["difference", "difference_se", "low", "high"]].tolist() == pytest.approx(
        [expected.mean, expected.standard_error, expected.low, expected.high]
    )
    assert row["label"] == "100 %" and row["n_seeds"] == 3
    assert found.loc["pgd-at-atypical-0", "clean"]["difference"] == 0
    robust = np.array([RIGHT["pgd-at-atypical-100", s].all(axis=0)[members] for s in range(3)])
    assert found.loc["pgd-at-atypical-100", "pgd"]["mean"] == pytest.approx(robust.mean())


def test_an_empty_group_is_said_and_stops_nothing():
    found = table(np.zeros(60, bool))
    assert found[[*NUMBERS, *DIFFERENCES]].isna().all(axis=None)
    shown = typical.presentation(found.assign(method="pgd-at"))
    assert set(shown["Mean (%)"]) == {"no samples"}


def test_of_one_seed_the_caption_knows_no_spread():
    found = table(np.arange(60) % 3 > 0)
    assert "over 3 seeds" in typical.caption(found, "digits", "resnet18")
    alone = typical.caption(found.assign(n_seeds=1), "digits", "resnet18")
    assert alone.endswith("One seed: no spread is known.") and "±" not in alone

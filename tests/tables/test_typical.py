"""End values of the studies, from hand-made histories."""

import numpy as np
import pytest
from followed import RUNS, followed

from bat.report.seeds import NUMBERS
from bat.tables import typical


def test_end_values_are_those_of_the_last_epoch_paired_by_seed():
    table = typical.end_values(followed(), RUNS, "pgd-at-atypical-0")
    row = table[(table["run"] == "pgd-at-atypical-100") & (table["attack"] == "clean")].iloc[0]
    assert row["mean"] == pytest.approx(0.5 + 0.2 - 0.1 + 0.01)
    assert row["difference"] == pytest.approx(-0.1 + 0.005)  # seeds differ by -0.1 and -0.09
    assert row["difference_se"] == pytest.approx(0.01 / np.sqrt(2) / np.sqrt(2))
    assert row["low"] < row["difference"] < row["high"]
    own = table[(table["run"] == "pgd-at-atypical-0") & (table["attack"] == "clean")].iloc[0]
    assert own["difference"] == 0


def test_an_empty_group_is_said_and_stops_nothing():
    table = typical.end_values(followed(empty=("typical",)), RUNS, "pgd-at-atypical-0")
    assert table[list(NUMBERS)].isna().all(axis=None)
    shown = typical.presentation(table.assign(method="pgd-at"))
    assert set(shown["Mean (%)"]) == {"no samples"}

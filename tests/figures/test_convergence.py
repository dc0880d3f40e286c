"""How far the trials go, and how many more are needed."""

import pandas as pd
import pytest

from bat.figures import convergence


def test_convergence_reaches_the_precision(convergence_rows):
    table = convergence.convergence_study(convergence_rows, precision=0.025)
    assert set(table["n_needed"]) == {1600}  # a quarter of the error, sixteen times the trials
    last = table.iloc[-1]
    assert (last["n_trials"], last["source"]) == (1600, "extrapolated")
    assert last["se_p95"] == pytest.approx(0.025)
    assert list(table["source"][:3]) == ["measured", "measured", "extrapolated"]
    assert table["n_trials"].is_monotonic_increasing
    assert table["repeats"].dtype.kind == "i"


def test_convergence_already_reached(convergence_rows):
    table = convergence.convergence_study(convergence_rows, precision=0.2)
    assert table["n_needed"].iloc[0] == 25
    assert table["n_trials"].max() == 200


def test_convergence_marks_the_trials_needed(convergence_rows):
    rows = pd.concat([convergence_rows[:1].assign(n_trials=20, se_p95=0.22), convergence_rows])
    rows = rows.assign(split_half_correlation=[0.7, 0.8, 0.9])
    study = convergence.convergence_study(rows, precision=0.025)
    left, middle, right = convergence.draw_convergence(study).axes
    assert left.lines[0].get_ydata().tolist() == [0.7, 0.8, 0.9]
    assert middle.get_title(loc="left") == "95th percentile of 0.025: 1,600 trials"
    assert any(line.get_xdata()[0] == 1600 for line in middle.lines)
    assert right.get_title(loc="left") == "not known"  # a table of version 0.1.0

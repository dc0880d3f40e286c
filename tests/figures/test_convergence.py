"""How far the trials go, and how many more are needed."""

import io

import numpy as np
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


def with_margins(rows):
    """Rows of trials with margins: what they are worth is known of the first alone."""
    values = {"agreement_bits_pearson": [0.7, 0.8], "agreement_margins_pearson": [0.8, 0.9]}
    values |= {"margins_worth": [1.8, np.nan], "standing_bits": [0, 3]}
    values |= {"standing_margins": [12, 40]}
    columns = {f"{name}{end}": v for name, v in values.items() for end in ("", "_low", "_high")}
    counts = {"estimate_trials": [25, 50], "reference_trials": 50, "standing_candidates": 900}
    return rows.assign(**columns, **counts)


def test_what_margins_are_worth_is_drawn_and_said(convergence_rows):
    study = convergence.convergence_study(with_margins(convergence_rows), precision=0.025)
    agreement, worth, standing = convergence.draw_convergence(study).axes[3:]
    assert [line.get_ydata().tolist() for line in agreement.lines] == [[0.7, 0.8], [0.8, 0.9]]
    assert worth.lines[0].get_ydata()[0] == 1.8
    assert [line.get_ydata().tolist() for line in standing.lines] == [[0, 3], [12, 40]]
    text = convergence.caption(study, {"dataset": "made", "recipe": {}})
    assert "At 25 trials 1.8 (1.8 to 1.8)." in text
    assert "of 900; with all trials 3 by bits and 40 by margins" in text


def test_what_margins_are_worth_may_be_unknown(convergence_rows):
    unknown = ["margins_worth", "agreement_bits_pearson", "agreement_margins_pearson"]
    unknown = [f"{name}{end}" for name in unknown for end in ("", "_low", "_high")]
    rows = with_margins(convergence_rows).assign(**dict.fromkeys(unknown, np.nan))
    study = convergence.convergence_study(rows, precision=0.025)
    figure = convergence.draw_convergence(study)
    assert figure.axes[4].get_title(loc="left") == "not known"
    figure.savefig(io.BytesIO())  # though nothing is drawn on logarithmic axes
    text = convergence.caption(study, {"dataset": "made", "recipe": {}})
    assert "How many is not known: too few trials." in text
    assert "margins" not in convergence.caption(
        convergence.convergence_study(convergence_rows, precision=0.025), {"recipe": {}}
    )

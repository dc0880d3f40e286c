"""Figure 4: BAT over alpha and beta."""

import math

import numpy as np
import pandas as pd
import pytest
from drawn import GRID
from evaluated import ATTACKS, EVALUATION, judged, spec

from bat.errors import BatError
from bat.figures import fig4
from bat.report import judged as judging


def test_ablation_grid_puts_numbers_in_their_cells():
    ax = fig4.plot_ablation_grid(GRID)
    found = {text.get_position(): text.get_text() for text in ax.texts}
    assert found == {(0, 0): "50.0", (1, 0): "62.0\n± 1.0", (0, 1): "55.0"}
    grid = ax.images[0].get_array()
    assert grid[0].tolist() == [0.5, 0.62]
    assert np.ma.is_masked(grid[1, 1]) or np.isnan(grid[1, 1])


def test_ablation_takes_pgd_at_as_its_origin():
    frame = judged(
        **{"pgd_at": [0.2, 0.4], "bat_1_0": [0.5], "bat_1_0.2": [0.6, 0.8], "mart": [0.9]}
    )
    clean = frame.assign(attack="clean", accuracy=1.0)
    table = fig4.ablation(pd.concat([clean, frame]), [0, 1], [0, 0.2], "pgd")
    found = table[["attack", "alpha", "beta", "mean", "n_seeds"]]
    assert list(found.itertuples(index=False, name=None)) == [
        ("pgd", 0.0, 0.0, pytest.approx(0.3), 2),
        ("pgd", 1.0, 0.0, pytest.approx(0.5), 1),
        ("pgd", 1.0, 0.2, pytest.approx(0.7), 2),
    ]  # bat-0-0.2 is missing
    assert table["sd"].tolist() == pytest.approx(
        [math.sqrt(0.02), math.nan, math.sqrt(0.02)], nan_ok=True
    )
    with pytest.raises(BatError, match=r"under cw; expected some of pgd-at, bat-0-0.2"):
        fig4.ablation(frame, [0, 1], [0, 0.2], "cw")

    both = pd.concat([table.assign(attack="clean"), table])
    figure = fig4.draw_ablation(both, judging.attack_labels(ATTACKS))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Clean accuracy (%)", "PGD-100 accuracy (%)"]
    written = {text.get_text() for text in figure.axes[1].texts}
    assert written == {"30.0\n± 14.1", "50.0", "70.0\n± 14.1"}

    caption = fig4.caption(
        table, EVALUATION, {"pgd-at": spec()} | dict.fromkeys(("bat-1-0", "bat-1-0.2"), spec()), 100
    )
    assert "(0, 0) is PGD-AT" in caption
    assert "on 100 test samples" in caption
    assert "Trained elsewhere" not in caption

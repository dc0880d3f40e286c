"""Figure 20 on disk."""

import numpy as np
import pandas as pd
import pytest

from bat.errors import BatError
from bat.figures import fig20
from bat.tables import theorems


def test_files_are_the_same_each_time_and_hold_what_is_drawn(tmp_path, run_bat):
    run_bat("theory", "--out", tmp_path / "one")
    two = tmp_path / "two"
    written = fig20.write(two, two / "figures" / "fig20")
    written += theorems.write(two, two / "tables" / "theorems")
    names = [path.relative_to(tmp_path / "two").as_posix() for path in written]
    figure = [f"figures/fig20.{suffix}" for suffix in ("pdf", "png", "csv")]
    assert names == [*figure, "tables/theorems.csv", "tables/theorems.md"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    values = pd.read_csv(tmp_path / "one" / "figures" / "fig20.csv")
    assert set(values["panel"]) == {"plane", "distances", "sample", "ball"}
    assert np.isfinite(values[["x", "y"]].to_numpy()).all()
    plots = (
        fig20.plot_plane,
        fig20.plot_distances,
        fig20.plot_sample_errors,
        fig20.plot_ball_errors,
    )
    for panel, plot in zip(values["panel"].unique(), plots, strict=True):
        rows = values[values["panel"] == panel]
        assert plot(rows).get_xlabel()
        with pytest.raises(BatError, match="no rows of the panel"):
            plot(values[values["panel"] != panel])

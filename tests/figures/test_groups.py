"""Sizes of the groups."""

import pandas as pd

from bat.figures import groups as sizes


def test_group_sizes_add_up():
    groups = pd.DataFrame({"typical": [1, 1, 0, 0, 0], "atypical": [0, 0, 1, 0, 0]}, dtype=bool)
    table = sizes.group_sizes("digits", {"train": groups, "test": groups[:2]})
    found = {(row.split, row.group): row.size for row in table.itertuples()}
    assert [found["train", g] for g in ("typical", "neither", "atypical", "all")] == [2, 2, 1, 5]
    assert [found["test", g] for g in ("typical", "neither", "atypical", "all")] == [2, 0, 0, 2]
    assert table["share"].iloc[0] == 2 / 5


def test_group_bars_fill_the_width():
    groups = pd.DataFrame({"typical": [1, 1, 0, 0], "atypical": [0, 0, 1, 0]}, dtype=bool)
    table = sizes.group_sizes("digits", {"train": groups, "test": groups})
    ax = sizes.plot_group_sizes(table)
    assert [bar.get_width() for bar in ax.patches] == [0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    assert max(bar.get_x() + bar.get_width() for bar in ax.patches) == 1

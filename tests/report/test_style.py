"""Colours, lines and markers, and the words of ticks."""

import pytest

from bat.report import style


def test_series_keep_their_style():
    methods = ["ERM", "PGD-AT", "TRADES", "MART", "GAIRAT", "BAT(1, 0.2)", "BAT(2, 0.2)"]
    styles = style.series_styles([*methods, "mine", "yours"])
    assert len(set(styles.values())) == len(styles)
    assert style.series_styles(["MART"])["MART"] == styles["MART"]
    assert len({color for color, _, _ in map(styles.get, methods)}) == len(methods)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.7, 0.75, 0.8], ["70 %", "75 %", "80 %"]),
        ([0.725, 0.75], ["72.5 %", "75.0 %"]),
        ([-1e-17, 3 * 0.1], ["0 %", "30 %"]),
        ([-0.02, 0.02], ["−2 %", "2 %"]),
        ([0.6004, 0.6005], ["60.04 %", "60.05 %"]),
    ],
)
def test_ticks_in_percent_have_the_decimals_that_they_need(shares, expected):
    ax = style.new_axes(None, 4, 2)
    ax.set(xlim=(shares[0], shares[-1]))
    ax.set_xticks(shares)
    style.percent_ticks(ax.xaxis)
    assert [label.get_text() for label in ax.get_xticklabels()] == expected

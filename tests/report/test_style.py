"""Colours, lines and markers."""

from bat.report import style


def test_series_keep_their_style():
    methods = ["ERM", "PGD-AT", "TRADES", "MART", "GAIRAT", "BAT(1, 0.2)", "BAT(2, 0.2)"]
    styles = style.series_styles([*methods, "mine", "yours"])
    assert len(set(styles.values())) == len(styles)
    assert style.series_styles(["MART"])["MART"] == styles["MART"]
    assert len({color for color, _, _ in map(styles.get, methods)}) == len(methods)

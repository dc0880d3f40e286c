"""Robust against clean accuracy, from made-up evaluations."""

import numpy as np
import pandas as pd
import pytest
from drawn import overlapping, words
from evaluated import EVALUATION, evaluation, spec
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from bat.errors import BatError
from bat.figures import ladder
from bat.intervals import crossed_mean
from bat.report.judged import accuracies
from bat.statistics import wilson_interval

THREE = {
    ("pgd-at", 0): evaluation(aa=3, clean=8),
    ("pgd-at", 1): evaluation(aa=5, clean=10),
    ("trades", 0): evaluation(aa=4, clean=7),
    ("trades", 1): evaluation(aa=4, clean=8),
    ("theirs", 0): evaluation(aa=2, clean=9),
}


def test_the_strongest_attack_is_one_that_every_run_faced():
    assert ladder.strongest(accuracies(THREE)) == "aa"
    without = THREE | {("theirs", 0): evaluation()}
    assert ladder.strongest(accuracies(without)) == "cw"
    equal = {("pgd-at", 0): evaluation(cw=6)}
    assert ladder.strongest(accuracies(equal)) == "cw"  # PGD leaves as many
    own = {("pgd-at", 0): evaluation(aa=3).assign(mine=np.arange(10) < 2)}
    assert ladder.strongest(accuracies(own)) == "mine"
    only = evaluation()[["index", "clean"]]
    with pytest.raises(BatError, match="no attack was made on every run"):
        ladder.strongest(
            accuracies({("pgd-at", 0): only.assign(fgsm=None, pgd=None, cw=None, aa=None)})
        )


def test_accuracies_with_intervals_over_seeds_and_images():
    table = ladder.ladder(THREE, "aa").set_index("run")
    assert list(table.index) == ["pgd-at", "trades", "theirs"]
    assert table.loc["pgd-at", ["n", "n_seeds"]].tolist() == [10, 2]
    assert table.loc["pgd-at", ["clean", "robust"]].tolist() == pytest.approx([0.9, 0.4])
    expected = crossed_mean([np.arange(10) < 3, np.arange(10) < 5])
    found = table.loc["pgd-at", ["robust_low", "robust_high"]].tolist()
    assert found == pytest.approx([max(expected.low, 0), min(expected.high, 1)])
    low, high = map(float, wilson_interval(2, 10))  # one seed: images alone
    assert table.loc["theirs", ["robust_low", "robust_high"]].tolist() == pytest.approx([low, high])
    numbers = table.filter(regex="_low|_high")
    assert ((numbers >= 0) & (numbers <= 1)).all(axis=None)


def test_points_lie_where_the_accuracies_are_and_single_seeds_are_open():
    ax = ladder.plot_ladder(ladder.ladder(THREE, "aa"), label="AA")
    lines = [container.lines[0] for container in ax.containers]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in lines] == [
        pytest.approx(place) for place in ((0.9, 0.4), (0.75, 0.4), (0.9, 0.2))
    ]
    assert [line.get_markerfacecolor() == "white" for line in lines] == [False, False, True]
    assert words(ax).count("PGD-AT") == words(ax).count("theirs") == 1
    assert ax.get_ylabel() == "Accuracy under AA"


@pytest.mark.parametrize("spread", [0.3, 0.0005])
def test_names_overlap_neither_each_other_nor_points(spread):
    draws = np.random.default_rng(0)
    points = 0.6 + spread * draws.uniform(-1, 1, (14, 2))
    table = pd.DataFrame({"run": [f"bat-awp-ema-{n}" for n in range(14)], "n_seeds": 3})
    for name, values in zip(("clean", "robust"), points.T, strict=True):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = (
            values,
            values - 0.01,
            values + 0.01,
        )
    ax = ladder.plot_ladder(table)
    assert len(words(ax)) == 14 and overlapping(ax.figure) == []
    renderer = FigureCanvasAgg(ax.figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in ax.texts]
    signs = ax.transData.transform(points)
    assert not [box for box in boxes for sign in signs if box.contains(*sign)]
    assert all(ax.figure.bbox.x0 <= box.x0 and box.x1 <= ax.figure.bbox.x1 for box in boxes)


def test_names_of_close_points_lie_on_no_bar():
    places = {
        "pgd-at": (0.755, 0.402),
        "trades": (0.748, 0.409),
        "mart": (0.742, 0.412),
        "gairat": (0.760, 0.360),
        "bat-1-0.2": (0.763, 0.401),
        "bat-2-0.2": (0.766, 0.398),
        "mail-trades": (0.750, 0.405),
    }
    table = pd.DataFrame(places.values(), columns=["clean", "robust"]).assign(n_seeds=3)
    table.insert(0, "run", list(places))
    for name in ("clean", "robust"):
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.012, table[name] + 0.012
    ax = ladder.plot_ladder(table)
    renderer = FigureCanvasAgg(ax.figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in ax.texts]
    bars = [bar for drawn in ax.containers for bars in drawn.lines[2] for bar in bars.get_paths()]
    ends = [Bbox(ax.transData.transform(bar.vertices)) for bar in bars]
    assert len(boxes) == 7 and len(ends) == 14
    assert not [box for box in boxes if box.count_overlaps(ends)]
    assert {tick.get_text() for tick in ax.get_xticklabels()} >= {"74 %", "75 %"}


def test_names_leave_what_the_axes_say_free():
    draws = np.random.default_rng(0)
    table = pd.DataFrame({"run": [f"own-method-{n}-awp-ema" for n in range(20)], "n_seeds": 3})
    for name, (low, high) in {"clean": (0.5, 0.9), "robust": (0.2, 0.4)}.items():
        table[name] = draws.uniform(low, high, 20)
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.05, table[name] + 0.05
    ax = ladder.plot_ladder(table)
    renderer = FigureCanvasAgg(ax.figure).get_renderer()
    ax.figure.draw_without_rendering()
    said = [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label]
    places = [text.get_window_extent(renderer) for text in said]
    boxes = [text.get_window_extent(renderer) for text in ax.texts]
    assert not [box for box in boxes for place in places if box.overlaps(place)]


def test_a_long_name_lies_within_the_figure_and_ticks_say_where_they_are():
    name = "bat-with-awp-and-ema-and-samples-without-the-atypical-ones-at-eps-0.123"
    ax = ladder.plot_ladder(ladder.ladder({(name, 0): evaluation(aa=4)}, "aa"))
    ax.figure.canvas.draw()
    (text,) = ax.texts
    box = text.get_window_extent()
    assert ax.figure.bbox.x0 <= box.x0 and box.x1 <= ax.figure.bbox.x1
    assert text.get_text() == "bat-with-awp-a…es-at-eps-0.123"
    none = {("a", seed): evaluation(aa=0, clean=0, fgsm=0, pgd=0, cw=0) for seed in (0, 1)}
    close = ladder.plot_ladder(ladder.ladder(none, "aa"))
    close.figure.canvas.draw()
    for ticks in (close.get_xticklabels(), close.get_yticklabels()):
        assert len({tick.get_text() for tick in ticks}) == len(ticks) > 2


def test_the_caption_says_what_the_bars_count():
    table = ladder.ladder(THREE, "aa")
    text = ladder.caption(table, EVALUATION, {"pgd-at": spec(), "trades": spec()})
    for part in (
        "10 test samples of cifar100, resnet18",
        "AutoAttack standard; the strongest that every run faced",
        "Means over 2 seeds; bars are 95 % intervals that count both the seeds and the test images",
        "Of one seed, open sign, with intervals that count the images alone: theirs.",
        "Trained elsewhere: theirs.",
    ):
        assert part in text
    assert "standard deviation" not in text
    alone = ladder.caption(table[table["run"] == "theirs"], EVALUATION, {})
    assert "count both" not in alone

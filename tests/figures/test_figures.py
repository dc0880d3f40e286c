import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from bat.errors import BatError
from bat.figures import drawing as figures
from bat.report import tables

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)


@pytest.fixture
def memorization():
    return pd.DataFrame(
        {
            "index": np.arange(30),
            "label": np.arange(30) % 10,
            "memorization": np.repeat([-0.03, 0.5, 0.97], 10),
            "memorization_se": 0.05,
        }
    )


@pytest.fixture
def examples(memorization):
    names = [f"a very long class name {i}" for i in range(10)]
    return tables.memorization_examples(memorization[:-1], names)


@pytest.fixture
def pairs():
    return pd.DataFrame(
        {
            "train_index": np.arange(7),
            "test_index": np.arange(7)[::-1],
            "influence": 0.44,
            "influence_se": 0.05,
            "train_class": "a very long class name",
            "memorization": 0.91,
            "memorization_se": 0.02,
            "test_class": "another very long class name",
            "q": [0.01] * 2 + [0.8] * 5,
            "stands": [True] * 2 + [False] * 5,
        }
    )


@pytest.fixture
def convergence():
    rows = pd.DataFrame(
        {
            "n_trials": [20, 50, 100],
            "repeats": 5,
            "split_half_correlation": [0.7, 0.8, 0.9],
            "split_half_correlation_sd": 0.02,
            "split_half_spearman": [0.6, 0.7, 0.8],
            "split_half_spearman_sd": 0.02,
            "se_mean": [0.15, 0.1, 0.07],
            "se_p95": [0.22, 0.14, 0.1],
        }
    )
    return tables.convergence_study(rows, precision=0.025)


@pytest.fixture
def values(memorization):
    metrics = {"disagreement": np.linspace(0, 0.6, 30), "1 − confidence": np.linspace(0, 1, 30)}
    return tables.metric_values(memorization, metrics)


ALIGNMENT = pd.DataFrame(
    {
        "metric_a": ["memorization", "memorization", "disagreement"],
        "metric_b": ["disagreement", "1 − confidence", "1 − confidence"],
        "spearman": [0.81, 0.72, 0.93],
        "overlap_10": [0.5, 0.6, 0.7],
        "overlap_20": [0.6, 0.7, 0.8],
        "overlap_40": [0.7, 0.8, 0.9],
        "auc": [0.97, np.nan, np.nan],
    }
)
GRID = pd.DataFrame(
    {
        "alpha": [0.0, 1.0, 0.0],
        "beta": [0.0, 0.0, 0.2],
        "mean": [0.5, 0.62, 0.55],
        "sd": [np.nan, 0.01, np.nan],
    }
)
EPOCHS = pd.DataFrame(
    {
        "series": ["PGD-AT"] * 3 + ["mine"] * 3,
        "epoch": [1, 2, 3] * 2,
        "mean": [0.1, 0.2, 0.3, 0.2, 0.3, 0.4],
        "sd": [0.01, 0.01, 0.01, np.nan, np.nan, np.nan],
    }
)


def words(ax):
    return [text.get_text() for text in ax.texts]


def overlapping(fig):
    """Pairs of texts whose boxes overlap by more than a point."""
    renderer = FigureCanvasAgg(fig).get_renderer()
    texts = [text for ax in fig.axes for text in ax.texts]
    boxes = [text.get_window_extent(renderer).padded(-1) for text in texts]
    return [
        (a.get_text(), b.get_text())
        for (a, box_a), (b, box_b) in itertools.combinations(zip(texts, boxes, strict=True), 2)
        if box_a.overlaps(box_b)
    ]


def test_examples_show_each_image_at_its_place(examples):
    ax = figures.plot_memorization_examples(examples, IMAGES)
    assert len(ax.images) == len(examples) == 29
    for image, item in zip(ax.images, examples.itertuples(), strict=True):
        np.testing.assert_array_equal(image.get_array(), IMAGES[item.index].transpose(1, 2, 0))
    left = [image.get_extent()[0] for image in ax.images]
    assert np.argsort(left[:10]).tolist() == list(range(10))
    assert words(ax).count("none") == 1
    assert words(ax)[0] == "−0.03 ± 0.05\na very long…"
    assert {"mem ≈ 0", "mem ≈ 0.5", "mem ≈ 1"} <= set(words(ax))
    assert overlapping(ax.figure) == []


def test_pairs_show_train_left_of_test(pairs):
    ax = figures.plot_influence_pairs(pairs, IMAGES[:7, :1], IMAGES[7:14, :1])
    assert len(ax.images) == 14
    for place, pair in enumerate(pairs.itertuples()):
        train, test = ax.images[2 * place : 2 * place + 2]
        np.testing.assert_array_equal(train.get_array(), IMAGES[pair.train_index, 0])
        np.testing.assert_array_equal(test.get_array(), IMAGES[7 + pair.test_index, 0])
        assert train.get_extent()[1] < test.get_extent()[0]
    assert "a very long class…\nmem 0.91 ± 0.02" in words(ax)
    assert overlapping(ax.figure) == []


@pytest.mark.parametrize("name", ["W" * 20, "iiiiiiiiiiiiiiiiiiiiiiiiii" * 9, "$_{W}$ " * 5, "köl"])
def test_names_are_cut_where_they_would_meet(pairs, examples, name):
    named = pairs.assign(train_class=name, test_class=name)
    for ax in (
        figures.plot_influence_pairs(named, IMAGES, IMAGES),
        figures.plot_memorization_examples(examples.assign(class_name=name), IMAGES),
    ):
        renderer = FigureCanvasAgg(ax.figure).get_renderer()
        labels = [text for text in ax.texts if "\n" in text.get_text()]
        assert len(labels) > 6 and all(
            text.get_text().count("…") == (name != "köl") for text in labels
        )
        boxes = [text.get_window_extent(renderer) for text in labels]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_no_pairs_is_said(pairs):
    ax = figures.plot_influence_pairs(pairs[:0], IMAGES, IMAGES)
    assert words(ax) == ["No pair is above the threshold."]


def test_images_of_another_data_set_are_refused(examples):
    with pytest.raises(BatError, match=r"sample 28, but there are 20 training images"):
        figures.plot_memorization_examples(examples, IMAGES[:20])
    with pytest.raises(BatError, match=r"float64; expected uint8"):
        figures.plot_memorization_examples(examples, IMAGES / 255)
    with pytest.raises(BatError, match=r"shape \(30, 8, 8, 3\)"):
        figures.plot_memorization_examples(examples, IMAGES.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("log", [True, False])
def test_histogram_draws_the_counts(memorization, log):
    table = tables.memorization_histogram(memorization)
    ax = figures.plot_memorization_histogram(table, log=log)
    bars = sorted((bar.get_x(), bar.get_height()) for bar in ax.patches)
    assert bars == list(zip(table["left"], table["count"], strict=True))
    assert ax.get_yscale() == ("log" if log else "linear")
    share = "66.7\u00a0% above 0.15\n(66.7\u00a0% to 66.7\u00a0%)"
    assert words(ax) == [f"{share}\n0.1\u00a0% by chance"]


def test_what_is_not_known_is_said_as_not_known(memorization, pairs):
    unknown = memorization.assign(memorization_se=np.nan)
    table = tables.memorization_histogram(unknown)
    assert words(figures.plot_memorization_histogram(table)) == [
        "66.7\u00a0% above 0.15\n(interval not known)"
    ]
    assert "not known" in tables.caption_histogram(table, {})
    assert "brackets" not in tables.caption_histogram(table, {})
    examples = tables.memorization_examples(unknown, list("abcdefghij"))
    assert "nan" not in "".join(words(figures.plot_memorization_examples(examples, IMAGES)))
    unknown = pairs.assign(influence_se=np.nan, memorization_se=np.nan, q=np.nan, stands=False)
    assert "nan" not in "".join(words(figures.plot_influence_pairs(unknown, IMAGES, IMAGES)))
    assert "more than chance is not known" in tables.caption_pairs(unknown, {})


def test_pairs_that_stand_are_marked(pairs):
    found = words(figures.plot_influence_pairs(pairs, IMAGES, IMAGES))
    assert sum("★" in text for text in found) == 2
    assert "marked ★: 2 of them" in tables.caption_pairs(pairs, {})
    assert "None of them stands" in tables.caption_pairs(pairs.assign(stands=False), {})


def test_alignment_draws_points_and_bars(values):
    fig = figures.draw_alignment(values, ALIGNMENT)
    first, second, bars = fig.axes
    drawn = np.sort(np.concatenate([line.get_ydata() for line in first.lines]))
    np.testing.assert_array_equal(drawn, values["disagreement"])
    assert first.get_title(loc="left") == "Spearman 0.81, AUC 0.970"
    assert second.get_title(loc="left") == "Spearman 0.72"  # an undefined AUC is left out
    assert [bar.get_height() for bar in bars.patches[:3]] == [0.5, 0.6, 0.7]


def test_convergence_marks_the_trials_needed(convergence):
    left, middle, right = figures.draw_convergence(convergence).axes
    assert left.lines[0].get_ydata().tolist() == [0.7, 0.8, 0.9]
    assert middle.get_title(loc="left") == "95th percentile of 0.025: 1,600 trials"
    assert any(line.get_xdata()[0] == 1600 for line in middle.lines)
    assert right.get_title(loc="left") == "not known"  # a table of version 0.1.0


def test_accuracy_by_epoch():
    ax = figures.plot_accuracy_by_epoch(EPOCHS)
    assert [line.get_label() for line in ax.lines] == ["PGD-AT", "mine"]
    assert ax.lines[0].get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert ax.lines[0].get_color() == figures.SERIES["PGD-AT"][0]
    band = ax.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.09, 0.31))


def test_ablation_grid_puts_numbers_in_their_cells():
    ax = figures.plot_ablation_grid(GRID)
    found = {text.get_position(): text.get_text() for text in ax.texts}
    assert found == {(0, 0): "50.0", (1, 0): "62.0\n± 1.0", (0, 1): "55.0"}
    grid = ax.images[0].get_array()
    assert grid[0].tolist() == [0.5, 0.62]
    assert np.ma.is_masked(grid[1, 1]) or np.isnan(grid[1, 1])


def test_group_bars_fill_the_width():
    groups = pd.DataFrame({"typical": [1, 1, 0, 0], "atypical": [0, 0, 1, 0]}, dtype=bool)
    table = tables.group_sizes("digits", {"train": groups, "test": groups})
    ax = figures.plot_group_sizes(table)
    assert [bar.get_width() for bar in ax.patches] == [0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    assert max(bar.get_x() + bar.get_width() for bar in ax.patches) == 1


def test_plots_draw_on_given_axes(examples, pairs, memorization, values, convergence):
    histogram = tables.memorization_histogram(memorization)
    groups = tables.group_sizes("d", {"train": memorization.assign(typical=True, atypical=False)})
    for plot, *arguments in (
        (figures.plot_memorization_examples, examples, IMAGES),
        (figures.plot_influence_pairs, pairs, IMAGES, IMAGES),
        (figures.plot_memorization_histogram, histogram),
        (figures.plot_metric, values, "disagreement"),
        (figures.plot_overlaps, ALIGNMENT),
        (figures.plot_split_half, convergence),
        (figures.plot_standard_errors, convergence),
        (figures.plot_accuracy_by_epoch, EPOCHS),
        (figures.plot_ablation_grid, GRID),
        (figures.plot_group_sizes, groups),
    ):
        ax = Figure().subplots()
        assert plot(*arguments, ax=ax) is ax


def test_series_keep_their_style():
    methods = ["ERM", "PGD-AT", "TRADES", "MART", "GAIRAT", "BAT(1, 0.2)", "BAT(2, 0.2)"]
    styles = figures.series_styles([*methods, "mine", "yours"])
    assert len(set(styles.values())) == len(styles)
    assert figures.series_styles(["MART"])["MART"] == styles["MART"]
    assert len({color for color, _, _ in map(styles.get, methods)}) == len(methods)


def test_save_figure(tmp_path, memorization):
    table = tables.memorization_histogram(memorization)
    ax = figures.plot_memorization_histogram(table)
    caption = "Thirty samples ± √2 %, seed 0. " * 6
    written = figures.save_figure(
        ax.figure, tmp_path / "new" / "eps0.1", table, caption, more_tables={"raw": memorization}
    )
    names = ["eps0.1.pdf", "eps0.1.png", "eps0.1.csv", "eps0.1_raw.csv"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    pd.testing.assert_frame_equal(pd.read_csv(written[2]), table)
    pdf = written[0].read_bytes()
    assert b"Date" not in pdf
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf  # TrueType, embedded
    with Image.open(written[1]) as image:
        assert image.info["Description"] == caption
        with_caption = image.height
    assert ax.figure.texts == []
    figures.save_figure(ax.figure, tmp_path / "plain", table, "Short.")
    with Image.open(tmp_path / "plain.png") as image:
        assert image.height < with_caption  # the caption is on the picture, line by line


DRAW = """
import sys, numpy as np, pandas as pd
from bat.figures import drawing as figures
from bat.report import tables
frame = pd.DataFrame({"index": range(30), "label": np.arange(30) % 10,
                      "memorization": np.linspace(0, 1, 30), "memorization_se": 0.05})
images = np.arange(30 * 64, dtype=np.uint8).reshape(30, 1, 8, 8)
table = tables.memorization_examples(frame, list("abcdefghij"))
figures.save_figure(figures.plot_memorization_examples(table, images).figure,
                    sys.argv[1] + "/a", table, "A.")
values = tables.metric_values(frame, {"disagreement": np.linspace(0, 1, 30)})
figures.save_figure(figures.plot_metric(values, "disagreement").figure,
                    sys.argv[1] + "/b", values, "B.")
heavy = {"torch", "scipy", "sklearn", "snakemake", "matplotlib.pyplot"} & set(sys.modules)
assert not heavy, heavy
"""


def test_same_input_gives_the_same_bytes_without_heavy_imports(tmp_path):
    digests = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed}
        subprocess.run([sys.executable, "-c", DRAW, str(folder)], env=environment, check=True)
        files = sorted(folder.iterdir())
        digests.append([(f.name, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files])
    assert len(digests[0]) == 6
    assert digests[0] == digests[1]

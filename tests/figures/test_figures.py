"""What all figures have in common."""

import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from drawn import ALIGNMENT, EPOCHS, GRID, IMAGES, METADATA, words
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bat.figures import alignment, convergence, fig4, fig5, fig6, fig7
from bat.figures import groups as sizes
from bat.report import curves


@pytest.mark.parametrize("name", ["W" * 20, "iiiiiiiiiiiiiiiiiiiiiiiiii" * 9, "$_{W}$ " * 5, "köl"])
def test_names_are_cut_where_they_would_meet(pairs, examples, name):
    named = pairs.assign(train_class=name, test_class=name)
    for ax in (
        fig7.plot_influence_pairs(named, IMAGES, IMAGES),
        fig5.plot_memorization_examples(examples.assign(class_name=name), IMAGES),
    ):
        renderer = FigureCanvasAgg(ax.figure).get_renderer()
        labels = [text for text in ax.texts if "\n" in text.get_text()]
        assert len(labels) > 6 and all(
            text.get_text().count("…") == (name != "köl") for text in labels
        )
        boxes = [text.get_window_extent(renderer) for text in labels]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_what_is_not_known_is_said_as_not_known(thirty, pairs):
    unknown = thirty.assign(memorization_se=np.nan)
    table = fig6.memorization_histogram(unknown)
    assert words(fig6.plot_memorization_histogram(table)) == [
        "66.7\u00a0% above 0.15\n(interval not known)"
    ]
    assert "not known" in fig6.caption(table, {})
    assert "brackets" not in fig6.caption(table, {})
    examples = fig5.memorization_examples(unknown, list("abcdefghij"))
    assert "nan" not in "".join(words(fig5.plot_memorization_examples(examples, IMAGES)))
    unknown = pairs.assign(influence_se=np.nan, memorization_se=np.nan, q=np.nan, stands=False)
    assert "nan" not in "".join(words(fig7.plot_influence_pairs(unknown, IMAGES, IMAGES)))
    assert "more than chance is not known" in fig7.caption(unknown, {})


def test_plots_draw_on_given_axes(examples, pairs, thirty, values, convergence_rows):
    study = convergence.convergence_study(convergence_rows, precision=0.025)
    histogram = fig6.memorization_histogram(thirty)
    groups = sizes.group_sizes("d", {"train": thirty.assign(typical=True, atypical=False)})
    for plot, *arguments in (
        (fig5.plot_memorization_examples, examples, IMAGES),
        (fig7.plot_influence_pairs, pairs, IMAGES, IMAGES),
        (fig6.plot_memorization_histogram, histogram),
        (alignment.plot_metric, values, "disagreement"),
        (alignment.plot_overlaps, ALIGNMENT),
        (convergence.plot_split_half, study),
        (convergence.plot_standard_errors, study),
        (curves.plot_accuracy_by_epoch, EPOCHS),
        (fig4.plot_ablation_grid, GRID),
        (sizes.plot_group_sizes, groups),
    ):
        ax = Figure().subplots()
        assert plot(*arguments, ax=ax) is ax


def test_captions_say_n_seed_and_interval(memorization, convergence_rows):
    histogram = fig6.memorization_histogram(memorization)
    caption = fig6.caption(histogram, METADATA)
    for part in ("6 training samples of digits", "50.0\u00a0%", "1.96", "seed 3"):
        assert part in caption
    study = convergence.convergence_study(convergence_rows, precision=0.025)
    assert "1,600 trials" in convergence.caption(study, METADATA)
    assert "5 random draws" in convergence.caption(study, METADATA)
    ensemble = {"recipe": {"small_cnn": {"trials": 30}}, "samples": "held_out"}
    values = alignment.metric_values(memorization, {"disagreement": np.arange(6)})
    caption = alignment.caption(values, METADATA, ensemble)
    assert "30 small_cnn models, on samples left out" in caption
    assert "No training sample" in fig7.caption(pd.DataFrame(), METADATA)


DRAW = """
import sys, numpy as np, pandas as pd
from bat.figures import alignment, fig5
from bat.report.saving import save_figure
frame = pd.DataFrame({"index": range(30), "label": np.arange(30) % 10,
                      "memorization": np.linspace(0, 1, 30), "memorization_se": 0.05})
images = np.arange(30 * 64, dtype=np.uint8).reshape(30, 1, 8, 8)
table = fig5.memorization_examples(frame, list("abcdefghij"))
save_figure(fig5.plot_memorization_examples(table, images).figure,
                    sys.argv[1] + "/a", table, "A.")
values = alignment.metric_values(frame, {"disagreement": np.linspace(0, 1, 30)})
save_figure(alignment.plot_metric(values, "disagreement").figure,
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

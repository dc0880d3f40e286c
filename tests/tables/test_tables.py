import io

import numpy as np
import pandas as pd
import pytest

from bat.errors import BatError
from bat.report import tables


@pytest.fixture
def memorization():
    """Six samples of two classes, scores and errors chosen by hand."""
    return pd.DataFrame(
        {
            "index": np.arange(6),
            "label": [0, 0, 0, 1, 1, 1],
            "memorization": [0.0, 0.0, 0.95, 0.45, 0.16, -0.05],
            "memorization_se": [0.02, 0.01, 0.03, 0.1, 0.02, 0.02],
        }
    )


def test_examples_are_the_nearest_of_each_class(memorization):
    table = tables.memorization_examples(memorization, ["cat", "dog"], columns=2)
    found = list(table[["row", "column", "index"]].itertuples(index=False, name=None))
    # class 0: the tie at 0 goes to the smaller error; nothing near 0.5, as 1 has nothing near 1
    assert found == [(0, 0, 1), (0, 1, 5), (1, 1, 3), (2, 0, 2)]
    assert list(table["class_name"]) == ["cat", "dog", "dog", "cat"]
    assert list(table["level"]) == [0.0, 0.0, 0.5, 1.0]


def test_examples_give_few_classes_several_columns(memorization):
    table = tables.memorization_examples(memorization, ["cat", "dog"], levels=[0.0], columns=4)
    assert list(table["column"]) == [0, 1, 2, 3]
    assert list(table["index"]) == [1, 0, 5, 4]


def test_examples_prefer_classes_that_come_near_every_level():
    scores = pd.DataFrame(
        {
            "index": np.arange(5),
            "label": [0, 1, 1, 2, 2],
            "memorization": [0.0, 0.1, 0.9, 0.0, 1.0],
            "memorization_se": 0.01,
        }
    )
    table = tables.memorization_examples(scores, ["a", "b", "c"], levels=[0, 1], columns=2)
    assert sorted(set(table["class_name"])) == ["b", "c"]
    assert table["column"].max() == 1


def test_examples_leave_out_a_level_that_nothing_is_near(memorization):
    table = tables.memorization_examples(memorization, ["cat", "dog"], levels=[0, 0.7, 1])
    assert table[["row", "level"]].drop_duplicates().to_numpy().tolist() == [[0, 0], [1, 1]]
    with pytest.raises(BatError, match=r"within 0.1 of 0.7"):
        tables.memorization_examples(memorization, ["cat", "dog"], levels=[0.7], tolerance=0.1)


def test_histogram_counts_every_sample_once(memorization):
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.uniform(-1, 1, 500), [-1.0, 0.0, 0.15, 1.0]])
    frame = pd.DataFrame({"memorization": scores, "memorization_se": 0.0})
    table = tables.memorization_histogram(frame)
    assert table["count"].sum() == 504
    assert table["share"].sum() == pytest.approx(1)
    for row in table.itertuples():
        assert row.count == np.sum((scores > row.left) & (scores <= row.right))
    above = table.loc[table["left"] >= 0.15, "count"].sum()  # 0.15 itself is not above
    assert above == np.sum(scores > 0.15)
    assert table["share_above"].iloc[0] == np.mean(scores > 0.15)


def test_histogram_bounds_move_each_estimate_by_its_error(memorization):
    first = tables.memorization_histogram(memorization).iloc[0]
    assert first["share_above"] == 3 / 6
    assert first["share_above_low"] == 2 / 6  # 0.16 - 1.96 * 0.02 is below 0.15
    assert first["share_above_high"] == 3 / 6
    wide = memorization.assign(memorization_se=0.1)
    first = tables.memorization_histogram(wide).iloc[0]
    assert first["share_above_high"] == 5 / 6  # 0 + 0.196 is above, -0.05 + 0.196 is not
    assert first["share_above_low"] == 2 / 6


def test_histogram_of_nothing_is_refused(memorization):
    with pytest.raises(BatError, match="no rows"):
        tables.memorization_histogram(memorization[:0])


def test_pairs_take_each_training_sample_once(memorization):
    influence = pd.DataFrame(
        {
            "train_index": [2, 2, 3, 4, 0],
            "test_index": [0, 1, 2, 2, 0],
            "influence": np.array([0.3, 0.5, 0.4, 0.15, 0.9], dtype=np.float32),
            "influence_se": np.float32(0.05),
            "q": np.float32([1, 0.9, 0.05, 1, 0.01]),
        }
    )
    test = pd.DataFrame({"index": [0, 1, 2], "label": [0, 0, 1]})
    table = tables.influence_pairs(influence, memorization, test, ["cat", "dog"])
    # sample 0 is not memorized, and 0.15 is not above 0.15
    found = list(table[["train_index", "test_index"]].itertuples(index=False, name=None))
    assert found == [(3, 2), (2, 1)]  # the one that stands comes first
    assert list(table["stands"]) == [True, False]
    assert list(table["train_class"]) == ["dog", "cat"]
    assert list(table["test_class"]) == ["dog", "cat"]
    assert list(table["memorization"]) == [0.45, 0.95]
    names = ["cat", "dog"]
    assert len(tables.influence_pairs(influence, memorization, test, names, n_pairs=1)) == 1
    assert tables.influence_pairs(influence, memorization, test, names, atypical_above=0.95).empty
    assert tables.influence_pairs(influence, memorization, test, names, influence_above=0.5).empty


def test_metric_values_mark_the_atypical(memorization):
    table = tables.metric_values(memorization, {"disagreement": np.arange(6)})
    assert list(table.columns) == ["index", "memorization", "atypical", "disagreement"]
    assert list(table["atypical"]) == [False, False, True, True, True, False]
    with pytest.raises(BatError, match="'confidence' have 5 rows"):
        tables.metric_values(memorization, {"confidence": np.arange(5)})


@pytest.fixture
def convergence_rows():
    return pd.DataFrame(
        {
            "n_trials": [50, 100],
            "repeats": 5,
            "split_half_correlation": [0.8, 0.9],
            "split_half_correlation_sd": 0.01,
            "split_half_spearman": [0.7, 0.8],
            "split_half_spearman_sd": 0.01,
            "se_mean": [0.1, 0.07],
            "se_p95": [0.14, 0.1],
        }
    )


def test_convergence_reaches_the_precision(convergence_rows):
    table = tables.convergence_study(convergence_rows, precision=0.025)
    assert set(table["n_needed"]) == {1600}  # a quarter of the error, sixteen times the trials
    last = table.iloc[-1]
    assert (last["n_trials"], last["source"]) == (1600, "extrapolated")
    assert last["se_p95"] == pytest.approx(0.025)
    assert list(table["source"][:3]) == ["measured", "measured", "extrapolated"]
    assert table["n_trials"].is_monotonic_increasing
    assert table["repeats"].dtype.kind == "i"


def test_convergence_already_reached(convergence_rows):
    table = tables.convergence_study(convergence_rows, precision=0.2)
    assert table["n_needed"].iloc[0] == 25
    assert table["n_trials"].max() == 200


def test_group_sizes_add_up():
    groups = pd.DataFrame({"typical": [1, 1, 0, 0, 0], "atypical": [0, 0, 1, 0, 0]}, dtype=bool)
    table = tables.group_sizes("digits", {"train": groups, "test": groups[:2]})
    sizes = {(row.split, row.group): row.size for row in table.itertuples()}
    assert [sizes["train", g] for g in ("typical", "neither", "atypical", "all")] == [2, 2, 1, 5]
    assert [sizes["test", g] for g in ("typical", "neither", "atypical", "all")] == [2, 0, 0, 2]
    assert table["share"].iloc[0] == 2 / 5


def test_over_seeds():
    frame = pd.DataFrame(
        {
            "series": ["b", "b", "b", "a"],
            "epoch": [1, 1, 1, 1],
            "seed": [0, 1, 2, 0],
            "accuracy": [0.1, 0.2, 0.3, 0.5],
        }
    )
    table = tables.over_seeds(frame, ["series", "epoch"], "accuracy")
    assert list(table["series"]) == ["b", "a"]
    assert table["mean"].tolist() == pytest.approx([0.2, 0.5])
    assert table["sd"].iloc[0] == pytest.approx(0.1)
    assert np.isnan(table["sd"].iloc[1])
    assert table["n_seeds"].tolist() == [3, 1]
    with pytest.raises(BatError, match="more than once"):
        tables.over_seeds(pd.concat([frame, frame[:1]]), ["series", "epoch"], "accuracy")


METADATA = {
    "dataset": "digits",
    "recipe": {"architecture": "small_cnn", "trials": 200, "subset_ratio": 0.7, "seed": 3},
    "accuracies": {"included": 0.998, "excluded": 0.95, "test": 0.94},
    "converged": True,
}


def test_provenance_names_what_is_known():
    text = tables.provenance(METADATA)
    for part in ("200 small_cnn models", "70\u00a0%", "seed 3", "99.8\u00a0%", "95.0\u00a0%"):
        assert part in text
    assert "understated" not in text
    assert "understated" in tables.provenance(METADATA | {"converged": False})
    assert tables.provenance({}) == ""


def test_captions_say_n_seed_and_interval(memorization, convergence_rows):
    histogram = tables.memorization_histogram(memorization)
    caption = tables.caption_histogram(histogram, METADATA)
    for part in ("6 training samples of digits", "50.0\u00a0%", "1.96", "seed 3"):
        assert part in caption
    study = tables.convergence_study(convergence_rows, precision=0.025)
    assert "1,600 trials" in tables.caption_convergence(study, METADATA)
    assert "5 random draws" in tables.caption_convergence(study, METADATA)
    ensemble = {"recipe": {"small_cnn": {"trials": 30}}, "samples": "held_out"}
    values = tables.metric_values(memorization, {"disagreement": np.arange(6)})
    caption = tables.caption_alignment(values, METADATA, ensemble)
    assert "30 small_cnn models, on samples left out" in caption
    assert "No training sample" in tables.caption_pairs(pd.DataFrame(), METADATA)


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "name": ["a|b_1", "5 % ± 1"],
            "value": [0.1 + 0.2, np.nan],
            "size": [1000, 2],
            "ok": [True, False],
        }
    )


def test_csv_keeps_every_digit(frame):
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(tables.csv_text(frame))), frame)


def test_markdown(frame):
    lines = tables.markdown_text(frame, "What it is.", digits=2).splitlines()
    assert lines == [
        "What it is.",
        "",
        "| name | value | size | ok |",
        "| :--- | ---: | ---: | :--- |",
        "| a\\|b_1 | 0.30 | 1000 | yes |",
        "| 5 % ± 1 | – | 2 | no |",
    ]


def test_latex_escapes(frame):
    text = tables.latex_text(frame, "50 % & more", digits=1)
    assert r"\caption{50 \% \& more}" in text
    assert r"\begin{tabular}{lrrl}" in text
    assert r"a|b\_1 & 0.3 & 1000 & yes \\" in text
    assert r"5 \% $\pm$ 1 & -- & 2 & no \\" in text


def test_write_table_files(frame, tmp_path):
    written = tables.write_table_files(frame, tmp_path / "new" / "eps0.1", "C.", ("csv", "tex"))
    assert [path.name for path in written] == ["eps0.1.csv", "eps0.1.tex"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "eps0.1.csv",
        "eps0.1.tex",
    ]
    assert written[0].read_text() == tables.csv_text(frame)
    with pytest.raises(BatError, match="'xlsx' is not a table format"):
        tables.write_table_files(frame, tmp_path / "x", "C.", ("xlsx",))

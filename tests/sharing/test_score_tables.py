"""Score tables as data frames, wherever they come from."""

import numpy as np
import pandas as pd
import pytest
from small_scores import write_results

import bat
from bat import sharing
from bat.errors import ArtifactError
from bat.files import SCHEMAS


@pytest.fixture(scope="module")
def results(few_digits, tmp_path_factory):
    """A results folder of the few digits; not to be changed."""
    return write_results(tmp_path_factory.mktemp("results") / "digits", few_digits)


def test_a_folder_its_scores_and_an_archive_of_it_say_the_same(results, tmp_path):
    sharing.export(results, tmp_path / "scores.zip")
    places = (results, results / "scores", results / "scores" / "test.parquet")
    read = [bat.read_scores(place) for place in (*places, tmp_path / "scores.zip")]
    for tables in read[1:]:
        for kind, frame in read[0].tables.items():
            columns = SCHEMAS[kind].names
            pd.testing.assert_frame_equal(tables.tables[kind][columns], frame[columns])
    assert "source_index" in read[0].memorization and "source_index" in read[3].memorization
    assert read[3].class_names == [str(digit) for digit in range(10)]
    assert read[0].metadata["influence"]["influence"]["keep_above"] == 0.02
    assert "memorization (200 rows)" in repr(read[0])


def test_what_is_not_there_is_said_with_what_is(results):
    with pytest.raises(ArtifactError, match="no table of confidence; found memorization"):
        bat.read_scores(results).confidence  # noqa: B018


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("..", "holds the scores of digits; name one of these data sets"),
        ("small_cnn", "is one folder of a data set's results, and its scores lie in"),
        ("nowhere", "there is no such file or folder"),
    ],
)
def test_a_place_beside_the_scores_is_refused_by_name(results, place, words):
    (results / "small_cnn").mkdir(exist_ok=True)
    with pytest.raises(ArtifactError, match=words):
        bat.read_scores(results / place)


def test_tables_of_other_data_are_refused_or_matched_by_a_key(results, few_digits, prepare):
    fewer = prepare(subsample={"train": 60, "test": 30})
    with pytest.raises(ArtifactError, match="speaks of the data set with fingerprint"):
        bat.read_scores(results, fewer)
    whole = bat.read_scores(results).memorization.set_index("source_index")["memorization"]
    common = np.isin(fewer.train_source_index, few_digits.train_source_index)
    if not common.all():
        with pytest.raises(ArtifactError, match="holds no scores of"):
            bat.read_scores(results, fewer, match="source_index")
    assert (
        bat.read_scores(results, few_digits.folder, match="source_index")
        .memorization["memorization"]
        .tolist()
        == whole.tolist()
    )


def test_a_list_is_read_as_it_is_or_for_the_data_in_use(few_digits, tmp_path):
    path = tmp_path / "list.csv"
    order = np.random.default_rng(0).permutation(200)
    path.write_text(pd.DataFrame({"idx": order, "mem": order / 1000}).to_csv(index=False))
    assert bat.read_scores(path).memorization["index"].tolist() == order.tolist()
    tables = bat.read_scores(path, few_digits, match="index")
    assert tables.memorization["memorization"].tolist() == (np.arange(200) / 1000).tolist()
    assert tables.memorization["label"].tolist() == few_digits.train_labels.tolist()
    with pytest.raises(ArtifactError, match="match='index' needs data"):
        bat.read_scores(path, match="index")

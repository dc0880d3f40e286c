"""Lists of memorization scores as people share them, read into tables or refused by name."""

import io
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from samples import pets, write_pets

from bat import data, sharing
from bat.errors import ArtifactError
from bat.files import column, read_table
from bat.scores.groups import test_groups as split_test
from bat.sharing.lists import is_score_list, read_score_list
from bat.validation import check_all

N = 200  # training samples of the digits in use
SCORES = np.random.default_rng(0).uniform(-0.1, 1, N).round(6)


def fetch(path, prepared, folder, match="index", **settings):
    """The memorization table that is made of a list, and its metadata."""
    spec = {"dataset": "digits", "source": str(path), "sha256": None, "match": match, "tables": []}
    spec |= {"keep_above": 0.02, "image_folder": None} | settings
    out = folder / "results" / "digits" / "scores"
    sharing.fetch(spec, prepared, out, command="test")
    check_all(out.glob("*.parquet"), prepared)
    table, metadata = read_table(out / "memorization.parquet", "memorization")
    return table, metadata


def refused(path, prepared, folder, *words, **settings):
    with pytest.raises(ArtifactError) as caught:
        fetch(path, prepared, folder, **settings)
    for word in (str(path), *words):
        assert word in str(caught.value), str(caught.value)
    assert "unsafe" not in str(caught.value)


def csv(columns, **settings):
    return pd.DataFrame(columns).to_csv(index=False, **settings)


def comma(text):
    return text.replace(".", ",")


INDEX = np.arange(N)
SHUFFLED = np.random.default_rng(1).permutation(N)
BOTH = {"index": INDEX, "memorization": SCORES}
TEXTS = {
    "pandas": pd.DataFrame({"memorization": SCORES}).to_csv(),
    "plain": csv({"mem": SCORES}),
    "scores": csv({"Index": INDEX, "Memorization Score": SCORES}),
    "shuffled": csv({"idx": SHUFFLED, "score": SCORES[SHUFFLED]}),
    "from 1": csv({"id": INDEX + 1, "score": SCORES}),
    "from 1 shuffled": csv({"id": SHUFFLED + 1, "score": SCORES[SHUFFLED]}),
    "scientific": csv({"index": [f"{i:.3e}" for i in INDEX], "tr_mem": SCORES}),
    "floats": csv({"index": INDEX.astype(float), "memorization": SCORES}),
    "semicolons": csv(BOTH, sep=";"),
    "decimal commas": csv(BOTH, sep=";", decimal=","),
    "tabs and decimal commas": csv(BOTH, sep="\t", decimal=","),
    "one column of decimal commas": comma(csv({"memorization": SCORES})),
    "savetxt": "# index score\n" + csv(BOTH, sep=" ", header=False),
    "no header": csv({"memorization": SCORES}, header=False),
    "R": '"score"\n' + "".join(f'"{i + 1}" {s}\n' for i, s in enumerate(SCORES)),
    "blank lines": csv(BOTH).replace("\n", "\r\n\r\n"),
    "more columns": csv(BOTH | {"loss": SCORES, "name": ["a, b"] * N}),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_in_many_dialects(text, encoding, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding=encoding)
    assert is_score_list(path)
    scores = read_score_list(path)
    ours = SCORES
    if scores.index is not None:
        ours = SCORES[scores.index - scores.index.min()]
    assert scores.memorization == pytest.approx(ours, abs=1e-9)


@pytest.mark.parametrize(
    "save",
    [
        lambda p: np.save(p / "a.npy", SCORES),
        lambda p: np.save(p / "a.npy", SCORES.astype(np.float32)[None]),
        lambda p: np.save(p / "a.npy", pd.DataFrame(BOTH).to_records(index=False)),
        lambda p: np.savez(p / "a.npz", SCORES),
        lambda p: np.savez(p / "a.npz", tr_mem=SCORES, other=np.ones((2, 2))),
        lambda p: np.savez_compressed(p / "a.npz", mem=SCORES[SHUFFLED], idx=SHUFFLED),
        lambda p: pd.DataFrame({"mem": SCORES, "id": INDEX})[::-1].to_parquet(p / "a.parquet"),
        lambda p: (
            pd.DataFrame({"mem": SCORES}).sort_values("mem").to_parquet(p / "a.parquet")
        ),
        lambda p: (p / "a.tsv").write_text(csv(BOTH, sep="\t")),
    ],
)  # fmt: skip
def test_a_list_becomes_the_tables(save, few_digits, tmp_path):
    save(tmp_path)
    (path,) = tmp_path.glob("a.*")
    table, metadata = fetch(path, few_digits, tmp_path)
    assert column(table, "memorization") == pytest.approx(SCORES, abs=1e-6)
    assert (column(table, "label") == few_digits.train_labels).all()
    for name in ("memorization_se", "n_included", "accuracy_excluded"):
        assert table.column(name).null_count == N
    assert metadata["fingerprint"] == few_digits.fingerprint
    assert metadata["matched"]["labels"] is False
    out = tmp_path / "results" / "digits" / "scores"
    note = (out / "source.md").read_text()
    assert "with no labels to compare, from a list of 200 scores" in note
    assert "| Influence | not known |" in note
    pairs, about = read_table(out / "influence.parquet", "influence")
    groups = split_test(
        100,
        {name: column(pairs, name) for name in pairs.column_names},
        np.ones(N, bool),
        np.full(100, np.nan),
        keep_above=about["influence"]["keep_above"],
    )
    assert not np.any(groups), "of unknown influence no group follows"


def test_labels_are_compared(few_digits, tmp_path):
    path, labels = tmp_path / "scores.csv", np.asarray(few_digits.train_labels)
    path.write_text(csv(BOTH | {"label": labels}))
    assert fetch(path, few_digits, tmp_path)[1]["matched"]["labels"] is True
    path.write_text(csv({"index": SHUFFLED, "y": labels[SHUFFLED], "mem": SCORES[SHUFFLED]}))
    assert column(fetch(path, few_digits, tmp_path)[0], "memorization") == pytest.approx(SCORES)
    names = np.array(few_digits.info["class_names"])[labels]
    path.write_text(csv(BOTH | {"class": [f"{name}" for name in names]}))
    fetch(path, few_digits, tmp_path)
    path.write_text(csv({"memorization": SCORES, "label": labels[::-1]}))
    refused(path, few_digits, tmp_path, "train labels differ", "another order")


def test_rows_are_matched_by_position_in_the_source(few_digits, tmp_path):
    source = np.asarray(few_digits.train_source_index)
    values = np.random.default_rng(2).random(1797)
    path = tmp_path / "scores.csv"
    path.write_text(csv({"memorization": values}))
    table, _ = fetch(path, few_digits, tmp_path, match="source_index")
    assert column(table, "memorization") == pytest.approx(values[source])
    order = np.random.default_rng(3).permutation(source)
    path.write_text(csv({"index": order, "memorization": values[order]}))
    table, _ = fetch(path, few_digits, tmp_path, match="source_index")
    assert column(table, "memorization") == pytest.approx(values[source])
    path.write_text(csv({"index": order[1:], "memorization": values[order[1:]]}))
    refused(path, few_digits, tmp_path, "no scores of 1 of the 200", match="source_index")


def test_rows_are_matched_by_file_name(tmp_path):
    folder = write_pets(tmp_path / "pets")
    for path in sorted(folder.glob("*/*/*.png")):
        path.rename(path.with_name(f"{path.parent.name}{path.name}"))  # names that are unique
    data.prepare(pets(folder), tmp_path / "data", workers=1)
    prepared = data.load(tmp_path / "data")
    names = [p.name for p in sorted((folder / "train").glob("*/*"))]
    values, order = np.linspace(0, 1, 8), np.random.default_rng(0).permutation(8)
    path = tmp_path / "scores.csv"
    path.write_text(csv({"file": np.array(names)[order], "mem": values[order]}))
    options = {"match": "file_name", "image_folder": str(folder)}
    table, _ = fetch(path, prepared, tmp_path, **options)
    assert column(table, "memorization") == pytest.approx(values)
    path.write_text(csv({"file": [*names[1:], "cat9.png"], "mem": values}))
    refused(path, prepared, tmp_path, "no scores of 1 of the 8", "file_name", **options)


def changed(values, at, value):
    values = list(values)
    values[at] = value
    return values


WRONG = {
    "empty": ("", "holds no rows"),
    "header alone": ("index,memorization\n", "holds no rows below"),
    "no scores": (csv({"index": INDEX, "loss": SCORES}), "'index', 'loss', and none of scores"),
    "no names": (csv(BOTH, header=False), "no names of columns"),
    "fewer rows": (csv({"mem": SCORES[1:]}), "199 train samples, and 200 in use"),
    "fewer with index": (csv(BOTH).rsplit("\n", 2)[0], "1 of them are missing, the first 199"),
    "more rows": (csv({"mem": [*SCORES, 0]}), "201 train samples, and 200 in use"),
    "twice": (csv(BOTH | {"index": changed(INDEX, 3, 4)}), "index has 4 twice"),
    "gap": (csv(BOTH | {"index": changed(INDEX, 3, 200)}), "the first 3"),
    "negative": (csv(BOTH | {"index": INDEX - 1}), "index is -1; expected whole numbers"),
    "half": (csv(BOTH | {"index": INDEX + 0.5}), "index is 0.5; expected whole numbers"),
    "NaN": (csv({"mem": changed(SCORES, 7, np.nan)}), "row 7: mem is missing"),
    "infinite": (csv({"mem": changed(SCORES, 7, np.inf)}), "row 7: mem is missing or not finite"),
    "text": (csv({"mem": changed(SCORES, 7, "high")}), "row 7: mem is 'high', no number"),
    "percent": (csv({"mem": 100 * SCORES}), "outside of [-1, 1]; expected shares"),
    "ragged": (csv(BOTH).replace("\n5,", "\n5,,,"), "columns, and the first line 2"),
    "same name": (f"mem,mem\n{'0.1,0.2' * 3}\n", "columns"),
    "label": (csv(BOTH | {"label": ["x"] * N}), "labels differ (sample 0: x there"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_text_that_is_refused(text, words, few_digits, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    refused(path, few_digits, tmp_path, words)
    assert not list((tmp_path / "results").rglob("*.parquet"))


def test_arrays_that_are_refused(few_digits, tmp_path):
    path = tmp_path / "scores.npy"
    for value, words in (
        (np.ones((N, 2)), "of shape (200, 2)"),
        (np.array(3.0), "of shape ()"),
        (np.array([{}]), "something else than numbers"),
        (np.ones(N, complex), "complex128, expected numbers"),
        (np.array(["a"] * N), "'a', no number"),
    ):
        np.save(path, value)
        refused(path, few_digits, tmp_path, words)
    path.write_bytes(b"nothing of the kind")
    refused(path, few_digits, tmp_path, "something else than numbers")
    path.unlink()
    path = tmp_path / "scores.npz"
    np.savez(path, mem=SCORES, idx=INDEX[1:])
    refused(path, few_digits, tmp_path, "idx has 199 values and mem 200")
    np.savez(path, a=SCORES, b=SCORES)
    refused(path, few_digits, tmp_path, "'a', 'b', and none of scores")
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, few_digits, tmp_path, "cannot be read as a list of scores")
    path = tmp_path / "scores.csv"
    path.write_bytes(b"mem\n\xff\x00\n")
    refused(path, few_digits, tmp_path, "not text in UTF-8")


def test_rows_out_of_order_are_not_taken_for_those_of_the_data(few_digits, tmp_path):
    """A column that may say which sample a row is, under a name that is not known, is not ignored;
    one that rises changes nothing, and a rank is no index."""
    path = tmp_path / "scores.csv"
    path.write_text(csv({"nr": SHUFFLED, "score": SCORES[SHUFFLED]}))
    refused(path, few_digits, tmp_path, "'nr' holds whole numbers", "Call it index if")
    rank = SCORES.argsort().argsort()
    for name, others in {
        "index": {"index": SHUFFLED, "nr": SHUFFLED, "score": SCORES[SHUFFLED]},
        "rising": {"nr": INDEX * 3, "score": SCORES},
        "ranks": {"rank": rank, "from_1": N - rank, "score": SCORES},
        "counts": {"n": SHUFFLED // 2, "loss": SHUFFLED / 7, "score": SCORES},
    }.items():
        path.write_text(csv(others))
        table, _ = fetch(path, few_digits, tmp_path / name)
        assert column(table, "memorization") == pytest.approx(SCORES, abs=1e-9)


def test_a_list_needs_a_key_and_brings_no_more_tables(few_digits, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(csv(BOTH))
    refused(path, few_digits, tmp_path, "scores.match: index", match="fingerprint")
    refused(path, few_digits, tmp_path, "holds no confidence", tables=["confidence"])
    refused(path, few_digits, tmp_path, "holds no file_name", match="file_name")
    other = tmp_path / "folder"
    other.mkdir()
    (other / "scores.csv").write_text(csv(BOTH))
    refused(other, few_digits, tmp_path, "scores.csv may be a list of scores")


def test_validate_reads_lists_and_says_the_same(few_digits, tmp_path, run_bat):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(csv(BOTH))
    bad.write_text(csv({"index": INDEX, "loss": SCORES}))
    done = run_bat("scores", "validate", good, bad, "--data", few_digits.folder, check=False)
    assert done.returncode == 2
    assert "list of scores (memorization, index), 200 rows" in done.stdout
    assert "expected a column of scores" in done.stderr
    refused(bad, few_digits, tmp_path, "expected a column of scores")
    short = tmp_path / "short.csv"
    short.write_text(csv({"mem": SCORES[1:]}))
    with pytest.raises(ArtifactError, match="199 scores, and the data set has 200"):
        list(sharing.validate(short, few_digits))
    with pytest.raises(ArtifactError, match="no tables yet"):
        sharing.show(good, None)


def test_tables_of_ours_are_no_lists(tmp_path):
    pq.write_table(
        pa.table({"memorization": [0.1]}).replace_schema_metadata({"bat": "{}"}),
        tmp_path / "memorization.parquet",
    )
    (tmp_path / "convergence.csv").write_text("n_trials,se_p95\n")
    np.savez(tmp_path / "cifar.npz", tr_mem=SCORES, tt_labels=INDEX)
    assert not any(is_score_list(path) for path in tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_header_that_is_damaged_anywhere_is_refused_by_name(suffix, tmp_path):
    """Python's own parser reads the header, and fails in ways of its own."""
    path = tmp_path / f"scores.{suffix}"
    scores, plain = np.linspace(0, 1, 20), io.BytesIO()
    np.save(plain, scores)
    for offset in range(10, 90):
        content = bytearray(plain.getvalue())
        content[offset] ^= 1
        if suffix == "npz":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("memorization.npy", bytes(content))
        else:
            path.write_bytes(content)
        try:
            found = read_score_list(path).memorization
        except ArtifactError as error:
            assert path.name in str(error)
        else:
            assert len(found) == len(scores)

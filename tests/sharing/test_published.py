"""The published arrays, in the layout that their authors chose: read, matched, refused."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from bat import data, files, scoring, sharing
from bat.config import Groups, load_config, read_config
from bat.errors import ArtifactError, BatError
from bat.files import column, read_table
from bat.plan.specifications import all_specifications
from bat.scores.groups import train_groups
from bat.sharing import published
from bat.sharing.published import largest_standard_error, read_published

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("BAT_SHARED_DATA", ROOT.parent / "shared" / "data")) / "published"


def arrays(train_labels, test_labels, seed=0):
    """What Feldman and Zhang's CIFAR-100 file holds, for these labels."""
    rng = np.random.default_rng(seed)
    found = {
        "tr_labels": np.asarray(train_labels, np.int64),
        "tt_labels": np.asarray(test_labels, np.int64),
        "tr_mem": rng.beta(0.4, 1.2, len(train_labels)),
    }
    for label in np.unique(train_labels):
        train, test = (
            rng.permutation(np.flatnonzero(np.asarray(labels) == label))
            for labels in (train_labels, test_labels)
        )
        found[f"tr_classidx_{label}"], found[f"tt_classidx_{label}"] = train, test
        shape = len(train), len(test)
        found[f"infl_matrix_class{label}"] = rng.normal(0, 0.03, shape).clip(-1, 1)
    return found


def dense(found, label):
    """The influence of every training on every test sample, NaN between classes."""
    full = np.full((len(found["tr_labels"]), len(found["tt_labels"])), np.nan)
    at = np.ix_(found[f"tr_classidx_{label}"], found[f"tt_classidx_{label}"])
    full[at] = found[f"infl_matrix_class{label}"]
    return full


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(1)
    return arrays(rng.permutation(np.arange(60) % 3), rng.permutation(np.arange(24) % 3))


def save(path, found) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **found)
    return path


def read(path, found, keep_above=0.02):
    return read_published([save(path, found)], keep_above=keep_above)


def test_the_values_stay_where_they_belong(small, tmp_path):
    tables = read(tmp_path / "a.npz", small).tables
    assert np.array_equal(column(tables["memorization"], "memorization"), small["tr_mem"])
    assert np.array_equal(column(tables["memorization"], "label"), small["tr_labels"])
    full = np.stack([dense(small, label) for label in range(3)])
    full = np.where(np.isnan(full).all(0), np.nan, np.nanmax(np.nan_to_num(full, nan=-9), 0))
    full = full.astype(np.float32)
    train, test = np.nonzero(full > np.float32(0.02))
    pairs = tables["influence"]
    assert np.array_equal(column(pairs, "train_index"), train)
    assert np.array_equal(column(pairs, "test_index"), test)
    assert np.array_equal(column(pairs, "influence"), full[train, test])
    best = np.nanmax(full, axis=0)
    assert np.array_equal(column(tables["test"], "max_influence"), best)
    assert np.array_equal(
        column(tables["test"], "max_influence_train_index"), np.nanargmax(full, axis=0)
    )


def test_what_was_not_published_is_null(small, tmp_path):
    read_back = read(tmp_path / "a.npz", small)
    for kind, names in (
        ("memorization", ["n_included", "n_excluded", "accuracy_included", "accuracy_excluded"]),
        ("test", ["accuracy"]),
    ):
        for name in names:
            assert read_back.tables[kind].column(name).null_count == len(read_back.tables[kind])
    # of 60 samples, nobody states the number of models
    assert read_back.tables["memorization"].column("memorization_se").null_count == 60
    assert "trials" not in read_back.metadata["recipe"]
    assert read_back.metadata["standard_errors"] == "not known"


def test_the_largest_standard_error_is_the_largest():
    n_included, n_excluded = 280, 120
    for score in (-0.7, -0.1, 0.0, 0.2, 0.65, 1.0):
        share = np.linspace(max(0, score), min(1, 1 + score), 1001)
        plain = (
            share * (1 - share) / n_included + (share - score) * (1 - share + score) / n_excluded
        )
        bound = largest_standard_error(np.array([score]), n_included, n_excluded)[0]
        # the correction shrinks shares towards one half, and adds to the counts
        assert bound == pytest.approx(np.sqrt(plain.max()), rel=0.02, abs=0.012)
        assert bound > 0
    assert largest_standard_error(np.array([0.0]), 2800, 1200)[0] < 0.0174


def wrong(small, key, change):
    found = dict(small)
    found[key] = change(found[key].copy())
    return found


def drop(key):
    return lambda small: {name: value for name, value in small.items() if name != key}


def put(at, value):
    def change(array):
        array[at] = value
        return array

    return change


FAULTS = {
    "no memorization": (drop("tr_mem"), "'tr_mem' is missing; found"),
    "no labels": (drop("tt_labels"), "'tt_labels' is missing"),
    "no class": (drop("infl_matrix_class2"), "'infl_matrix_class2' is missing"),
    "no ids": (drop("tt_classidx_1"), "'tt_classidx_1' is missing"),
    "shape": (
        lambda s: wrong(s, "infl_matrix_class1", lambda a: a.T),
        "'infl_matrix_class1' is float64 of shape (8, 20), expected floating-point numbers of "
        "shape (20, 8)",
    ),
    "length": (lambda s: wrong(s, "tr_mem", lambda a: a[:-1]), "shape (59,)"),
    "type": (lambda s: wrong(s, "tr_mem", lambda a: a.astype("S5")), "is |S5"),
    "labels": (lambda s: wrong(s, "tr_labels", lambda a: a + 0.5), "expected one row of integers"),
    "range": (lambda s: wrong(s, "tr_mem", put(0, 1.5)), "outside [-1, 1], or NaN"),
    "nan": (lambda s: wrong(s, "infl_matrix_class0", put((0, 0), np.nan)), "or NaN"),
    "ids": (lambda s: wrong(s, "tr_classidx_0", put(0, 60)), "expected 0 to 59"),
    "twice": (
        lambda s: wrong(s, "tr_classidx_0", lambda a: put(0, a[1])(a)),
        "which are not the 20 of class 0",
    ),
    "objects": (
        lambda s: s | {"tr_mem": np.array([{"run": "this"}] * 60, dtype=object)},
        "Python objects, which are not loaded",
    ),
}


@pytest.mark.parametrize(("damage", "words"), FAULTS.values(), ids=FAULTS)
def test_a_wrong_array_is_named(small, tmp_path, damage, words):
    with pytest.raises(ArtifactError) as caught:
        read(tmp_path / "a.npz", damage(small))
    assert words in str(caught.value)
    assert "a.npz" in str(caught.value)


def test_a_damaged_file(small, tmp_path):
    path = save(tmp_path / "a.npz", small)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match="no readable npz file"):
        read_published([path], keep_above=0.02)
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_published([path], keep_above=0.02)
    with pytest.raises(ArtifactError, match="does not exist"):
        read_published([tmp_path / "b.npz"], keep_above=0.02)


# -- the files of pairs ---------------------------------------------------------------------


def pairs_of(found):
    """The file of pairs that belongs to a matrix."""
    kept = {"tr_idx": [], "tt_idx": [], "infl": [], "mem": []}
    for label in np.unique(found["tr_labels"]):
        full = dense(found, label)
        for i, j in zip(*np.nonzero(np.nan_to_num(full) >= 0.15), strict=True):
            if found["tr_mem"][i] >= 0.25:
                values = (i, j, full[i, j], found["tr_mem"][i])
                for key, value in zip(kept, values, strict=True):
                    kept[key].append(value)
    return {k: np.array(v, np.int64 if "idx" in k else np.float64) for k, v in kept.items()}


@pytest.fixture(scope="module")
def strong(small):
    """A matrix with some influence above 0.15."""
    found = dict(small) | {"tr_mem": np.linspace(0, 1, 60)}
    for label in range(3):
        found[f"infl_matrix_class{label}"] = found[f"infl_matrix_class{label}"] * 3
    return found


def test_pairs_beside_the_matrix_are_a_check(strong, tmp_path):
    matrix = save(tmp_path / "matrix.npz", strong)
    kept = pairs_of(strong)
    assert len(kept["mem"]) > 5
    pairs = save(tmp_path / "pairs.npz", kept)
    both = read_published([pairs, matrix], keep_above=0.02)
    alone = read_published([matrix], keep_above=0.02)
    assert all(both.tables[kind].equals(alone.tables[kind]) for kind in alone.tables)
    for key, words in (("mem", "memorization of training sample"), ("infl", "the influence of")):
        save(pairs, kept | {key: kept[key] - 0.01})
        with pytest.raises(ArtifactError, match=words):
            read_published([pairs, matrix], keep_above=0.02)


def test_the_published_pairs_alone_do_not_do():
    path = SHARED / "cifar100_high_infl_pairs_infl0.15_mem0.25.npz"
    if not path.exists():
        pytest.skip("the published files are not here")
    with pytest.raises(ArtifactError, match=r"tr_mem, the memorization of every sample"):
        read_published([path], keep_above=0.02)


def test_the_index_with_pairs(strong, tmp_path):
    names = {
        "tr_filenames": np.array([f"n{i:02d}_{i}.JPEG".encode() for i in range(60)]),
        "tt_filenames": np.array([f"val_{i}.JPEG".encode() for i in range(24)]),
    }
    index = {key: strong[key] for key in ("tr_labels", "tt_labels", "tr_mem")} | names
    paths = [save(tmp_path / "index.npz", index)]
    with pytest.raises(ArtifactError, match="holds no influence"):
        read_published(paths, keep_above=0.02)
    paths.append(save(tmp_path / "pairs.npz", pairs_of(strong)))
    found = read_published(paths, keep_above=0.02)
    assert found.metadata["influence"]["keep_above"] == 0.15
    assert found.metadata["influence"]["memorization_above"] == 0.25
    assert found.file_names["train"][59] == "n59_59.JPEG"
    train, test = (column(found.tables["influence"], f"{s}_index") for s in ("train", "test"))
    expected = pairs_of(strong)
    assert sorted(zip(train, test, strict=True)) == sorted(
        zip(expected["tr_idx"], expected["tt_idx"], strict=True)
    )
    known = column(found.tables["test"], "max_influence_train_index") >= 0
    assert set(np.flatnonzero(known)) == set(test)


def test_two_matrices(small, tmp_path):
    paths = [save(tmp_path / name, small) for name in ("a.npz", "b.npz")]
    with pytest.raises(ArtifactError, match="both hold"):
        read_published(paths, keep_above=0.02)


@pytest.mark.parametrize("name", ["cifar100", "imagenet"])
def test_the_real_pairs_fit_a_matrix_made_of_them(name, tmp_path):
    """The published pairs, put into a matrix around them, come back as they were."""
    path = SHARED / f"{name}_high_infl_pairs_infl0.15_mem0.25.npz"
    if not path.exists():
        pytest.skip("the published files are not here")
    with np.load(path) as file:
        pairs = {key: file[key] for key in file.files}
    n_train, n_test = pairs["tr_idx"].max() + 1, pairs["tt_idx"].max() + 1
    index = {
        "tr_mem": np.zeros(n_train),
        "tr_labels": np.zeros(n_train, np.int64),
        "tt_labels": np.zeros(n_test, np.int64),
        "tr_filenames": np.arange(n_train).astype("S"),
        "tt_filenames": np.arange(n_test).astype("S"),
    }
    index["tr_mem"][pairs["tr_idx"]] = pairs["mem"]
    found = read_published([save(tmp_path / "i.npz", index), path], keep_above=0.02)
    table = found.tables["influence"].to_pandas()
    order = np.lexsort((pairs["tt_idx"], pairs["tr_idx"]))
    assert len(table) == {"cifar100": 1015, "imagenet": 1641}[name]
    assert np.array_equal(table.train_index, pairs["tr_idx"][order])
    assert np.array_equal(table.influence, pairs["infl"][order].astype(np.float32))
    assert table.test_index.nunique() == {"cifar100": 888, "imagenet": 1462}[name]
    assert table.train_index.nunique() == {"cifar100": 964, "imagenet": 1605}[name]


# -- to our tables, for a data set in use ---------------------------------------------------


def prepared_of(folder, labels, *, source_index=None, fingerprint="c" * 64, source="cifar100"):
    """A data set with these labels; its images play no part."""
    arrays = {}
    for split, values in labels.items():
        n = len(values)
        arrays[f"{split}_images"] = np.zeros((n, 1, 1, 1), np.uint8)
        arrays[f"{split}_labels"] = np.asarray(values)
        arrays[f"{split}_source_index"] = (
            np.arange(n) if source_index is None else source_index[split]
        )
    info = {
        "fingerprint": fingerprint,
        "n_train": len(labels["train"]),
        "n_test": len(labels["test"]),
        "class_names": [str(i) for i in range(max(labels["train"]) + 1)],
        "source": source,
        "shape": [1, 1, 1],
    }
    return data.PreparedData(folder, info, **arrays)


def fetch(source, prepared, out, *, data_section=None, **settings):
    section = data_section or {"source": "cifar100"}
    raw = {"data": section, "scores": {"source": str(source)} | settings}
    spec = all_specifications(load_config({"datasets": {"x": raw}}))["x", "source"]
    return sharing.fetch({"dataset": "x"} | spec, prepared, out, command="a test")


def test_cifar100_in_full(tmp_path):
    """A file of the published size: 50,000 training and 10,000 test samples of 100 classes."""
    rng = np.random.default_rng(0)
    labels = {
        "train": rng.permutation(np.arange(50_000) % 100),
        "test": rng.permutation(np.arange(10_000) % 100),
    }
    found = arrays(labels["train"], labels["test"])
    assert found["infl_matrix_class0"].shape == (500, 100)
    path = save(tmp_path / "source" / "cifar100_infl_matrix.npz", found)
    prepared, out = prepared_of(tmp_path, labels), tmp_path / "x" / "scores"
    note = fetch(path, prepared, out, match="source_index")
    assert "4000 of ResNet-50" in note
    assert "Matched by source_index, with equal labels" in note
    table, about = read_table(out / "memorization.parquet", "memorization", fingerprint="c" * 64)
    assert np.array_equal(column(table, "memorization"), found["tr_mem"])
    errors = column(table, "memorization_se")
    assert 0 < errors.min() < errors.max() < 0.0174
    assert about["recipe"]["trials"] == 4000
    pairs, _ = read_table(out / "influence.parquet", "influence")
    expected = sum(
        (found[f"infl_matrix_class{label}"].astype(np.float32) > np.float32(0.02)).sum()
        for label in range(100)
    )
    assert pairs.num_rows == expected
    typical, atypical = train_groups(column(table, "memorization"), errors)
    assert typical.sum() == (found["tr_mem"] < 0.02).sum()
    assert atypical.sum() == (found["tr_mem"] > 0.15).sum()
    assert len(list(sharing.validate(out, prepared))) == 3


def test_groups_from_published_scores(strong, tmp_path):
    labels = {"train": strong["tr_labels"], "test": strong["tt_labels"]}
    prepared, scores = prepared_of(tmp_path, labels), tmp_path / "x" / "scores"
    fetch(save(tmp_path / "source" / "a.npz", strong), prepared, scores, match="index")
    spec = {"dataset": "x", "groups": Groups(min_accuracy=0).model_dump()}
    scoring.write_groups(scores, prepared, spec, tmp_path / "groups", command="a test")
    full = np.stack([np.nan_to_num(dense(strong, label), nan=-9) for label in range(3)]).max(0)
    carried = full[strong["tr_mem"] > 0.15].max(axis=0)
    table, _ = read_table(tmp_path / "groups" / "test.parquet", "groups")
    assert np.array_equal(column(table, "atypical"), carried > 0.15)
    assert np.array_equal(column(table, "typical"), carried <= 0.02)
    table, _ = read_table(tmp_path / "groups" / "train.parquet", "groups")
    assert np.array_equal(column(table, "atypical"), strong["tr_mem"] > 0.15)
    spec = {"dataset": "x", "groups": Groups().model_dump()}
    with pytest.raises(BatError, match=r"test_accuracy of sample 0 .* groups\.min_accuracy to 0"):
        scoring.write_groups(scores, prepared, spec, tmp_path / "no", command="a test")


def test_part_of_the_data_in_the_official_order(small, tmp_path):
    index = {"train": np.array([5, 3, 40]), "test": np.array([7, 0])}
    labels = {"train": small["tr_labels"][index["train"]], "test": small["tt_labels"][[7, 0]]}
    prepared = prepared_of(tmp_path, labels, source_index=index)
    out = tmp_path / "x" / "scores"
    fetch(save(tmp_path / "source" / "a.npz", small), prepared, out, match="source_index")
    table, _ = read_table(out / "memorization.parquet", "memorization")
    assert np.array_equal(column(table, "memorization"), small["tr_mem"][[5, 3, 40]])


def refused(source, prepared, out, words, **settings):
    with pytest.raises(ArtifactError) as caught:
        fetch(source, prepared, out, **settings)
    assert words in str(caught.value)


def test_arrays_that_do_not_fit_the_data(small, tmp_path):
    path, out = save(tmp_path / "source" / "a.npz", small), tmp_path / "x" / "scores"
    labels = {"train": small["tr_labels"], "test": small["tt_labels"]}
    fits = prepared_of(tmp_path, labels)
    refused(path, fits, out, "published arrays carry no fingerprint; name the key")
    refused(path, fits, out, "no file_name", match="file_name")
    words = "published arrays hold no confidence"
    refused(path, fits, out, words, match="index", tables=["confidence"])
    other = prepared_of(tmp_path, labels | {"train": (small["tr_labels"] + 1) % 3})
    refused(path, other, out, "60 of 60 train labels differ", match="index")
    assert not list(out.iterdir())


def test_imagenet_by_file_name(strong, tmp_path):
    """Images in folders by class, in another order than the arrays."""
    rng = np.random.default_rng(2)
    names = {}
    for split, key in (("train", "tr_labels"), ("test", "tt_labels")):
        names[split] = np.array([f"{n}.JPEG" for n in rng.permutation(len(strong[key]))])
        for name, label in zip(names[split], strong[key], strict=True):
            path = tmp_path / "images" / split / f"n{label}" / f"{split}_{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    listed = {split: sorted((tmp_path / "images" / split).glob("*/*"), key=str) for split in names}
    labels = {s: [int(p.parent.name[1:]) for p in paths] for s, paths in listed.items()}
    prepared = prepared_of(tmp_path, labels, source="image_folder")
    index = {key: strong[key] for key in ("tr_labels", "tt_labels", "tr_mem")}
    for split, key in (("train", "tr_filenames"), ("test", "tt_filenames")):
        index[key] = np.array([f"some/{split}_{name}".encode() for name in names[split]])
    source = tmp_path / "source"
    save(source / "imagenet_index.npz", index)
    matrix = {k: v for k, v in strong.items() if k not in index}
    save(source / "imagenet_infl_matrix.npz", matrix)

    section = {"source": "image_folder", "path": str(tmp_path / "images")}
    out = tmp_path / "x" / "scores"
    words = "in an order of their own; match them with scores.match: file_name"
    refused(source, prepared, out, words, match="index", data_section=section)
    fetch(source, prepared, out, match="file_name", data_section=section)
    row = {f"train_{name}": i for i, name in enumerate(names["train"])}
    rows = [row[path.name] for path in listed["train"]]
    assert rows != sorted(rows)
    table, _ = read_table(out / "memorization.parquet", "memorization")
    assert np.array_equal(column(table, "memorization"), strong["tr_mem"][rows])
    assert len(list(sharing.validate(out, prepared))) == 3

    index["tr_filenames"][3] = index["tr_filenames"][4]
    save(source / "imagenet_index.npz", index)
    words = "stands for two train samples"
    refused(source, prepared, out, words, match="file_name", data_section=section)
    index["tr_filenames"][3] = b"some/other.JPEG"
    save(source / "imagenet_index.npz", index)
    words = "holds no scores of 1 of the 60 train samples"
    refused(source, prepared, out, words, match="file_name", data_section=section)


def test_the_configuration_for_cifar100():
    settings = read_config(ROOT / "config" / "cifar100-published.yaml")
    scores = settings.datasets["cifar100"].scores
    assert scores.source.endswith("cifar100_infl_matrix.npz")
    assert scores.match == "source_index"
    spec = all_specifications(settings)["cifar100", "source"]
    assert spec["keep_above"] == scores.influence.keep_above


def test_the_layout_tells_published_arrays_apart(small, tmp_path):
    assert published.is_published(save(tmp_path / "a.npz", small))
    (tmp_path / "b.npz").write_bytes(b"x")
    assert not published.is_published(tmp_path / "b.npz")
    shutil.make_archive(str(tmp_path / "c"), "zip", ROOT / "config")
    assert not published.is_published(tmp_path / "c.zip")
    assert files.SCHEMAS["memorization"].names[2] == "memorization"

"""Trials of others: read in the forms that they have, held against the data, estimated as ours."""

import json
import re
import zipfile

import numpy as np
import pytest

import bat
from bat import sharing
from bat.__main__ import main
from bat.errors import ArtifactError
from bat.files import read_table
from bat.sharing.importing import import_trials
from bat.sharing.raw_trials import read_raw_trials

TRIALS = 24
TABLES = ("memorization", "influence", "test")


@pytest.fixture(scope="module")
def arrays(few_digits):
    """Trials as Feldman and Zhang's code keeps them: fitted when seen, else right in 70 %."""
    rng, n = np.random.default_rng(0), len(few_digits.train_labels)
    included = np.array([bat.subset(seed=3, trial=t, n=n, ratio=0.7) for t in range(TRIALS)])
    shape = TRIALS, len(few_digits.test_labels)
    return {
        "trainset_mask": included,
        "trainset_correctness": included | (rng.random(included.shape) < 0.7),
        "testset_correctness": rng.random(shape) < 0.7,
    }


@pytest.fixture
def saved(tmp_path, arrays):
    """Write the arrays, changed as asked, to an npz."""

    def save(name="trials.npz", without=(), **changed):
        found = {k: v for k, v in (arrays | changed).items() if k not in without}
        np.savez(tmp_path / name, **found)
        return tmp_path / name

    return save


def taken(path, data, out, **about):
    asked = {"influence": {"pairs": "same_class", "keep_above": 0.02}, "command": "a test"}
    paths = path if isinstance(path, list) else [path]
    given = {"dataset": "digits", "min_included_accuracy": 0.99, "about": about}
    import_trials(paths, data, out, **given, **asked)
    return {kind: read_table(out / f"{kind}.parquet", kind) for kind in TABLES}


def refused(path, data, match):
    with pytest.raises(ArtifactError, match=match):
        taken(path, data, path.parent / "refused")
    assert not list((path.parent / "refused").glob("*"))


# -- the way there and back -----------------------------------------------------------------


def test_exported_trials_come_back_as_the_tables_of_the_workflow(few_digits, tmp_path):
    """Shards, exported and imported, give bit for bit what joining the shards gives."""
    n, n_test = len(few_digits.train_labels), len(few_digits.test_labels)

    def fit(index, trial):
        rng = np.random.default_rng(trial)
        seen = np.isin(np.arange(n), index)
        return rng.normal(np.where(seen, 6, 0.5)), rng.normal(1 + 2 * seen[:n_test])

    bat.run_trials(fit, n_trials=TRIALS, data=few_digits, out=tmp_path / "trials" / "a.parquet")
    data = ["--data", str(few_digits.folder)]
    out = tmp_path / "trials.npz"
    shards = ["--shards", str(tmp_path / "trials")]
    assert not main(["scores", "export-datamodels", *shards, *data, "--out", str(out)])
    given = [*data, "--dataset", "digits", "--out"]
    assert not main(["scores", "import-trials", str(out), *given, str(tmp_path / "imported")])
    assert not main(["scores", "merge", str(tmp_path), *given, str(tmp_path / "merged")])
    for kind in TABLES:
        found, about = read_table(tmp_path / "imported" / f"{kind}.parquet", kind)
        expected, known = read_table(tmp_path / "merged" / "scores" / f"{kind}.parquet", kind)
        assert found.equals(expected), kind
        assert about | {"command": ""} == known | {"command": ""}
    for kind, name in (("memorization", "memorization_margin"), ("influence", "q_margin")):
        table, _ = read_table(tmp_path / "imported" / f"{kind}.parquet", kind)
        assert table.num_rows and not table[name].null_count


def test_the_tables_are_a_source_of_scores(few_digits, saved, tmp_path):
    out = tmp_path / "imported"
    tables = taken(saved(), few_digits, out, architecture="resnet50", source="Ann <a@b>")
    recipe = tables["memorization"][1]["recipe"]
    assert recipe["subset_ratio"] == 0.7 and recipe["trials"] == TRIALS
    spec = {"source": str(out), "sha256": None, "match": "fingerprint", "tables": []}
    spec |= {"dataset": "digits", "keep_above": 0.02, "image_folder": None}
    note = sharing.fetch(spec, few_digits, tmp_path / "results" / "scores", command="a test")
    assert "24 of resnet50" in note and "Ann" in note
    for kind in TABLES:
        fetched = (tmp_path / "results" / "scores" / f"{kind}.parquet").read_bytes()
        assert fetched == (out / f"{kind}.parquet").read_bytes()


# -- forms ----------------------------------------------------------------------------------


def test_scores_are_those_of_the_definition(few_digits, arrays, saved, tmp_path):
    tables = taken(saved(), few_digits, tmp_path / "imported")
    mask, right = arrays["trainset_mask"], arrays["trainset_correctness"]
    scores = tables["memorization"][0].to_pandas()
    for sample in range(0, mask.shape[1], 17):
        inside, outside = right[mask[:, sample], sample], right[~mask[:, sample], sample]
        assert scores["memorization"][sample] == pytest.approx(inside.mean() - outside.mean())
        assert scores["n_excluded"][sample] == len(outside)
    assert (scores["memorization_se"] > 0).all()
    assert "memorization_margin" not in scores or scores["memorization_margin"].isna().all()


def same_trials(found, expected):
    names = ("included", "train_correct", "test_correct")
    return all(np.array_equal(getattr(found, n), getattr(expected, n)) for n in names)


def test_zeros_and_ones_turned_arrays_and_parts_are_the_same_trials(few_digits, arrays, saved):
    expected = read_raw_trials([saved()], few_digits)
    numbers = {key: values.astype(np.int64) for key, values in arrays.items()}
    turned = {key: values.T.astype(np.float32) for key, values in arrays.items()}
    parts = [
        saved("a.npz", **{key: values[:10] for key, values in arrays.items()}),
        saved("b.npz", **{key: values[10] for key, values in arrays.items()}),  # of one model
        saved("c.npz", **{key: values[11:] for key, values in arrays.items()}),
    ]
    for paths in ([saved("n.npz", **numbers)], [saved("t.npz", **turned)], parts):
        assert same_trials(read_raw_trials(paths, few_digits), expected)


def test_files_of_one_model_place_each_sample(few_digits, arrays, saved, tmp_path):
    """In the layout that was released: positions in any order, and correctness in theirs."""
    rng = np.random.default_rng(1)
    for model in range(TRIALS):
        mask, right, test = (values[model] for values in arrays.values())
        index = {
            "train": rng.permutation(np.flatnonzero(mask)),
            "removed": rng.permutation(np.flatnonzero(~mask)),
            "test": rng.permutation(len(test)),
        }
        found = {f"index_{part}": at for part, at in index.items()}
        for part, at in index.items():
            found[f"correctness_{part}"] = (test if part == "test" else right)[at]
        folder = tmp_path / "runs" / f"{model:03d}"
        folder.mkdir(parents=True)
        np.savez(folder / "aux_arrays.npz", **found, subsample_idx=np.sort(index["train"]))
    expected = read_raw_trials([saved()], few_digits)
    assert same_trials(read_raw_trials([tmp_path / "runs"], few_digits), expected)
    found["index_removed"][0] = found["index_removed"][1]
    np.savez(tmp_path / "twice.npz", **found)
    refused(tmp_path / "twice.npz", few_digits, "name 199 samples up to 199, expected each of 0")


def test_margins_alone_say_what_is_right(few_digits, arrays, saved):
    margins = np.where(arrays["testset_correctness"], 2.5, -1)
    path = saved(without=["testset_correctness"], margins=margins)
    found = read_raw_trials([path], few_digits)
    assert (found.test_correct == arrays["testset_correctness"]).all()
    assert found.margins["test_margin"].dtype == np.float16 and "train_margin" not in found.margins


def test_an_array_that_is_square_lies_as_the_others_do(few_digits, arrays, saved, caplog):
    """With as many models as samples, its shape does not say what a row is; those beside it do."""
    n, rng = len(few_digits.train_labels), np.random.default_rng(4)
    mask = rng.random((n, n)) < 0.5
    square = {
        "trainset_mask": mask,
        "trainset_correctness": mask | (rng.random((n, n)) < 0.7),
        "testset_correctness": rng.random((n, len(few_digits.test_labels))) < 0.7,
    }
    expected = read_raw_trials([saved(**square)], few_digits)
    assert not caplog.messages
    turned = {key: values.T for key, values in square.items()}
    assert same_trials(read_raw_trials([saved(**turned)], few_digits), expected)
    assert (expected.included == mask).all() and len(caplog.messages) == 3


def test_texts_are_read_as_bytes_too(few_digits, saved):
    texts = {"fingerprint": few_digits.fingerprint.encode(), "recipe": b'{"seed": 3}'}
    assert read_raw_trials([saved(**texts)], few_digits).recipe == {"seed": 3}


# -- what is refused ------------------------------------------------------------------------


def test_arrays_of_other_data_are_refused(few_digits, arrays, saved):
    right, labels = arrays["testset_correctness"], np.asarray(few_digits.test_labels)
    refused(
        saved(testset_correctness=right[:, :90]),
        few_digits,
        r"'testset_correctness' has shape \(24, 90\), expected \(models, 100\): the data set has "
        "200 training and 100 test samples",
    )
    other = np.roll(labels, 1)
    refused(saved(test_labels=other), few_digits, "'test_labels' are not the 100 test labels")
    refused(saved(fingerprint=np.array("f" * 64)), few_digits, "fingerprint ffff")
    predicted = np.where(right, other, (other + 1) % 10)
    refused(
        saved(testset_predictions=predicted),
        few_digits,
        "'testset_correctness' is wrong for .* of 'testset_predictions'",
    )
    predicted = np.where(right, labels, (labels + 1) % 10)
    assert read_raw_trials([saved(testset_predictions=predicted)], few_digits)


def test_values_that_are_no_bits_and_margins_that_contradict_are_refused(few_digits, arrays, saved):
    right = arrays["testset_correctness"]
    refused(saved(testset_correctness=right * 0.9), few_digits, "'testset_correctness' is float64")
    damaged = right.copy()
    damaged.view(np.uint8)[0, 0] = 2
    refused(saved(testset_correctness=damaged), few_digits, "booleans that are neither 0 nor 1")
    margins = np.where(right, -1.0, 1.0)
    refused(saved(margins=margins), few_digits, "'margins' contradicts the correctness of 2400")
    refused(saved(margins=margins * np.inf), few_digits, "'margins' is float64, or has values")
    refused(saved(margins=right), few_digits, "'margins' is bool")
    refused(saved(margins=margins * 0), few_digits, "'margins' is 0 everywhere")
    texts = right.astype("U5")
    path = saved(margins=texts, without=["testset_correctness"])
    refused(path, few_digits, "'margins' is <U5")
    refused(saved(testset_predictions=texts), few_digits, "'testset_correctness' is wrong")
    refused(saved(trainset_mask=texts), few_digits, "'trainset_mask' has shape")
    refused(saved(testset_correctness=texts), few_digits, "'testset_correctness' is <U5")


def test_trials_that_leave_scores_unknown_or_repeat_are_refused(few_digits, arrays, saved):
    mask = arrays["trainset_mask"].copy()
    mask[:, 3] = True
    mask[:, 7] = np.arange(TRIALS) == 1
    message = r"1 were in fewer than 2 of 24 subsets and 1 out of fewer \(for example sample 3\)"
    refused(saved(trainset_mask=mask), few_digits, message)
    twice = {key: np.vstack([values, values[5]]) for key, values in arrays.items()}
    refused(saved(**twice), few_digits, "models 5 and 24 .* are the same")
    short = {"trainset_mask": arrays["trainset_mask"][:20]}
    refused(saved(**short), few_digits, "different numbers of models .*trainset_mask of 20")
    refused(saved(masks=~mask), few_digits, "'trainset_mask' and 'masks', which are names of the")


def test_models_that_are_no_better_on_what_they_saw_are_refused(few_digits, arrays, saved):
    mask, right = arrays["trainset_mask"], arrays["trainset_correctness"]
    refused(saved(trainset_mask=~mask), few_digits, "the masks may say which samples were left out")
    mixed = np.random.default_rng(2).permuted(right, axis=1)  # as through a shuffling loader
    message = r"expected at least \d\.\d\d% more on those .* the correctness has another order"
    refused(saved(trainset_correctness=mixed), few_digits, message)


def test_files_that_lack_keys_or_are_damaged_are_refused_by_name(few_digits, saved, tmp_path):
    message = "trials.npz: holds no array 'trainset_correctness' or 'train_correct'"
    refused(saved(without=["trainset_correctness"]), few_digits, message)
    whole = saved().read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "cut.npz").write_bytes(whole[:cut])
        refused(tmp_path / "cut.npz", few_digits, "cut.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("trainset_mask.npy", b"\x93NUMPY\x01\x00\x02\x00{}")
    refused(tmp_path / "b.npz", few_digits, "b.npz")
    objects = np.array([{"a": 1}], object)
    refused(saved(trainset_mask=objects), few_digits, "holds Python objects|Python objects")
    for recipe, why in (("[1]", "no mapping"), ("{", "no JSON"), ('{"seed": 1e400}', "no JSON")):
        refused(saved(recipe=np.array(recipe)), few_digits, why)
    wrong = json.dumps({"seed": "a"})
    refused(saved(recipe=np.array(wrong)), few_digits, "seed is 'a', expected a whole number")
    wrong = json.dumps({"subset_ratio": 0.5})
    refused(saved(recipe=np.array(wrong)), few_digits, "24 subsets of 100 samples")
    refused(tmp_path / "nothing.npz", few_digits, "does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", few_digits, "no trials there")


OPTIONS = {
    "--keep-above 2": "influence.keep_above: .*less than 1",
    "--keep-above nan": "influence.keep_above: .*finite",
    "--min-included-accuracy -1": "min_included_accuracy: .*greater than or equal to 0",
    "--min-included-accuracy inf": "min_included_accuracy: .*finite",
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("action", ["import-trials", "merge"])
def test_options_that_a_configuration_would_refuse_are_refused(
    few_digits, saved, tmp_path, action, option, capsys
):
    where = ["--data", str(few_digits.folder), "--out", str(tmp_path / "out")]
    assert main(["scores", action, str(saved()), *where, *option.split()]) == 2
    assert re.search(f"scores {action}: {OPTIONS[option]}", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_what_systems_leave_in_a_folder_of_trials_is_passed_over(few_digits, arrays, tmp_path):
    folder = tmp_path / "theirs"
    for name in ("a.npz", "._a.npz", "__MACOSX/._a.npz", ".cache/b.npz", ".DS_Store", "Thumbs.db"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\5\x16\7 not a file of trials")
    np.savez(folder / "a.npz", **arrays)
    trials = read_raw_trials([folder], few_digits)
    assert (trials.included == arrays["trainset_mask"]).all()
    (folder / "a.npz").unlink()
    with pytest.raises(ArtifactError, match="no trials there"):
        read_raw_trials([folder], few_digits)

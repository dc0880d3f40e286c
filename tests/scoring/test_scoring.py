"""From shard files to score tables: known answers, real wrong labels, damaged shards."""

import itertools
import shutil
from math import comb

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import roc_auc_score

from bat import config, scoring
from bat.data import PreparedData
from bat.devices import Runtime
from bat.errors import ArtifactError, BatError
from bat.files import column, read_table, write_table
from bat.files.bits import pack, unpack
from bat.plan.specifications import thresholds, trial_recipe
from bat.progress import log
from bat.report.captions import provenance
from bat.scores import memorization
from bat.scores.fit import fit_facts, fit_sentence
from bat.scores.subsets import subset
from bat.training import trials
from bat.validation import check_convergence, check_together, groups_inputs, read_checked

# -- a learner whose scores are known -------------------------------------------------------

N_TRIALS, RATIO = 2000, 0.7
COPIES = [1, 1, 1, 2, 2, 3, 4, 6, 10, 10]  # how often each object is in the training set
OBJECT = np.repeat(np.arange(len(COPIES)), COPIES)
N_TRAIN = len(OBJECT)
RECIPE = {"architecture": "lookup", "subset_ratio": RATIO, "seed": 3, "training": {}}
SPEC = {
    "dataset": "objects",
    "trials": N_TRIALS,
    "recipe": RECIPE,
    "influence": {"pairs": "same_class", "keep_above": 0.0},
    "min_included_accuracy": 0.99,
}

KINDS = ("memorization", "influence", "test")


def known_score(copies: int) -> float:
    """Memorization of a sample, and its influence on one more copy, in the limit.

    Left out, it is still predicted where any other copy is in the subset of m:
    1 minus that chance is C(n - k, m) / C(n - 1, m).
    """
    m = round(RATIO * N_TRAIN)
    return comb(N_TRAIN - copies, m) / comb(N_TRAIN - 1, m)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Each object is a class of its own, and once in the test set."""

    def images(n):
        return np.zeros((n, 1, 8, 8), np.uint8)

    n_classes = len(COPIES)
    info = {
        "fingerprint": "a" * 64,
        "n_train": N_TRAIN,
        "n_test": n_classes,
        "class_names": [str(i) for i in range(n_classes)],
        "shape": [1, 8, 8],
    }
    return PreparedData(
        tmp_path_factory.mktemp("objects"),
        info,
        images(N_TRAIN),
        OBJECT,
        np.arange(N_TRAIN),
        images(n_classes),
        np.arange(n_classes),
        np.arange(n_classes),
    )


def lookup_row(trial: int) -> dict:
    """A learner that knows just the objects that are in its subset."""
    included = subset(RECIPE["seed"], trial, N_TRAIN, RATIO)
    known = np.isin(np.arange(len(COPIES)), OBJECT[included])
    return {
        "trial": trial,
        "seed": RECIPE["seed"],
        "included": pack(included),
        "train_correct": pack(known[OBJECT]),
        "test_correct": pack(known),
        "included_accuracy": known[OBJECT][included].mean(),
        "excluded_accuracy": known[OBJECT][~included].mean(),
        "test_accuracy": known.mean(),
        "seconds": 0.0,
        "device": "none",
        "probabilities": None,
    }


def write_shards(folder, cuts, recipe=RECIPE):
    """Shards between the cuts."""
    paths = []
    for first, stop in itertools.pairwise(cuts):
        rows = pd.DataFrame([lookup_row(trial) for trial in range(first, stop)])
        paths.append(folder / f"lookup-{first:06d}-{stop - 1:06d}.parquet")
        columns = {name: rows[name].tolist() for name in rows}
        provenance = {"fingerprint": "a" * 64, "recipe": recipe, "command": "a test"}
        write_table(paths[-1], "trials", columns, **provenance)
    return paths


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"), [0, 700, 701, N_TRIALS])


@pytest.fixture(scope="module")
def tables(shards, objects, tmp_path_factory):
    """The folder of the score tables of the lookup learner."""
    out = tmp_path_factory.mktemp("scores")
    scoring.write_scores(shards, objects, SPEC, out, command="a test")
    return out


@pytest.mark.parametrize("samples", ["held_out", "in_sample"])
def test_what_models_without_a_sample_take_it_for_is_kept(objects, tmp_path, samples):
    members, n_classes = 40, len(COPIES)
    rows = [lookup_row(trial) for trial in range(members)]
    taken = np.stack([np.where(unpack(row["train_correct"], N_TRAIN), OBJECT, 0) for row in rows])
    for row, of_row in zip(rows, taken, strict=True):
        row["train_correct"] = pack(of_row == OBJECT)  # what is not known is taken for class 0
        row["probabilities"] = np.eye(n_classes, dtype=np.float16)[of_row].tobytes()
        included = unpack(row["included"], N_TRAIN)
        row["included_accuracy"] = (of_row == OBJECT)[included].mean()
        row["excluded_accuracy"] = (of_row == OBJECT)[~included].mean()
    columns = pd.DataFrame(rows).to_dict("list")
    shard = tmp_path / f"lookup-000000-{members - 1:06d}.parquet"
    about = {"fingerprint": "a" * 64, "command": "a test"}
    write_table(shard, "trials", columns, recipe=RECIPE, **about)
    spec = {"members": members, "samples": samples, "recipes": {"lookup": RECIPE}, "dataset": "d"}
    scoring.write_ensembles({"lookup": [shard]}, objects, spec, tmp_path, command="a test")
    table, _ = read_checked(tmp_path / "confidence.parquet", "confidence", objects)
    left_out = ~np.stack([unpack(row["included"], N_TRAIN) for row in rows])
    assert np.array_equal(column(table, "n_held_out"), left_out.sum(axis=0))
    for i in range(N_TRAIN):
        counts = np.bincount(taken[left_out[:, i], i], minlength=n_classes)
        assert column(table, "predicted_1")[i] == counts.argmax()
        assert column(table, "predicted_1_share")[i] == counts.max() / counts.sum()
    # a table of before has no such columns, and is as valid
    old = table.select(["index", "label", "confidence"])
    write_table(tmp_path / "confidence.parquet", "confidence", old, recipe={}, **about)
    again, _ = read_checked(tmp_path / "confidence.parquet", "confidence", objects)
    assert again["predicted_1"].null_count == N_TRAIN


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, None),
        ({"predicted_1": 10}, "predicted lies in"),
        ({"predicted_1_share": 0.9}, "sum to 1"),
        ({"predicted_2_share": 0.6}, "shares fall"),
        ({"predicted_3": 3}, "a predicted class has a share"),
        ({"predicted_2": 4}, "in one place"),
        ({"n_held_out": 0}, "left it out"),
    ],
)
def test_predictions_that_cannot_be_are_refused(objects, tmp_path, change, rule):
    values = {"confidence": 0.5, "n_held_out": 4, "predicted_1": 4, "predicted_1_share": 0.5}
    values |= {"predicted_2": 2, "predicted_2_share": 0.5, "predicted_3": -1}
    values |= {"predicted_3_share": 0.0}
    columns = {name: np.full(N_TRAIN, value) for name, value in values.items()}
    for name, value in change.items():
        columns[name][5] = value
    columns |= {"index": np.arange(N_TRAIN), "label": OBJECT}
    path, about = tmp_path / "confidence.parquet", {"recipe": {}, "command": "a test"}
    write_table(path, "confidence", columns, fingerprint="a" * 64, **about)
    if rule is None:
        read_checked(path, "confidence", objects)
        return
    with pytest.raises(ArtifactError, match=rf"row 5.*{rule}"):
        read_checked(path, "confidence", objects)


def test_memorization_of_a_lookup_learner(tables):
    table, metadata = read_table(tables / "memorization.parquet", "memorization")
    expected = np.array([known_score(COPIES[i]) for i in OBJECT])
    assert expected[0] == 1
    assert np.unique(expected).size == 6
    error = np.abs(column(table, "memorization") - expected)
    assert (error <= 5 * column(table, "memorization_se")).all()
    assert column(table, "memorization_se").max() < 0.025  # sqrt(0.25 / 600) and a little
    assert (column(table, "memorization")[OBJECT < 3] == 1).all()
    assert np.array_equal(column(table, "label"), OBJECT)
    assert np.array_equal(column(table, "index"), np.arange(N_TRAIN))
    assert (column(table, "n_included") + column(table, "n_excluded") == N_TRIALS).all()
    assert (column(table, "accuracy_included") == 1).all()
    assert metadata["recipe"] == RECIPE | {"trials": N_TRIALS}
    assert metadata["converged"]
    assert metadata["accuracies"]["included"] == 1


def test_influence_of_a_lookup_learner(tables):
    table, _ = read_table(tables / "influence.parquet", "influence")
    train, test = column(table, "train_index"), column(table, "test_index")
    assert np.array_equal(OBJECT[train], test)
    expected = np.array([known_score(COPIES[j]) for j in test])
    error = np.abs(column(table, "influence") - expected)
    assert (error <= 5 * column(table, "influence_se")).all()
    few = np.flatnonzero(np.isin(OBJECT, np.flatnonzero(np.array(COPIES) <= 3)))
    assert set(few) <= set(train)
    summary, _ = read_table(tables / "test.parquet", "test")
    assert (column(summary, "max_influence_train_index")[:3] == [0, 1, 2]).all()
    m = round(RATIO * N_TRAIN)
    shown = [1 - comb(N_TRAIN - k, m) / comb(N_TRAIN, m) for k in COPIES]
    spread = np.sqrt(np.multiply(shown, np.subtract(1, shown)) / N_TRIALS)
    assert (np.abs(column(summary, "accuracy") - shown) <= 5 * spread).all()


def test_grouping_and_order_of_shards_change_no_byte(tables, objects, tmp_path):
    shards = write_shards(tmp_path, [0, 123, 1500, N_TRIALS])
    scoring.write_scores(shards[::-1], objects, SPEC, tmp_path / "out", command="a test")
    for name in ("memorization", "influence", "test"):
        file = f"{name}.parquet"
        assert (tmp_path / "out" / file).read_bytes() == (tables / file).read_bytes()


def test_trials_beyond_the_wanted_number_are_left_out(shards, objects):
    some = scoring.read_trials(shards, objects, 500, recipe=RECIPE)
    assert some.included.shape == (500, N_TRAIN)
    assert np.array_equal(some.included[7], subset(RECIPE["seed"], 7, N_TRAIN, RATIO))
    assert some.recipe["trials"] == 500


def write_margins(folder, n_with):
    """120 trials of the lookup learner, some with margins, in one shard."""
    rows = []
    for trial in range(120):
        row, rng = lookup_row(trial), np.random.default_rng(trial)
        for split, n in (("train", N_TRAIN), ("test", len(COPIES))):
            right = unpack(row[f"{split}_correct"], n)
            margin = (np.where(right, 1, -1) * rng.uniform(1, 2, n)).astype(np.float16)
            row[f"{split}_margin"] = margin.tobytes() if trial < n_with else None
        rows.append(row)
    path = folder / "lookup-000000-000119.parquet"
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    write_table(path, "trials", columns, fingerprint="a" * 64, recipe=RECIPE, command="a test")
    return path


def test_tables_say_what_margins_do_beside_what_they_said(objects, tmp_path, caplog):
    spec, found = SPEC | {"trials": 120}, {}
    for n_with in (0, 119, 120):
        folder = tmp_path / str(n_with)
        folder.mkdir()
        log.addHandler(caplog.handler)
        try:
            shard = write_margins(folder, n_with)
            scoring.write_scores([shard], objects, spec, folder, command="a test")
        finally:
            log.removeHandler(caplog.handler)
        check_together(
            folder, {k: read_checked(folder / f"{k}.parquet", k, objects) for k in KINDS}
        )
        found[n_with] = groups_inputs(folder, {})
    assert "1 of 120 trials have no margins" in caplog.text
    for kind in KINDS:
        before, mixed, after = (tmp_path / str(n) / f"{kind}.parquet" for n in (0, 119, 120))
        assert before.read_bytes() == mixed.read_bytes()
        assert not any("margin" in name for name in pq.read_schema(before).names)
        plain, margins = read_table(before, kind)[0], read_table(after, kind)[0].to_pandas()
        if kind == "influence":
            assert (margins["q_margin"] <= 0.1).any() and margins["influence_margin"].notna().all()
            margins = margins[margins["influence"] > 0]
        for name in pq.read_schema(before).names:
            assert np.array_equal(margins[name], column(plain, name), equal_nan=True), name
    assert found[0] == found[120]  # groups are made of the plain scores
    scores = read_table(tmp_path / "120" / "memorization.parquet", "memorization")[0].to_pandas()
    assert (scores["memorization_margin"] - scores["memorization"]).abs().max() < 0.2
    assert scores["memorization_margin_se"].between(0, 1).all()


def shard_of_accuracy(folder, n_right):
    """All trials, of models that are right on so many of the 28 samples trained on."""
    poor = []
    for trial in range(N_TRIALS):
        row = lookup_row(trial)
        included = unpack(row["included"], N_TRAIN)
        correct = unpack(row["train_correct"], N_TRAIN).copy()
        correct[np.flatnonzero(included)[n_right:]] = False
        accuracy = correct[included].mean()
        poor.append(row | {"train_correct": pack(correct), "included_accuracy": accuracy})
    columns = {name: [row[name] for row in poor] for name in poor[0]}
    path = folder / "lookup-000000-001999.parquet"
    write_table(path, "trials", columns, fingerprint="a" * 64, recipe=RECIPE, command="a test")
    return path


def test_scores_of_models_that_do_not_fit_are_refused_unless_asked_for(objects, tmp_path, caplog):
    path, out = shard_of_accuracy(tmp_path, 17), tmp_path / "scores"
    chance = 10 / N_TRAIN  # of the most frequent of the objects
    assert 17 / 28 < chance + (1 - chance) / 2 < 0.7
    with pytest.raises(BatError, match=r"included accuracy 60\.7.*chance 25\.0.*noise.*62\.5"):
        scoring.write_scores([path], objects, SPEC, out, command="a test")
    assert not out.exists()
    scoring.write_scores([path], objects, SPEC | {"allow_unfitted": True}, out, command="a test")
    groups = {"groups": config.Groups().model_dump(mode="json"), "dataset": "objects"}
    log.addHandler(caplog.handler)
    try:
        scoring.write_groups(out, objects, groups, tmp_path / "groups", command="a test")
    finally:
        log.removeHandler(caplog.handler)
    assert "noise" in caplog.text and "understated" not in caplog.text
    for name in ("memorization", "influence", "test"):
        metadata = read_table(out / f"{name}.parquet", name)[1]
        assert "scores are noise" in fit_sentence(metadata)
        assert "scores are noise" in provenance(metadata)
    for split in ("train", "test"):
        metadata = read_table(tmp_path / "groups" / f"{split}.parquet", "groups")[1]
        assert "(included accuracy 60.7\u00a0%, chance 25.0\u00a0%)" in fit_sentence(metadata)


def test_groups_by_another_score_are_its_ends(shards, objects, tmp_path):
    out, csl = tmp_path / "scores", 1.0 / np.array(COPIES)[OBJECT] - np.arange(N_TRAIN) / 1000
    scoring.write_scores(shards, objects, SPEC, out, command="a test")
    about = {"fingerprint": "a" * 64, "recipe": {}, "command": "a test"}
    columns = {"index": np.arange(N_TRAIN), "label": OBJECT, "csl": csl}
    write_table(out / "proxies.parquet", "proxies", columns, **about)
    chosen = config.Groups(score="csl", top=0.1, bottom=0.4, false_discovery=0.1)
    spec = {"groups": thresholds(chosen), "dataset": "objects"}
    scoring.write_groups(out, objects, spec, tmp_path / "groups", command="a test")
    table, metadata = read_checked(tmp_path / "groups" / "train.parquet", "groups", objects)
    order = np.argsort(-csl)
    assert np.flatnonzero(column(table, "atypical")).tolist() == sorted(order[:4])
    assert np.flatnonzero(column(table, "typical")).tolist() == sorted(order[-16:])
    assert "chance" not in metadata  # a share that is asked for is none
    carried, about_test = read_checked(tmp_path / "groups" / "test.parquet", "groups", objects)
    assert about_test["chance"]["false_discovery"] == 0.1
    assert np.flatnonzero(column(carried, "atypical")).tolist() == [0, 1, 2, 3]
    assert not fit_facts(metadata)  # how the models of memorization fitted says nothing of csl
    assert fit_facts(about_test)["accuracies"]["included"] == 1
    assert metadata["inputs"].items() >= groups_inputs(out, metadata["thresholds"]).items()
    columns["csl"] = csl[::-1].copy()
    write_table(out / "proxies.parquet", "proxies", columns, **about)
    found = groups_inputs(out, metadata["thresholds"])
    assert {name for name in found if found[name] != metadata["inputs"][name]} == {"csl"}


def test_groups_by_a_score_that_is_not_there_are_refused(shards, objects, tmp_path):
    scoring.write_scores(shards, objects, SPEC, tmp_path, command="a test")
    spec = {"groups": thresholds(config.Groups(score="aum", top=0.1)), "dataset": "objects"}
    with pytest.raises(ArtifactError, match=r"proxies\.parquet"):
        scoring.write_groups(tmp_path, objects, spec, tmp_path / "groups", command="a test")
    about = {"fingerprint": "a" * 64, "recipe": {}, "command": "a test"}
    columns = {"index": np.arange(N_TRAIN), "label": OBJECT, "csl": np.zeros(N_TRAIN)}
    write_table(tmp_path / "proxies.parquet", "proxies", columns, **about)
    with pytest.raises(BatError, match="aum is not known of 40 of 40 samples"):
        scoring.write_groups(tmp_path, objects, spec, tmp_path / "groups", command="a test")


def test_models_that_do_not_interpolate_are_told_of(shards, objects, tmp_path, caplog):
    spec = SPEC | {"min_included_accuracy": 1.0}
    scoring.write_scores(shards, objects, spec, tmp_path, command="a test")
    assert read_table(tmp_path / "test.parquet", "test")[1]["converged"]
    path = shard_of_accuracy(tmp_path, 25)
    log.addHandler(caplog.handler)
    try:
        scoring.write_scores([path], objects, SPEC, tmp_path, command="a test")
    finally:
        log.removeHandler(caplog.handler)
    assert "memorization is understated" in caplog.text
    metadata = read_table(tmp_path / "memorization.parquet", "memorization")[1]
    assert not metadata["converged"]
    assert metadata["accuracies"]["included"] == pytest.approx(25 / 28)


def test_convergence_of_a_lookup_learner(shards, objects, tmp_path):
    scoring.write_convergence(shards, objects, SPEC, tmp_path / "convergence.csv")
    table = pd.read_csv(tmp_path / "convergence.csv")
    assert table["n_trials"].is_monotonic_increasing
    assert table["n_trials"].iloc[-1] == N_TRIALS
    assert table["se_mean"].is_monotonic_decreasing
    assert table["split_half_correlation"].iloc[-1] > 0.99


def test_convergence_of_trials_without_margins_is_what_it_was(objects, tmp_path):
    spec = SPEC | {"trials": 120}
    tables = {}
    for n_with in (0, 1, 120):
        out = tmp_path / f"{n_with}.csv"
        scoring.write_convergence([write_margins(tmp_path, n_with)], objects, spec, out)
        tables[n_with] = out.read_bytes()
    assert tables[0] == tables[1]  # some margins are none
    before, after = (pd.read_csv(tmp_path / f"{n}.csv") for n in (0, 120))
    pd.testing.assert_frame_equal(after[before.columns], before)
    more = set(after) - set(before)
    assert {"agreement_margins_auc_low", "margins_worth", "standing_margins_high"} <= more
    assert check_convergence(tmp_path / "120.csv") == len(after)


# -- shards that cannot be used -------------------------------------------------------------


def copies_of(shards, folder):
    return [shutil.copy(path, folder / path.name) for path in shards]


@pytest.mark.parametrize("kind", ["bit", "half", "empty"])
def test_a_damaged_shard_is_named_and_set_aside(shards, objects, tmp_path, kind):
    paths = copies_of(shards, tmp_path)
    content = bytearray(paths[2].read_bytes())
    content[len(content) // 2] ^= 1
    content = {"bit": content, "half": content[: len(content) // 2], "empty": b""}[kind]
    paths[2].write_bytes(content)
    with pytest.raises(ArtifactError, match="set aside as") as caught:
        scoring.write_scores(paths, objects, SPEC, tmp_path / "scores", command="a test")
    assert str(paths[2]) in str(caught.value)
    assert not paths[2].exists()  # so that the workflow makes it again
    assert paths[2].with_name(paths[2].name + ".damaged").read_bytes() == content
    assert paths[0].exists()
    assert not (tmp_path / "scores").exists()


def test_missing_and_double_trials(shards, objects, tmp_path):
    def read(paths, **changes):
        scoring.read_trials(paths, objects, N_TRIALS, recipe=RECIPE | changes)

    with pytest.raises(ArtifactError, match=r"trials \[700\] are in none of the 2 shards"):
        read([shards[0], shards[2]])
    paths = copies_of(shards, tmp_path)
    double = shutil.copy(paths[1], tmp_path / "lookup-000700-000701.parquet")
    with pytest.raises(ArtifactError, match="trial 700 is also in another shard"):
        read([*paths, double])
    with pytest.raises(ArtifactError, match="another recipe"):
        read(shards, seed=4)
    with pytest.raises(ArtifactError, match="hold no class probabilities"):
        scoring.read_trials(shards, objects, 5, recipe=RECIPE, members=5)


def test_shards_of_another_data_set(shards, objects):
    other = PreparedData(**vars(objects) | {"info": objects.info | {"fingerprint": "b" * 64}})
    with pytest.raises(ArtifactError, match="other images, labels, or order"):
        scoring.read_trials(shards, other, N_TRIALS, recipe=RECIPE)
    assert all(path.exists() for path in shards)  # not damaged, so not set aside


# -- real training on wrong labels ----------------------------------------------------------


@pytest.mark.slow
def test_wrong_labels_are_memorized(prepare, tmp_path):
    prepared = prepare(label_noise={"share": 0.05, "seed": 0})
    changed = np.zeros(prepared.info["n_train"], bool)
    changed[prepared.info["label_noise"]["changed"]] = True
    assert changed.sum() == round(0.05 * len(changed))
    settings = config.Scores(
        architecture="small_cnn-8",
        training={
            "epochs": 16,
            "batch_size": 50,
            "lr": 0.2,
            "augmentation": {"crop": 0, "flip": False},
        },
    )
    recipe = trial_recipe(settings.architecture, settings)
    out = tmp_path / f"{settings.architecture}-000000-000059.parquet"
    device = Runtime(torch.device("cpu"))
    trials.run_shard(out, prepared, recipe, 0, 59, 0, device=device, command="a test")
    found = scoring.read_trials([out], prepared, 60, recipe=recipe)
    scores = memorization(found.included, found.train_correct).memorization
    assert roc_auc_score(changed, scores) >= 0.95
    assert np.median(scores[changed]) > 0.5
    assert np.median(scores[~changed]) < 0.05

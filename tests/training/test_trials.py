"""Subset trainings: the same rows however they are grouped, stopped and started again."""

import logging
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bat import config, files
from bat.devices import Runtime
from bat.errors import ArtifactError, BatError
from bat.files import column, read_table
from bat.files.bits import unpack
from bat.models import build_model
from bat.plan.specifications import trial_recipe
from bat.scores.subsets import check_coverage, subset
from bat.training import DivergedError, trials
from bat.training.trial_rows import trial_row
from bat.validation import read_checked

SETTINGS = {
    "architecture": "small_cnn-4",
    "training": {"epochs": 2, "batch_size": 50, "augmentation": {"crop": 1, "flip": False}},
}
ARCHITECTURE = SETTINGS["architecture"]
RECIPE = trial_recipe(ARCHITECTURE, config.Scores(**SETTINGS))
CPU = Runtime(torch.device("cpu"))


def shard_path(folder, first: int, last: int):
    return folder / "trials" / f"{ARCHITECTURE}-{first:06d}-{last:06d}.parquet"


@pytest.fixture
def run(few_digits, tmp_path):
    """Train a shard into a folder; returns its path."""

    def run(first, last, *, folder=tmp_path, members=2, recipe=RECIPE, prepared=few_digits):
        out = shard_path(folder, first, last)
        numbers = (first, last, members)
        trials.run_shard(out, prepared, recipe, *numbers, device=CPU, command="a test")
        return out

    return run


def rows(path, *, seconds: bool = False) -> dict[int, dict]:
    """The rows of a shard by trial, bit for bit but for the time they took."""
    table, _ = read_table(path, "trials")
    if not seconds:
        table = table.drop_columns("seconds")
    return {row["trial"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def undisturbed(few_digits, tmp_path_factory):
    """Trials 0 to 5 from one shard."""
    out = shard_path(tmp_path_factory.mktemp("undisturbed"), 0, 5)
    trials.run_shard(out, few_digits, RECIPE, 0, 5, 2, device=CPU, command="a test")
    return out


@pytest.fixture
def copied(undisturbed, tmp_path):
    """A folder with that shard in it."""
    out = shard_path(tmp_path, 0, 5)
    out.parent.mkdir(parents=True)
    return shutil.copy(undisturbed, out)


@pytest.fixture
def messages():
    """What the package logs, whatever was set up before."""

    class Collect(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())

    found: list[str] = []
    handler = Collect()
    trials.log.addHandler(handler)
    yield found
    trials.log.removeHandler(handler)


# -- a trial is a function of seed and number -----------------------------------------------


def test_a_row_says_what_its_model_predicts(undisturbed, few_digits):
    found = rows(undisturbed, seconds=True)
    assert list(found) == list(range(6))
    for trial, row in found.items():
        included = unpack(row["included"], 200)
        assert np.array_equal(included, subset(0, trial, 200, 0.7))
        correct = unpack(row["train_correct"], 200)
        assert row["included_accuracy"] == correct[included].mean()
        assert row["excluded_accuracy"] == correct[~included].mean()
        assert row["test_accuracy"] == unpack(row["test_correct"], 100).mean()
        assert (row["seed"], row["device"]) == (0, CPU.label(CPU.precision("auto")))
        assert row["seconds"] > 0
        assert (row["probabilities"] is not None) == (trial < 2)
    assert len({row["train_correct"] for row in found.values()}) == 6
    probabilities = np.frombuffer(found[1]["probabilities"], np.float16).reshape(200, 10)
    assert np.abs(probabilities.astype(float).sum(1) - 1).max() < 10 * 2**-11
    predicted = probabilities.argmax(1) == few_digits.train_labels
    assert (predicted != unpack(found[1]["train_correct"], 200)).sum() <= 1  # a tie in float16


def test_a_gpu_trains_a_shard(few_digits, tmp_path, gpu):
    recipe = RECIPE | {"training": RECIPE["training"] | {"epochs": 20}}
    out = shard_path(tmp_path, 0, 2)
    trials.run_shard(out, few_digits, recipe, 0, 2, 2, device=gpu, command="a test")
    for row in rows(out).values():
        assert row["device"] == torch.cuda.get_device_name()
        assert row["included_accuracy"] > 0.4  # chance is 0.1


def test_a_compiled_model_serves_every_trial(undisturbed, few_digits, compiled):
    trainer, plain = trials.TrialTrainer(few_digits, RECIPE, compiled), rows(undisturbed)
    graphs = []
    for trial in (0, 1):
        row = trainer.train(trial, keep_probabilities=True)
        found, expected = (
            np.frombuffer(bytes_, np.float16)
            for bytes_ in (row["probabilities"][0], plain[trial]["probabilities"])
        )
        np.testing.assert_allclose(found, expected, atol=0.02)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[1] > 0


def test_shards_and_their_order_change_no_row(undisturbed, run):
    regrouped = {}
    for first, last in ((5, 5), (2, 4), (0, 1)):
        regrouped |= rows(run(first, last))
    assert regrouped == rows(undisturbed)


def test_another_seed_gives_other_trials(undisturbed, run):
    other = rows(run(0, 1, recipe=RECIPE | {"seed": 1}))
    assert other[0]["included"] != rows(undisturbed)[0]["included"]
    assert other[0]["seed"] == 1


def test_probabilities_do_not_depend_on_the_batches(few_digits, monkeypatch):
    model = build_model(ARCHITECTURE, n_classes=10, channels=1, seed=0).train()
    images = torch.from_numpy(np.array(few_digits.test_images))
    whole = trials.probabilities(model, images)
    assert not model.training
    monkeypatch.setitem(trials.EVALUATION_BATCH, "cpu", 7)
    assert torch.allclose(trials.probabilities(model, images), whole, atol=1e-6)
    assert torch.allclose(whole.sum(1), torch.ones(100))


# -- margins --------------------------------------------------------------------------------


def test_a_row_keeps_the_margins_of_its_logits(undisturbed, few_digits):
    trainer = trials.TrialTrainer(few_digits, RECIPE, CPU)
    row = trainer.train(1, keep_probabilities=True)
    for split, images, labels in (
        ("train", few_digits.train_images, few_digits.train_labels),
        ("test", few_digits.test_images, few_digits.test_labels),
    ):
        logits = trials.outputs(trainer.model, torch.from_numpy(np.array(images))).numpy()
        slow = [float(x[y] - max(np.delete(x, y))) for x, y in zip(logits, labels, strict=True)]
        kept = np.frombuffer(row[f"{split}_margin"][0], np.float16)
        np.testing.assert_allclose(kept, slow, rtol=1e-3, atol=1e-6)
        assert np.array_equal(kept > 0, unpack(row[f"{split}_correct"][0], len(kept)))
        assert row[f"{split}_margin"][0] == rows(undisturbed)[1][f"{split}_margin"]


def test_half_precision_holds_any_margin_and_makes_no_wrong_sign():
    correct = np.array([True, False, True, False, True])
    margins = np.array([1e30, -np.inf, 1e-12, 1e-3, 2.5])  # the fourth: a tie of the softmax
    row = trial_row(
        {"seed": 0},
        0,
        correct,
        correct,
        correct,
        seconds=1,
        device="",
        margins=(margins, -margins * (2 * correct - 1)),
    )
    top = np.finfo(np.float16).max
    assert np.frombuffer(row["train_margin"][0], np.float16).tolist() == [top, -top, 0, 0, 2.5]
    assert not np.frombuffer(row["test_margin"][0], np.float16)[correct].any()


def test_without_margins_a_shard_is_as_before_and_trials_stay(few_digits, undisturbed, tmp_path):
    out = shard_path(tmp_path, 0, 1)
    given = {"device": CPU, "command": "a test"}
    trials.run_shard(out, few_digits, RECIPE, 0, 1, 2, margins=False, **given)
    columns = pq.read_schema(out).names
    assert columns == [name for name in files.SCHEMAS["trials"].names if "margin" not in name]
    before = out.read_bytes()
    trials.run_shard(out, few_digits, RECIPE, 0, 1, 2, **given)  # asked for now: not trained again
    assert out.read_bytes() == before
    longer = shard_path(tmp_path, 0, 2)
    trials.run_shard(longer, few_digits, RECIPE, 0, 2, 2, **given)
    mixed, whole = rows(longer), rows(undisturbed)
    assert [mixed[trial]["test_margin"] for trial in range(3)] == [
        None,
        None,
        whole[2]["test_margin"],
    ]
    assert mixed[1]["probabilities"] == whole[1]["probabilities"]


@pytest.mark.parametrize("column", ["train_margin", "test_margin"])
@pytest.mark.parametrize("change", ["sign", "nan", "short", "one"])
def test_margins_that_contradict_the_predictions_are_refused(copied, few_digits, column, change):
    table, metadata = read_table(copied, "trials")
    kept = [np.frombuffer(row, np.float16).copy() for row in table[column].to_pylist()]
    at = int(np.abs(kept[3]).argmax())
    kept[3][at] = np.nan if change == "nan" else -kept[3][at]
    kept[3] = kept[3][:-1] if change == "short" else kept[3]
    changed = [None if change == "one" and i == 3 else row.tobytes() for i, row in enumerate(kept)]
    place = table.column_names.index(column)
    table = table.set_column(place, column, pa.array(changed, pa.binary()))
    about = {name: metadata[name] for name in ("fingerprint", "recipe", "command")}
    files.write_table(copied, "trials", table, **about)
    with pytest.raises(ArtifactError, match=f"trial 3: .*{column}"):
        read_checked(copied, "trials", few_digits)


# -- taking over what is there --------------------------------------------------------------


def test_more_trials_keep_the_rows_there_are(copied, run):
    longer = run(0, 7)
    before, after = rows(copied, seconds=True), rows(longer, seconds=True)
    assert list(after) == list(range(8))
    assert {trial: after[trial] for trial in before} == before  # seconds too: not trained again


def test_fewer_and_regrouped_trials_are_taken_from_the_shards_beside(copied, run):
    before = rows(copied, seconds=True)
    run(6, 7)
    assert rows(run(4, 6), seconds=True).items() >= {t: before[t] for t in (4, 5)}.items()
    assert rows(run(1, 2), seconds=True) == {t: before[t] for t in (1, 2)}


def test_a_complete_shard_is_left_as_it_is(copied, run):
    content = copied.read_bytes()
    os.utime(copied, (1, 1))
    run(0, 5)
    assert copied.read_bytes() == content
    assert copied.stat().st_mtime > 1  # newer than its specification, so that no job runs again


def test_only_trials_that_lack_their_probabilities_are_trained_again(copied, run):
    before = rows(copied, seconds=True)
    run(0, 5, members=4)
    after = rows(copied, seconds=True)
    for trial in range(6):
        if trial in (2, 3):
            probabilities, _ = after[trial].pop("probabilities"), before[trial].pop("probabilities")
            assert len(probabilities) == 200 * 10 * 2
            assert after[trial].pop("seconds") != before[trial].pop("seconds")
        assert after[trial] == before[trial]


def test_a_damaged_shard_is_named_and_its_trials_trained_again(copied, run, undisturbed, messages):
    content = bytearray(copied.read_bytes())
    content[len(content) // 8] ^= 4  # in the class probabilities
    copied.write_bytes(content)
    assert rows(run(2, 4)) == {trial: rows(undisturbed)[trial] for trial in (2, 3, 4)}
    (message,) = [text for text in messages if "trained again" in text]
    assert str(copied) in message
    assert "damaged" in message
    run(0, 5)
    assert rows(copied) == rows(undisturbed)


@pytest.mark.parametrize("change", [{"seed": 1}, {"subset_ratio": 0.5}, {"stage_version": 99}])
def test_rows_of_another_recipe_are_not_used(undisturbed, run, tmp_path, change):
    other = rows(run(0, 1, recipe=RECIPE | change), seconds=True)
    assert list((tmp_path / "trials").glob("*.parquet"))
    again = run(0, 1)
    assert rows(again) == {trial: rows(undisturbed)[trial] for trial in (0, 1)}
    assert rows(again, seconds=True)[0]["seconds"] != other[0]["seconds"]


def test_a_partial_result_of_another_recipe_or_data_set_is_not_used(undisturbed, run, tmp_path):
    table, metadata = read_table(undisturbed, "trials")
    right = {key: metadata[key] for key in ("fingerprint", "recipe", "command")}
    wrong_rows = table.set_column(0, "trial", pa.array([1, 0, 2, 3, 4, 5], pa.int32()))
    foreign = (
        (0, right | {"recipe": RECIPE | {"seed": 5}}),
        (1, right | {"fingerprint": "0" * 64}),
    )
    partial = tmp_path / "trials" / ".partial" / ARCHITECTURE
    for trial, provenance in foreign:
        path = partial / f"{trial:06d}.parquet"
        files.write_table(path, "trials", wrong_rows.slice(1 - trial, 1), **provenance)
    assert rows(run(0, 1)) == {trial: rows(undisturbed)[trial] for trial in (0, 1)}
    assert list(partial.iterdir()) == []


def test_rows_of_other_data_are_not_used(undisturbed, run, prepare):
    other = prepare(subsample={"train": 200, "test": 100, "seed": 1})
    assert rows(run(0, 0, prepared=other))[0] != rows(undisturbed)[0]
    assert rows(run(0, 0))[0] == rows(undisturbed)[0]


def test_a_truncated_shard_whose_trials_lie_in_another_is_written_again(copied, run, undisturbed):
    """Once it was an error, since nothing was missing."""
    whole = shard_path(copied.parents[1], 0, 7)
    run(0, 7)
    copied.write_bytes(copied.read_bytes()[:-100])
    run(0, 5)
    assert rows(copied) == rows(undisturbed)
    assert {t: row for t, row in rows(whole).items() if t < 6} == rows(undisturbed)


def test_a_stray_file_beside_the_shards_is_named_and_not_used(copied, run, undisturbed, messages):
    for name in ("small_cnn-4-copy.parquet", "small_cnn-4-000000-000005 (1).parquet"):
        shutil.copy(copied, copied.with_name(name))
    assert rows(run(2, 4)) == {trial: rows(undisturbed)[trial] for trial in (2, 3, 4)}
    assert len([text for text in messages if "a shard's name ends in" in text]) == 2
    with pytest.raises(BatError, match="no name of a shard"):
        trials.shard_range(copied.with_name("small_cnn-4-copy.parquet"))


# -- trainings that fail --------------------------------------------------------------------


def test_a_loss_that_is_no_number_names_the_trial(few_digits):
    training = SETTINGS["training"] | {"lr": 1e20, "schedule": "constant"}
    scores = config.Scores(architecture=ARCHITECTURE, training=training)
    trainer = trials.TrialTrainer(few_digits, trial_recipe(ARCHITECTURE, scores), CPU)
    with pytest.raises(DivergedError, match=r"^trial 7: erm: the loss is .* of epoch \d"):
        trainer.train(7, keep_probabilities=False)


def test_probabilities_that_are_no_numbers_are_an_error(few_digits, tmp_path, run, monkeypatch):
    judge = trials.outputs

    def broken(model, images):
        found = judge(model, images)
        found[3] = torch.nan
        return found

    monkeypatch.setattr(trials, "outputs", broken)
    with pytest.raises(DivergedError, match=r"trial 0: .*epoch \(2\) .* of 1 of 200 samples"):
        run(0, 1)
    assert not list(tmp_path.rglob("*.parquet"))


def test_progress_is_told_within_a_trial(few_digits):
    seen = []
    trials.TrialTrainer(few_digits, RECIPE, CPU).train(
        3, keep_probabilities=False, report=lambda *said: seen.append(said)
    )
    assert [share for share, _ in seen] == [0.0, 0.25, 0.5, 0.75]
    assert seen[-1][1] == "trial 3 in epoch 2 of 2"


# -- kill -9 --------------------------------------------------------------------------------


def test_a_killed_job_goes_on_at_its_next_trial(few_digits, tmp_path, run, run_bat, run_killed):
    files.write_json(tmp_path / "spec.json", {"recipe": RECIPE, "members": 3})

    undisturbed = run(0, 11, folder=tmp_path / "undisturbed", members=3)

    out = shard_path(tmp_path / "killed", 0, 11)
    options = ["--spec", tmp_path / "spec.json", "--data", few_digits.folder, "--device", "cpu"]
    command = ["trials", *map(str, options), "--out", str(out)]
    partial = out.parent / ".partial" / ARCHITECTURE
    run_killed(*command, trial=4, epoch=1, step=1)
    assert not out.exists()
    finished = {}
    for path in partial.glob("[0-9]*.parquet"):
        finished |= rows(path, seconds=True)
    assert sorted(finished) == [0, 1, 2, 3]

    rerun = run_bat(*command)
    assert "4 of 12 are there already" in rerun.stderr
    assert rows(out) == rows(undisturbed)
    after = rows(out, seconds=True)
    assert {trial: after[trial] for trial in finished} == finished  # not trained again
    assert not list(partial.glob("[0-9]*.parquet"))


# -- enough trials --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_trials", "n_held_out", "setting"),
    [(4, 0, "scores.trials"), (1000, 4, "ensemble.members"), (1, 1, "scores.trials")],
)
def test_too_few_trials_are_refused_with_a_number_that_will_do(
    few_digits, n_trials, n_held_out, setting
):
    with pytest.raises(BatError, match=rf"^{setting} = ") as caught:
        check_coverage(0, 200, 0.7, n_trials, n_held_out)
    enough = int(str(caught.value).split("; ")[-1].split()[0])
    masks = np.stack([subset(0, trial, 200, 0.7) for trial in range(enough)])
    assert masks.any(0).all()
    assert not masks.all(0).any()
    check_coverage(0, 200, 0.7, enough, enough)
    check_coverage(0, 200, 0.7, 0, 0)


def test_too_few_trials_are_refused_before_any_training(few_digits, tmp_path, run_bat):
    files.write_json(tmp_path / "spec.json", {"recipe": RECIPE, "members": 0})
    out = shard_path(tmp_path, 0, 3)
    options = ["--spec", tmp_path / "spec.json", "--data", few_digits.folder, "--out", out]
    done = run_bat("trials", *options, "--n-trials", 4, check=False)
    assert done.returncode == 2
    assert "error: scores.trials = 4: the random subsets hold" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.parent.exists()


def test_the_columns_are_those_of_the_contract(undisturbed):
    table, metadata = read_table(undisturbed, "trials")
    assert column(table, "trial").tolist() == list(range(6))
    assert metadata["recipe"] == RECIPE
    assert metadata["command"] == "a test"

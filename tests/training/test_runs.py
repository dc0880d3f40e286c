"""Runs of adversarial training: resumed, killed, refused, evaluated."""

from __future__ import annotations

import json
import os
import platform
import signal

import numpy as np
import pytest
import torch
import yaml
from short_runs import CPU, EVALUATION, files, specification, train

from bat.checkpoints.formats import read_checkpoint
from bat.errors import ArtifactError, BatError
from bat.files import column, read_metadata, read_table, write_table, write_torch
from bat.files.bits import unpack
from bat.models import build_model
from bat.plan.names import study_name
from bat.scores.fit import fit_sentence
from bat.training import (
    DivergedError,
    Inputs,
    Training,
    evaluate_checkpoint,
    read_inputs,
    running,
    train_run,
)
from bat.training.inputs import hold_out, score_masks, training_index


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("run", ["erm-all", "pgd-at", "trades", "mart", "gairat", "bat-1-0.2"])
def test_every_method_trains_and_records_its_history(run, few_digits, inputs, tmp_path):
    spec = specification(run)
    train(tmp_path, few_digits, spec, inputs)
    table, metadata = read_table(tmp_path / "history.parquet", "history")
    assert table.column("epoch").to_pylist() == [1, 2, 3]
    assert np.isfinite(column(table, "loss")).all()
    for split in ("train", "test"):
        n = few_digits.info[f"n_{split}"]
        for row in table.to_pylist():
            clean, pgd = (unpack(row[f"{split}_{name}"], n) for name in ("clean", "pgd"))
            assert not (pgd & ~clean).any()
    if run.startswith("bat"):
        reweighted = column(table, "reweighted")
        most = 40 / 150  # the atypical samples, over those of three whole batches
        assert ((reweighted > 0) & (reweighted <= most)).all()
        assert (column(table, "mean_weight") < 1).all()
    assert metadata["recipe"] == spec
    assert not (tmp_path / "resume.pt").exists()


@pytest.mark.parametrize("method", ["mail-at", "mail-trades", "mail-mart"])
def test_mail_goes_on_bit_for_bit_from_the_middle_of_an_epoch(
    method, few_digits, inputs, tmp_path, stop
):
    spec = specification(method, runs={method: {"method": method, "begin": 0.34}})
    assert spec["objective"]["begin_epoch"] == 2
    train(tmp_path / "undisturbed", few_digits, spec, inputs)
    with stop(before=5):  # in the second epoch of three steps, the first with weights
        train(tmp_path / "stopped", few_digits, spec, inputs)
    train(tmp_path / "stopped", few_digits, spec, inputs)
    assert files(tmp_path / "stopped") == files(tmp_path / "undisturbed")
    table, _ = read_table(tmp_path / "stopped" / "history.parquet", "history")
    weights = column(table, "mean_weight")
    assert np.isnan(weights[0])
    assert ((weights[1:] > 0) & (weights[1:] < 3)).all()


PERTURBED = ["pgd-at", "trades", "mart", "gairat", "mail-at", "mail-trades", "mail-mart", "bat"]


@pytest.mark.parametrize("method", PERTURBED)
def test_perturbed_weights_go_on_bit_for_bit_from_the_middle_of_an_epoch(
    method, few_digits, inputs, tmp_path, stop
):
    run = {"method": method, "awp": {"warmup": 1}}
    spec = specification("perturbed", runs={"perturbed": run})
    train(tmp_path / "undisturbed", few_digits, spec, inputs)
    with stop(before=5):  # in the second epoch of three steps, the first with perturbed weights
        train(tmp_path / "stopped", few_digits, spec, inputs)
    train(tmp_path / "stopped", few_digits, spec, inputs)
    assert files(tmp_path / "stopped") == files(tmp_path / "undisturbed")


def test_what_is_averaged_are_the_weights_that_were_put_back(few_digits, inputs, tmp_path, stop):
    """With a decay of 0 the average is the model after the step; with another one it goes on."""
    run = {"method": "bat", "alpha": 1, "beta": 0.2, "awp": {}}
    runs = {"plain": run}
    runs |= {f"ema-{d}": run | {"averaging": {"kind": "ema", "decay": d}} for d in (0, 0.8)}
    for name in runs:
        train(tmp_path / name, few_digits, specification(name, runs=runs), inputs)
    plain, average, slow = (
        read_checkpoint(tmp_path / name / "last.pt")["state_dict"] for name in runs
    )
    assert all(torch.equal(value, average[name]) for name, value in plain.items())
    assert not torch.equal(plain["head.weight"], slow["head.weight"])
    spec = specification("ema-0.8", runs=runs)
    with stop(before=5):
        train(tmp_path / "stopped", few_digits, spec, inputs)
    train(tmp_path / "stopped", few_digits, spec, inputs)
    assert files(tmp_path / "stopped") == files(tmp_path / "ema-0.8")


def test_perturbation_by_nothing_is_the_plain_run_bit_for_bit(few_digits, inputs, tmp_path):
    bat, weights, losses = {"method": "bat"}, {}, {}
    runs = {"plain": bat}
    runs |= {"nothing": bat | {"awp": {"gamma": 0}}, "late": bat | {"awp": {"warmup": 2}}}
    for name in runs:
        train(tmp_path / name, few_digits, specification(name, runs=runs), inputs)
        weights[name] = read_checkpoint(tmp_path / name / "last.pt")["state_dict"]
        table, _ = read_table(tmp_path / name / "history.parquet", "history")
        losses[name] = column(table, "loss").tolist()
    assert all(torch.equal(v, weights["nothing"][name]) for name, v in weights["plain"].items())
    assert losses["plain"] == losses["nothing"]
    assert losses["plain"][:2] == losses["late"][:2]  # the epochs of the warm-up
    assert losses["plain"][2] < losses["late"][2]


@pytest.mark.parametrize("run", ["pgd-at", "mart", "mail-at", "bat-1-0.2", "bat-awp"])
def test_a_compiled_model_learns_the_same(run, few_digits, inputs, tmp_path, compiled):
    added = {"mail-at": {"method": "mail-at", "begin": 0}, "bat-awp": {"method": "bat", "awp": {}}}
    spec = specification(run, runs=added)
    train(tmp_path / "plain", few_digits, spec, inputs)
    train(tmp_path / "compiled", few_digits, spec, inputs, device=compiled)
    losses = [
        column(read_table(path, "history")[0], "loss")
        for path in sorted(tmp_path.glob("*/history.parquet"))
    ]
    np.testing.assert_allclose(*losses, rtol=0.02)
    weights = [torch.load(path, weights_only=True) for path in tmp_path.glob("*/last.pt")]
    assert weights[0].keys() == weights[1].keys()  # without the wrapper's prefix


@pytest.mark.parametrize("run", ["pgd-at", "bat-1-0.2"])
@pytest.mark.parametrize("stop_at", [1, 4, 5])
def test_a_stopped_run_goes_on_bit_for_bit(run, stop_at, few_digits, inputs, tmp_path, stop):
    spec = specification(run)
    train(tmp_path / "whole", few_digits, spec, inputs)
    with stop(before=stop_at):
        train(tmp_path / "parts", few_digits, spec, inputs)
    assert (tmp_path / "parts" / "resume.pt").exists()
    assert not (tmp_path / "parts" / "last.pt").exists()
    train(tmp_path / "parts", few_digits, spec, inputs)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("number", "batch"), [(signal.SIGTERM, 0), (signal.SIGINT, 2), (signal.SIGHUP, 5)]
)
def test_a_run_stopped_while_it_measures_goes_on_bit_for_bit(
    number, batch, few_digits, inputs, tmp_path, monkeypatch
):
    """Once the signal was heard after the measurement alone, which may take an epoch's time."""
    spec = specification()
    train(tmp_path / "whole", few_digits, spec, inputs)
    judged, seen = running.evaluate, []

    def evaluate(*arguments, progress, **settings):
        def report(*done):
            seen.append(done)
            if len(seen) == batch + 1:
                os.kill(os.getpid(), number)
            progress(*done)

        return judged(*arguments, progress=report, **settings)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(running, "evaluate", evaluate)
        train(tmp_path / "parts", few_digits, spec, inputs)
    assert ended.value.code == 128 + number
    assert len(seen) == batch + 1  # no batch was judged after the signal
    state = read_checkpoint(tmp_path / "parts" / "resume.pt")
    assert state["row"]["epoch"] == 1 and state["rows"] == []
    train(tmp_path / "parts", few_digits, spec, inputs)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_the_state_is_written_in_the_middle_of_an_epoch_and_of_a_measurement(
    few_digits, inputs, tmp_path, monkeypatch
):
    kept, write = [], write_torch

    def spy(path, value):
        if path.name == "resume.pt":
            kept.append((value["training"]["epoch"], value["training"]["step"], bool(value["row"])))
        write(path, value)

    monkeypatch.setattr("bat.files.write_torch", spy)
    train(tmp_path, few_digits, specification(), inputs)
    assert {(0, 0, False), (0, 2, False), (1, 0, True), (1, 0, False), (3, 0, True)} <= set(kept)


def test_what_a_killed_writer_left_is_gone_after_the_next_start(few_digits, inputs, tmp_path):
    spec = specification()
    left = tmp_path / f".resume.pt.{platform.node()}~abc.tmp"
    left.write_bytes(b"half")
    train(tmp_path, few_digits, spec, inputs)
    (tmp_path / "resume.pt").write_bytes(b"killed before it was removed")
    left.write_bytes(b"half")
    train(tmp_path, few_digits, spec, inputs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.pt", "history.parquet", "last.pt"]


@pytest.mark.parametrize("run", ["erm-all", "bat-1-0.2"])
def test_weights_that_are_no_numbers_after_a_finite_loss_are_an_error(
    run, few_digits, inputs, tmp_path, monkeypatch
):
    step, taken = Training._take_step, []

    def breaking(self, index):
        step(self, index)
        taken.append(1)
        if len(taken) == 2 * self.steps_per_epoch:
            next(self.model.parameters()).data.view(-1)[0] = torch.inf

    monkeypatch.setattr(Training, "_take_step", breaking)
    expected = r"seed 0: .*weight is not finite after step \d, the last one.* of epoch 2; lower"
    with pytest.raises(DivergedError, match=expected) as caught:
        train(tmp_path, few_digits, specification(run), inputs)
    assert f"the last good state is in {tmp_path / 'resume.pt'}" in str(caught.value)
    assert not (tmp_path / "last.pt").exists()


def test_predictions_that_are_no_numbers_are_an_error(few_digits, inputs, tmp_path, monkeypatch):
    advance = running.Run.advance

    def broken(self, look_up):
        self.training.model.register_forward_hook(lambda model, given, logits: logits * torch.nan)
        self.training.run_epoch = lambda stop: {"loss": 1.0}
        advance(self, look_up)

    monkeypatch.setattr(running.Run, "advance", broken)
    with pytest.raises(DivergedError, match=r"seed 0: after step .*sample 0 are not finite"):
        train_run(tmp_path, few_digits, specification(), inputs, device=CPU, command="test")
    assert not (tmp_path / "resume.pt").exists()


def test_a_state_that_is_not_there_is_not_named(few_digits, inputs, tmp_path):
    spec = specification(training={"lr": 1e20, "schedule": "constant", "milestones": []})
    with pytest.raises(DivergedError, match="no state was kept"):
        train_run(tmp_path, few_digits, spec, inputs, device=CPU, command="test")


def test_statistics_that_a_batch_does_not_have_are_null_and_counted(
    few_digits, inputs, tmp_path, monkeypatch
):
    """The typical samples: one batch has none in epoch 1, all have none in epoch 2."""
    take = Training._take_step

    def without(self, index):
        if self.epoch == 1 or (self.epoch, self.step) == (0, 1):
            every, self.unmemorized = self.unmemorized, torch.zeros_like(self.unmemorized)
            take(self, index)
            self.unmemorized = every
        else:
            take(self, index)

    monkeypatch.setattr(Training, "_take_step", without)
    train(tmp_path, few_digits, specification("bat-1-0.2"), inputs)
    table, metadata = read_table(tmp_path / "history.parquet", "history")
    found = table.column("discrimination_loss").to_pylist()
    assert found[1] is None and found[0] > 0 and found[2] > 0
    assert metadata["undefined_steps"] == {"discrimination_loss": [1, 3, 0]}


def test_a_run_carries_that_its_scores_are_noise(few_digits, inputs, tmp_path, caplog):
    table, metadata = read_table(inputs.scores / "memorization.parquet", "memorization")
    facts = {"accuracies": {"included": 0.138}, "chance_accuracy": 0.1, "converged": False}
    provenance = {key: metadata[key] for key in ("fingerprint", "recipe", "command")}
    path = tmp_path / "scores" / "memorization.parquet"
    write_table(path, "memorization", table, **provenance, **facts)
    running.log.addHandler(caplog.handler)
    try:
        spec, poor = specification("bat-1-0.2"), Inputs(inputs.groups, tmp_path / "scores")
        train(tmp_path / "run", few_digits, spec, poor)
    finally:
        running.log.removeHandler(caplog.handler)
    said = "do not fit (included accuracy 13.8\u00a0%, chance 10.0\u00a0%): the scores are noise"
    assert said in caplog.text
    history = read_metadata(tmp_path / "run" / "history.parquet", "history")
    assert said in fit_sentence(history)


@pytest.mark.parametrize("run", ["erm-all", "pgd-at", "trades", "mart", "gairat", "bat-1-0.2"])
def test_a_gpu_trains_goes_on_and_is_judged(run, few_digits, inputs, tmp_path, gpu, stop):
    spec = specification(run)
    assert spec["training"]["precision"] == "auto"
    with stop(before=4):
        train(tmp_path, few_digits, spec, inputs, device=gpu)
    train(tmp_path, few_digits, spec, inputs, device=gpu)
    table, _ = read_table(tmp_path / "history.parquet", "history")
    assert np.isfinite(column(table, "loss")).all()
    attacks = EVALUATION["attacks"] | {"aa": {"eps": 0.1, "version": "aa-fast"}}
    evaluate_checkpoint(
        tmp_path / "best.pt",
        "small_cnn-4",
        few_digits,
        EVALUATION | {"attacks": attacks},
        tmp_path / "evaluation.parquet",
        normalize=True,
        device=gpu,
        command="test",
    )
    table, _ = read_table(tmp_path / "evaluation.parquet", "evaluations")
    assert not (column(table, "aa") & ~column(table, "clean")).any()


def test_a_killed_run_goes_on_bit_for_bit(few_digits, tmp_path, run_bat, run_killed):
    (tmp_path / "spec.json").write_text(json.dumps(specification()))
    command = ["train", "--spec", tmp_path / "spec.json", "--data", few_digits.folder]
    command += ["--device", "cpu", "--checkpoint-every", "0", "--out"]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    run_bat(*command, undisturbed)
    run_killed(*command, killed, trial=0, epoch=1, step=1)
    assert "going on in epoch 2, step 2" in run_bat(*command, killed).stderr
    assert files(killed) == files(undisturbed)


def test_a_complete_run_is_left_as_it_is(few_digits, inputs, tmp_path, monkeypatch):
    spec = specification()
    train(tmp_path, few_digits, spec, inputs)
    before = files(tmp_path)
    monkeypatch.setattr(Training, "run_epoch", None)  # training again would fail
    train(tmp_path, few_digits, spec, inputs)
    assert files(tmp_path) == before


def test_a_changed_specification_trains_again(few_digits, inputs, tmp_path):
    train(tmp_path, few_digits, specification(), inputs)
    before = files(tmp_path)
    train(tmp_path, few_digits, specification(adversary={"eps": 0.05}), inputs)
    assert files(tmp_path)["last.pt"] != before["last.pt"]


def test_training_on_groups_uses_typical_and_the_share_of_atypical(few_digits, inputs):
    n = few_digits.info["n_train"]
    atypical = set(range(0, n, 5))
    chosen = {}
    for share in (0.0, 0.2, 1.0):
        spec = specification(study_name("pgd-at", share))
        made_of = read_inputs(few_digits, spec, inputs)
        chosen[share] = set(training_index(few_digits, spec, made_of).tolist())
        assert set(range(n)) - atypical <= chosen[share]
        assert len(chosen[share] & atypical) == round(share * len(atypical))
    assert chosen[0.2] < chosen[1.0]
    spec = specification("pgd-at-all")
    everything = training_index(few_digits, spec, read_inputs(few_digits, spec, inputs))
    assert everything.tolist() == list(range(n))


def test_bat_takes_low_confidence_as_atypical(few_digits, tmp_path):
    n = few_digits.info["n_train"]
    values = np.linspace(0, 1, n)
    columns = {"index": np.arange(n), "label": few_digits.train_labels, "confidence": values}
    write_table(
        tmp_path / "confidence.parquet",
        "confidence",
        columns,
        fingerprint=few_digits.fingerprint,
        recipe={},
        command="test",
    )
    spec = specification("bat-1-0.2-confidence")
    made_of = read_inputs(few_digits, spec, Inputs(scores=tmp_path))
    memorized, typical = score_masks(spec, made_of.scores)
    assert spec["score"] == {"kind": "confidence", "sigma": 0.5}
    assert (memorized == (values < 0.5)).all()
    assert (typical == (values > 0.5)).all()


def test_scores_of_another_data_set_are_refused(few_digits, prepare, inputs, tmp_path):
    other = prepare(subsample={"train": 200, "test": 100, "seed": 1})
    with pytest.raises(ArtifactError, match=r"memorization\.parquet.*fingerprint"):
        train(tmp_path, other, specification("bat-1-0.2"), inputs)
    assert not (tmp_path / "resume.pt").exists()


def test_an_empty_group_is_refused_before_training(few_digits, tmp_path):
    n = few_digits.info["n_train"]
    columns = {"index": np.arange(n), "typical": np.ones(n, bool), "atypical": np.zeros(n, bool)}
    write_table(
        tmp_path / "train.parquet",
        "groups",
        columns,
        fingerprint=few_digits.fingerprint,
        recipe={},
        command="test",
    )
    spec = specification("pgd-at-atypical-20")
    with pytest.raises(BatError, match=r"atypical training group of digits is empty.*thresholds"):
        train(tmp_path / "run", few_digits, spec, Inputs(groups=tmp_path))


def test_a_sigma_that_no_score_passes_is_refused(few_digits, inputs, tmp_path):
    spec = specification("bat-1-0.2", runs={"bat-1-0.2": {"sigma": 0.9}})
    with pytest.raises(BatError, match=r"no training sample of digits is atypical.*0\.9"):
        train(tmp_path, few_digits, spec, inputs)


def test_a_loss_that_is_not_finite_keeps_the_last_good_state(few_digits, inputs, tmp_path):
    spec = specification(training={"lr": 1e20, "schedule": "constant", "milestones": []})
    with pytest.raises(DivergedError, match=r"pgd-at seed 0: pgd-at: the loss is .* of epoch \d"):
        train(tmp_path, few_digits, spec, inputs)
    assert not (tmp_path / "last.pt").exists()


def test_a_damaged_state_is_refused_by_name(few_digits, inputs, tmp_path):
    (tmp_path / "resume.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ArtifactError, match=r"resume\.pt: not a checkpoint"):
        train(tmp_path, few_digits, specification(), inputs)


def test_the_best_epoch_is_the_one_with_the_best_selection_accuracy(few_digits, inputs, tmp_path):
    train(tmp_path, few_digits, specification(), inputs)
    table, metadata = read_table(tmp_path / "history.parquet", "history")
    accuracy = column(table, "selection_accuracy")
    assert metadata["best_epoch"] == 1 + int(accuracy.argmax())
    assert metadata["best_accuracy"] == accuracy.max()


def test_the_validation_samples_are_not_trained_on(few_digits, inputs):
    index = np.arange(100)
    train_index, held = hold_out(index, 0.2, seed=3)
    assert len(held) == 20
    assert sorted([*train_index, *held]) == list(range(100))


# -- evaluation -----------------------------------------------------------------------------


def evaluate(checkpoint, architecture, prepared, out, **spec):
    return evaluate_checkpoint(
        checkpoint,
        architecture,
        prepared,
        EVALUATION | spec,
        out,
        normalize=False,
        device=CPU,
        command="test",
    )


@pytest.mark.parametrize("wrapped", [False, True])
def test_anyones_state_dict_is_evaluated(wrapped, few_digits, tmp_path):
    model = build_model("small_cnn-4", n_classes=10, channels=1, seed=0)
    state = model.state_dict()
    if wrapped:
        state = {"state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(state, tmp_path / "model.pt")
    out = tmp_path / "colleague" / "seed0.parquet"
    accuracies = evaluate(tmp_path / "model.pt", "small_cnn-4", few_digits, out)
    frame = read_table(out, "evaluations", fingerprint=few_digits.fingerprint)[0]
    frame = frame.to_pandas()
    assert len(frame) == 40
    assert frame["index"].is_monotonic_increasing
    assert frame["cw"].isna().all()
    for name in ("fgsm", "pgd"):
        assert not (frame[name].astype(bool) & ~frame["clean"]).any()
        assert accuracies[name] == frame[name].mean()


@pytest.mark.parametrize(
    ("architecture", "n_classes"), [("small_cnn-8", 10), ("small_cnn-4", 7), ("wrn-10-1", 10)]
)
def test_a_checkpoint_of_another_model_is_refused(architecture, n_classes, few_digits, tmp_path):
    model = build_model(architecture, n_classes=n_classes, channels=1, seed=0)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    expected = r"not a state dict of small_cnn-4 with 10 classes.*Name the architecture"
    with pytest.raises(ArtifactError, match=expected):
        evaluate(tmp_path / "model.pt", "small_cnn-4", few_digits, tmp_path / "out.parquet")


def test_a_checkpoint_that_holds_code_is_refused(few_digits, tmp_path):
    torch.save(build_model("small_cnn-4", n_classes=10, channels=1), tmp_path / "model.pt")
    with pytest.raises(ArtifactError, match="tensors and plain values"):
        evaluate(tmp_path / "model.pt", "small_cnn-4", few_digits, tmp_path / "out.parquet")


def test_the_command_needs_a_checkpoint_an_architecture_and_a_data_set(
    few_digits, run_bat, tmp_path
):
    folder = tmp_path / "results" / "digits"
    folder.mkdir(parents=True)
    (folder / "data").symlink_to(few_digits.folder)
    evaluation = {"pgd_steps": 2, "cw_steps": 2, "autoattack": "none", "max_samples": 40}
    settings = {"data": {"source": "digits"}, "evaluation": evaluation}
    for name in ("digits", "other"):
        text = yaml.safe_dump({"datasets": {name: settings}})
        (tmp_path / f"{name}.yaml").write_text(text)
    model = build_model("small_cnn-4", n_classes=10, channels=1, seed=0)
    torch.save(model.state_dict(), tmp_path / "colleague.pt")
    options = ["--checkpoint", "colleague.pt", "--arch", "small_cnn-4", "--device", "cpu"]
    command = ["evaluate", *options, "--dataset", "digits", "--configfile"]
    done = run_bat(*command, "other.yaml", cwd=tmp_path, check=False)
    assert "other.yaml: configured is no data set 'digits'" in done.stderr
    done = run_bat(*command, "digits.yaml", cwd=tmp_path)
    assert "clean: 0." in done.stderr
    out = folder / "small_cnn-4" / "evaluations" / "colleague" / "seed0.parquet"
    assert read_table(out, "evaluations")[0].num_rows == 40

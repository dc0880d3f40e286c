"""Averaged weights: against their definitions, resumed, looked at in the model's place."""

import copy

import pytest
import torch
from short_runs import CPU, EVALUATION, files, specification, train
from torch import nn

from bat import config
from bat.checkpoints.formats import read_checkpoint
from bat.data import as_float, augment, to_device
from bat.errors import ArtifactError
from bat.files import column, read_table, write_torch
from bat.files.bits import unpack
from bat.models import build_model, wrap
from bat.objectives import ERM
from bat.streams import torch_seed
from bat.training import Training, evaluate_checkpoint
from bat.training.averaging import WeightAverage

RECIPE = {"epochs": 4, "batch_size": 48, "lr": 0.1, "schedule": "constant", "milestones": ()}
RECIPE |= {"precision": "float32"}
METHODS = [
    "erm",
    "pgd-at",
    "trades",
    "mart",
    "gairat",
    "mail-at",
    "mail-trades",
    "mail-mart",
    "bat",
]
KINDS = {"ema": {"kind": "ema", "decay": 0.8}, "swa": {"kind": "swa", "start": 0.3}}


def named(method="pgd-at", averaging=None, awp=None, **changes):
    """The specification of a short run with averaged weights."""
    given = {"averaging": averaging, "awp": awp}
    run = {"method": method} | {key: value for key, value in given.items() if value is not None}
    return specification("averaged", runs={"averaged": run}, **changes)


class Watched(Training):
    """A training that keeps its weights after every step."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.seen = []

    def _take_step(self, index):
        super()._take_step(index)
        self.seen.append((self.epoch + 1, copy.deepcopy(self.model.state_dict())))


@pytest.fixture
def training(few_digits):
    """Train 150 digits for four epochs of three steps, with an average; give both."""

    def make(model=None, **settings):
        model = model or build_model("small_cnn-4", n_classes=10, channels=1, seed=0)
        model = CPU.place(model)
        average = WeightAverage(model, **settings)
        work = Watched(
            model,
            ERM(),
            to_device(few_digits, "cpu"),
            torch.arange(150),
            config.Optimization(**RECIPE),
            seed=0,
            trial=0,
            device=CPU,
            recorders=[average],
        )
        return work, average

    return make


def floats(state):
    return {name: value.double() for name, value in state.items() if value.is_floating_point()}


@pytest.mark.parametrize("begin", [1, 3])
def test_ema_is_what_its_definition_says(begin, training):
    """The first weights, then d of itself and 1 - d of the weights, running statistics too."""
    work, average = training(kind="ema", decay=0.8, begin_epoch=begin)
    for _ in range(4):
        work.run_epoch()
        expected = None
        for epoch, weights in work.seen:
            if epoch < begin:
                continue
            now = floats(weights)
            if expected is None:
                expected = now
            else:
                expected = {name: 0.8 * expected[name] + 0.2 * now[name] for name in now}
        if expected is None:
            expected = floats(work.seen[-1][1])
        found = average.model.state_dict()
        for name, value in expected.items():
            torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-6)
        counters = [name for name in found if name not in expected]
        assert counters
        for name in counters:
            assert torch.equal(found[name], work.seen[-1][1][name])
    assert work.epoch == 4


def test_swa_is_the_mean_over_epochs_with_statistics_of_one_more_pass(training):
    work, average = training(kind="swa", begin_epoch=2)
    twin = copy.deepcopy(work.model)
    for epoch in range(1, 5):
        work.run_epoch()
        found = floats(average.model.state_dict())
        ends = [floats(work.seen[3 * e - 1][1]) for e in range(2, epoch + 1)]
        if not ends:
            assert found.keys() == floats(work.seen[-1][1]).keys()
            assert all(torch.equal(found[n], v) for n, v in floats(work.seen[-1][1]).items())
            continue
        expected = {name: sum(end[name] for end in ends) / len(ends) for name in ends[0]}
        parameters = dict(twin.named_parameters())
        for name in parameters:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-6)
        twin.load_state_dict({n: v.float() for n, v in expected.items()}, strict=False)
        means = statistics_by_hand(twin, work, epoch)
        for name, value in means.items():
            torch.testing.assert_close(found[name], value.double(), rtol=1e-4, atol=1e-5)


def statistics_by_hand(model, work, epoch):
    """Of every BatchNorm, the mean over batches of the mean and variance of its input."""
    seed = torch_seed(0, 0, f"averaging-{epoch}")
    order = torch.randperm(150, generator=torch.Generator().manual_seed(seed))
    shift = torch.Generator().manual_seed(seed)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    sums = {}
    model.train()

    def keep(name):
        def hook(module, inputs):
            x = inputs[0].transpose(0, 1).flatten(1)
            for key, value in (("mean", x.mean(1)), ("var", x.var(1))):
                sums.setdefault(f"{name}.running_{key}", []).append(value)

        return hook

    hooks = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
    with torch.no_grad():
        for start in (0, 48, 96):
            images = work.data.train_images[order[start : start + 48]]
            model(as_float(augment(images, shift, crop=4, flip=True)))
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(values).mean(0) for name, values in sums.items()}


def test_a_network_that_draws_has_the_same_statistics_whatever_was_drawn_before(training):
    found = []
    for seed in (1, 2):
        torch.manual_seed(0)
        layers = [nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 8), nn.BatchNorm1d(8)]
        own = wrap(nn.Sequential(*layers, nn.Linear(8, 10)), "own", 10, (1, 8, 8))
        work, average = training(own, kind="swa", begin_epoch=1)
        work.run_epoch()
        torch.manual_seed(seed)
        average.after_epoch(work, {})
        found.append(average.model.state_dict())
    assert "3.running_mean" in found[0]
    assert equal(*found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, 4, 8])
def test_a_killed_run_goes_on_bit_for_bit(kind, step, few_digits, inputs, tmp_path, kill):
    spec = named(averaging=KINDS[kind])
    train(tmp_path / "whole", few_digits, spec, inputs)
    with kill(before=step):
        train(tmp_path / "parts", few_digits, spec, inputs)
    both = read_checkpoint(tmp_path / "parts" / "resume.pt")["training"]
    assert both["step"] == step % 3
    assert both["model"].keys() == both["recorders"][0]["model"].keys()
    train(tmp_path / "parts", few_digits, spec, inputs)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_averages_and_goes_on(kind, few_digits, inputs, tmp_path, kill, gpu):
    spec = named(averaging=KINDS[kind])
    with kill(before=5):
        train(tmp_path, few_digits, spec, inputs, device=gpu)
    train(tmp_path, few_digits, spec, inputs, device=gpu)
    assert all(v.isfinite().all() for v in floats(weights(tmp_path / "last.pt")).values())
    assert len(history(tmp_path)) == 3


def history(folder):
    table, _ = read_table(folder / "history.parquet", "history")
    return table.to_pylist()


def weights(path):
    return read_checkpoint(path)["state_dict"]


def equal(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("more", [{}, {"awp": {"gamma": 0.01}}], ids=["", "awp"])
def test_a_decay_of_0_is_the_plain_run_bit_for_bit(more, few_digits, inputs, tmp_path):
    flags = {}
    for name, averaging in {"plain": None, "decay0": {"kind": "ema", "decay": 0}}.items():
        out = tmp_path / name
        train(out, few_digits, named(averaging=averaging, **more), inputs)
        table = tmp_path / f"{name}.parquet"
        settings = {"device": CPU, "command": "test", "normalize": True}
        evaluate_checkpoint(
            out / "best.pt", "small_cnn-4", few_digits, EVALUATION, table, **settings
        )
        flags[name] = read_table(table, "evaluations")[0]
    for name in ("best.pt", "last.pt"):
        assert equal(*(weights(tmp_path / run / name) for run in flags))
    assert history(tmp_path / "plain") == history(tmp_path / "decay0")
    assert flags["plain"].equals(flags["decay0"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_averaged_model_is_selected_followed_and_kept(kind, few_digits, inputs, tmp_path):
    plain, averaged = tmp_path / "plain", tmp_path / "averaged"
    train(plain, few_digits, named(), inputs)
    train(averaged, few_digits, named(averaging=KINDS[kind]), inputs)
    rows = [history(folder) for folder in (plain, averaged)]
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]  # of its steps
    assert [row["test_clean"] for row in rows[0]] != [row["test_clean"] for row in rows[1]]
    if kind == "swa":  # which begins with the second epoch
        assert rows[0][0] == rows[1][0]
    assert not equal(weights(plain / "last.pt"), weights(averaged / "last.pt"))
    table = tmp_path / "last.parquet"
    evaluate_checkpoint(
        averaged / "last.pt",
        "small_cnn-4",
        few_digits,
        EVALUATION | {"max_samples": None},
        table,
        device=CPU,
        command="test",
        normalize=True,
    )
    judged = column(read_table(table, "evaluations")[0], "clean")
    followed = unpack(rows[1][-1]["test_clean"], 100)
    assert (judged != followed).sum() <= 2  # one in float32, one in the precision of training


@pytest.mark.parametrize("method", METHODS)
def test_each_method_trains_with_averaged_weights(method, few_digits, inputs, tmp_path):
    training = {"epochs": 1, "milestones": []}
    spec = named(method, KINDS["ema"], training=training, studies={"training": training})
    train(tmp_path, few_digits, spec, inputs)
    last = weights(tmp_path / "last.pt")
    assert all(v.isfinite().all() for v in floats(last).values())


def test_a_compiled_run_averages_the_same(few_digits, inputs, tmp_path, compiled):
    spec = named(averaging=KINDS["swa"])
    train(tmp_path / "plain", few_digits, spec, inputs)
    train(tmp_path / "compiled", few_digits, spec, inputs, device=compiled)
    first, second = (weights(tmp_path / run / "last.pt") for run in ("plain", "compiled"))
    assert first.keys() == second.keys()  # without the wrapper's prefix
    for name, value in floats(first).items():
        torch.testing.assert_close(second[name].double(), value, rtol=0.05, atol=0.02)


def test_a_state_without_the_average_is_refused(few_digits, inputs, tmp_path, kill):
    spec = named(averaging=KINDS["ema"])
    with kill(before=4):
        train(tmp_path, few_digits, spec, inputs)
    state = read_checkpoint(tmp_path / "resume.pt")
    state["training"]["recorders"] = []
    write_torch(tmp_path / "resume.pt", state)
    with pytest.raises(ArtifactError, match=r"resume\.pt: holds no state of this run"):
        train(tmp_path, few_digits, spec, inputs)

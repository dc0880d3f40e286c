"""The training loop: rates, reproducible epochs, resuming, a loss that is no number."""

import copy

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from bat import config, devices
from bat.attacks import linf
from bat.data import DeviceData, to_device
from bat.devices import Runtime
from bat.models import SmallCNN, build_model
from bat.objectives import ERM, OBJECTIVES
from bat.training import DivergedError, Recorder, Training, learning_rate

CPU = Runtime(torch.device("cpu"))


def rates(steps_per_epoch: int = 10, **settings) -> list[float]:
    recipe = config.Optimization(**settings)
    steps = range(recipe.epochs * steps_per_epoch)
    return [learning_rate(recipe, step, steps_per_epoch) for step in steps]


# -- schedules ------------------------------------------------------------------------------


def test_piecewise_rate_falls_after_its_milestones():
    values = rates(10, epochs=4, lr=0.1, schedule="piecewise", milestones=(2, 3), gamma=0.1)
    assert values == pytest.approx([0.1] * 20 + [0.01] * 10 + [0.001] * 10)


def test_paper_rate_at_the_paper_epochs():
    values = rates(1)
    assert len(values) == 200
    for epoch, expected in ((0, 0.1), (99, 0.1), (100, 0.01), (149, 0.01), (150, 0.001)):
        assert values[epoch] == pytest.approx(expected)


def test_cosine_rate_halves_half_way_and_ends_near_zero():
    values = rates(10, epochs=4, lr=0.2, schedule="cosine")
    assert values[0] == 0.2
    assert values[20] == pytest.approx(0.1)
    assert values[10] == pytest.approx(0.2 * (1 + 0.5**0.5) / 2)
    assert values[39] == pytest.approx(0.2 * 0.5 * (1 - np.cos(np.pi / 40)))


def test_one_cycle_rate_is_a_triangle():
    values = rates(10, epochs=10, lr=1.0, schedule="one_cycle", warmup=0.2)
    assert values[:20] == pytest.approx(np.arange(1, 21) / 20)
    assert values[20:] == pytest.approx(np.arange(80, 0, -1) / 80)
    assert max(values) == 1
    assert rates(10, epochs=1, lr=1.0, schedule="one_cycle", warmup=0)[0] == 1
    assert rates(10, epochs=1, lr=1.0, schedule="one_cycle", warmup=1)[-1] == pytest.approx(1)


def test_constant_rate():
    assert set(rates(3, epochs=2, lr=0.3, schedule="constant")) == {0.3}


def test_a_rate_that_warms_up_rises_to_the_configured_one_and_goes_on():
    settings = {"epochs": 10, "lr": 1.0, "warmup_epochs": 2}
    rise = (np.arange(20) + 1) / 20
    values = rates(10, **settings, schedule="piecewise", milestones=(5,))
    assert values == pytest.approx([*rise, *[1.0] * 30, *[0.1] * 50])
    assert rates(10, **settings, schedule="constant") == pytest.approx([*rise, *[1.0] * 80])
    values = rates(10, **settings, schedule="cosine")
    assert values == pytest.approx([*rise, *(1 + np.cos(np.pi * np.arange(80) / 80)) / 2])


@pytest.mark.parametrize("schedule", ["piecewise", "cosine", "one_cycle", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.013, 1])
def test_every_rate_is_above_zero_and_never_above_the_configured_one(schedule, warmup):
    values = rates(3, epochs=7, lr=0.1, schedule=schedule, warmup=warmup, milestones=(2,))
    assert min(values) > 0
    assert max(values) <= 0.1


# -- epochs ---------------------------------------------------------------------------------

RECIPE = {"epochs": 3, "batch_size": 48, "lr": 0.1, "schedule": "one_cycle", "milestones": ()}


@pytest.fixture(scope="module")
def digits(few_digits):
    return to_device(few_digits, "cpu")


@pytest.fixture
def training(digits):
    """Make a training of 150 digits; settings are laid over `RECIPE`."""

    def make(objective=None, trial: int = 0, recorders=(), **settings) -> Training:
        model = CPU.place(build_model("small_cnn-4", n_classes=10, channels=1, seed=0))
        recipe = config.Optimization(**RECIPE | settings)
        return Training(
            model,
            objective or ERM(),
            digits,
            torch.arange(150),
            recipe,
            seed=0,
            trial=trial,
            device=CPU,
            recorders=recorders,
        )

    return make


def state(training: Training) -> list[torch.Tensor]:
    """Parameters, statistics of BatchNorm, and the optimizer's momentum."""
    momentum = [v["momentum_buffer"] for v in training.optimizer.state_dict()["state"].values()]
    return [*training.model.state_dict().values(), *momentum]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_epoch_is_a_function_of_seed_and_trial(training):
    first, again, other = training(), training(), training(trial=1)
    torch.manual_seed(1)
    statistics = first.run_epoch()
    torch.manual_seed(2)  # the global generator plays no part
    assert again.run_epoch() == statistics
    assert same(state(first), state(again))
    other.run_epoch()
    assert not same(state(first), state(other))


def test_epochs_differ_in_their_order(training):
    one, two = training(lr=1e-12), training(lr=1e-12)
    two.epoch = 1
    one.run_epoch()
    two.run_epoch()
    assert not same(state(one), state(two))


def test_the_loss_falls(training):
    work = training(epochs=8, batch_size=25, augmentation={"crop": 0, "flip": False})
    losses = [work.run_epoch()["loss"] for _ in range(8)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_small_last_batch_is_left_out(training):
    seen = []

    class Watched(ERM):
        def __call__(self, forward, batch, *rest, **more):
            seen.append(batch)
            return super().__call__(forward, batch, *rest, **more)

    work = training(Watched())
    work.run_epoch()
    assert [len(batch.y) for batch in seen] == [48, 48, 48]
    assert work.steps_per_epoch == 3
    assert training(batch_size=1000).batch_size == 150  # never more than there are


def test_each_batch_holds_other_samples_and_augmentation_moves_them(training, digits):
    seen = []

    class Watched(ERM):
        def __call__(self, forward, batch, *rest, **more):
            seen.append(batch.x)
            return super().__call__(forward, batch, *rest, **more)

    plain = {"crop": 0, "flip": False}
    training(Watched(), batch_size=50, augmentation=plain).run_epoch()
    shown = {image.contiguous().numpy().tobytes() for x in seen for image in x}
    expected = {(image.float() / 255).numpy().tobytes() for image in digits.train_images[:150]}
    assert shown == expected
    seen.clear()
    training(Watched(), batch_size=50, augmentation={"crop": 1, "flip": False}).run_epoch()
    shown = {image.contiguous().numpy().tobytes() for x in seen for image in x}
    assert 0 < len(shown & expected) < 60  # 1 of 9 windows is the middle one: 17 of 150, sd 4


@pytest.mark.parametrize("n_steps", [0, 3, 4, 8])
def test_a_training_that_goes_on_from_its_state_is_one_that_never_stopped(
    training, tmp_path, n_steps
):
    whole, stopped, resumed = training(), training(), training()
    statistics = [whole.run_epoch() for _ in range(3)]
    steps = iter([False] * n_steps)
    found = []
    while (epoch := stopped.run_epoch(stop=lambda: next(steps, True))) is not None:
        found.append(epoch)
    assert (stopped.epoch, stopped.step) == divmod(n_steps, 3)
    torch.save(stopped.state(), tmp_path / "last.pt")
    resumed.restore(torch.load(tmp_path / "last.pt", weights_only=True))
    while resumed.epoch < 3:
        found.append(resumed.run_epoch())
    assert same(state(whole), state(resumed))
    assert found == statistics


# -- hooks ----------------------------------------------------------------------------------


class Pulled(ERM):
    """ERM, drawn towards a moving average of its weights after each step."""

    name = "pulled"

    def __init__(self):
        self.average = {}

    def after_step(self, model):
        with torch.no_grad():
            for name, value in model.named_parameters():
                mean = self.average.setdefault(name, value.clone())
                mean.lerp_(value, 0.1)
                value.lerp_(mean, 0.5)

    def state_dict(self):
        return {"average": self.average}

    def load_state_dict(self, state):
        self.average = {name: value.clone() for name, value in state["average"].items()}


class Counts(Recorder):
    """The losses of the epochs, and which samples the model predicts right after each."""

    def __init__(self):
        self.losses, self.right = [], []

    def after_epoch(self, training, statistics):
        training.model.eval()
        with torch.no_grad():
            logits = training.model(training.data.test_images / 255)
        self.losses.append((training.epoch, statistics["loss"]))
        self.right.append(logits.argmax(1) == training.data.test_labels)

    def state_dict(self):
        return {"losses": self.losses, "right": self.right}

    def load_state_dict(self, state):
        self.losses, self.right = state["losses"], state["right"]


@pytest.mark.parametrize("n_steps", [4, 6])
def test_what_an_objective_and_a_recorder_keep_goes_on_with_the_training(
    training, tmp_path, n_steps
):
    whole, stopped, resumed = (training(Pulled(), recorders=[Counts()]) for _ in range(3))
    statistics = [whole.run_epoch() for _ in range(3)]
    steps = iter([False] * n_steps)
    while stopped.run_epoch(stop=lambda: next(steps, True)) is not None:
        pass
    torch.save(stopped.state(), tmp_path / "resume.pt")
    resumed.restore(torch.load(tmp_path / "resume.pt", weights_only=True))
    while resumed.epoch < 3:
        resumed.run_epoch()
    assert same(state(whole), state(resumed))
    ours, theirs = whole.recorders[0], resumed.recorders[0]
    assert theirs.losses == ours.losses == [(n + 1, s["loss"]) for n, s in enumerate(statistics)]
    assert same(ours.right, theirs.right)
    plain = training()
    assert plain.run_epoch()["loss"] != statistics[0]["loss"]  # the pull has its effect


def test_a_recorder_changes_nothing(training):
    plain, followed = training(), training(recorders=[Counts()])
    for _ in range(2):
        assert plain.run_epoch() == followed.run_epoch()
    assert same(state(plain), state(followed))


def test_a_state_of_before_the_hooks_is_taken_and_one_of_another_objective_is_not(training):
    began = training()
    began.run_epoch()
    kept = copy.deepcopy(began.state())
    old = training()
    old.restore({k: v for k, v in kept.items() if k not in ("objective", "recorders")})
    assert old.run_epoch() == began.run_epoch()
    with pytest.raises(ValueError, match=r"erm keeps no state, and is given \['average'\]"):
        training().restore(kept | {"objective": {"average": {}}})


def test_a_batch_says_which_samples_it_holds(training, digits):
    seen = []

    class Watched(ERM):
        def __call__(self, forward, batch, *rest, **more):
            seen.append(batch)
            return super().__call__(forward, batch, *rest, **more)

    training(Watched(), augmentation={"crop": 0, "flip": False}).run_epoch()
    for batch in seen:
        assert torch.equal(batch.x, digits.train_images[batch.index] / 255)
        assert torch.equal(batch.y, digits.train_labels[batch.index])
    assert len(torch.cat([batch.index for batch in seen]).unique()) == 144


# -- a loss that is no number ---------------------------------------------------------------


def test_a_training_goes_on_in_the_precision_that_it_began_in(training, monkeypatch):
    """Also on a machine where auto is another one, and from a state of version 0.1.0."""
    monkeypatch.setattr(devices, "has_bfloat16_units", lambda device: True)
    monkeypatch.setattr(devices, "seconds_of_step", lambda device, precision: 1.0)
    began = training(precision="auto")
    began.run_epoch()
    kept = copy.deepcopy(began.state())
    began.run_epoch()
    monkeypatch.setattr(devices, "has_bfloat16_units", lambda device: False)
    elsewhere = training(precision="auto")
    assert elsewhere.precision == "float32"
    elsewhere.restore(kept)
    assert (elsewhere.precision, began.precision) == ("bfloat16", "bfloat16")
    elsewhere.run_epoch()
    assert same(state(elsewhere), state(began))
    monkeypatch.setattr(devices, "has_bfloat16_units", lambda device: True)
    old = training(precision="auto")
    old.restore({key: value for key, value in kept.items() if key != "precision"})
    assert old.precision == "float32"


def test_a_loss_that_is_no_number_names_method_epoch_and_step(training):
    class Breaking(ERM):
        name = "breaking"
        steps = 0

        def __call__(self, *arguments, **more):
            loss, statistics = super().__call__(*arguments, **more)
            self.steps += 1
            if self.steps == 5:
                statistics["loss"] = statistics["loss"] * float("nan")
            return loss, statistics

    work = training(Breaking())
    work.run_epoch()
    with pytest.raises(DivergedError, match=r"breaking: the loss is nan in step 2 of epoch 2"):
        work.run_epoch()


def test_a_rate_far_too_high_ends_with_advice(training):
    work = training(lr=1e12, schedule="constant", epochs=20)
    with pytest.raises(DivergedError, match="lower the learning rate"):
        for _ in range(20):
            work.run_epoch()


# -- devices --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_a_step_keeps_every_tensor_on_the_device(method, monkeypatch):
    """On a pretend GPU, whose tensors have a device and no values; gradients are made up."""
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(Training, "_generator", lambda *arguments: None)
    monkeypatch.setattr(linf, "check_parameters", lambda *arguments: None)

    def gradient(height, x, allow_unused):
        return (torch.empty_like(x),)

    monkeypatch.setattr(torch.autograd, "grad", gradient)
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: None)
    options = {"begin_epoch": 1} if method == "gairat" else {}
    recipe = config.Optimization(batch_size=8, precision="float32")
    with FakeTensorMode(), gpu:
        model = SmallCNN(n_classes=10, channels=1)
        model.set_normalization([0.5], [0.5])
        images = torch.empty(16, 1, 8, 8, dtype=torch.uint8)
        labels, mask = torch.empty(16, dtype=torch.int64), torch.empty(16, dtype=torch.bool)
        training = Training(
            model,
            OBJECTIVES[method](**options),
            DeviceData(images, labels, images, labels),
            torch.arange(16),
            recipe,
            seed=0,
            trial=0,
            device=Runtime(gpu),
            memorized=mask,
            unmemorized=mask,
        )
        for _ in range(2):
            training.generators = {"augmentation": None, "attack": None}
            training._take_step(torch.arange(8))
            training.generators = {}
            state = training.state()
            state["statistics"] = {name: v.cpu() for name, v in state["statistics"].items()}
            training.restore(state)  # as read from a file
        for of_steps in training.statistics.values():
            assert torch.stack(of_steps).device == gpu

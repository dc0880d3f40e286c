"""Networks, methods and trainings of somebody's own in trials and runs."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from short_runs import CPU, EVALUATION, files, specification, train

from bat import config, extensions
from bat.attacks import AttackError, OwnAttack
from bat.checkpoints import load_model
from bat.errors import ArtifactError, BatError
from bat.files import read_table
from bat.files.bits import unpack
from bat.models import build_model
from bat.plan import own
from bat.plan.specifications import trial_recipe
from bat.scores.subsets import subset
from bat.training import evaluate_checkpoint, trials
from bat.training.running import Run

NET = """
from torch import nn


def net(n_classes, dropout=0.3):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, n_classes)
    )
"""
DRAWING = """
import torch.nn.functional as F
from torch import nn


class Drawing(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.fc = nn.Linear(64, n_classes)

    def forward(self, x):
        return self.fc(F.dropout(x.flatten(1), 0.3)) if x.abs().sum() else self.fc(x.flatten(1))
"""
COUNTING = """
import torch
from torch import nn


class Counting(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.fc, self.dropout = nn.Linear(64, n_classes), nn.Dropout(0.1)
        self.register_buffer("order", torch.arange(64).flip(0))
        self.register_buffer("open", torch.arange(64) % 9 > 0)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        if self.training:
            self.seen = self.seen + len(x)
        return self.fc(self.dropout(x.flatten(1)[:, self.order] * self.open))
"""
UNTRAINED = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, n_classes, what="NAME"):
        super().__init__()
        self.what, self.n_classes = what, n_classes
        if what != "empty":
            self.fc = nn.Linear(64, n_classes).requires_grad_(what != "frozen")

    def forward(self, x):
        if self.what == "empty":
            return x.flatten(1)[:, :self.n_classes]
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.what != "blind"):
            return self.fc(x.detach().flatten(1) if self.what == "detached" else x.flatten(1))


net = Net
"""
METHOD = """
import torch
import torch.nn.functional as F
from bat.objectives import Adversarial, Objective


class Averaged(Objective):
    name = "averaged"

    def __init__(self, eps, weight=0.5):
        self.eps, self.weight, self.n_steps = eps, weight, 0

    def __call__(self, model, batch, generator, *, epoch=0):
        assert batch.memorized is None or batch.memorized.dtype == torch.bool
        noise = torch.rand(batch.x.shape, generator=generator).mul_(2 * self.eps).sub_(self.eps)
        losses = [F.cross_entropy(model(x), batch.y) for x in (batch.x, batch.x + noise)]
        loss = self.weight * losses[0] + (1 - self.weight) * losses[1]
        return loss, {"loss": loss.detach(), "noisy_loss": losses[1].detach()}

    def after_step(self, model):
        self.n_steps += 1

    def state_dict(self):
        return {"n_steps": self.n_steps}

    def load_state_dict(self, state):
        self.n_steps = state["n_steps"]


class Nothing:
    def __init__(self, eps): ...


class Strange(Objective):
    name = "strange"

    def __init__(self, what):
        self.what = what

    def __call__(self, model, batch, generator, *, epoch=0):
        noisy = batch.x + 0.1 * torch.randn_like(batch.x) if self.what == "draws" else batch.x
        losses = F.cross_entropy(model(noisy), batch.y, reduction="none")
        loss = losses.mean()
        if self.what == "raises":
            raise KeyError("out of luck")
        if self.what == "ends":
            raise SystemExit(0)
        if self.what == "eval":
            model.eval()
        return {
            "vector": (losses, {"loss": loss.detach()}),
            "bare": loss,
            "number": (loss, {"loss": loss.item()}),
            "lossless": (loss, {"height": loss.detach()}),
            "taken": (loss, {"loss": loss.detach(), "epoch": loss.detach()}),
            "each": (loss, {"loss": loss.detach(), "y": batch.y}),
        }.get(self.what, (loss, {"loss": loss}))

    def state_dict(self):
        return {"at": [torch.zeros(1).numpy()]} if self.what == "array" else {}


class Nearest(Adversarial):
    name = "nearest"

    def attack(self, model, batch, generator):
        return self.attacked(model, batch, generator, loss="ce", start="zero")

    def loss(self, model, batch, attacked, *, epoch=0):
        loss = F.cross_entropy(model(attacked.x).float(), batch.y)
        return loss, {"loss": loss.detach()}
"""


class Killed(BaseException):
    """Takes the place of a signal that no code hears."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NET)
    (tmp_path / "method.py").write_text(METHOD)
    return tmp_path


def with_network(spec, settings=None):
    networks = {"mine": config.Network(network="nets.py:net", settings=settings or {})}
    return spec | {"architecture": "mine"} | own.network("mine", networks)


# -- networks -------------------------------------------------------------------------------


def test_a_run_with_dropout_goes_on_bit_for_bit(here, few_digits, inputs, kill, caplog):
    spec = with_network(specification("pgd-at"))
    train(here / "whole", few_digits, spec, inputs)
    with kill(before=4):  # in the middle of the second epoch, its state kept before each step
        train(here / "killed", few_digits, spec, inputs)
    torch.rand(3)  # whatever else was drawn
    train(here / "killed", few_digits, spec, inputs)
    content = torch.load(here / "whole" / "best.pt", weights_only=True)
    assert content["network"] == spec["network"]
    assert content["normalization"] is None
    whole, killed = files(here / "whole"), files(here / "killed")
    assert whole["last.pt"] == killed["last.pt"]
    other = with_network(specification("pgd-at"), {"dropout": 0.0})
    train(here / "plain", few_digits, other, inputs)
    assert files(here / "plain")["last.pt"] != whole["last.pt"]
    with caplog.at_level("WARNING", "bat"):
        load_model(here / "plain" / "best.pt", "mine", few_digits, CPU, network=spec["network"])
    assert "with the settings {'dropout': 0.0}, and those in use are {}" in caplog.text


@pytest.mark.parametrize("splits", [(), ("train",)], ids=["selecting", "measuring"])
def test_what_draws_in_eval_mode_too_goes_on_bit_for_bit(
    splits, here, few_digits, inputs, monkeypatch
):
    """As ``F.dropout`` without its ``training`` does, wherever the run was killed."""
    spec = with_network(specification("pgd-at"))
    (here / "nets.py").write_text(DRAWING)
    spec |= own.network("mine", {"mine": config.Network(network="nets.py:Drawing")})
    train(here / "whole", few_digits, spec, inputs)
    looks, flags = [], Run._flags

    def killed(self, what, *arguments):
        looks.append(what)
        if looks[-1 - len(splits) :] == ["selection", *splits] and len(looks) > 3:
            flags(self, what, *arguments)  # the state is kept before it, and lost after it
            raise Killed
        return flags(self, what, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Run, "_flags", killed)
        train(here / "killed", few_digits, spec, inputs)
    torch.rand(3)  # whatever else was drawn
    train(here / "killed", few_digits, spec, inputs)
    assert files(here / "killed") == files(here / "whole")


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_buffers_of_whole_numbers_are_averaged_kept_and_judged(kind, here, few_digits, inputs):
    """Tables of positions and masks, as vision transformers have them; nothing is normalized."""
    (here / "nets.py").write_text(COUNTING)
    run = {"method": "erm", "averaging": {"kind": kind, "start": 0}}
    spec = specification("x", runs={"x": run}, training={"epochs": 2, "milestones": []})
    networks = {"mine": config.Network(network="nets.py:Counting")}
    spec |= {"architecture": "mine"} | own.network("mine", networks)
    train(here / "run", few_digits, spec, inputs)
    state = torch.load(here / "run" / "last.pt", weights_only=True)["state_dict"]
    assert int(state["seen"]) == 2 * 3 * 50 and state["open"].sum() == 56
    kept = load_model(here / "run" / "last.pt", "mine", few_digits, CPU, network=spec["network"])
    assert all(torch.equal(value, state[name]) for name, value in kept.state_dict().items())
    state["order"] = state["order"].int()
    torch.save(state, here / "other.pt")
    with pytest.raises(ArtifactError, match="order is int32, expected int64"):
        load_model(here / "other.pt", "mine", few_digits, CPU, network=spec["network"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("frozen", "the loss has no gradient by the model's parameters: they are frozen"),
        ("blind", "the loss has no gradient by the model's parameters"),
        ("empty", "the network has no parameters"),
        ("detached", "logits have no gradient by its images"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_before_a_step(
    here, few_digits, inputs, name, words
):
    (here / "nets.py").write_text(UNTRAINED.replace("NAME", name))
    method = "pgd-at" if name == "detached" else "erm-all"
    spec = with_network(specification(method, training={"epochs": 1, "milestones": []}))
    with pytest.raises(BatError, match=words):
        train(here / "run", few_digits, spec, inputs)
    assert not (here / "run" / "best.pt").exists()


STRANGE = """
import threading

import torch
from torch import nn


class Strange(nn.Module):
    def __init__(self, n_classes, what):
        super().__init__()
        self.what = what
        self.fc = nn.LazyLinear(n_classes) if what == "lazy" else nn.Linear(64, n_classes)
        if what == "complex":
            self.w = nn.Parameter(torch.ones(3, dtype=torch.complex64))
        if what == "lock":
            self.lock = threading.Lock()

    def get_extra_state(self):
        return {"version": 1} if self.what == "extra" else torch.ones(1)

    def set_extra_state(self, state): ...

    def forward(self, x):
        if self.training and self.what == "raises":
            raise KeyError("out of luck")
        if self.training and self.what == "ends":
            raise SystemExit(0)
        return self.fc(x.flatten(1))
"""


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("lazy", None),
        ("extra", "its state dict holds dict under '_extra_state'; expected tensors alone"),
        ("complex", "its parameter w is complex64; expected floating numbers"),
        ("lock", "averaging keeps a copy of the network, and this one cannot be copied"),
        ("raises", r"training failed \(KeyError: 'out of luck', .*nets.py, line"),
        ("ends", r"training failed \(SystemExit: 0, .*nets.py, line"),
    ],
)
def test_strange_networks_train_or_are_refused_in_words(here, few_digits, inputs, what, words):
    (here / "nets.py").write_text(STRANGE)
    run = {"method": "pgd-at", "awp": {}, "averaging": {"kind": "ema", "decay": 0.5}}
    spec = specification("x", runs={"x": run}, training={"epochs": 1, "milestones": []})
    networks = {"mine": config.Network(network="nets.py:Strange", settings={"what": what})}
    spec |= {"architecture": "mine"} | own.network("mine", networks)
    if words is None:
        train(here / "run", few_digits, spec, inputs)
        load_model(here / "run" / "best.pt", "mine", few_digits, CPU, network=spec["network"])
        return
    with pytest.raises(BatError, match=words):
        train(here / "run", few_digits, spec, inputs)
    assert not (here / "run" / "best.pt").exists()


def test_every_kind_of_run_takes_a_network(here, few_digits, inputs, compiled):
    for run in ("erm-all", "trades", "mart", "gairat", "bat-1-0.2"):
        spec = with_network(specification(run, training={"epochs": 1, "milestones": []}))
        train(here / run, few_digits, spec, inputs, device=compiled)


def test_a_checkpoint_is_judged_by_the_code_in_use(here, few_digits, inputs):
    spec = with_network(specification("erm-all"))
    folder = here / "results" / "digits" / "mine" / "runs" / "erm-all" / "seed0"
    train(folder, few_digits, spec, inputs)
    table = here / "e.parquet"

    def judged(checkpoint, normalize):
        return evaluate_checkpoint(
            *(checkpoint, "mine", few_digits, EVALUATION, table),
            device=CPU,
            command="test",
            normalize=normalize,
            network=spec["network"],
        )["clean"]

    accuracy = judged(folder / "best.pt", True)  # as the workflow asks, for all of its own
    content = torch.load(folder / "best.pt", weights_only=True)
    torch.save(content["state_dict"], here / "plain.pt")
    assert judged(here / "plain.pt", False) == accuracy
    # what a file says of its code is compared, and never run
    content["network"] = {"code": f"{here}/evil.py:net", "sha256": "0" * 64}
    (here / "evil.py").write_text("raise SystemExit('run')")
    torch.save({k: v for k, v in content.items() if k != "digest"}, here / "evil.pt")
    with pytest.raises(ArtifactError):  # damaged: of ours, without its digest
        judged(here / "evil.pt", None)
    content = {k: v for k, v in content.items() if k not in ("digest", "inputs", "identity")}
    torch.save(content, here / "evil.pt")
    assert judged(here / "evil.pt", None) == accuracy
    # an edit
    (here / "nets.py").write_text(NET.replace("ReLU", "Tanh"))
    with pytest.raises(BatError, match=r"nets.py changed since the workflow was read"):
        judged(here / "plain.pt", None)
    changed = with_network({})["network"]
    prepared = dataclasses.replace(few_digits, folder=here / "results" / "digits" / "data")
    with pytest.raises(ArtifactError, match=r"best.pt: a model of other code .*trains it again"):
        load_model(folder / "best.pt", "mine", prepared, CPU, network=changed)


# -- methods --------------------------------------------------------------------------------


def own_run(name="Averaged", settings=None, **more):
    run = {"method": f"method.py:{name}", "settings": settings or {}} | more
    return specification("mine", runs={"mine": run | {"training": {"epochs": 2, "milestones": []}}})


def test_a_method_runs_with_its_settings_scores_and_statistics(here, few_digits, inputs):
    spec = own_run(settings={"weight": 0.25}, score="memorization")
    assert spec["objective"]["eps"] == 0.1
    assert spec["score"] == {"kind": "memorization", "sigma": 0.15}
    train(here / "run", few_digits, spec, inputs)
    table, metadata = read_table(here / "run" / "history.parquet", "history")
    assert table.num_rows == 2
    noisy = metadata["own_statistics"]["noisy_loss"]
    assert len(noisy) == 2
    assert all(0 < value < 10 for value in noisy)
    (here / "method.py").write_text(METHOD.replace("weight=0.5", "weight=0.4"))
    assert own_run(settings={"weight": 0.25}, score="memorization") != spec


def test_what_is_no_method_is_refused_before_a_step(here, few_digits, inputs):
    with pytest.raises(BatError, match=r"settings.beta is no argument of it; it takes \(eps, weig"):
        train(here / "run", few_digits, own_run(settings={"beta": 1}), inputs)
    with pytest.raises(BatError, match=r"derive the class from bat.objectives.Objective"):
        train(here / "run", few_digits, own_run("Nothing"), inputs)
    with pytest.raises(BatError, match=r"averaged cannot take .*awp.* write `attack` and `loss`"):
        train(here / "run", few_digits, own_run(awp={}), inputs)
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            "raises",
            r"method.py:Strange: training failed \(KeyError: 'out of luck', .*method.py",
        ),
        ("ends", r"method.py:Strange: training failed \(SystemExit: 0, .*method.py, line"),
        (
            "vector",
            r"strange: the loss is Tensor of shape \(50,\), expected a Tensor of one",
        ),
        ("bare", r"strange: gives Tensor; expected the loss and a dict of statistics"),
        ("number", r"strange: statistics\['loss'\] is float, expected a Tensor of one number"),
        ("each", r"strange: statistics\['y'\] is Tensor of shape \(50,\), expected"),
        ("lossless", r"strange: its statistics are height, expected `loss` among them"),
        ("taken", r"strange: statistics named epoch, which is what the history calls something"),
        (
            "array",
            r"Strange keeps numpy.ndarray in state_dict\(\)\['at'\]\[0\], which no",
        ),
    ],
)
def test_a_method_that_gives_something_else_is_refused_in_its_first_step(
    here, few_digits, inputs, what, words
):
    with pytest.raises(BatError, match=words):
        train(here / "run", few_digits, own_run("Strange", {"what": what}), inputs)
    assert not (here / "run" / "best.pt").exists()


@pytest.mark.parametrize("what", ["draws", "eval"])
def test_what_a_method_leaves_of_mode_and_draws_does_not_reach_another_step(
    here, few_digits, inputs, kill, what
):
    """Draws from torch's global generator; the model left in eval mode."""
    spec = own_run("Strange", {"what": what})
    before = torch.get_rng_state()
    train(here / "whole", few_digits, spec, inputs)
    assert torch.equal(torch.get_rng_state(), before)
    with kill(before=4):
        train(here / "killed", few_digits, spec, inputs)
    torch.rand(3)  # whatever else was drawn
    train(here / "killed", few_digits, spec, inputs)
    assert files(here / "whole") == files(here / "killed")
    train(here / "plain", few_digits, own_run("Strange", {"what": "plain"}), inputs)
    weights = [
        torch.load(here / name / "last.pt", weights_only=True)["state_dict"]
        for name in ("plain", "whole")
    ]
    same = all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert same == (what == "eval")


def test_a_method_that_attacks_apart_takes_perturbed_weights(here, few_digits, inputs):
    losses = []
    for more in ({}, {"awp": {"gamma": 0}}, {"awp": {}}):
        spec = own_run("Nearest", **more)
        assert spec["objective"].get("awp", {}).keys() <= {"gamma", "warmup"}
        out = here / str(len(losses))
        train(out, few_digits, spec, inputs)
        losses.append(read_table(out / "history.parquet", "history")[0].column("loss").to_pylist())
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


# -- attacks --------------------------------------------------------------------------------

ATTACKS = """
import torch


def push(model, x, y, eps, by=1.0):
    return (x + by * eps * torch.rand_like(x).round()).clamp(0, 1)


def broken(x):
    x[1] = float("nan")
    return x


def prunes(x, model):
    for parameter in model.parameters():
        parameter.mul_(0.5)
    return x


def nothing(x): return None


def doubles(x, model):
    model.double()
    return x


def cuts(x, model):
    model.head = torch.nn.Identity()
    return x


def adds(x, model):
    model.more = torch.nn.Linear(2, 2)
    return x


def hooks(x, model):
    model.head.register_forward_hook(lambda module, inputs, output: 2 * output)
    return x


def forwards(x, model):
    model.forward = lambda x, forward=model.forward: 2 * forward(x)
    return x


def smooths(x, model):
    name = next(n for n, m in model.named_modules() if isinstance(m, torch.nn.ReLU))
    model.set_submodule(name, torch.nn.Softplus())
    return x


def shifts(x, model):
    model.shift.add_(1.0)
    return x


def watches(x, model):
    with model.head.register_forward_hook(lambda module, inputs, output: None):
        model(x)
    model.seen = len(x)
    return x


def late(x, model):
    if len(x) < 30:
        model.head.weight.add_(1.0)
    return x


def relabels(x, y):
    torch.manual_seed(3)
    torch.set_grad_enabled(False)
    y.add_(1).remainder_(10)
    return x.add_(0.0).double()
"""


def test_an_attack_is_a_column_and_is_held_to_the_ball(here, few_digits):
    (here / "attacks.py").write_text(ATTACKS)
    model = build_model("small_cnn-4", n_classes=10, channels=1, seed=0)
    torch.save(model.state_dict(), here / "model.pt")

    def judged(name, **settings):
        code = extensions.record(f"attacks.py:{name}", settings, own.ATTACK_GIVEN)
        attacks = EVALUATION["attacks"] | {"mine": {"eps": 0.1, "code": code}}
        return evaluate_checkpoint(
            *(here / "model.pt", "small_cnn-4", few_digits, EVALUATION | {"attacks": attacks}),
            *(here / "x" / "e.parquet",),
            device=CPU,
            command="test",
            normalize=True,
        )

    found = judged("push")
    assert 0 <= found["mine"] <= found["clean"]
    table, _ = read_table(here / "x" / "e.parquet", "evaluations")
    assert table.column_names == ["index", "clean", "fgsm", "pgd", "cw", "aa", "mine"]
    assert judged("push") == found  # read again, as complete
    changes = r"changes the model \(.*(weight|more).*\), which other attacks are to judge too"
    for name, words in (
        ("broken", "for sample .*nan"),
        ("nothing", "gives NoneType"),
        ("prunes", changes),
        ("doubles", changes),
        ("cuts", changes),
        ("adds", changes),
    ):
        with pytest.raises(AttackError, match=f"attacks.py:{name}.*{words}"):
            judged(name)
    with pytest.raises(AttackError, match=r"at distance 0.2 \(eps is 0.1\)"):
        judged("push", by=2.0)


def test_an_attack_draws_by_its_seed(here, few_digits):
    (here / "attacks.py").write_text(ATTACKS)
    attack = OwnAttack(0.3, extensions.record("attacks.py:push", {}, own.ATTACK_GIVEN))
    model = build_model("small_cnn-4", n_classes=10, channels=1, seed=0)
    images, labels = (
        torch.from_numpy(np.array(a)) for a in (few_digits.test_images, few_digits.test_labels)
    )
    index = torch.arange(100)
    first, again = (attack(model, images, labels, index, seed=1, batch_size=30) for _ in range(2))
    assert torch.equal(first, again)
    assert model.training


def test_what_an_attack_does_beside_its_images_reaches_nobody(here, few_digits):
    """Labels changed in place, torch's generator seeded, gradients switched off, float64 given."""
    (here / "attacks.py").write_text(ATTACKS)
    model = build_model("small_cnn-4", n_classes=10, channels=1, seed=0)
    images, labels = (
        torch.from_numpy(np.array(a)) for a in (few_digits.test_images, few_digits.test_labels)
    )
    with torch.no_grad():
        labels = model.eval()(images / 255).argmax(1)

    def attacked(name):
        attack = OwnAttack(0.3, extensions.record(f"attacks.py:{name}", {}, own.ATTACK_GIVEN))
        before = torch.get_rng_state()
        robust = attack(model, images, labels, torch.arange(100), seed=1, batch_size=30)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.is_grad_enabled()
        return robust

    assert attacked("relabels").all()
    model.register_buffer("shift", torch.zeros(1), persistent=False)
    assert attacked("watches").all()
    with pytest.raises(AttackError, match=r"shifts: changes the model \(shift\)"):
        attacked("shifts")
    with pytest.raises(AttackError, match=r"late: changes the model \(head.weight\)"):
        attacked("late")  # in the last batch, of ten


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hooks", "module 'head', its forward or its hooks"),
        ("forwards", "its forward or hooks"),
        ("smooths", "module .*, its forward or its hooks"),
    ],
)
def test_an_attack_that_changes_how_a_model_is_run_is_refused(here, few_digits, name, words):
    """No parameter and no buffer is another then."""
    (here / "attacks.py").write_text(ATTACKS)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
    model.add_module("head", torch.nn.Linear(64, 10))
    images = torch.from_numpy(np.array(few_digits.test_images[:4]))
    attack = OwnAttack(0.3, extensions.record(f"attacks.py:{name}", {}, own.ATTACK_GIVEN))
    labels, index = torch.zeros(4, dtype=torch.int64), torch.arange(4)
    with pytest.raises(AttackError, match=rf"attacks.py:{name}: changes the model \({words}\)"):
        attack(model, images, labels, index, seed=1, batch_size=4)


# -- trainings ------------------------------------------------------------------------------

TRAINING = """
import numpy as np


def nearest(index, train_images, train_labels, test_images, seed, trial, n_classes, shift=0):
    '''Classify by the nearest sample of the subset, so that each is remembered.'''
    def logits(images):
        x, known = (a.reshape(len(a), -1).astype(float) for a in (images, train_images[index]))
        distance = (x**2).sum(1)[:, None] - 2 * x @ known.T + (known**2).sum(1)
        hot = np.eye(n_classes)[train_labels[index][distance.argmin(1)]]
        return 9 * np.roll(hot, shift, axis=1)

    return logits(train_images), logits(test_images)


def correct(index, data):
    return np.isin(np.arange(data.info["n_train"]), index), np.zeros(len(data.test_labels), bool)


def strange(index, train_labels, trial, what="nan"):
    logits = np.zeros((len(train_labels), 10))
    logits[3] = np.nan
    ragged = [[1.0] * 10] * (len(train_labels) - 1) + [[1.0]]
    return {
        "nan": (logits, logits),
        "one": logits,
        "labels": (train_labels, train_labels),
        "ragged": (ragged, ragged),
    }[what]


def draws(index):
    import torch

    return torch.randn(200, 10, dtype=torch.bfloat16), torch.randn(100, 10)


def writes(index, data, train_labels, test_labels):
    found = train_labels.copy(), test_labels.copy()
    data.info["class_names"].append("more")
    data.info["n_train"] = 3
    data.train_labels[:] = train_labels[:] = 0
    test_labels[:] = 0
    return found[0] == data.info["n_train"], found[1] == 0


def fails(index, trial):
    raise RuntimeError("out of luck")
"""


def recipe(name, **settings):
    trainer = {"name": "mine", "train": f"training.py:{name}", "settings": settings}
    return json.loads(
        json.dumps(trial_recipe("mine", config.Scores.model_validate(
            {"architecture": "mine", "trainer": trainer, "trials": 4},
            context={"networks": {"mine"}},
        )))
    )  # fmt: skip


@pytest.fixture
def shard(here, few_digits):
    (here / "training.py").write_text(TRAINING)

    def shard(recipe, first=0, last=3, members=0):
        out = here / "results" / "trials" / f"mine-{first:06d}-{last:06d}.parquet"
        trials.run_shard(out, few_digits, recipe, first, last, members, device=CPU, command="test")
        return read_table(out, "trials")[0].to_pylist()

    return shard


def test_a_training_of_ones_own_gives_trials(shard, few_digits):
    found = shard(recipe("nearest"), members=2)
    n = few_digits.info["n_train"]
    for row in found:
        included = subset(0, row["trial"], n, 0.7)
        assert (unpack(row["included"], n) == included).all()
        assert unpack(row["train_correct"], n)[included].all()
        assert row["included_accuracy"] == 1.0
        assert 0.5 < row["excluded_accuracy"] < 1.0
    kept = [row["probabilities"] is not None for row in found]
    assert kept == [True, True, False, False]
    rows = np.frombuffer(found[0]["probabilities"], np.float16).reshape(n, 10).astype(float)
    assert np.allclose(rows.sum(1), 1, atol=1e-2)
    assert rows.max(1).min() > 0.99
    margin = np.frombuffer(found[3]["train_margin"], np.float16)
    assert np.array_equal(margin, np.where(unpack(found[3]["train_correct"], n), 9, -9))
    assert len(found[3]["test_margin"]) == 2 * few_digits.info["n_test"]


def test_trials_are_taken_over_until_the_code_changes(shard, here):
    seconds = {row["trial"]: row["seconds"] for row in shard(recipe("nearest"))}
    more = shard(recipe("nearest"), 2, 5)
    assert [row["seconds"] for row in more[:2]] == [seconds[2], seconds[3]]
    (here / "training.py").write_text(TRAINING + "\n# edited")
    assert shard(recipe("nearest"), 2, 5)[0]["seconds"] != seconds[2]
    assert shard(recipe("nearest", shift=1), 2, 5)[0]["included_accuracy"] == 0.0


def test_what_torch_draws_in_a_trial_goes_by_its_number(shard, here):
    """In half precision too, which numpy does not have."""
    first = shard(recipe("draws"), 0, 3)
    for path in (here / "results" / "trials").glob("*.parquet"):
        path.unlink()
    again = shard(recipe("draws"), 2, 3)
    assert [row["train_correct"] for row in again] == [row["train_correct"] for row in first[2:]]
    assert first[0]["train_correct"] != first[1]["train_correct"]


def test_correctness_alone_serves_the_scores(shard):
    found = shard(recipe("correct"))
    assert not any(row["train_margin"] or row["test_margin"] for row in found)
    assert [row["excluded_accuracy"] for row in found] == [0.0] * 4
    with pytest.raises(BatError, match=r"trial 4: .*gives correctness alone.*ensemble.architectur"):
        shard(recipe("correct"), 4, 5, members=5)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("strange", {}, "training samples: the logits of 1 of 200.*not finite, the first of sampl"),
        ("strange", {"what": "one"}, r"returned ndarray of shape \(200, 10\), expected two arrays"),
        ("strange", {"what": "labels"}, r"int64 of shape \(200,\), expected correctness"),
        ("strange", {"what": "ragged"}, "training samples: are no array"),
        ("fails", {}, "out of luck, .*training.py, line"),
    ],
)
def test_strange_results_are_refused_with_their_trial(shard, name, settings, words):
    with pytest.raises(BatError, match=f"trial 2: training.py:{name}.*{words}"):
        shard(recipe(name, **settings), 2, 3)


def test_what_a_training_writes_into_its_data_reaches_nobody(shard, few_digits):
    before = copy.deepcopy(few_digits.info)
    found = shard(recipe("writes"))
    n = few_digits.info["n_train"]
    for row in found:
        assert np.array_equal(unpack(row["train_correct"], n), few_digits.train_labels == 3)
    assert few_digits.info == before
    assert len(set(few_digits.train_labels.tolist())) == 10


def test_a_failure_leaves_the_trials_before_it(shard, here):
    text = TRAINING.replace(
        "def correct(index, data):",
        "def correct(index, data, trial):\n"
        "    if trial == 2 and not __import__('os').path.exists('go'): 1 / 0",
    )
    (here / "training.py").write_text(text)
    with pytest.raises(BatError, match=r"trial 2: .*ZeroDivisionError"):
        shard(recipe("correct"))
    partial = here / "results" / "trials" / ".partial" / "mine"
    assert [path.stem for path in sorted(partial.glob("*.parquet"))] == ["000000", "000001"]
    (here / "go").touch()
    assert len(shard(recipe("correct"))) == 4

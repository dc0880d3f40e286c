"""Weight perturbation: equal to the authors' proxy model, without a trace where it is nothing."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bat.attacks import Attacked
from bat.errors import BatError
from bat.objectives import (
    AWP,
    BAT,
    ERM,
    GAIRAT,
    MART,
    PGDAT,
    TRADES,
    Adversarial,
    Batch,
    MailAT,
    MailMART,
    MailTRADES,
    build_objective,
    discrimination_loss,
)

METHODS = [
    PGDAT(steps=2),
    PGDAT(steps=2, mode="eval"),
    TRADES(steps=2),
    MART(steps=2),
    GAIRAT(steps=2, begin_epoch=1, eps=0.2, step=0.1),
    MailAT(steps=2, begin_epoch=1),
    MailTRADES(steps=2, begin_epoch=1),
    MailMART(steps=2, begin_epoch=1),
    BAT(steps=2, alpha=2.0, beta=0.3),
    BAT(steps=2, alpha=2.0, beta=0.0),
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 6, 3, padding=1)
            self.norm = nn.BatchNorm2d(6)
            self.head = nn.Linear(24, 4)
            self.shift = nn.Parameter(torch.zeros(1, 6, 1, 1))  # no "weight", as its name says
            nn.init.normal_(self.head.weight)

    def features(self, x):
        return F.adaptive_avg_pool2d((self.norm(self.conv(x)) + self.shift).relu(), 2).flatten(1)

    def logits(self, features):
        return self.head(features)

    def forward(self, x):
        return self.logits(self.features(x))


def batch_of(seed, dtype):
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(24, 3, 8, 8, generator=draws, dtype=dtype)
    y = torch.randint(4, (24,), generator=draws)
    score = torch.rand(24, generator=draws)
    return Batch(x, y, memorized=score > 0.4, unmemorized=score < 0.4)


def optimizer_of(net):
    return torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)


def take_steps(objective, n=4, epoch=0, dtype=torch.float32, precision=None):
    """Weights and statistics of a network after some steps, as the loop takes them."""
    net = Net().to(dtype).train()
    optimizer, draws = optimizer_of(net), torch.Generator().manual_seed(7)
    for step in range(n):
        batch = batch_of(step, dtype)
        with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
            loss, _ = objective(net, batch, draws, epoch=epoch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        objective.after_step(net)
    return net.state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


# The slow twin: a second model takes a step up the loss, as in the authors' code


def attack(net, batch, method, draws):
    """The adversarial images of a batch, and how many iterates were classified right."""
    x, y, mode = batch.x, batch.y, getattr(method, "mode", "eval")
    if isinstance(method, PGDAT | GAIRAT):
        noise = torch.empty_like(x).uniform_(-method.eps, method.eps, generator=draws)
        current = (x + noise).clamp(0, 1)
    else:
        current = x + torch.empty_like(x).normal_(0, 0.001, generator=draws)
    right = torch.zeros(len(x), dtype=torch.int64)
    net.train(mode == "train")
    for _ in range(method.steps):
        current = current.detach().requires_grad_()
        logits = net(current)
        right += logits.argmax(dim=1) == y
        climbed = F.cross_entropy(logits, y)
        if isinstance(method, TRADES):
            p = net(x).softmax(dim=1).detach()
            climbed = (p * (p.log() - logits.log_softmax(dim=1))).sum()
        (slope,) = torch.autograd.grad(climbed, current)
        current = current.detach() + method.step * slope.sign()
        current = torch.min(torch.max(current, x - method.eps), x + method.eps).clamp(0, 1)
    net.train()
    return current.detach(), right


def loss_of(net, batch, images, right, method):
    """The method's loss from its definition."""
    clean = net(batch.x) if isinstance(method, TRADES | MART) else None
    features = net.features(images)
    logits = net.logits(features)
    q, label = logits.softmax(dim=1), batch.y[:, None]
    own = q.gather(1, label).squeeze(1)
    wrong = q.scatter(1, label, -1.0).max(dim=1).values
    losses, weights = -own.log(), torch.ones(len(q), dtype=q.dtype)
    if hasattr(method, "slope"):
        weights = 3 / (1 + torch.exp(-method.slope * (wrong - own + method.bias)))
    if isinstance(method, GAIRAT):
        weights = (1 + torch.tanh(method.shift + 5 * (1 - 2 * right / method.steps))) / 2
        weights = weights / weights.mean()
    if isinstance(method, BAT):
        lost = batch.memorized & (wrong > own)
        weights = torch.where(lost, torch.exp(-method.alpha * wrong), 1.0)
        weights = weights / weights.mean()
    weights = weights.detach()
    if isinstance(method, TRADES):
        p = clean.softmax(dim=1)
        apart = (p * (p / q).log()).sum(dim=1)
        return F.cross_entropy(clean, batch.y) + method.beta * (weights * apart).mean()
    if isinstance(method, MART):
        p = clean.softmax(dim=1)
        apart = (p * (p.log() - (q + 1e-12).log())).sum(dim=1)
        doubt = 1.0000001 - p.gather(1, label).squeeze(1)
        boosted = losses - (1.0001 - wrong + 1e-12).log()
        return (weights * boosted).mean() + method.beta * (apart * doubt).mean()
    total = (weights * losses).mean()
    if isinstance(method, BAT) and method.beta:
        apart = discrimination_loss(features, batch.y, batch.unmemorized)
        total = total + method.beta * apart
    return total


def slow_steps(method, gamma, n=4):
    """As `take_steps` in float64, with a second model."""
    net = Net().double().train()
    optimizer, draws = optimizer_of(net), torch.Generator().manual_seed(7)
    for step in range(n):
        batch = batch_of(step, torch.float64)
        images, right = attack(net, batch, method, draws)
        proxy = copy.deepcopy(net)
        ascent = torch.optim.SGD(proxy.parameters(), lr=0.01)
        ascent.zero_grad()
        (-loss_of(proxy, batch, images, right, method)).backward()
        ascent.step()
        moves = {}
        for name, old in net.state_dict().items():
            if old.ndim > 1 and "weight" in name:
                change = proxy.state_dict()[name] - old
                moves[name] = gamma * old.norm() / (change.norm() + 1e-20) * change
        assert set(moves) == {"conv.weight", "head.weight"}
        for name, move in moves.items():
            net.get_parameter(name).data += move
        optimizer.zero_grad()
        loss_of(net, batch, images, right, method).backward()
        optimizer.step()
        for name, move in moves.items():
            net.get_parameter(name).data -= move
    return net.state_dict()


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_method_trains_as_its_slow_twin(method):
    ours = take_steps(AWP(method, gamma=0.05), dtype=torch.float64)
    plain = take_steps(method, dtype=torch.float64)
    twin = slow_steps(method, gamma=0.05)
    rough = isinstance(method, GAIRAT)  # whose weights are computed in float32
    for name, value in ours.items():
        torch.testing.assert_close(
            value, twin[name], rtol=1e-4 if rough else 1e-8, atol=1e-5 if rough else 1e-9
        )
    assert (ours["conv.weight"] - plain["conv.weight"]).norm() > 1e-4
    assert ours["norm.num_batches_tracked"] == plain["norm.num_batches_tracked"]


# What it must leave as it is


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_a_displacement_of_0_is_the_plain_method_bit_for_bit(method, precision):
    """Also one that is too short to change a weight, with which every pass is made."""
    plain = take_steps(method, precision=precision)
    assert same(plain, take_steps(AWP(method, gamma=0.0), precision=precision))
    assert same(plain, take_steps(AWP(method, gamma=1e-30), precision=precision))
    assert not same(plain, take_steps(AWP(method), precision=precision))


def test_the_warm_up_is_the_plain_method_bit_for_bit():
    method = PGDAT(steps=2)
    plain = take_steps(method)
    assert same(plain, take_steps(AWP(method, warmup=3), epoch=2))
    assert not same(plain, take_steps(AWP(method, warmup=3), epoch=3))


class Given(Adversarial):
    """No attack; cross-entropy, and what it keeps from step to step."""

    name = "given"

    def __init__(self):
        object.__setattr__(self, "kept", {})
        object.__setattr__(self, "seen", {})

    def attack(self, model, batch, generator):
        return Attacked(batch.x, None)

    def loss(self, model, batch, attacked, *, epoch=0):
        loss = F.cross_entropy(model(attacked.x).float(), batch.y)
        return loss, {"loss": loss.detach()}

    def after_step(self, model):
        self.kept["taken"] = self.kept.get("taken", 0) + 1
        self.seen.update({name: v.clone() for name, v in model.state_dict().items()})

    def state_dict(self):
        return self.kept

    def load_state_dict(self, state):
        self.kept.update(state)


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_the_loss_is_that_at_the_moved_weights(precision):
    """Autocast keeps the weights of a first pass in half precision, and would go on with them."""
    net, batch, objective = Net().train(), batch_of(0, torch.float32), AWP(Given(), gamma=0.5)
    settings = {"dtype": precision, "enabled": precision is not None}
    with torch.autocast("cpu", **settings):
        before, _ = Given().loss(net, batch, Attacked(batch.x, None))
    with torch.autocast("cpu", **settings):
        loss, _ = objective(net, batch, None)
    with torch.autocast("cpu", **settings):
        moved, _ = Given().loss(net, batch, Attacked(batch.x, None))
    assert torch.equal(loss, moved)
    assert loss > before + 0.1


def test_each_weight_moves_up_the_loss_by_gamma_times_its_length_and_back():
    net, objective = Net().train(), AWP(Given(), gamma=0.02)
    net.head.weight.requires_grad_(False)
    start = copy.deepcopy(net.state_dict())
    objective(net, batch_of(0, torch.float32), None)
    change = net.conv.weight.detach() - start["conv.weight"]
    assert float(change.norm() / start["conv.weight"].norm()) == pytest.approx(0.02, rel=1e-4)
    still = [name for name in start if name not in ("conv.weight", *dict(net.named_buffers()))]
    assert all(torch.equal(net.get_parameter(name), start[name]) for name in still)
    assert all(weight.grad is None for weight in net.parameters())
    objective.after_step(net)
    torch.testing.assert_close(net.conv.weight.detach(), start["conv.weight"], rtol=1e-6, atol=1e-7)
    assert objective.moved == []
    seen = objective.objective.seen  # the method comes after: it sees the weights as they are kept
    assert torch.equal(seen["conv.weight"], net.conv.weight)


def test_weights_without_a_gradient_stay():
    class Idle(Net):
        def __init__(self):
            super().__init__()
            self.unused = nn.Linear(3, 3)
            self.zero = nn.Linear(24, 4)

        def forward(self, x):
            return super().forward(x) + 0 * self.zero(self.features(x))

    net, objective = Idle().train(), AWP(Given(), gamma=0.5)
    start = copy.deepcopy(net.state_dict())
    loss, _ = objective(net, batch_of(0, torch.float32), None)
    assert loss.isfinite()
    for name in ("unused.weight", "zero.weight"):
        assert torch.equal(net.get_parameter(name), start[name])
    assert not torch.equal(net.head.weight, start["head.weight"])


def test_a_network_without_a_weight_to_move_is_refused():
    net = Net().train()
    for name in ("conv", "head"):
        getattr(net, name).weight.requires_grad_(False)
    with pytest.raises(BatError, match="given with awp: the network has no trained parameter"):
        AWP(Given())(net, batch_of(0, torch.float32), None)


def test_a_buffer_that_each_pass_replaces_counts_the_pass_at_the_moved_weights_alone():
    class Counting(Net):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

        def forward(self, x):
            self.seen = self.seen + len(x)
            return super().forward(x)

    net, batch = Counting().train(), batch_of(0, torch.float32)
    AWP(Given(), gamma=0.5)(net, batch, None)
    assert int(net.seen) == len(batch.x)


def test_it_keeps_what_the_method_keeps():
    objective = AWP(Given())
    take_steps(objective, n=3)
    assert objective.state_dict() == {"taken": 3}
    again = AWP(Given())
    again.load_state_dict({"taken": 5})
    assert again.state_dict() == {"taken": 5}


def test_a_step_costs_what_is_trained_on_once_more():
    assert AWP(PGDAT()).passes == (0, 2)
    assert AWP(TRADES()).passes == (1, 4)
    calls = []
    net = Net().train()
    net.register_forward_hook(lambda *_: calls.append(1))
    AWP(TRADES(steps=3))(net, batch_of(0, torch.float32), torch.Generator())
    assert len(calls) == 1 + 3 + 4  # the attack is made once


class Whole(PGDAT):
    name = "whole"

    def __call__(self, model, batch, generator, *, epoch=0):
        return super().__call__(model, batch, generator, epoch=epoch)


@pytest.mark.parametrize("objective", [ERM(), Whole()], ids=["erm", "whole"])
def test_methods_that_take_their_loss_in_one_are_refused(objective):
    with pytest.raises(BatError, match=r"cannot take .*awp.* write `attack` and `loss`"):
        AWP(objective)


def test_a_specification_asks_for_it():
    settings = {"method": "trades", "eps": 0.1, "step": 0.1, "steps": 1, "beta": 6.0}
    assert build_objective(settings) == TRADES(eps=0.1, step=0.1, steps=1, beta=6.0)
    found = build_objective(settings | {"awp": {"gamma": 0.005, "warmup": 10}})
    assert (found.gamma, found.warmup) == (0.005, 10)
    assert found.objective == TRADES(eps=0.1, step=0.1, steps=1, beta=6.0)
    assert found.name == "trades with awp"

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bat.attacks import linf_attack
from bat.errors import BatError
from bat.objectives import (
    BAT,
    ERM,
    GAIRAT,
    MART,
    OBJECTIVES,
    PGDAT,
    TRADES,
    Batch,
    MailAT,
    MailMART,
    MailTRADES,
    discrimination_loss,
    geometry_weights,
    mail_weights,
    mart_loss,
    poisoning_weights,
    trades_loss,
    weighted_mean,
)

FORMS = ["printed_normalized", "printed_raw", "infonce"]


class SmallNet(nn.Module):
    def __init__(self, n_classes=4, channels=3, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(channels, 6, 3, padding=1)
            self.norm = nn.BatchNorm2d(6)
            self.head = nn.Linear(24, n_classes)
            nn.init.normal_(self.head.weight)

    def features(self, x):
        return F.adaptive_avg_pool2d(self.norm(self.conv(x)).relu(), 2).flatten(1)

    def logits(self, features):
        return self.head(features)

    def forward(self, x):
        return self.logits(self.features(x))


def make_batch(n=24, n_classes=4, dtype=torch.float32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 3, 8, 8, generator=generator, dtype=dtype)
    y = torch.randint(n_classes, (n,), generator=generator)
    score = torch.rand(n, generator=generator)
    return Batch(x, y, memorized=score > 0.4, unmemorized=score < 0.4)


def make_logits(n=12, n_classes=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    clean = 3 * torch.randn(n, n_classes, generator=generator, dtype=dtype)
    adversarial = clean + torch.randn(n, n_classes, generator=generator, dtype=dtype)
    return clean, adversarial, torch.randint(n_classes, (n,), generator=generator)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# Slow twins in float64, written from the formulas


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def slow_cross_entropy(logits, y):
    return np.array([-math.log(softmax(z)[label]) for z, label in zip(logits, y, strict=True)])


def slow_trades(clean, adversarial, y, beta):
    total = 0.0
    for z, z_adv, label in zip(clean, adversarial, y, strict=True):
        p, q = softmax(z), softmax(z_adv)
        total += -math.log(p[label]) + beta * sum(
            p[k] * math.log(p[k] / q[k]) for k in range(len(p))
        )
    return total / len(y)


def slow_mart(clean, adversarial, y, beta):
    total = 0.0
    for z, z_adv, label in zip(clean, adversarial, y, strict=True):
        p, q = softmax(z), softmax(z_adv)
        wrong = max(q[k] for k in range(len(q)) if k != label)
        total += -math.log(q[label]) - math.log(1.0001 - wrong + 1e-12)
        kl = sum(p[k] * (math.log(p[k]) - math.log(q[k] + 1e-12)) for k in range(len(p)))
        total += beta * kl * (1.0000001 - p[label])
    return total / len(y)


def slow_weights(logits, y, memorized, alpha):
    weights = []
    for z, label, hard in zip(logits, y, memorized, strict=True):
        q = max(p for k, p in enumerate(softmax(z)) if k != label)
        weights.append(math.exp(-alpha * q) if hard and z.argmax() != label else 1.0)
    return np.array(weights)


def slow_discrimination(features, y, typical, temperature, form):
    if form != "printed_raw":
        features = [h / max(np.linalg.norm(h), 1e-4) for h in features]
    terms = []
    for i in range(len(y)):
        for j in range(len(y)):
            negatives = [k for k in range(len(y)) if typical[k] and y[k] != y[i]]
            if i == j or y[i] != y[j] or not (typical[i] and typical[j]) or not negatives:
                continue
            positive = math.exp(features[i] @ features[j] / temperature)
            total = sum(math.exp(features[i] @ features[k] / temperature) for k in negatives)
            terms.append(-math.log(positive / (total + (positive if form == "infonce" else 0))))
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
def test_trades_and_mart_equal_their_formulas(beta):
    clean, adversarial, y = make_logits()
    arrays = clean.numpy(), adversarial.numpy(), y.numpy()
    loss, _ = trades_loss(clean, adversarial, y, beta=beta)
    assert float(loss) == pytest.approx(slow_trades(*arrays, beta), rel=1e-12)
    loss, _ = mart_loss(clean, adversarial, y, beta=beta)
    assert float(loss) == pytest.approx(slow_mart(*arrays, beta), rel=1e-12)


@pytest.mark.parametrize("loss", [trades_loss, mart_loss])
def test_nothing_is_detached_in_trades_and_mart(loss):
    clean, adversarial, y = make_logits(n=3, n_classes=3)
    inputs = clean.requires_grad_(), adversarial.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, y, beta=5.0)[0], inputs)


@pytest.mark.parametrize("loss", [trades_loss, mart_loss])
def test_underflow_leaves_gradients_finite(loss):
    clean = torch.tensor([[500.0, 0.0, -500.0], [0.0, 400.0, 1.0], [3.0, -600.0, 4.0]])
    adversarial = torch.tensor([[-300.0, 500.0, 0.0], [0.0, 500.0, 2.0], [900.0, 0.0, 1.0]])
    assert bool((clean.softmax(dim=1) == 0).any())
    inputs = clean.requires_grad_(), adversarial.requires_grad_()
    value, _ = loss(*inputs, torch.tensor([0, 1, 2]), beta=5.0)
    for gradient in torch.autograd.grad(value, inputs):
        assert bool(gradient.isfinite().all())
    assert bool(value.isfinite())


def test_weights_of_equation_7():
    logits = torch.tensor([
        [0.0, 2.0, 1.0],  # misclassified
        [0.0, 2.0, 1.0],  # misclassified, not memorized
        [2.0, 0.0, 1.0],  # right
        [-90.0, 0.0, 90.0],  # misclassified with q = 1
    ])  # fmt: skip
    y = torch.tensor([0, 0, 0, 0])
    memorized = torch.tensor([True, False, True, True])
    q = math.exp(2) / (1 + math.exp(2) + math.exp(1))
    weights, reweighted = poisoning_weights(logits, y, memorized, alpha=2.0)
    assert weights.tolist() == pytest.approx([math.exp(-2 * q), 1, 1, math.exp(-2)], rel=1e-6)
    assert reweighted.tolist() == [True, False, False, True]
    weights, _ = poisoning_weights(logits, y, memorized, alpha=0.0)
    assert weights.tolist() == [1.0] * 4


def test_weights_equal_their_formula_and_carry_no_gradient():
    _, logits, y = make_logits(n=40)
    memorized = torch.arange(40) % 3 > 0
    logits.requires_grad_()
    weights, reweighted = poisoning_weights(logits, y, memorized, alpha=1.5)
    expected = slow_weights(logits.detach().numpy(), y.numpy(), memorized.numpy(), 1.5)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-12)
    assert 5 < int(reweighted.sum()) < 35
    assert not weights.requires_grad
    losses = F.cross_entropy(logits, y, reduction="none")
    (gradient,) = torch.autograd.grad(weighted_mean(losses, weights), logits)
    shares = torch.from_numpy(expected / expected.sum())[:, None]
    slope = logits.detach().softmax(dim=1) - F.one_hot(y, 5)
    torch.testing.assert_close(gradient, shares * slope, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("form", FORMS)
def test_discrimination_loss_equals_its_formula(form):
    features = torch.randn(14, 6, generator=generator(), dtype=torch.float64)
    y = torch.arange(14) % 3
    typical = torch.arange(14) % 4 > 0
    loss = discrimination_loss(features, y, typical, temperature=0.5, form=form)
    expected = slow_discrimination(features.numpy(), y.numpy(), typical.numpy(), 0.5, form)
    assert float(loss) == pytest.approx(expected, rel=1e-12)
    features.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda h: discrimination_loss(h, y, typical, temperature=0.5, form=form), features
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("y", "typical"),
    [
        ([0, 1, 2, 3], [True] * 4),  # no positive
        ([1, 1, 1, 1], [True] * 4),  # no negative
        ([0, 0, 1, 1], [False] * 4),  # all atypical
        ([0, 0, 1, 1], [True, True, False, False]),  # negatives are atypical
        ([0, 0, 1, 1], [True, False, True, False]),  # positives are atypical
        ([2], [True]),
    ],
)
def test_discrimination_loss_without_a_pair_is_zero(form, y, typical):
    features = torch.randn(len(y), 6, generator=generator()).requires_grad_()
    loss = discrimination_loss(features, torch.tensor(y), torch.tensor(typical), form=form)
    assert float(loss.detach()) == 0.0
    (gradient,) = torch.autograd.grad(loss, features)
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("form", FORMS)
def test_discrimination_loss_has_finite_gradients(form):
    features = torch.randn(8, 6, generator=generator())
    features[0] = 0.0
    features[1] *= 1e4
    features.requires_grad_()
    y = torch.tensor([0, 0, 0, 1, 1, 1, 2, 3])  # 2 and 3 have no positive
    loss = discrimination_loss(features, y, torch.ones(8, dtype=torch.bool), form=form)
    (gradient,) = torch.autograd.grad(loss, features)
    assert bool(gradient.isfinite().all())
    assert float(gradient[3:6].abs().min()) > 0


def test_discrimination_loss_refuses_an_unknown_form():
    with pytest.raises(BatError, match="form is 'triplet'"):
        discrimination_loss(
            torch.ones(2, 2), torch.tensor([0, 1]), torch.ones(2).bool(), form="triplet"
        )


@pytest.mark.parametrize("steps", [1, 5, 10])
def test_geometry_weights(steps):
    kappa = torch.arange(steps + 1)
    raw = [(1 + math.tanh(-1 + 5 * (1 - 2 * k / steps))) / 2 for k in range(steps + 1)]
    expected = [w * (steps + 1) / sum(raw) for w in raw]
    weights = geometry_weights(kappa, steps).tolist()
    assert weights == pytest.approx(expected, rel=1e-5)
    assert weights == sorted(weights, reverse=True)
    robust = geometry_weights(torch.full((4,), steps), steps, shift=-9.0)
    assert robust.tolist() == [1.0] * 4  # (1 + tanh(-14)) / 2 is 0 in float32


def test_the_order_of_a_batch_does_not_matter():
    order = torch.randperm(12, generator=generator())
    clean, adversarial, y = make_logits()
    features = torch.randn(12, 6, generator=generator(), dtype=torch.float64)
    mask = torch.arange(12) % 3 > 0

    def values(clean, adversarial, features, y, mask):
        losses = F.cross_entropy(adversarial, y, reduction="none")
        return torch.stack([
            trades_loss(clean, adversarial, y, beta=5.0)[0],
            mart_loss(clean, adversarial, y, beta=5.0)[0],
            weighted_mean(losses, poisoning_weights(adversarial, y, mask, alpha=1.0)[0]),
            *(discrimination_loss(features, y, mask, form=form) for form in FORMS),
        ])  # fmt: skip

    straight = values(clean, adversarial, features, y, mask)
    shuffled = values(*(part[order] for part in (clean, adversarial, features, y, mask)))
    torch.testing.assert_close(straight, shuffled, rtol=1e-12, atol=0)
    kappa = torch.arange(12)
    torch.testing.assert_close(
        geometry_weights(kappa, 11)[order], geometry_weights(kappa[order], 11)
    )


# Whole objectives: the attack of each method and its loss, against plain loops


def plain_attack(net, x, y, start, objective, *, mode, kl=False):
    net.train(mode == "train")
    current, kappa = start, torch.zeros(len(x), dtype=torch.int64)
    for _ in range(objective.steps):
        current = current.detach().requires_grad_()
        logits = net(current)
        kappa += logits.argmax(dim=1) == y
        if kl:
            p = net(x).softmax(dim=1)
            (p * (p.log() - logits.log_softmax(dim=1))).sum().backward()
        else:
            F.cross_entropy(logits, y).backward()
        current = current.detach() + objective.step * current.grad.sign()
        current = torch.min(torch.max(current, x - objective.eps), x + objective.eps).clamp(0, 1)
    net.train()
    return current.detach(), kappa


def starts(objective, x):
    if isinstance(objective, PGDAT | GAIRAT):
        noise = torch.empty_like(x).uniform_(-objective.eps, objective.eps, generator=generator(7))
        return (x + noise).clamp(0, 1)
    return x + torch.empty_like(x).normal_(0, 0.001, generator=generator(7))


@pytest.mark.parametrize(
    "objective",
    [
        PGDAT(steps=3),
        PGDAT(steps=3, mode="eval"),
        TRADES(steps=3),
        MART(steps=3),
        GAIRAT(steps=3, begin_epoch=1, eps=0.2, step=0.07),
        GAIRAT(steps=3, begin_epoch=2),
        BAT(steps=3, alpha=2.0, beta=0.3),
        BAT(steps=3, alpha=2.0, beta=0.3, form="infonce"),
    ],
    ids=repr,
)
def test_objective_equals_a_plain_loop(objective):
    net = SmallNet().double().train()
    twin = copy.deepcopy(net)
    batch = make_batch(dtype=torch.float64)
    x, y = batch.x, batch.y
    loss, statistics = objective(net, batch, generator(7), epoch=0)
    assert net.training and all(p.requires_grad for p in net.parameters())
    assert all(p.grad is None for p in net.parameters())
    loss.backward()

    mode = getattr(objective, "mode", "eval")
    start = starts(objective, x)
    x_adv, kappa = plain_attack(
        twin, x, y, start, objective, mode=mode, kl=isinstance(objective, TRADES)
    )
    twin.zero_grad()
    if isinstance(objective, TRADES | MART):
        clean, adversarial = twin(x), twin(x_adv)
        slow = slow_trades if isinstance(objective, TRADES) else slow_mart
        fast = trades_loss if isinstance(objective, TRADES) else mart_loss
        arrays = clean.detach().numpy(), adversarial.detach().numpy(), y.numpy()
        expected = slow(*arrays, objective.beta)
        fast(clean, adversarial, y, beta=objective.beta)[0].backward()
    else:
        features = twin.features(x_adv)
        logits = twin.logits(features)
        if isinstance(objective, GAIRAT) and objective.begin_epoch == 1:
            assert len(kappa.unique()) > 1
            weights = np.array([(1 + math.tanh(4 - 10 * k / 3)) / 2 for k in kappa.tolist()])
        elif isinstance(objective, BAT):
            masks = y.numpy(), batch.memorized.numpy()
            weights = slow_weights(logits.detach().numpy(), *masks, objective.alpha)
            assert 0 < (weights < 1).sum() < len(y)
            assert float(statistics["reweighted"]) == pytest.approx((weights < 1).mean())
            assert float(statistics["mean_weight"]) == pytest.approx(weights.mean())
        else:
            weights = np.ones(len(y))
        weights = weights / weights.sum()
        expected = (weights * slow_cross_entropy(logits.detach().numpy(), y.numpy())).sum()
        total = (torch.from_numpy(weights) * F.cross_entropy(logits, y, reduction="none")).sum()
        if isinstance(objective, BAT):
            apart = slow_discrimination(
                features.detach().numpy(), y.numpy(), batch.unmemorized.numpy(), 0.1, objective.form
            )
            expected += objective.beta * apart
            total = total + objective.beta * discrimination_loss(
                features, y, batch.unmemorized, form=objective.form
            )
            assert float(statistics["discrimination_loss"]) == pytest.approx(apart, rel=1e-9)
        total.backward()
    # GAIRAT's weights are computed in float32, the rest in float64.
    tolerance = 1e-5 if isinstance(objective, GAIRAT) else 1e-9
    assert float(loss.detach()) == pytest.approx(expected, rel=tolerance)
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=10 * tolerance, atol=tolerance)
    if not isinstance(objective, TRADES):  # whose clean batch ours sees once
        for name, buffer in net.named_buffers():
            torch.testing.assert_close(buffer, twin.get_buffer(name))


def train(objective, n_steps=6, epoch=0, net=None, dtype=None):
    net = net or SmallNet()
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    draws, losses = generator(3), []
    for step in range(n_steps):
        batch = make_batch(seed=step)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            loss, _ = objective(net, batch, draws, epoch=epoch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return {**net.state_dict(), "losses": torch.stack(losses)}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_bat_without_its_parts_is_pgd_at_bit_for_bit(mode, dtype):
    plain = train(PGDAT(steps=3, mode=mode), dtype=dtype)
    assert same(plain, train(BAT(steps=3, mode=mode, alpha=0.0, beta=0.0), dtype=dtype))
    assert not same(plain, train(BAT(steps=3, mode=mode, alpha=1.0, beta=0.0), dtype=dtype))
    assert not same(plain, train(BAT(steps=3, mode=mode, alpha=0.0, beta=0.1), dtype=dtype))


def test_gairat_in_its_burn_in_is_pgd_at_bit_for_bit():
    attack = {"eps": 0.031, "step": 0.007, "steps": 3}
    plain = train(PGDAT(mode="eval", **attack), epoch=58)
    assert same(plain, train(GAIRAT(**attack), epoch=58))
    assert not same(plain, train(GAIRAT(**attack), epoch=59))


MAIL = {MailAT: (10.0, -0.5), MailTRADES: (2.0, 0.0), MailMART: (1.0, -1.5)}


def slow_mail(logits, y, slope, bias):
    """Each sample's weight, from its definition."""
    weights = []
    for z, label in zip(logits, y, strict=True):
        p = softmax(z)
        margin = max(p[k] for k in range(len(p)) if k != label) - p[label]
        weights.append(3 / (1 + math.exp(-slope * (margin + bias))))
    return np.array(weights)


def slow_mail_step(net, batch, draws, method):
    """The loss of one batch, by the plain attack and a loop over the samples of the loss."""
    x, y = batch.x, batch.y
    start = x + torch.empty_like(x).normal_(0, 0.001, generator=draws)
    x_adv, _ = plain_attack(
        net, x, y, start, method, mode="eval", kl=isinstance(method, MailTRADES)
    )
    net.zero_grad()
    clean = net(x) if not isinstance(method, MailAT) else None
    logits = net(x_adv)
    weights = slow_mail(logits.detach().numpy(), y.numpy(), *MAIL[type(method)])
    assert np.ptp(weights) > 0.1
    total = 0.0
    for i, (w, label) in enumerate(zip(weights, y.tolist(), strict=True)):
        q = logits[i].softmax(dim=0)
        if clean is None:
            total = total - w * q[label].log()
            continue
        p = clean[i].softmax(dim=0)
        if isinstance(method, MailTRADES):
            total = total - p[label].log() + method.beta * w * (p * (p / q).log()).sum()
            continue
        wrong = torch.stack([q[k] for k in range(len(q)) if k != label]).max()
        kl = (p * (p.log() - (q + 1e-12).log())).sum()
        total = total + w * (-q[label].log() - (1.0001 - wrong + 1e-12).log())
        total = total + method.beta * kl * (1.0000001 - p[label])
    return total / len(y)


@pytest.mark.parametrize("method", list(MAIL))
def test_mail_trains_as_its_slow_twin(method):
    ours, twin = SmallNet().double().train(), SmallNet().double().train()
    objective = method(steps=3, begin_epoch=1)
    slow = [generator(7), torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9)]
    fast = [generator(7), torch.optim.SGD(ours.parameters(), lr=0.05, momentum=0.9)]
    for step in range(4):
        batch = make_batch(seed=step, dtype=torch.float64)
        loss, statistics = objective(ours, batch, fast[0])
        expected = slow_mail_step(twin, batch, slow[0], objective)
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
        assert 0 < float(statistics["mean_weight"]) < 3
        for net_loss, (_, optimizer) in ((loss, fast), (expected, slow)):
            optimizer.zero_grad()
            net_loss.backward()
            optimizer.step()
    moved = SmallNet().double()
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight, twin.get_parameter(name), rtol=1e-8, atol=1e-10)
        assert not torch.equal(weight, moved.get_parameter(name))


@pytest.mark.parametrize(
    ("method", "plain"), [(MailAT, None), (MailTRADES, TRADES), (MailMART, MART)]
)
def test_mail_before_its_weights_is_the_plain_method(method, plain):
    attack = {"steps": 3, "eps": 0.031, "step": 0.007}
    weighted = train(method(begin_epoch=60, **attack), epoch=58)
    if plain is None:  # no method of ours but MAIL attacks the cross-entropy from normal noise
        twin = SmallNet().train()
        optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        draws = generator(3)
        for step in range(6):
            batch = make_batch(seed=step)
            settings = {"loss": "ce", "start": "gaussian", "gaussian": 0.001, **attack}
            x = linf_attack(twin, batch.x, batch.y, generator=draws, **settings).x
            optimizer.zero_grad()
            F.cross_entropy(twin(x), batch.y, reduction="none").mean().backward()
            optimizer.step()
        unweighted = dict(twin.state_dict())
    else:
        unweighted = train(plain(**attack), epoch=58)
    assert same(unweighted, weighted)
    assert not same(unweighted, train(method(begin_epoch=60, **attack), epoch=59))


def test_mail_weights_rise_as_the_margin_falls_and_carry_no_gradient():
    logits = torch.tensor([[9.0, 0.0], [0.0, 0.0], [0.0, 9.0]], requires_grad=True)
    weights = mail_weights(logits, torch.zeros(3, dtype=torch.int64), slope=10.0, bias=0.0)
    assert not weights.requires_grad
    assert weights.tolist() == pytest.approx([0.0, 1.5, 3.0], abs=1e-3)


def test_trades_with_beta_0_is_clean_erm():
    batch = make_batch()
    net, twin = SmallNet().train(), SmallNet().train()
    trades, _ = TRADES(steps=2, beta=0.0)(net, batch, generator())
    erm, _ = ERM()(twin, batch, generator())
    trades.backward()
    erm.backward()
    assert torch.equal(trades, erm)
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)


def test_defaults_are_the_references():
    assert (PGDAT().eps, PGDAT().step, PGDAT().steps, PGDAT().mode) == (
        8 / 255,
        2 / 255,
        10,
        "train",
    )
    for method in (TRADES(), MART(), GAIRAT(), MailAT(), MailTRADES(), MailMART()):
        assert (method.eps, method.step, method.steps) == (0.031, 0.007, 10)
    assert (TRADES().beta, TRADES().gaussian, MART().beta) == (5.0, 0.001, 5.0)
    assert (GAIRAT().shift, GAIRAT().begin_epoch) == (-1.0, 60)
    assert (BAT().alpha, BAT().beta, BAT().temperature) == (1.0, 0.2, 0.1)
    assert (MailAT().slope, MailAT().bias, MailAT().begin_epoch) == (10.0, -0.5, 76)
    assert (MailTRADES().slope, MailTRADES().bias, MailTRADES().begin_epoch) == (2.0, 0.0, 76)
    assert (MailMART().slope, MailMART().bias, MailMART().begin_epoch) == (1.0, -1.5, 76)
    mail = {"mail-at", "mail-trades", "mail-mart"}
    assert set(OBJECTIVES) == {"erm", "pgd-at", "trades", "mart", "gairat", "bat"} | mail


@pytest.mark.parametrize("method", OBJECTIVES.values())
def test_every_objective_trains_and_reports(method):
    objective = method() if method is ERM else method(steps=2)
    net = SmallNet().train()
    net.conv.bias.requires_grad_(False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, statistics = objective(net, make_batch(), generator(), epoch=100)
    assert loss.dtype == torch.float32 and loss.shape == ()
    loss.backward()
    assert net.conv.bias.grad is None and not net.conv.bias.requires_grad
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters() if p.requires_grad)
    assert "loss" in statistics
    for value in statistics.values():
        assert value.shape == () and value.dtype == torch.float32 and not value.requires_grad


def test_similarities_keep_float32_under_autocast():
    features = torch.randn(10, 6, generator=generator())
    y, typical = torch.arange(10) % 2, torch.ones(10, dtype=torch.bool)
    exact = discrimination_loss(features, y, typical)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(discrimination_loss(features, y, typical), exact)


def test_bat_without_a_score_table_is_refused():
    batch = make_batch()._replace(memorized=None)
    with pytest.raises(BatError, match="score table"):
        BAT()(SmallNet(), batch, generator())


def test_no_loss_waits_for_the_device():
    def on_meta(*shape, dtype=torch.float32):
        return torch.zeros(shape, dtype=dtype, device="meta")  # reading a value is an error

    net = SmallNet().to("meta").train()
    x, y = on_meta(8, 3, 8, 8), on_meta(8, dtype=torch.int64)
    mask = on_meta(8, dtype=torch.bool)
    x, kappa = linf_attack(net, x, y, eps=0.1, step=0.1, steps=2, start="zero", count_correct=True)
    logits = net(x)
    weights, _ = poisoning_weights(logits, y, mask, alpha=1.0)
    total = weighted_mean(F.cross_entropy(logits, y, reduction="none"), weights)
    total = total + geometry_weights(kappa, 10).sum()
    total = total + trades_loss(net(x), logits, y, beta=1.0)[0]
    total = total + mart_loss(net(x), logits, y, beta=1.0)[0]
    total.backward()


@pytest.mark.parametrize("form", FORMS)
def test_discrimination_loss_compiles_whole(form):
    """Without a break in the graph, so without waiting for a value or a shape."""
    features = torch.randn(10, 6, generator=generator())
    y, typical = torch.arange(10) % 3, torch.arange(10) % 4 > 0
    compiled = torch.compile(discrimination_loss, fullgraph=True, backend="eager")
    expected = discrimination_loss(features, y, typical, form=form)
    torch.testing.assert_close(compiled(features, y, typical, form=form), expected)

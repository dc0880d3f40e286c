"""Label smoothing of every method that has a cross-entropy, against its definition."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from bat.objectives import (
    BAT,
    ERM,
    GAIRAT,
    OBJECTIVES,
    PGDAT,
    TRADES,
    Batch,
    MailAT,
    MailTRADES,
    geometry_weights,
    mail_weights,
    poisoning_weights,
)

SMOOTHED = [ERM, PGDAT, TRADES, GAIRAT, MailAT, MailTRADES, BAT]
N, CLASSES, SHARE = 16, 5, 0.3


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(48, CLASSES, generator=generator) / 4)

    def features(self, x):
        return x.flatten(1)

    def logits(self, features):
        return features @ self.weight

    def forward(self, x):
        return self.logits(self.features(x))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(N, 3, 4, 4, generator=generator)
    y = torch.randint(CLASSES, (N,), generator=generator)
    memorized = torch.arange(N) % 3 == 0
    return Batch(x, y, memorized, ~memorized)


def made(method, **settings):
    begun = {"begin_epoch": 1} if "begin_epoch" in method.__dataclass_fields__ else {}
    return method(**begun, **settings)


def smoothed(logits, y):
    """Cross-entropy with a distribution in the place of the label, sample by sample."""
    losses = []
    for row, label in zip(logits.double(), y, strict=True):
        target = torch.full((CLASSES,), SHARE / CLASSES, dtype=torch.float64)
        target[label] += 1 - SHARE
        losses.append(-(target * (row - row.exp().sum().log())).sum())
    return torch.stack(losses)


@pytest.mark.parametrize("method", SMOOTHED, ids=lambda method: method.name)
def test_the_loss_differs_by_what_the_definition_says(method, batch):
    """Each loss is linear in the cross-entropies, with weights that smoothing leaves alone."""
    model = Linear()
    objective, plain = made(method, label_smoothing=SHARE), made(method)
    if method is ERM:
        found, without = (o(model, batch, torch.Generator())[0] for o in (objective, plain))
        logits = model(batch.x)
    else:
        attacked = plain.attack(model, batch, torch.Generator().manual_seed(2))
        again = objective.attack(model, batch, torch.Generator().manual_seed(2))
        assert torch.equal(attacked.x, again.x)  # the attack's labels are as they are
        found, without = (o.loss(model, batch, attacked)[0] for o in (objective, plain))
        logits = model(batch.x if issubclass(method, TRADES) else attacked.x)
    weights = torch.ones(N)
    if method is GAIRAT:
        weights = geometry_weights(attacked.correct_steps, objective.steps)
    if method is MailAT:
        weights = mail_weights(logits, batch.y, slope=objective.slope, bias=objective.bias)
    if method is BAT:
        weights, _ = poisoning_weights(logits, batch.y, batch.memorized, alpha=objective.alpha)
    hard = torch.nn.functional.cross_entropy(logits.double(), batch.y, reduction="none")
    total = weights.sum() if method in (GAIRAT, BAT) else N
    expected = (weights * (smoothed(logits, batch.y) - hard)).sum() / total
    assert expected.abs() > 1e-3
    torch.testing.assert_close((found - without).double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", SMOOTHED, ids=lambda method: method.name)
def test_without_it_a_step_is_the_plain_one_bit_for_bit(method, batch):
    gradients = []
    for objective in (made(method), made(method, label_smoothing=0.0)):
        model = Linear()
        loss, _ = objective(model, batch, torch.Generator().manual_seed(3))
        loss.backward()
        gradients.append(model.weight.grad)
    assert torch.equal(*gradients)


def test_the_others_do_not_take_it():
    have = {
        name
        for name, method in OBJECTIVES.items()
        if "label_smoothing" in {field.name for field in dataclasses.fields(method)}
    }
    assert have == {method.name for method in SMOOTHED} == OBJECTIVES.keys() - {"mart", "mail-mart"}

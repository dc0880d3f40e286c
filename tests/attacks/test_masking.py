"""Robust models and models that hide their gradient, told apart; on ones with known answers."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from bat.attacks import PGD, AttackError, Square, Transfer, masking_verdicts
from bat.attacks.evaluation import evaluate
from bat.report.masking import checks

EPS = 0.1
SETTINGS = {"eps": EPS, "step": 0.025, "few": 10, "many": 40, "queries": 300}
JUDGED = {"batch_size": 16, "seed": 0}


class Times(nn.Module):
    """A model whose logits are so large that the gradient of its loss is exactly 0."""

    def __init__(self, model, factor=1e4):
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x):
        return self.factor * self.model(x)


class Rounded(nn.Module):
    """A model that rounds its images, which has no gradient at all."""

    def __init__(self, model, levels=16):
        super().__init__()
        self.model, self.levels = model, levels

    def forward(self, x):
        return self.model((x * self.levels).round() / self.levels)


@pytest.fixture(scope="module")
def linear():
    """Two classes by the sign of a sum, images, labels, and which of them no attack can turn."""
    draws = np.random.default_rng(0)
    weight = torch.from_numpy(draws.normal(size=36)).float()
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([weight, -weight]))
        model[1].bias.copy_(torch.tensor([-weight.sum() / 2, weight.sum() / 2]))
    along = torch.from_numpy(draws.uniform(-0.3, 0.3, (60, 1))).float() * weight.sign()
    noise = torch.from_numpy(draws.uniform(-0.1, 0.1, (60, 36))).float()
    images = (0.5 + along + noise).view(60, 1, 6, 6)
    score = (images.flatten(1) - 0.5) @ weight
    robust = score.abs() > EPS * weight.abs().sum()
    labels = (score < 0).long()
    near = (score.abs() - EPS * weight.abs().sum()).abs() < 1e-3
    assert not near.any() and 5 < robust.sum() < 55
    return model, images, labels, robust.numpy()


def judge(model, case, **more):
    return masking_verdicts(model, case[1], case[2], **SETTINGS, **JUDGED, **more)


def test_a_linear_model_falls_at_once_to_what_can_turn_it_and_hides_nothing(linear):
    model, *_, robust = linear
    found = judge(model, linear, source=model)
    assert found["clean"].all()
    for name in ("few", "many", "transfer", "square"):
        assert (found[name] == robust).all(), name
    assert not found["unbounded"].any()
    table = checks({("linear", 0): pd.DataFrame(found)}, chance=0.5)
    assert table["passed"].all() and table["count"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("wrapped", [Times, Rounded])
def test_a_model_that_hides_its_gradient_is_flagged(linear, wrapped):
    model = linear[0]
    found = judge(wrapped(model), linear, source=model)
    assert found["few"].mean() > 0.9  # it looks robust
    table = checks({("hidden", 0): pd.DataFrame(found)}, chance=0.5).set_index("check")
    assert table.loc["steps", "passed"]  # of no gradient more steps make no more
    assert not table.loc[["transfer", "square"], "passed"].any()
    assert table.loc["unbounded", "after"] > 0.25


def test_arrays_that_cannot_be_written_to_are_judged_too(linear):
    """As those of `bat.load_data` are."""
    model, images, labels, _ = linear
    frozen = [values.numpy().copy() for values in (images, labels)]
    for values in frozen:
        values.setflags(write=False)
    found, expected = judge(model, [model, *frozen]), judge(model, linear)
    assert all((found[name] == expected[name]).all() for name in expected)
    assert evaluate(model, *frozen, {}, batch_size=8, seed=0)["clean"].all()


def test_an_attack_that_has_not_converged_is_flagged(linear):
    """Ten steps of an eightieth of eps cannot cross the ball from most starts; forty can."""
    model, images, labels, robust = linear
    slow = SETTINGS | {"step": 0.00125, "many": 160, "queries": 5}
    found = masking_verdicts(model, images, labels, **slow, **JUDGED)
    assert found["few"].sum() > robust.sum() and (found["many"] == robust).all()
    table = checks({("slow", 0): pd.DataFrame(found)}, chance=0.5).set_index("check")
    assert table["passed"].to_dict() == {"steps": False, "square": True, "unbounded": True}


def test_each_attack_runs_on_what_withstood_those_it_is_compared_with(linear):
    model, images, labels, robust = linear
    seen = {}
    judge(
        model, linear, source=model, progress=lambda name, done, total: seen.update({name: total})
    )
    assert (seen["clean"], seen["few"]) == (60, 60)
    assert {seen[name] for name in ("many", "transfer", "square", "unbounded")} == {robust.sum()}
    without = judge(model, linear)
    assert "transfer" not in without
    # nothing is left to attack
    found = masking_verdicts(model, images, 1 - labels, **SETTINGS, **JUDGED)
    assert not any(values.any() for values in found.values())


def test_transfer_from_the_model_itself_is_pgd_and_from_another_is_weaker(linear):
    model, images, labels, _ = linear
    pgd = {"eps": EPS, "step": 0.025, "steps": 5}
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    attacks = {
        "pgd": PGD(**pgd),
        "itself": Transfer(source=model, **pgd),
        "other": Transfer(source=other, **pgd),
    }
    found = evaluate(model, images, labels, attacks, **JUDGED)
    assert (found["itself"] == found["pgd"]).all()
    assert found["other"].sum() > found["pgd"].sum()
    again = evaluate(model, images, labels, attacks, batch_size=7, seed=0)
    assert all((again[name] == found[name]).all() for name in found)


def test_square_asks_for_so_many_logits_and_leaves_random_numbers_alone(linear):
    class Counted(nn.Module):
        asked = 0

        def forward(self, x):
            Counted.asked += len(x)
            return linear[0](x)

    torch.manual_seed(3)
    before = torch.get_rng_state()
    images, labels = linear[1][:1], linear[2][:1]
    found = evaluate(Counted(), images, labels, {"square": Square(eps=0.001, queries=20)}, **JUDGED)
    assert found["square"].tolist() == [True]
    assert 20 <= Counted.asked <= 40  # and those of the library's own checks
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(AttackError, match="queries is 0"):
        Square(eps=0.1, queries=0)

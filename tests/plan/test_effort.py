"""What a training step costs, against the classes that take it."""

import math

import pytest

from bat.objectives import OBJECTIVES
from bat.plan.effort import PASSES, step_cost


def test_passes_are_those_of_the_objectives():
    found = {name: method.passes for name, method in OBJECTIVES.items()}
    assert found == {name: PASSES.get(name, (0, 1)) for name in OBJECTIVES}


def test_costs_count_every_pass():
    def cost(method, steps):
        return step_cost({"method": method, "steps": steps}, 10)

    assert cost("pgd-at", 10) == cost("bat", 10) == cost("mail-at", 10) == 1
    # 20 for the attack, a clean pass, two passes that are trained on
    assert cost("trades", 10) == pytest.approx((20 + 1 + 6) / 23)
    assert cost("mart", 10) == pytest.approx((20 + 6) / 23)
    assert cost("pgd-at", 7) == pytest.approx(17 / 23)
    awp = {"gamma": 0.005, "warmup": 10}
    assert step_cost({"method": "trades", "steps": 10, "awp": awp}, 10) == pytest.approx(33 / 23)
    nothing = {"method": "trades", "steps": 10, "awp": awp | {"gamma": 0}}
    assert step_cost(nothing, 10) == cost("trades", 10)
    assert step_cost({"method": "erm"}, 10) == pytest.approx(3 / 23)
    moved = {"steps": 10, "awp": {"gamma": 0.01, "warmup": 0}}
    assert step_cost({"method": "pgd-at"} | moved, 10) == pytest.approx((20 + 6) / 23)
    assert step_cost({"method": "trades"} | moved, 10) == pytest.approx((20 + 1 + 12) / 23)
    assert step_cost({"method": "pgd-at"} | moved | {"awp": {"gamma": 0}}, 10) == 1
    assert math.isnan(step_cost({"method": "own", "steps": 10}, 10))

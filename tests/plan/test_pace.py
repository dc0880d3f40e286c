"""Pace: counts that are those of the networks, work that is scaled down and up again."""

from __future__ import annotations

import pytest
import torch

from bat.config import SubsetTraining, Training
from bat.devices import Runtime
from bat.errors import BatError
from bat.models import build_model
from bat.plan.measuring import _fit, measure, seconds_to_start
from bat.plan.pace import Pace, Pass, Step, count, parameter_count

CPU = Runtime(torch.device("cpu"))
ARCHITECTURES = [
    *("small_cnn", "small_cnn-4", "resnet9-16", "resnet18-8", "resnet34-4"),
    *("resnet20", "wrn-10-1", "wrn-16-2"),
]
PGD_AT = tuple(sorted({"eps": 0.1, "step": 0.025, "steps": 10, "mode": "train"}.items()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_operations_are_those_of_the_layers(architecture):
    model = build_model(architecture, n_classes=10, channels=3).eval()
    products = []

    def note(layer, _, out):
        products.append(layer.weight.numel() * (out[0, 0].numel() if out.ndim == 4 else 1))

    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(note)
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    forward, attack, training = (
        count(architecture, 10, (3, 32, 32), kind) for kind in ("forward", "attack", "training")
    )
    assert forward.flops == 2 * sum(products)
    assert attack.flops == 2 * forward.flops  # each layer's gradient by its input
    # by its weights too, and by no image
    assert training.flops == 3 * forward.flops - 2 * products[0]
    assert parameter_count(architecture, 10, 3) == sum(
        v.numel() for v in model.state_dict().values()
    )


def test_bytes_of_the_operations():
    """The head alone: 64 features to 10 classes, read with weights and bias, and written."""
    wide, narrow = (count("small_cnn", n, (1, 8, 8), "forward") for n in (11, 10))
    assert wide.bytes - narrow.bytes == pytest.approx(4 * (1 + 65 / 16), abs=8)
    assert wide.calls == narrow.calls


def test_an_unknown_network_is_named():
    with pytest.raises(BatError, match="'vgg16' is not a known architecture"):
        count("vgg16", 10, (3, 32, 32), "forward")


def test_bfloat16_without_units_is_planned_slow(monkeypatch):
    step = Step("resnet9", "bfloat16", 128, "erm", (), SubsetTraining())
    monkeypatch.setattr("bat.devices.has_bfloat16_units", lambda device: True)
    fast = Pace(CPU, 10, (3, 32, 32))(step)
    monkeypatch.setattr("bat.devices.has_bfloat16_units", lambda device: False)
    pace = Pace(CPU, 10, (3, 32, 32))
    assert pace(step) > 5 * pace(step._replace(precision="float32")) > 5 * fast


def test_work_is_made_smaller_where_it_would_take_longer_than_its_share():
    pace = Pace(CPU, 10, (3, 32, 32))
    work = Step("wrn-28-10", "float32", 128, "pgd-at", PGD_AT, Training())
    whole = pace(work)
    half = _fit(work, pace, 1.5 * whole)
    assert (half.batch, half.steps) == (64, 10)
    few = _fit(work, pace, whole / 50)
    assert (few.batch, few.steps) == (8, 1)
    attack = Pass("resnet18", "float32", 500, 100)
    each = pace(attack)
    assert _fit(attack, pace, 60 * each).batch == 20
    assert _fit(attack, pace, 3000 * each) == attack


def test_smaller_work_is_scaled_to_the_whole(tmp_path, monkeypatch):
    """A clock that the assumptions are exact for finds what was assumed."""
    pace = Pace(CPU, 10, (1, 8, 8))
    asked = [
        Step("small_cnn", "float32", 128, "pgd-at", PGD_AT, Training()),
        Pass("small_cnn", "float32", 500, 20),
        Pass("small_cnn", "float32", 500, 0),
    ]
    assumed = [pace(work) for work in asked]
    runs = []
    monkeypatch.setattr("bat.plan.measuring.seconds_to_start", lambda device: 0.0)
    monkeypatch.setattr("bat.plan.measuring._make", lambda work, *rest: runs.append(work))

    def exact(run, device, share):
        return pace.assume(runs[-1]) * (runs[-1].batch if isinstance(runs[-1], Pass) else 1)

    monkeypatch.setattr("bat.plan.measuring._repeat", exact)
    measure(pace, tmp_path, 0.05, lambda done: None)
    assert runs[0] != asked[0]
    assert [pace(work) for work in asked] == pytest.approx(assumed)


def test_what_a_job_imports_is_measured():
    assert 0.05 < seconds_to_start(CPU) < 300  # of any machine, where nothing was cached too

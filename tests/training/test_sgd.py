"""The optimizer: torch's own, bit for bit, without torch's compiler."""

import subprocess
import sys

import torch

from bat.training.sgd import SGD

SETTINGS = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4, "fused": True}


def test_steps_and_states_are_those_of_torch():
    weights = torch.linspace(-1, 1, 12).reshape(3, 4)
    ours, theirs = (torch.nn.Parameter(weights.clone()) for _ in range(2))
    states = []
    for weight, kind in ((ours, SGD), (theirs, torch.optim.SGD)):
        optimizer = kind([weight], **SETTINGS)
        for step in range(6):
            optimizer.zero_grad()
            (weight.sin().square().sum() * (step + 1)).backward()
            assert optimizer.step() is None and weight.requires_grad
            if step == 2:  # as a training that goes on from its state does
                state = optimizer.state_dict()
                states.append(str(state))
                optimizer = kind([weight], **SETTINGS)
                optimizer.load_state_dict(state)
    assert states[0] == states[1]
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, weights)


def test_trainings_and_attacks_without_a_gpu_do_not_import_the_compiler():
    code = """
import sys
import torch
from bat.attacks import AutoAttack
from bat.training.sgd import SGD

model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
optimizer = SGD(model.parameters(), lr=0.1)
images, labels = torch.rand(4, 1, 2, 2), torch.arange(4) % 3
for _ in range(2):
    optimizer.zero_grad(set_to_none=True)
    model(images).square().sum().backward()
    optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
AutoAttack(eps=0.01)(model, images, labels, torch.arange(4), seed=0, batch_size=4)
print("torch" in sys.modules, "torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr

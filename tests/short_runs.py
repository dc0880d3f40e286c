"""Runs on a few digits that take a second, as the workflow would start them."""

import json

import torch

from bat import config
from bat.devices import Runtime
from bat.plan.runs import all_runs
from bat.plan.specifications import run_specification
from bat.training import train_run

CPU = Runtime(torch.device("cpu"))
EVALUATION = {
    "stage_version": 1,
    "dataset": "digits",
    "attacks": {
        "fgsm": {"eps": 0.1},
        "pgd": {"eps": 0.1, "step": 0.025, "steps": 5, "restarts": 1},
    },
    "batch_size": 64,
    "seed": 0,
    "max_samples": 40,
}


def specification(run="pgd-at", seed=0, **changes):
    """A short run on digits, as the workflow writes it."""
    training = {"epochs": 3, "batch_size": 50, "lr": 0.05, "milestones": [2]}
    raw = {
        "data": {"source": "digits"},
        "architectures": ["small_cnn-4"],
        "adversary": {"eps": 0.1, "step": 0.05, "steps": 2},
        "training": training | {"augmentation": {"crop": 1, "flip": False}},
        "selection": {"validation": 0.2, "steps": 2},
        "history": {"every": 1, "steps": 2},
        "studies": {"training": training},
    }
    raw = config.overlay(raw, changes)
    dataset = config.load_config({"datasets": {"digits": raw}}).datasets["digits"]
    spec = run_specification("digits", dataset, "small_cnn-4", run, all_runs(dataset)[run], seed)
    return json.loads(json.dumps(spec))


def train(out, prepared, spec, inputs, device=CPU):
    train_run(out, prepared, spec, inputs, device=device, command="test", checkpoint_every=0)


def files(out):
    return {name: (out / name).read_bytes() for name in ("history.parquet", "last.pt", "best.pt")}

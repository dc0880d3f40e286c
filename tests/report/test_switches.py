"""What captions say of what runs do beside their method."""

import json

from bat import config
from bat.plan.runs import all_runs
from bat.plan.specifications import run_specification
from bat.report.switches import switch_sentences

RUNS = {
    "a": {
        "method": "pgd-at",
        "awp": {"warmup": 2},
        "averaging": {"kind": "ema", "decay": 0.9},
        "start_from": "erm-all",
        "training": {"label_smoothing": 0.1},
        "samples": {"drop": "atypical"},
    },
    "b": {"method": "pgd-at", "samples": {"drop": {"score": "csl", "top": 0.125}}},
    "c": {"method": "mart", "samples": {"drop": {"score": "confidence", "sigma": 0.4}}},
    "d": {"method": "pgd-at", "samples": "typical"},
    "e": {"method": "pgd-at", "train_on": {"atypical": 0.2}},
    "f": {"method": "trades", "averaging": {"kind": "ema", "decay": 0.9}},
    "g": {"method": "trades"},
}


def specifications() -> dict:
    raw = {"data": {"source": "digits"}, "proxies": {"names": ["csl"]}, "runs": RUNS}
    dataset = config.load_config({"datasets": {"digits": raw}}).datasets["digits"]
    specs = {
        name: run_specification("digits", dataset, "resnet18", name, all_runs(dataset)[name])
        for name in RUNS
    }
    return json.loads(json.dumps(specs))


def test_one_epoch_is_no_epochs():
    late = {"objective": {"awp": {"gamma": 0.01, "warmup": 1}}}
    assert switch_sentences({"a": late}) == [
        "Weights perturbed against the loss (AWP, gamma 0.01) after 1 epoch: a."
    ]


def test_each_way_is_a_sentence_with_those_that_go_it():
    assert switch_sentences(specifications()) == [
        "Moving average of the weights (EMA, decay 0.9) from epoch 1 on: a, f.",
        "Weights perturbed against the loss (AWP, gamma 0.01) after 2 epochs: a.",
        "Labels smoothed by 0.1: a.",
        "Started from the weights of erm-all: a.",
        "Trained without the atypical samples: a.",
        "Trained without the 12.5\u00a0% of highest csl: b.",
        "Trained without the samples of confidence below 0.4: c.",
        "Trained on the typical samples alone: d.",
        "Trained on the typical samples and 20\u00a0% of the atypical ones: e.",
    ]


def test_a_list_is_named_by_its_file(tmp_path):
    spec = specifications()["g"] | {"samples": {"keep": {"file": "/a/b/list.csv", "sha256": "0"}}}
    assert switch_sentences({"g": spec}) == ["Trained on the samples that list.csv lists: g."]

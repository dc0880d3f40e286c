"""Training from a script: the runs' own loop, any network, a file to go on from."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import bat
from bat import config
from bat.data import to_device
from bat.devices import Runtime
from bat.errors import ArtifactError
from bat.objectives import OBJECTIVES
from bat.streams import torch_seed
from bat.training import Training

SHORT = {"epochs": 2, "batch_size": 50, "device": "cpu", "lr": 0.05}
SHORT["augmentation"] = {"crop": 1, "flip": False}


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Flatten())
        self.fc = nn.Linear(36, 10)

    def forward(self, x):
        return self.fc(self.body(x))


def small(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Small()


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_is_the_loop_of_runs_bit_for_bit(few_digits):
    model = bat.build_model("small_cnn-4", few_digits, seed=torch_seed(3, 0, "init"))
    start = weights(model)
    history = bat.train(model, "pgd-at", few_digits, seed=3, **SHORT)
    other = bat.build_model("small_cnn-4", few_digits)
    other.load_state_dict(start)
    settings = {key: value for key, value in SHORT.items() if key != "device"}
    device = Runtime(torch.device("cpu"))
    training = Training(
        device.place(other),
        bat.objectives.PGDAT(),
        to_device(few_digits, "cpu"),
        torch.arange(200),
        config.Optimization(**settings, schedule="cosine", milestones=()),
        seed=3,
        trial=0,
        device=device,
    )
    losses = [training.run_epoch()["loss"] for _ in range(2)]
    assert same(weights(model), weights(other))
    assert history.to_frame()["loss"].tolist() == losses
    assert not model.training


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_every_method_trains_a_network_of_ones_own(few_digits, method):
    scores = {"scores": np.linspace(0, 1, 200), "sigma": 0.5} if method == "bat" else {}
    model = small()
    start = weights(model)
    history = bat.train(model, method, few_digits, **SHORT | {"epochs": 1}, **scores)
    assert np.isfinite(history.rows[0]["loss"])
    assert not same(start, weights(model))


def test_perturbed_weights_go_around_a_method(few_digits, tmp_path):
    """Of BAT, which asks for scores; the file knows the method and its settings inside."""
    out, short = tmp_path / "run.pt", SHORT | {"epochs": 1}
    scores = {"scores": np.linspace(0, 1, 200), "sigma": 0.5}
    objectives, found = bat.objectives, []
    for gamma in (0.0, 0.01):
        model = small()
        bat.train(model, objectives.AWP(objectives.BAT(), gamma), few_digits, **scores, **short)
        found.append(weights(model))
    plain = small()
    bat.train(plain, objectives.BAT(), few_digits, **scores, **short)
    assert same(weights(plain), found[0]) and not same(*found)
    with pytest.raises(bat.BatError, match="bat asks for scores"):
        bat.train(small(), objectives.AWP(objectives.BAT()), few_digits, **short)
    bat.train(small(), objectives.AWP(objectives.TRADES()), few_digits, out=out, **short)
    for other in (objectives.MART(), objectives.TRADES()):
        with pytest.raises(ArtifactError, match="a training with other objective"):
            bat.train(small(), objectives.AWP(other, gamma=0.02), few_digits, out=out, **short)
    with pytest.raises(ArtifactError, match="a training with other objective"):
        bat.train(small(), objectives.AWP(objectives.MART()), few_digits, out=out, **short)


def test_low_confidence_is_bats_atypical_side_and_sigma_the_scores_own(few_digits):
    high = np.random.default_rng(0).random(200)
    found = []
    for scores in ({"scores": high, "sigma": 0.5}, {"scores": 1 - high, "score": "confidence"}):
        model = small()
        bat.train(model, "bat", few_digits, **SHORT | {"epochs": 1}, **scores)
        found.append(weights(model))
    assert same(*found)


def test_recorders_and_a_part_of_the_samples(few_digits):
    class Seen(bat.Recorder):
        def __init__(self):
            self.index = []

        def after_epoch(self, training, statistics):
            self.index.append((training.epoch, len(training.index)))

    seen = Seen()
    bat.train(small(), "erm", few_digits, index=np.arange(0, 200, 2), recorders=[seen], **SHORT)
    assert seen.index == [(1, 100), (2, 100)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective": "pgd"}, "the method 'pgd' is none of erm, pgd-at"),
        ({"objective": "bat"}, "bat asks for scores"),
        ({"scores": np.zeros(3), "sigma": 0.1}, "a finite number for each of the 200"),
        ({"epoch": 3}, "epoch: unknown; did you mean 'epochs'"),
        ({"lr": -1}, "lr: .*greater than 0"),
        ({"objective": "bat", "scores": np.zeros(200), "sigma": float("nan")}, "sigma is nan"),
        ({"objective": nn.CrossEntropyLoss()}, "the objective is CrossEntropyLoss; expected a m"),
        ({"model": "small_cnn-4"}, "the model is 'small_cnn-4'; expected a torch.nn.Module"),
        ({"objective": bat.objectives.TRADES}, "the class TRADES; call it"),
        ({"index": [0, 200]}, r"index is int64 of shape \(2,\); .* in \[0, 200\)"),
        ({"index": [-1]}, r"in \[0, 200\)"),
        ({"index": []}, "one position or more"),
        ({"index": np.arange(200) % 2 == 0}, "of a mask, numpy.flatnonzero"),
    ],
)
def test_what_is_wrong_is_refused_before_training(few_digits, change, words):
    settings = {"model": small(), "objective": "erm", **SHORT} | change
    with pytest.raises(bat.BatError, match=words):
        bat.train(data=few_digits, **settings)


# -- a file to go on from -------------------------------------------------------------------


class Killed(Exception):
    pass


def test_a_training_that_was_stopped_goes_on_bit_for_bit(few_digits, tmp_path):
    whole = bat.build_model("small_cnn-4", few_digits)
    bat.train(whole, "trades", few_digits, **SHORT)
    calls = []

    class Stops(bat.objectives.TRADES):
        def after_step(self, model):
            calls.append(1)
            if len(calls) == 6:
                raise Killed

    Stops.__name__ = "TRADES"
    out, model = tmp_path / "model.pt", bat.build_model("small_cnn-4", few_digits)
    with pytest.raises(Killed):
        bat.train(model, Stops(), few_digits, out=out, keep_every=0, **SHORT)
    again = bat.build_model("small_cnn-4", few_digits, seed=9)
    history = bat.train(again, "trades", few_digits, out=out, **SHORT)
    assert same(weights(again), weights(whole)) and len(history) == 2
    third = bat.build_model("small_cnn-4", few_digits, seed=9)
    assert bat.train(third, "trades", few_digits, out=out, **SHORT).rows == history.rows
    assert same(weights(third), weights(whole))
    loaded = bat.load_model(out, few_digits, device="cpu")
    x = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded(x), whole(x.contiguous(memory_format=torch.channels_last)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective": "erm"}, "other objective"),
        ({"lr": 0.1}, "other training"),
        ({"seed": 1}, "other seed"),
        ({"index": np.arange(100)}, "other samples"),
        ({"model": "small_cnn-8"}, "does not fit this training"),
    ],
)
def test_a_file_of_another_training_is_refused(few_digits, tmp_path, change, words):
    settings = {"objective": "pgd-at", "out": tmp_path / "model.pt", "model": "small_cnn-4"} | SHORT
    settings |= {"epochs": 1}
    for asked in (settings, settings | change):
        model = bat.build_model(asked["model"], few_digits)
        if asked is settings:
            bat.train(data=few_digits, **asked | {"model": model})
        else:
            with pytest.raises(ArtifactError, match=words):
                bat.train(data=few_digits, **asked | {"model": model})


@pytest.mark.parametrize(
    ("key", "words"),
    [("about", "about is"), ("rows", "rows is"), ("statistics", "does not fit this training")],
)
def test_a_state_of_another_form_is_refused_by_its_file(few_digits, tmp_path, key, words):
    path, settings = tmp_path / "model.pt", SHORT | {"epochs": 1}
    bat.train(bat.build_model("small_cnn-4", few_digits), "erm", few_digits, out=path, **settings)
    content = torch.load(path, weights_only=True)
    del content["inputs"], content["digest"]  # what a digest vouches for is of ours
    place = content["training"] if key == "statistics" else content
    place[key] = "something else"
    torch.save(content, path)
    with pytest.raises(ArtifactError, match=f"model.pt: .*{words}"):
        model = bat.build_model("small_cnn-4", few_digits)
        bat.train(model, "erm", few_digits, out=path, **settings)


INTERRUPTED = """
import os, signal, sys
import bat
data = bat.load_data(sys.argv[1])

class Interrupts(bat.objectives.ERM):
    def after_step(self, model):
        os.kill(os.getpid(), signal.SIGINT)

try:
    bat.train(bat.build_model("small_cnn-4", data), Interrupts(), data, out=sys.argv[2], epochs=2,
              device="cpu")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_keeps_the_state(few_digits, tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, few_digits.folder, tmp_path / "model.pt"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "interrupted\n", done.stderr
    assert (tmp_path / "model.pt").exists()


# -- networks -------------------------------------------------------------------------------


TINY = """
from torch import nn

class Tiny(nn.Sequential):
    def __init__(self, n_classes, width=3):
        super().__init__(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, n_classes))
"""


def test_a_network_by_code_is_built_trained_and_loaded(few_digits, tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(TINY)
    code, out = f"{file}:Tiny", tmp_path / "model.pt"
    model = bat.build_model(code, few_digits, settings={"width": 7})
    assert model.features(torch.rand(2, 1, 8, 8)).shape == (2, 7)
    bat.train(model, "erm", few_digits, out=out, **SHORT)
    loaded = bat.load_model(out, few_digits, code, settings={"width": 7}, device="cpu")
    assert same(weights(model), weights(loaded))
    with pytest.raises(ArtifactError, match="does not say of which network it is"):
        bat.load_model(out, few_digits, device="cpu")


def test_what_is_no_network_for_the_data_is_refused(few_digits):
    with pytest.raises(bat.BatError, match="expected logits of shape"):
        bat.build_model(nn.Flatten(), few_digits)
    with pytest.raises(bat.BatError, match="takes no settings"):
        bat.build_model("small_cnn-4", few_digits, settings={"width": 3})
    with pytest.raises(bat.BatError, match="the network is int"):
        bat.build_model(3, few_digits)


def test_ones_own_model_is_attacked_and_left_as_it_was(few_digits):
    model = small().train()
    bat.train(model, "erm", few_digits, **SHORT | {"epochs": 5})
    model.train()
    start = weights(model)
    attack = bat.attacks.PGD(eps=8 / 255, step=2 / 255, steps=5)
    images, labels = few_digits.test_images[:50], few_digits.test_labels[:50]
    found = bat.evaluate(model, images, labels, {"pgd": attack, "fgsm": bat.attacks.fgsm(8 / 255)})
    assert list(found.columns) == ["clean", "pgd", "fgsm"] and len(found) == 50
    assert (found["pgd"] <= found["clean"]).all()
    assert model.training and same(start, weights(model))
    floats = bat.evaluate(model, images / np.float32(255), labels)
    assert (floats["clean"] == found["clean"]).all()

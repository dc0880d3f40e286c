import copy

import numpy as np
import pytest
import torch
from torch import nn

from bat.attacks import PGD, AttackError, AutoAttack, Square, cw, fgsm
from bat.attacks.evaluation import accuracy, correctness, evaluate
from bat.errors import BatError


def make_net(n_classes=3, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * 36, n_classes),
        )
        nn.init.normal_(net[-1].weight, std=0.5)
    return net


def make_data(net, n=40, wrong=6):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 1, 6, 6), dtype=np.uint8)
    with torch.no_grad():
        labels = net.eval()(torch.from_numpy(images) / 255).argmax(dim=1).numpy()
    labels[:wrong] = (labels[:wrong] + 1) % 3
    return images, labels


ATTACKS = {
    "fgsm": fgsm(0.03),
    "pgd": PGD(eps=0.03, step=0.01, steps=5, restarts=2),
    "cw": cw(0.03, 0.01, 5),
    "aa": AutoAttack(eps=0.03, version="aa-fast"),
}


@pytest.fixture(scope="module")
def case():
    net = make_net()
    return net, *make_data(net)


def test_flags(case):
    net, images, labels = case
    net.train()
    net[1].eval()
    flags = evaluate(net, images, labels, ATTACKS, batch_size=16, seed=0)
    assert [m.training for m in net] == [True, False, True, True, True]
    assert list(flags) == ["clean", *ATTACKS]
    assert flags["clean"].tolist() == [False] * 6 + [True] * 34
    for name, robust in flags.items():
        assert robust.shape == (40,) and robust.dtype == bool
        assert not (robust & ~flags["clean"]).any(), name
        assert 0 < robust.sum() < 34 or name == "clean"
    assert not (flags["pgd"] & ~flags["fgsm"]).any()  # stronger here, on a nearly linear net


def test_seed_batch_size_and_type_of_the_images(case):
    net, images, labels = case
    pgd = {"pgd": PGD(eps=0.3, step=0.0, steps=1)}  # only noise
    flags = evaluate(net, images, labels, pgd, batch_size=40, seed=0)
    for batch_size in (1, 7):
        again = evaluate(net, images, labels, pgd, batch_size=batch_size, seed=0)
        assert all(np.array_equal(flags[name], again[name]) for name in flags)
    for same in (
        torch.from_numpy(images),
        torch.from_numpy(images).float() / 255,
        images.astype(np.float32) / 255,
        images.astype(np.float32).astype(np.float64) / 255,
    ):
        again = evaluate(net, same, torch.from_numpy(labels), pgd, batch_size=40, seed=0)
        assert all(np.array_equal(flags[name], again[name]) for name in flags)
    assert 0 < flags["pgd"].sum() < 34
    other = evaluate(net, images, labels, pgd, batch_size=40, seed=1)
    assert not np.array_equal(flags["pgd"], other["pgd"])


def test_a_model_in_float64_gets_images_in_float64(case):
    net, images, labels = case
    flags = evaluate(net, images, labels, {}, batch_size=40, seed=0)
    again = evaluate(copy.deepcopy(net).double(), images / 255, labels, {}, batch_size=40, seed=0)
    assert (flags["clean"] == again["clean"]).mean() > 0.9


def test_random_starts_belong_to_positions_in_the_set(case):
    """Whether other samples are right, and so attacked, does not change a sample's start."""
    net, images, labels = case
    pgd = {"pgd": PGD(eps=0.3, step=0.0, steps=1)}  # only noise
    flags = evaluate(net, images, labels, pgd, batch_size=16, seed=0)
    fewer = labels.copy()
    fewer[6:20] = (fewer[6:20] + 1) % 3
    again = evaluate(net, images, fewer, pgd, batch_size=16, seed=0)
    assert not again["clean"][:20].any()
    assert np.array_equal(again["pgd"][20:], flags["pgd"][20:])


def test_attacks_get_only_samples_that_are_right(case):
    net, images, labels = case

    def attack(model, x, y, index, *, seed, batch_size, progress):
        assert index.tolist() == list(range(6, 40)) and len(x) == len(y) == 40
        progress(34, 34)
        return index % 2 == 0

    seen = []
    flags = evaluate(
        net, images, labels, {"odd": attack}, batch_size=5, seed=0,
        progress=lambda *done: seen.append(done),
    )  # fmt: skip
    assert flags["odd"].tolist() == [i >= 6 and i % 2 == 0 for i in range(40)]
    batches = [("clean", done, 40) for done in range(5, 41, 5)]
    assert seen == [*batches, ("odd", 34, 34)]


def test_a_model_that_is_always_wrong(case):
    net, images, labels = case
    wrong = (labels[6:] + 1) % 3
    flags = evaluate(net, images[6:], wrong, ATTACKS, batch_size=16, seed=0)
    assert list(flags) == ["clean", *ATTACKS]
    assert all(not robust.any() and len(robust) == 34 for robust in flags.values())


def test_accuracy_and_correctness(case):
    net, images, labels = case
    assert accuracy(net, images, labels, batch_size=7) == 34 / 40
    expected = [False] * 6 + [True] * 34
    assert correctness(net, images, labels, batch_size=40).tolist() == expected


def test_float32_products_and_the_callers_settings_back(case):
    net, images, labels = case
    seen = []

    def attack(model, x, y, index, **_):
        seen.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        raise KeyboardInterrupt

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(KeyboardInterrupt):
            evaluate(net, images, labels, {"stop": attack}, batch_size=40, seed=0)
        assert seen == [("highest", False)]
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x[:, 0], y), r"shape \(40, 6, 6\)"),
        (lambda x, y: (x, y[:-1]), r"40 images with labels of shape \(39,\)"),
        (lambda x, y: (x[:0], y[:0]), "no images"),
        (lambda x, y: (x, y + 1), "the model has 3 classes and the data has a label 3"),
        (lambda x, y: (x.astype(np.float32), y), r"values from 0 to 255, expected \[0, 1\]"),
        (lambda x, y: (x.astype(np.int64), y), r"images are torch\.int64"),
        (lambda x, y: (x, y + 0.5), r"labels are torch\.float64 from 0.5"),
        (lambda x, y: (x, y - 1), "labels are .* from -1 to"),
        (lambda x, y: (x / np.float32("nan"), y), "values from nan"),
    ],
)
def test_bad_input_is_refused(case, change, message):
    net, images, labels = case
    images, labels = change(images, labels)
    with pytest.raises(BatError, match=message):
        evaluate(net, images, labels, {}, batch_size=16, seed=0)


class Gives(nn.Module):
    """A model that gives something else than logits."""

    def __init__(self, net, what):
        super().__init__()
        self.net, self.what = net, what

    def forward(self, x):
        return self.what(self.net(x))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda logits: (logits, logits), "the model gives tuple, expected a Tensor of logits"),
        (lambda logits: {"logits": logits}, "the model gives dict, expected a Tensor of logits"),
        (lambda logits: logits.argmax(1), r"gives shape \(16,\) for 16 images, expected logits of"),
        (lambda logits: logits @ torch.ones(7), r"does not take float32 images of shape 1x6x6"),
    ],
)
def test_a_model_of_no_logits_is_refused(case, what, message):
    net, images, labels = case
    with pytest.raises(BatError, match=message):
        evaluate(Gives(net, what), images, labels, {}, batch_size=16, seed=0)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seed": -1}])
def test_settings_out_of_range_are_refused(case, wrong):
    with pytest.raises(BatError, match=f"{next(iter(wrong))} .*expected"):
        evaluate(*case, {}, **({"batch_size": 16, "seed": 0} | wrong))


def test_arrays_of_any_strides_and_precision(case):
    net, images, labels = case
    found = evaluate(net, images, labels, {}, batch_size=16, seed=0)["clean"]
    turned = evaluate(net, images[::-1], labels[::-1], {}, batch_size=16, seed=0)["clean"]
    assert np.array_equal(turned[::-1], found)
    halves = (images / 255).astype(np.float16)
    as_single = evaluate(net, halves.astype(np.float32), labels, {}, batch_size=16, seed=0)
    as_half = evaluate(net, halves, labels, {}, batch_size=16, seed=0)
    assert np.array_equal(as_half["clean"], as_single["clean"])


@pytest.mark.parametrize("eps", [8, -0.1, "8/255", float("nan")])
@pytest.mark.parametrize(
    "attack",
    [
        fgsm,
        lambda eps: cw(eps, 0.1, 1),
        *(lambda eps, a=a: a(eps=eps) for a in (AutoAttack, Square)),
    ],
)
def test_a_radius_off_the_scale_of_pixels_is_refused(attack, eps):
    with pytest.raises(AttackError, match=r"expected a number in \[0, 1\], such as 8/255"):
        attack(eps)


@pytest.mark.parametrize("attacks", [[fgsm(0.1)], {"fgsm": 0.1}])
def test_what_are_no_attacks_is_refused(case, attacks):
    with pytest.raises(BatError, match="expected a mapping of names to attacks"):
        evaluate(*case, attacks, batch_size=16, seed=0)


def test_clean_is_no_name_for_an_attack(case):
    net, images, labels = case
    with pytest.raises(BatError, match="'clean'"):
        evaluate(net, images, labels, {"clean": fgsm(0.1)}, batch_size=16, seed=0)


def test_an_evaluation_sees_clean_images_once_and_a_batch_at_a_time(case):
    """Each attack once had a clean pass of its own, over all images as float."""
    net, images, labels = case
    seen = []
    handle = net.register_forward_pre_hook(
        lambda module, given: seen.append(given[0].detach().clone())
    )
    try:
        attacks = {"one": PGD(eps=0.03, step=0.01, steps=1), "two": fgsm(0.03)}
        evaluate(net, images, labels, attacks, batch_size=8, seed=0)
    finally:
        handle.remove()
    assert max(len(x) for x in seen) == 8
    clean = torch.from_numpy(images) / 255
    shown = sum(int((x[:, None] == clean[None]).flatten(2).all(2).any(1).sum()) for x in seen)
    # one starts from noise; two starts from the 34 images that are right, and judges them after
    assert shown == 40 + 34


def test_logits_that_are_no_numbers_judge_nothing(case):
    net, images, labels = case

    class Broken(nn.Module):
        def forward(self, x):
            logits = net(x)
            return logits + torch.where(torch.arange(len(x)) == 3, torch.nan, 0.0)[:, None]

    with pytest.raises(BatError, match=r"logits for sample 3 are not finite \(1 of 16"):
        evaluate(Broken(), images, labels, {}, batch_size=16, seed=0)


def test_what_progress_raises_ends_an_evaluation_between_batches(case):
    net, images, labels = case
    seen = []

    def stop(name, done, total):
        seen.append((name, done))
        if name == "pgd":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(net, images, labels, ATTACKS, batch_size=20, seed=0, progress=stop)
    names = [name for name, _ in seen]
    assert names.count("clean") == 2 and names[-1] == "pgd" and names.count("pgd") == 1

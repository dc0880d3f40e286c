import itertools
import logging
import sys
import types

import pyautoattack
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bat.attacks import (
    PGD,
    AttackError,
    AutoAttack,
    autoattack_parts,
    check_adversarial,
    cw,
    fgsm,
    linf_attack,
    margins,
    start_noise,
)


def small_net(n_classes=5, channels=3, dtype=torch.float32, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(channels, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, n_classes),
        )
        nn.init.normal_(net[-1].weight, std=3.0)
    return net.to(dtype)


def linear_net(n_classes, shape=(1, 6, 6), dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    n_pixels = shape[0] * shape[1] * shape[2]
    head = nn.Linear(n_pixels, n_classes)
    with torch.no_grad():
        head.weight.copy_(torch.randn(n_classes, n_pixels, generator=generator))
        head.bias.copy_(-head.weight.sum(dim=1) / 2)  # undecided at mid-grey
    return nn.Sequential(nn.Flatten(), head).to(dtype)


def images(n=16, shape=(3, 8, 8), dtype=torch.float32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, *shape, generator=generator, dtype=dtype)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("start", ["zero", "uniform"])
@pytest.mark.parametrize("loss", ["ce", "cw"])
def test_linear_model_is_pushed_to_the_exact_margin(start, loss):
    net = linear_net(2, dtype=torch.float64)
    x = 0.3 + 0.4 * images(shape=(1, 6, 6), dtype=torch.float64)
    y = net(x).argmax(dim=1)
    eps = 0.05
    adversarial = linf_attack(
        net, x, y, eps=eps, step=eps / 4, steps=8, loss=loss, start=start, generator=generator()
    ).x
    slope = (net[1].weight[0] - net[1].weight[1]).abs().sum()
    expected = margins(net(x), y) - eps * slope
    torch.testing.assert_close(margins(net(adversarial), y), expected, rtol=0, atol=1e-12)


def whole(x):
    """The index of every image."""
    return torch.arange(len(x))


def distances(net, x, y):
    """The l_inf distance of a linear model's samples to the next class: margin over slope."""
    with torch.no_grad():
        logits, weight = net(x), net[1].weight
        slopes = (weight[y][:, None] - weight[None]).abs().sum(dim=2)
        to_class = (logits.gather(1, y[:, None]) - logits) / slopes
        return to_class.scatter(1, y[:, None], torch.inf).amin(dim=1)


def wide_gap(values):
    """A threshold in the middle half of the values, as far from any as can be."""
    middle = values.sort().values[len(values) // 4 : -(len(values) // 4)]
    gap = int(middle.diff().argmax())
    return float((middle[gap] + middle[gap + 1]) / 2)


def test_robust_exactly_where_the_linear_margin_says_so():
    net = linear_net(2)
    x = 0.3 + 0.4 * images(n=64, shape=(1, 6, 6))
    y = net(x).argmax(dim=1)
    eps = wide_gap(distances(net, x, y))
    expected = distances(net, x, y) > eps
    assert 15 < int(expected.sum()) < 49
    for attack in (
        fgsm(eps),
        PGD(eps=eps, step=eps / 4, steps=10),
        cw(eps, eps / 4, 10),
    ):
        assert torch.equal(attack(net, x, y, whole(x), seed=0, batch_size=10), expected)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("start", ["zero", "uniform", "gaussian"])
@pytest.mark.parametrize("loss", ["ce", "kl", "cw"])
@pytest.mark.parametrize(
    ("n_classes", "shape"), [(2, (1, 8, 8)), (3, (3, 5, 9)), (10, (3, 16, 16))]
)
def test_stays_in_the_ball_and_in_range(mode, start, loss, n_classes, shape):
    net = small_net(n_classes, shape[0])
    x = images(shape=shape).round(decimals=1)  # with pixels at 0 and 1
    y = torch.arange(len(x)) % n_classes
    adversarial = linf_attack(
        net,
        x,
        y,
        eps=0.1,
        step=0.04,
        steps=4,
        loss=loss,
        start=start,
        generator=generator(),
        mode=mode,
    ).x
    check_adversarial("test", x, adversarial, 0.1)
    assert not adversarial.requires_grad
    if (loss, start) != ("kl", "zero"):  # where the divergence has no slope
        assert float((adversarial - x).abs().max()) == pytest.approx(0.1, abs=1e-6)


def test_fgsm_is_one_signed_step():
    net = small_net().eval()
    x = images(n=64)
    y = net(x).argmax(dim=1)
    probe = x.clone().requires_grad_()
    F.cross_entropy(net(probe), y).backward()
    expected = (x + 0.05 * probe.grad.sign()).clamp(0, 1)
    robust = fgsm(0.05)(net, x, y, whole(x), seed=0, batch_size=64)
    assert torch.equal(robust, net(expected).argmax(dim=1) == y)
    assert 0 < int(robust.sum()) < 64


def slow_attack(net, x, y, start, eps, step, steps, objective):
    """The published kind of loop: everything recomputed, `backward`, a projection by hand."""
    current, kappa = start.clone(), torch.zeros(len(x), dtype=torch.int64)
    for _ in range(steps):
        current = current.detach().requires_grad_()
        for i in range(len(x)):
            kappa[i] += int(net(current)[i].argmax() == y[i])
        objective(net, current).backward()
        current = current.detach() + step * current.grad.sign()
        current = torch.min(torch.max(current, x - eps), x + eps).clamp(0, 1)
    return current, kappa


@pytest.mark.parametrize("loss", ["ce", "kl", "cw"])
def test_equals_a_slow_loop(loss):
    net = small_net(dtype=torch.float64).eval()
    x = images(n=6, dtype=torch.float64)
    y = net(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 5

    def objective(net, current):
        if loss == "ce":
            return F.cross_entropy(net(current), y)
        if loss == "kl":
            p = net(x).softmax(dim=1)
            return (p * (p.log() - net(current).log_softmax(dim=1))).sum()
        total = 0
        for i, z in enumerate(net(current)):
            other = max(z[k] for k in range(5) if k != y[i])
            total = total - torch.relu(z[y[i]] - other + 2.0)
        return total

    start = x + 0.01 * torch.randn(x.shape, generator=generator(3), dtype=torch.float64)
    expected, kappa = slow_attack(net, x, y, start, 0.05, 0.02, 5, objective)
    attacked = linf_attack(
        net,
        x,
        y,
        eps=0.05,
        step=0.02,
        steps=5,
        loss=loss,
        start=start,
        confidence=2.0,
        count_correct=True,
    )
    torch.testing.assert_close(attacked.x, expected, rtol=0, atol=1e-12)
    assert torch.equal(attacked.correct_steps, kappa)
    assert 0 < int(kappa.sum()) < 30


def test_starts():
    x, y = images(n=64), torch.zeros(64, dtype=torch.int64)
    net = small_net()
    idle = {"eps": 0.05, "step": 0.0, "steps": 1}
    uniform = linf_attack(net, x, y, start="uniform", generator=generator(), **idle).x
    # 12,288 pixels: the largest of |U(-eps, eps)| is within 1 % of eps but for 1 in 1e50.
    inner = (x > 0.05) & (x < 0.95)
    assert float((uniform - x)[inner].abs().max()) > 0.0495
    assert torch.equal(linf_attack(net, x, y, start="zero", **idle).x, x)
    gaussian = linf_attack(net, x, y, start="gaussian", generator=generator(), **idle).x
    spread = float((gaussian - x)[inner].std())
    assert spread == pytest.approx(0.001, rel=5 * (2 * int(inner.sum())) ** -0.5)
    again = linf_attack(net, x, y, start="uniform", generator=generator(), **idle).x
    assert torch.equal(uniform, again)


def snapshot(net):
    return (
        [m.training for m in net.modules()],
        [p.requires_grad for p in net.parameters()],
        [None if p.grad is None else p.grad.clone() for p in net.parameters()],
        {name: tensor.clone() for name, tensor in net.state_dict().items()},
    )


def assert_unchanged(net, before):
    after = snapshot(net)
    assert after[:2] == before[:2]
    for old, new in zip(before[2], after[2], strict=True):
        assert (old is None) == (new is None)
        assert old is None or torch.equal(old, new)
    for name, tensor in before[3].items():
        assert torch.equal(tensor, after[3][name]), name


def used_net():
    net = small_net()
    net.train()
    net[1].eval()
    net[0].bias.requires_grad_(False)
    net[5].bias.grad = torch.ones(5)
    return net


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_model_is_left_as_it_was(mode):
    net, x, y = used_net(), images(), torch.arange(16) % 5
    before = snapshot(net)
    linf_attack(net, x, y, eps=0.1, step=0.05, steps=3, generator=generator(), mode=mode)
    assert_unchanged(net, before)
    PGD(eps=0.1, step=0.05, steps=2)(net, x, y, whole(x), seed=0, batch_size=7)
    assert_unchanged(net, before)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_model_is_left_as_it_was_after_an_error(mode):
    class Fails(nn.Module):
        calls = 0

        def forward(self, x):
            Fails.calls += 1
            if Fails.calls == 3:
                raise RuntimeError("out of order")
            return x

    net = nn.Sequential(used_net(), Fails())
    before = snapshot(net)
    with pytest.raises(RuntimeError, match="out of order"):
        linf_attack(
            net, images(), torch.zeros(16).long(), eps=0.1, step=0.1, steps=9, start="zero",
            mode=mode,
        )  # fmt: skip
    assert Fails.calls == 3
    assert_unchanged(net, before)
    assert net[0][1].track_running_stats


def test_running_statistics_follow_only_when_asked():
    x, y = images(), torch.arange(16) % 5
    quiet, loud = small_net(), small_net()
    common = {"eps": 0.1, "step": 0.05, "steps": 3, "mode": "train"}
    one = linf_attack(quiet, x, y, generator=generator(), **common).x
    two = linf_attack(loud, x, y, generator=generator(), update_statistics=True, **common).x
    assert int(quiet[1].num_batches_tracked) == 0
    assert int(loud[1].num_batches_tracked) == 3
    assert torch.equal(one, two)  # batch statistics decide either way


def test_compiled_models_are_restored_too():
    net = used_net()
    compiled = torch.compile(net, backend="eager")
    x, y = images(), torch.arange(16) % 5
    before = snapshot(net)
    common = {"eps": 0.1, "step": 0.05, "steps": 3}
    plain = linf_attack(net, x, y, generator=generator(), **common).x
    assert torch.equal(linf_attack(compiled, x, y, generator=generator(), **common).x, plain)
    assert_unchanged(net, before)


def test_autocast_and_memory_format():
    net = small_net().to(memory_format=torch.channels_last)
    x = images().to(memory_format=torch.channels_last)
    y = torch.arange(16) % 5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        adversarial = linf_attack(net, x, y, eps=0.1, step=0.05, steps=3, generator=generator()).x
    assert adversarial.dtype == torch.float32
    assert adversarial.is_contiguous(memory_format=torch.channels_last)
    check_adversarial("test", x, adversarial, 0.1)
    exact = linf_attack(net, x, y, eps=0.1, step=0.05, steps=3, generator=generator()).x
    assert float((adversarial == exact).float().mean()) > 0.9


def test_the_loop_never_waits_for_the_device():
    net = small_net().to("meta")  # where reading a value is an error
    x = torch.rand(4, 3, 8, 8, device="meta")
    y = torch.zeros(4, dtype=torch.int64, device="meta")
    for loss in ("ce", "kl", "cw"):
        linf_attack(
            net, x, y, eps=0.1, step=0.1, steps=2, loss=loss, start="zero", count_correct=True
        )


def test_margins():
    logits = torch.tensor([[2.0, 5.0, 1.0], [2.0, 5.0, 1.0]])
    assert margins(logits, torch.tensor([1, 2])).tolist() == [3.0, -4.0]


def test_restarts_only_lower_robustness():
    net = small_net().eval()
    x = images(n=48)
    y = net(x).argmax(dim=1)
    attack = {"eps": 0.1, "step": 0.025, "steps": 1}
    results = [
        PGD(restarts=restarts, **attack)(net, x, y, whole(x), seed=0, batch_size=16)
        for restarts in (1, 2, 5)
    ]
    for fewer, more in itertools.pairwise(results):
        assert bool((fewer | ~more).all())
    assert int(results[0].sum()) > int(results[-1].sum()) > 0


def test_random_starts_do_not_depend_on_batches():
    net = small_net().eval()
    x = images(n=20)
    y = net(x).argmax(dim=1)
    attack = PGD(eps=0.03, step=0.01, steps=3, restarts=2)
    robust = attack(net, x, y, whole(x), seed=0, batch_size=20)
    assert 0 < int(robust.sum()) < 20
    assert torch.equal(attack(net, x, y, whole(x), seed=0, batch_size=3), robust)
    half = torch.arange(10, 20)
    assert torch.equal(attack(net, x, y, half, seed=0, batch_size=4), robust[half])
    noise = PGD(eps=0.3, step=0.0, steps=1)
    one, other = (noise(net, x, y, whole(x), seed=seed, batch_size=20) for seed in (0, 1))
    assert not torch.equal(one, other)


def test_start_noise_is_a_function_of_seed_restart_and_index():
    noise = start_noise(torch.tensor([4, 7, 4]), (1, 40, 40), seed=3)
    assert torch.equal(noise[0], noise[2])
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise, start_noise(torch.tensor([4, 7, 4]), (1, 40, 40), 3, restart=1))
    assert not torch.equal(noise, start_noise(torch.tensor([4, 7, 4]), (1, 40, 40), 4))
    assert noise.dtype == torch.float32 and float(noise.min()) >= -1 and float(noise.max()) < 1
    # The mean of 3,200 values from U(-1, 1) has a standard error of (3 * 3200) ** -0.5.
    assert abs(float(noise[:2].mean())) < 5 * 9600**-0.5


def test_progress_ends_at_the_total():
    net = small_net().eval()
    x = images(n=20)
    y = net(x).argmax(dim=1)
    seen = []
    attack = PGD(eps=0.03, step=0.02, steps=2, restarts=3)
    seen_by = {"progress": lambda done, total: seen.append((done, total))}
    attack(net, x, y, whole(x), seed=0, batch_size=6, **seen_by)
    assert {total for _, total in seen} == {60}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (60, 60)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -0.1}, "eps is -0.1"),
        ({"eps": float("nan")}, "eps is nan"),
        ({"step": float("inf")}, "step is inf"),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"loss": "hinge"}, "loss is 'hinge'"),
        ({"start": "normal"}, "start is 'normal'"),
        ({"generator": None}, r"pass a torch\.Generator"),
        ({"mode": "test"}, "mode is 'test'"),
    ],
)
def test_what_makes_no_attack_is_refused(change, message):
    arguments = {"eps": 0.1, "step": 0.1, "steps": 1, "generator": generator()} | change
    with pytest.raises(AttackError, match=message):
        linf_attack(small_net(), images(), torch.zeros(16).long(), **arguments)


def test_specifications_that_make_no_attack_are_refused():
    with pytest.raises(AttackError, match="all the same"):
        PGD(eps=0.1, step=0.1, steps=2, restarts=2, start="zero")
    with pytest.raises(AttackError, match="restarts is 0"):
        PGD(eps=0.1, step=0.1, steps=2, restarts=0)
    with pytest.raises(AttackError, match="version is 'rand'"):
        AutoAttack(eps=0.1, version="rand")


@pytest.mark.parametrize("spoil", [lambda x: x + 0.11, lambda x: x * torch.nan, lambda x: x - 0.05])
def test_results_that_are_no_attack_are_refused(spoil):
    x = images() * 0.5
    x[9, 0, 0, 0] = 0.0
    bad = x.clone()
    bad[9] = spoil(bad[9])
    with pytest.raises(AttackError, match=r"some attack returned an image for sample 109 "):
        check_adversarial("some attack", x, bad, 0.1, torch.arange(100, 116))
    with pytest.raises(AttackError, match="sample 9 "):
        check_adversarial("some attack", x, bad, 0.1)
    check_adversarial("some attack", x, x + 0.1, 0.1)


def test_a_model_with_nan_gradients_is_named():
    class Roots(nn.Module):
        def forward(self, x):
            total = x.sum(dim=(1, 2, 3))[:, None]
            return torch.cat([total, (x * 0.0).sqrt().sum(dim=(1, 2, 3))[:, None]], dim=1)

    x = images(n=4)
    with pytest.raises(AttackError, match=r"PGD-1 returned an image for sample 0 .*gradients"):
        fgsm(0.1)(Roots(), x, torch.zeros(4).long(), whole(x), seed=0, batch_size=4)


# AutoAttack


def by_hand(net, x, y, eps, seed, batch_size, n_targets=None, attacks=None):
    library = pyautoattack.AutoAttack(net, norm="Linf", eps=eps, seed=seed, device="cpu")
    library.attacks_to_run = attacks or library.attacks_to_run
    if n_targets is not None:
        library.apgd_targeted.n_target_classes = n_targets
        library.fab.n_target_classes = n_targets
    adversarial, predicted = library.run_standard_evaluation(x, y, batch_size=batch_size)
    return adversarial, predicted == y


@pytest.mark.parametrize("version", ["standard", "aa-fast"])
def test_autoattack_equals_the_library_by_hand(version, capfd):
    net = small_net(6, 1).eval()
    x = images(n=12, shape=(1, 8, 8))
    y = net(x).argmax(dim=1)
    y[3] = (y[3] + 1) % 6
    used = small_net(6, 1)
    used.load_state_dict(net.state_dict())
    used.train()
    before, state = snapshot(used), torch.get_rng_state()
    seen = []
    result = AutoAttack(eps=0.12, version=version)(
        *(used, x, y, whole(x)),
        seed=5,
        batch_size=8,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert capfd.readouterr() == ("", "")
    assert_unchanged(used, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert {total for _, total in seen} == {48 if version == "standard" else 24}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]

    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    fast = ["apgd-ce", "apgd-t"] if version == "aa-fast" else None
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    _, robust = by_hand(net, x, y, 0.12, 5, 8, n_targets=5, attacks=fast)
    assert torch.equal(result, robust)
    assert 0 < int(robust.sum()) < 11
    assert not bool(robust[3])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_autoattack_with_few_classes(n_classes, capfd):
    net = linear_net(n_classes, shape=(3, 4, 6))
    x = 0.3 + 0.4 * images(n=16, shape=(3, 4, 6))
    y = net(x).argmax(dim=1)
    eps = wide_gap(distances(net, x, y))
    robust = AutoAttack(eps=eps)(net, x, y, whole(x), seed=0, batch_size=16)
    assert torch.equal(robust, distances(net, x, y) > eps)
    fast = AutoAttack(eps=eps, version="aa-fast")(net, x, y, whole(x), seed=0, batch_size=16)
    assert torch.equal(fast, robust)
    assert capfd.readouterr() == ("", "")


def test_parts_by_number_of_classes():
    assert autoattack_parts("standard", 4) == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert autoattack_parts("standard", 3) == ["apgd-ce", "fab-t", "square"]
    assert autoattack_parts("aa-fast", 10) == ["apgd-ce", "apgd-t"]
    assert autoattack_parts("aa-fast", 2) == ["apgd-ce", "fab-t"]


def test_the_librarys_warnings_are_ours(caplog):
    class Softmax(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = linear_net(3)

        def forward(self, x):
            return self.net(x).softmax(dim=1)

    x = images(n=4, shape=(1, 6, 6))
    net = Softmax()
    y = net(x).argmax(dim=1)
    AutoAttack(eps=0.5, version="aa-fast")(net, x, y, whole(x), seed=0, batch_size=4)
    assert "probability distribution" in caplog.text
    assert caplog.records[0].name == "bat.attacks.autoattack"


def test_the_authors_package_is_taken_where_it_is(monkeypatch, capfd):
    """Its interface over the repackaged code: other names, and it prints."""
    calls = []

    class Official:
        def __init__(self, model, norm="Linf", eps=0.3, seed=None, verbose=True,
                     attacks_to_run=(), version="standard", is_tf_model=False, device="cuda",
                     log_path=None):  # fmt: skip
            self.inner = pyautoattack.AutoAttack(
                model, norm=norm, eps=eps, seed=seed, device=device
            )
            self.apgd_targeted, self.fab = self.inner.apgd_targeted, self.inner.fab
            print(f"setting parameters for {version} version")

        def run_standard_evaluation(self, x_orig, y_orig, bs=250, return_labels=False):
            calls.append((self.attacks_to_run, bs))
            self.inner.attacks_to_run = self.attacks_to_run
            result = self.inner.run_standard_evaluation(x_orig, y_orig, batch_size=bs)
            print("apgd-ce - 1/1 - 2 out of 6 successfully perturbed")
            return result if return_labels else result[0]

    module = types.ModuleType("autoattack")
    module.AutoAttack = Official
    module.__spec__ = types.SimpleNamespace(name="autoattack")
    net, x = linear_net(2), images(n=6, shape=(1, 6, 6))
    y = net(x).argmax(dim=1)
    attack = AutoAttack(eps=0.02, version="aa-fast")
    expected = attack(net, x, y, whole(x), seed=0, batch_size=6)
    monkeypatch.setitem(sys.modules, "autoattack", module)
    seen = []
    result = attack(
        *(net, x, y, whole(x)),
        seed=0,
        batch_size=6,
        progress=lambda *done: (print("here"), seen.append(done)),
    )
    assert calls == [(["apgd-ce", "fab-t"], 6)]
    assert torch.equal(result, expected)
    assert seen[-1] == (6, 12)
    assert set(capfd.readouterr().out.split()) == {"here"}


@pytest.mark.parametrize("tracked", [True, False])
def test_a_model_without_a_gradient_by_its_images_is_refused(tracked):
    """Its images could not be moved."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    offset = torch.zeros(3, requires_grad=tracked)

    class Cut(nn.Module):
        def forward(self, x):
            return net(x.detach()) + offset

    settings = {"eps": 0.1, "step": 0.1, "steps": 1, "start": "zero"}
    images = torch.rand(2, 3, 2, 2)
    with pytest.raises(AttackError, match="no gradient by its images"):
        linf_attack(Cut(), images, torch.tensor([0, 1]), **settings)

"""Networks of somebody's own: called by their signature, tried on zeros, their features found."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bat import extensions
from bat.errors import BatError
from bat.models import build_for

INFO = {"class_names": list("abcde"), "shape": [1, 8, 8], "mean": [0.5], "std": [0.2]}
NETS = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, n_classes, channels, image_size, width=4):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3)
        self.squeeze = nn.Linear(width * (image_size - 2) ** 2, 6)
        self.fc = nn.Linear(6, n_classes)

    def forward(self, x):
        return self.fc(self.squeeze(self.conv(x).flatten(1)).relu())


class Scaled(Tiny):
    def forward(self, x):
        return 2 * super().forward(x)


class Methods(Tiny):
    def features(self, x):
        return self.squeeze(self.conv(x).flatten(1)).relu()

    def logits(self, features):
        return 2 * self.fc(features)

    def forward(self, x):
        return self.logits(self.features(x))


class Convolutional(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Conv2d(1, 4, 3)
        self.fc = nn.Conv2d(4, num_classes, 6)

    def forward(self, x):
        return self.fc(self.body(x)).flatten(1)


def number(n_classes): return 3
def three(n_classes): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
def colour(n_classes): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())


class Infinite(Tiny):
    def forward(self, x):
        return super().forward(x) / 0


class Masked(Tiny):
    def __init__(self, n_classes, channels, image_size, kept=True):
        super().__init__(n_classes, channels, image_size)
        self.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1), persistent=kept)
"""


@pytest.fixture
def build(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)

    def build(name, head=None, seed=0, **settings):
        code = extensions.record(
            f"{tmp_path / 'nets.py'}:{name}", settings, extensions.NETWORK_GIVEN
        )
        return build_for("mine", INFO, network=code | {"head": head}, seed=seed)

    return build


def images(n=5):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_network_is_used_as_a_built_in_is(build):
    model, x = build("Tiny", width=3), images()
    assert model.training
    assert model.network.conv.out_channels == 3
    assert torch.equal(model(x), model.network(x))  # in [0, 1], as they are
    features = model.features(x)
    assert features.shape == (5, 6)
    assert torch.equal(model.logits(features), model(x))
    gradient = torch.autograd.grad(
        F.cross_entropy(model.logits(features), torch.arange(5)), [model.network.conv.weight]
    )
    assert gradient[0].abs().sum() > 0
    assert not model.network.fc._forward_pre_hooks  # nothing is left behind
    names = ["conv.weight", "conv.bias", "squeeze.weight", "squeeze.bias", "fc.weight", "fc.bias"]
    assert list(model.state_dict()) == names
    other = build("Tiny", seed=1, width=3)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))


def test_parameters_follow_the_seed_and_leave_the_generator_alone(build):
    before = torch.random.get_rng_state()
    first, again, other = (build("Tiny", seed=s).state_dict()["fc.weight"] for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_features_that_are_named_or_given(build):
    x = images()
    named, given = build("Convolutional"), build("Methods")
    assert torch.equal(given.logits(given.features(x)), given(x))
    with pytest.raises(BatError, match=r"no linear layer gives its logits.*head: fc.*features\(x"):
        named.features(x)
    assert named(x).shape == (5, 5)  # which is all that most methods need
    with pytest.raises(BatError, match=r"no linear layer gives its logits"):
        build("Scaled").features(x)
    with pytest.raises(BatError, match="its logits are not what its head fc gives"):
        build("Scaled", head="fc").features(x)
    with pytest.raises(BatError, match=r"has no module 'head', its head; it has \['conv', "):
        build("Tiny", head="head")
    model = build("Tiny", head="fc")
    assert torch.equal(model.logits(model.features(x)), model(x))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("number", "gives int, expected a torch.nn.Module"),
        ("three", r"gives shape \(2, 3\) for 2 images, expected logits of shape \(2, 5\)"),
        ("colour", r"does not take images of shape 1x8x8 \(channels x height x width\).*3 channel"),
        ("Infinite", "gives logits that are not finite for an image of zeros"),
        ("Masked", "mask holds values that are not finite, .* with persistent=False"),
    ],
)
def test_what_is_no_classifier_of_the_data_is_refused(build, name, words):
    with pytest.raises(BatError, match=rf"(?s)nets.py:{name}: {words}"):
        build(name)


def test_a_constant_that_is_no_weight_may_be_infinite(build):
    model = build("Masked", kept=False)
    assert not model.network.mask.isfinite().all() and model(images()).isfinite().all()


def test_torchvision(build):
    info = INFO | {"shape": [3, 16, 16]}
    code = extensions.record("torchvision.models:resnet18", {}, ("num_classes",), ("num_classes",))
    model = build_for("tv", info, network=code, seed=0)
    x = torch.rand(2, 3, 16, 16)
    model.eval()
    assert model.head_name == "fc"
    assert torch.equal(model.logits(model.features(x)), model(x))


def test_normalization_of_others_models(build):
    model = build("Tiny")
    plain = copy.deepcopy(model)
    model.set_normalization([0.5], [0.25])
    x = images()
    assert torch.equal(model(x), plain((x - 0.5) / 0.25))


def test_outputs_of_training_mode_are_logits_too(build):
    model = build("Tiny")
    model.network.fc = nn.Identity()
    model.network.forward = lambda x: (x, x)
    with pytest.raises(BatError, match="returned tuple, expected logits"):
        model(images())

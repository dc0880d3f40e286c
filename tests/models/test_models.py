"""Architectures: shapes, sizes, seeds, and the names that published weights carry."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from samples import pets, write_pets

from bat import config, data
from bat.config import smallest_edge
from bat.devices import runtime
from bat.errors import BatError
from bat.models import build_model, require_size
from bat.plan.specifications import trial_recipe
from bat.training import trials

SMALL = ["small_cnn", "small_cnn-5", "resnet9", "resnet9-8", "resnet18-8", "resnet34-4", "resnet20"]
SMALL += ["resnet32", "resnet44", "resnet56", "resnet110", "wrn-10-1", "wrn-16-2", "wrn-28-1"]
LARGE = ["resnet18", "resnet34", "wrn-28-10"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", SMALL + LARGE)
def test_every_architecture_at_every_size(architecture, channels):
    model = build_model(architecture, n_classes=7, channels=channels, seed=0).eval()
    sizes = (8,) if architecture in LARGE else (8, 28, 32, 64)
    for size in sizes:
        x = torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(size))
        with torch.no_grad():
            features, output = model.features(x), model(x)
            assert torch.equal(model.logits(features), output)
        assert features.ndim == 2
        assert output.shape == (2, 7)
        assert output.isfinite().all()
        assert not torch.equal(output[0], output[1])


def test_every_family_is_built_and_tested():
    for family in config.families():
        assert any(re.fullmatch(family.names, name) for name in SMALL + LARGE), family
    with pytest.raises(BatError, match="'vgg16' is not a known architecture"):
        build_model("vgg16", n_classes=10)


LINEAR = """
from torch import nn

from bat.models.classifier import Classifier

FAMILY = {"names": r"linear(?P<width>\\d+)", "written": "linearWIDTH", "smallest_edge": 6}


class Linear(Classifier):
    def __init__(self, n_classes, channels, width):
        super().__init__()
        self.head = nn.Linear(channels * width, n_classes)

    def embed(self, x):
        return x.flatten(1)[:, : self.head.in_features]


build = Linear
"""


def test_one_file_adds_an_architecture(repository, tmp_path):
    shutil.copytree(repository / "bat", tmp_path / "bat")
    (tmp_path / "bat" / "models" / "families" / "linear.py").write_text(LINEAR)
    code = """
import sys
from bat.config import Scores, load_config, smallest_edge
assert Scores(architecture="linear5").architecture == "linear5" and smallest_edge("linear5") == 6
assert "torch" not in sys.modules
from bat.models import build_model
print(build_model("linear5", n_classes=3, channels=1).head)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout == "Linear(in_features=5, out_features=3, bias=True)\n", done.stderr


def count(architecture: str, **settings) -> int:
    model = build_model(architecture, n_classes=10, **settings)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("architecture", "n_parameters"),
    [  # kuangliu/pytorch-cifar; He et al. (2016), table 6; Zagoruyko and Komodakis (2016), table 4
        ("resnet18", 11_173_962),
        ("resnet34", 21_282_122),
        ("wrn-28-10", 36_479_194),
    ],
)
def test_numbers_of_parameters(architecture, n_parameters):
    assert count(architecture) == n_parameters


def test_the_three_stage_family_is_of_the_published_size():
    for architecture, millions in (("resnet20", 0.27), ("resnet56", 0.85), ("resnet110", 1.7)):
        assert count(architecture) / 1e6 == pytest.approx(millions, rel=0.03)


def test_a_channel_less_changes_the_first_convolution_only():
    assert count("resnet18") - count("resnet18", channels=1) == 2 * 9 * 64


# -- seeds ----------------------------------------------------------------------------------


def test_parameters_follow_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, again, other = (build_model("small_cnn", n_classes=3, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.head.weight, other.head.weight)


# -- normalization --------------------------------------------------------------------------


def test_normalization_is_inside_the_model_and_not_in_its_state():
    statistics = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}
    plain = build_model("wrn-10-1", n_classes=3, seed=0).eval()
    inside = build_model("wrn-10-1", n_classes=3, seed=0, **statistics).eval()
    assert not {"mean", "std"} & set(inside.state_dict())
    assert plain.state_dict().keys() == inside.state_dict().keys()
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in statistics.values())
    assert torch.equal(inside(x), plain((x - mean) / std))
    assert not torch.allclose(inside(x), plain(x))


# -- names ----------------------------------------------------------------------------------


def test_wide_resnet_carries_the_names_of_published_weights():
    """The state of a WRN-28-10 as TRADES, MART and RobustBench save it."""
    expected = {"conv1.weight", "fc.weight", "fc.bias"}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected |= {f"bn1.{name}" for name in norm}
    for block in ("block1", "block2", "block3"):
        expected.add(f"{block}.layer.0.convShortcut.weight")
        for layer in range(4):
            prefix = f"{block}.layer.{layer}"
            expected |= {f"{prefix}.conv{i}.weight" for i in (1, 2)}
            expected |= {f"{prefix}.bn{i}.{name}" for i in (1, 2) for name in norm}
    assert set(build_model("wrn-28-10", n_classes=10).state_dict()) == expected


def test_resnet18_carries_the_names_of_published_weights():
    names = set(build_model("resnet18", n_classes=10).state_dict())
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv1.weight",
        "layer2.0.shortcut.0.weight",
        "layer4.1.bn2.bias",
        "linear.weight",
    } <= names
    assert "layer1.0.shortcut.0.weight" not in names


@pytest.mark.parametrize("architecture", ["small_cnn-2", "resnet9-2", "resnet18-2", "wrn-10-1"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 9), (4, 4), (7, 8), (8, 8)])
def test_images_too_small_for_a_network_are_refused_by_name(architecture, shape):
    """What is let through can be trained on, what is refused cannot."""
    model = build_model(architecture, n_classes=2, channels=1, seed=0).eval()
    images = torch.zeros(2, 1, *shape)
    if min(shape) >= smallest_edge(architecture):
        require_size(architecture, (1, *shape))
        assert model(images).shape == (2, 2)
    else:
        with pytest.raises(BatError, match=f"{shape[1]} x {shape[0]} pixels .* {architecture}"):
            require_size(architecture, (1, *shape))
        with pytest.raises(RuntimeError):
            model(images)


def test_images_too_small_are_refused_before_anything_is_trained(tmp_path):
    data.prepare(pets(write_pets(tmp_path / "pets")), tmp_path / "data", workers=1)
    prepared = data.load(tmp_path / "data")
    recipe = trial_recipe("resnet9-2", config.Scores())
    with (
        runtime("cpu") as device,
        pytest.raises(BatError, match=r"6 x 6 pixels .* resnet9-2, which needs 8 x 8"),
    ):
        trials.run_shard(
            tmp_path / "resnet9-2-000000-000001.parquet",
            prepared,
            recipe,
            *(0, 1, 0),
            device=device,
            command="a test",
        )

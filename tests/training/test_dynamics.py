"""The recorder sees what the definitions say, and leaves a training as it is."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bat import config
from bat.data import DeviceData
from bat.devices import Runtime
from bat.errors import BatError
from bat.models import build_model
from bat.objectives import ERM
from bat.scores.proxies import OBSERVATIONS, needed
from bat.training import Training
from bat.training.dynamics import Dynamics
from bat.training.observing import DRAWS, STEP

N = 30


@pytest.fixture
def images():
    return torch.randint(0, 256, (N, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture
def labels():
    return torch.arange(N) % 3


@pytest.fixture
def model():
    return build_model("small_cnn-4", n_classes=3, channels=1, mean=[0.5], std=[0.3], seed=1)


def one_by_one(model, image, label):
    """Loss, margin, error and the gradients of one sample, straight from the definitions."""
    model.eval()
    x = (image.float() / 255)[None].requires_grad_()
    logits = model(x)[0]
    loss = functional.cross_entropy(logits[None], label[None])
    by_input = torch.autograd.grad(loss, x, retain_graph=True)[0]
    by_weights = torch.autograd.grad(loss, list(model.parameters()))
    others = [float(z) for k, z in enumerate(logits.detach()) if k != label]
    error = logits.softmax(0).detach()
    error[label] -= 1
    return {
        "loss": float(loss.detach()),
        "margin": float(logits[label].detach()) - max(others),
        "error": float((error**2).sum().sqrt()),
        "input_gradient": float((by_input**2).sum().sqrt()),
        "weight_gradient": float(sum((g**2).sum() for g in by_weights).sqrt()),
    }


def test_observations_are_those_of_each_sample_alone(model, images, labels):
    recorder = Dynamics(N, observe=OBSERVATIONS)
    recorder.look(model, images, labels, batch_size=7)
    course = recorder.course()
    assert set(course) == set(OBSERVATIONS)
    for i in range(N):
        for name, value in one_by_one(model, images[i], labels[i]).items():
            assert course[name][0, i] == pytest.approx(value, rel=2e-4, abs=1e-5), name


def test_curvature_is_that_of_a_quadratic(labels):
    """Of a loss with a constant Hessian H the change of the gradient is h H v."""

    class Softplus(nn.Module):
        """Two classes and one pixel: the loss is log(1 + exp(-+ x)), of curvature 1/4 at 0."""

        def forward(self, x):
            pixel = x.flatten(1)
            return torch.cat([pixel, torch.zeros_like(pixel)], dim=1)

    recorder = Dynamics(4, observe=["curvature"])
    pixels = torch.zeros(4, 1, 1, 1)
    recorder.look(Softplus(), pixels, torch.tensor([0, 1, 0, 1]))
    np.testing.assert_allclose(recorder.course()["curvature"], STEP / 4, rtol=1e-2)
    assert DRAWS == 10


def train(model, images, labels, recorder=None, epochs=3):
    data = DeviceData(images, labels, images, labels)
    recipe = config.SubsetTraining(epochs=epochs, batch_size=8, lr=0.1)
    device = Runtime(torch.device("cpu"))
    training = Training(
        model,
        ERM(),
        data,
        torch.arange(N),
        recipe,
        seed=0,
        trial=0,
        device=device,
        recorders=[recorder] if recorder else [],
    )
    for _ in range(epochs):
        training.run_epoch()
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_training_with_the_recorder_ends_in_the_same_weights(images, labels):
    def fresh():
        return build_model("small_cnn-4", n_classes=3, channels=1, mean=[0.5], std=[0.3], seed=1)

    alone = train(fresh(), images, labels)
    recorder = Dynamics(N, observe=OBSERVATIONS)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    watched = train(fresh(), images, labels, recorder)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(alone[name], watched[name]) for name in alone)
    assert recorder.course()["loss"].shape == (3, N)
    assert np.isfinite(recorder.scores()["grand"]).all()


def test_a_recorder_goes_on_where_it_was(model, images, labels):
    whole, first, second = (Dynamics(N, observe=["loss", "curvature"]) for _ in range(3))
    for recorder in (whole, first):
        recorder.look(model, images, labels)
    second.load_state_dict(first.state_dict())
    for recorder in (whole, second):
        recorder.look(model, images, labels)
    for name, values in whole.course().items():
        np.testing.assert_array_equal(second.course()[name], values)


def test_a_state_of_other_samples_is_refused(model, images, labels):
    recorder = Dynamics(N)
    recorder.look(model, images, labels)
    with pytest.raises(BatError, match=f"the state is of {N} samples, and this recorder of 31"):
        Dynamics(31).load_state_dict(recorder.state_dict())


def test_a_look_leaves_frozen_layers_frozen(model, images, labels):
    """A network that is fine-tuned, with batch statistics that stay: the modes of its parts."""
    model.train()
    for i, module in enumerate(model.modules()):
        module.training = i % 3 > 0
    for i, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(i % 2 > 0)
    before = [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]
    assert len(set(before[0])) == len(set(before[1])) == 2
    Dynamics(N, observe=OBSERVATIONS).look(model, images, labels)
    after = [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]
    assert after == before


@pytest.mark.parametrize("wrapped", [nn.DataParallel, torch.inference_mode(), torch.no_grad()])
def test_looks_are_the_same_wherever_they_are_taken(wrapped, model, images, labels):
    alone, other = Dynamics(N, observe=OBSERVATIONS), Dynamics(N, observe=OBSERVATIONS)
    alone.look(model, images, labels)
    if wrapped is nn.DataParallel:
        other.look(wrapped(model), images, labels)
    else:
        with wrapped:
            other.look(model, images, labels)
    for name, values in alone.course().items():
        np.testing.assert_allclose(other.course()[name], values, rtol=1e-5, err_msg=name)


def test_a_sample_that_comes_less_often_has_no_last_epochs():
    recorder, labels = Dynamics(3), torch.tensor([0, 1])
    recorder.step([0, 1], torch.zeros(2, 2), labels)
    recorder.step([0, 2], torch.zeros(2, 2), labels)
    assert np.isnan(recorder.scores()["csl"]).tolist() == [False, True, True]
    assert not np.isnan(recorder.scores()["el2n"]).any()


def test_batches_in_any_order_make_the_epochs(model, images, labels):
    model.eval()
    with torch.no_grad():
        logits = model(images.float() / 255)
    at_once, by_batches = Dynamics(N), Dynamics(N)
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 2.0):
        at_once.step(torch.arange(N), scale * logits, labels)
        for index in torch.randperm(N, generator=generator).split(7):
            by_batches.step(index, scale * logits[index], labels[index])
    for name, values in at_once.course().items():
        np.testing.assert_allclose(by_batches.course()[name], values, rtol=1e-6)


@pytest.mark.parametrize(
    ("index", "message"),
    [([0, 0], "positions twice"), ([0, 9], r"holds \[9\]"), ([0], r"index has shape \(1,\)")],
)
def test_wrong_batches_are_refused(index, message):
    with pytest.raises(BatError, match=message):
        Dynamics(3).step(torch.tensor(index), torch.zeros(2, 4), torch.zeros(2, dtype=int))


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.int64])
def test_indices_and_labels_are_of_any_integer_type(kind):
    logits, at = torch.tensor([[2.0, 0.0], [1.0, 0.0]]), np.arange(2)
    wide, other = Dynamics(2), Dynamics(2)
    wide.step(torch.arange(2), logits, torch.tensor([0, 1]))
    other.step(at.astype(kind), logits.bfloat16(), at.astype(kind))
    np.testing.assert_array_equal(other.scores()["csl"], wide.scores()["csl"])


@pytest.mark.parametrize(
    ("index", "logits", "labels", "message"),
    [
        ([0.0, 1.0], [[0.0, 1.0]] * 2, [0, 1], "index is torch.float32; expected integers"),
        ([0, 1], [[0.0, 1.0]] * 2, [0.0, 1.0], "labels is torch.float32; expected integers"),
        ([0, 1], [[0.0, 1.0]] * 2, [0, 2], r"labels hold \[2\] and logits are of 2 classes"),
        ([0, 1], [[0.0, 1.0]] * 2, [-100, 1], r"labels hold \[-100\]"),
        ([0, 1], [[0.0]] * 2, [0, 0], "expected two classes or more"),
        ([1, 0], [[0.0, 1.0], [np.nan, 0.0]], [0, 0], "the loss of sample 0 in epoch 1 is nan"),
        ([1, 0], [[np.inf, 1.0], [0.0, 0.0]], [1, 0], "the loss of sample 1 in epoch 1 is nan"),
    ],
)
def test_values_of_no_score_are_refused(index, logits, labels, message):
    with pytest.raises(BatError, match=message):
        Dynamics(2).step(torch.tensor(index), torch.tensor(logits), torch.tensor(labels))


def test_a_batch_of_nothing_changes_nothing():
    recorder = Dynamics(2)
    recorder.step(np.empty(0, int), np.empty((0, 3)), np.empty(0, int))
    assert recorder.course() == {} == recorder.scores()


def test_arrays_are_looked_at_as_tensors_are(model, images, labels):
    tensors, arrays = Dynamics(N), Dynamics(N)
    tensors.look(model, images, labels)
    frozen = images.numpy()
    frozen.flags.writeable = False
    arrays.look(model, frozen, labels.numpy().astype(np.int32))
    np.testing.assert_array_equal(arrays.scores()["csl"], tensors.scores()["csl"])


@pytest.mark.parametrize("n", [0, -1, 4.0, "4"])
def test_a_number_of_samples_is_asked_for(n):
    with pytest.raises(BatError, match="expected the number of training samples"):
        Dynamics(n)


def test_all_samples_are_looked_at_or_none(model, images, labels):
    for n_images, n_labels in ((N - 1, N - 1), (N + 1, N + 1), (N, N - 1)):
        x, y = (torch.cat([v, v])[:n] for v, n in ((images, n_images), (labels, n_labels)))
        with pytest.raises(BatError, match=f"expected all {N} samples, and a label for each"):
            Dynamics(N).look(model, x, y)


def test_what_cannot_be_observed_is_refused_by_name():
    with pytest.raises(BatError, match=r"\['luck'\] are no observations: loss"):
        Dynamics(3, observe=["luck"])


def test_only_what_is_needed_is_observed():
    assert needed(["csl", "aum", "last_loss"]) == ("loss", "margin")
    assert needed(["curvature"]) == ("curvature",)

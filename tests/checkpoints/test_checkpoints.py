"""Checkpoints of anyone's making: what fits is read as it is meant, what does not is named."""

import argparse
import datetime
import logging
import os
import pathlib
import types
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from bat import files
from bat.checkpoints import load_model
from bat.checkpoints.formats import read_checkpoint
from bat.devices import Runtime
from bat.errors import ArtifactError
from bat.models import build_model
from bat.progress import log
from bat.training import evaluate_checkpoint

CPU = Runtime(torch.device("cpu"))
ARCHITECTURE = "small_cnn-4"
OURS = {"format_version": 1, "architecture": ARCHITECTURE, "digest": "", "identity": {}}


@pytest.fixture(autouse=True)
def told(caplog, monkeypatch):
    """What was logged."""
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO, "bat")
    return caplog


def network(seed=0, architecture=ARCHITECTURE):
    return build_model(architecture, n_classes=10, channels=1, seed=seed)


def weights(seed=0, architecture=ARCHITECTURE):
    return network(seed, architecture).state_dict()


def below(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


def load(content, prepared, folder, *, architecture=ARCHITECTURE, normalize=False, key=None):
    path = folder / "model.pt"
    torch.save(content, path)
    return load_model(path, architecture, prepared, CPU, normalize=normalize, key=key)


def refused(content, prepared, folder, *words, **options):
    with pytest.raises(ArtifactError) as caught:
        load(content, prepared, folder, **options)
    message = str(caught.value)
    for word in (str(folder / "model.pt"), *words):
        assert word in message, message
    assert message.isprintable()
    assert "run the command again that made it" not in message
    assert "weights_only" not in message


def same(model, state):
    found = model.state_dict()
    return all(torch.equal(found[n], v) for n, v in state.items() if "num_batches" not in n)


# -- where the weights are ------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        *(
            lambda s, p=prefix: below(p, s)
            for prefix in ("", "module.", "_orig_mod.module.", "module._orig_mod.", "model.module.")
        ),
        lambda s: below("net.module.backbone._orig_mod.", s),
        *(
            lambda s, k=key: {k: s, "epoch": 3, "best": 0.5, "args": {"lr": 0.1}}
            for key in ("model", "state_dict", "net", "model_state_dict", "ema", "weights")
        ),
        lambda s: {"checkpoint": {"generator": [{"params": below("module.", s)}]}},
        lambda s: {k.replace("body.0.", "body.0._orig_mod."): v for k, v in s.items()},
        lambda s: {"n_averaged": torch.tensor(7), **below("module.", s)},
        lambda s: s | {"total_ops": torch.zeros(1), "body.total_params": torch.zeros(1)},
        lambda s: {k: v for k, v in s.items() if "num_batches_tracked" not in k},
        lambda s: {k: v.double() for k, v in s.items()},
        lambda s: {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in s.items()},
        lambda s: {"a": s, "b": {k: v.clone() for k, v in s.items()}},
        lambda s: below("module.model.", s) | below("module.attacker.model.", s),
        lambda s: {"state_dict": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        lambda s: {
            "body": {k.removeprefix("body."): v for k, v in s.items() if "body" in k},
            "head": {k.removeprefix("head."): v for k, v in s.items() if "head" in k},
        },
    ],
)
def test_the_weights_are_found_wherever_they_are(wrap, few_digits, tmp_path):
    state = weights()
    assert same(load(wrap(state), few_digits, tmp_path), state)


def test_several_weights_that_fit_need_a_key(few_digits, tmp_path):
    content = {"student": below("module.", weights(0)), "teacher": weights(1), "epoch": 3}
    refused(content, few_digits, tmp_path, "'student', 'teacher'", "--key")
    assert same(load(content, few_digits, tmp_path, key="teacher"), weights(1))
    assert same(load(content, few_digits, tmp_path, key="student"), weights(0))
    refused(content, few_digits, tmp_path, "under 'tutor'", "'student', 'teacher'", key="tutor")
    content = below("student.", weights(0)) | below("teacher.", weights(1))
    refused(content, few_digits, tmp_path, "'student', 'teacher'", "--key")
    assert same(load(content, few_digits, tmp_path, key="student"), weights(0))
    content = weights(0) | {"ema": weights(1)}
    refused(content, few_digits, tmp_path, "'', 'ema'")
    assert same(load(content, few_digits, tmp_path, key=""), weights(0))


def test_what_no_forward_pass_uses_is_left_out_and_said(few_digits, tmp_path, told):
    state = weights(architecture="wrn-10-1")
    more = {k.replace("block1", "sub_block1"): v + 1 for k, v in state.items() if "block1." in k}
    model = load(state | more, few_digits, tmp_path, architecture="wrn-10-1")
    assert same(model, state)
    assert "no forward pass uses (sub_block1." in told.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"projector.weight": torch.ones(3)}, ("projector.weight is not known", "--key")),
        ({"body.0.1.gate": torch.ones(3)}, ("body.0.1.gate is not known",)),
        ({"body.3.weight": torch.ones(3)}, ("body.3.weight is not known",)),
        ({"head.bias": None}, ("head.bias is missing",)),
        ({"body.0.1.running_mean": None}, ("body.0.1.running_mean is missing",)),
        ({"head.bias": torch.ones(7)}, ("head.bias has shape (7,), expected (10,)",)),
        ({"head.bias": torch.ones(10, dtype=torch.int64)}, ("head.bias is int64",)),
        ({"head.bias": torch.ones(10, dtype=torch.complex64)}, ("complex64, expected float32",)),
        ({"head.bias": torch.full((10,), torch.nan)}, ("10 of 10 values not finite",)),
        ({"head.bias": torch.full((10,), 1e300, dtype=torch.float64)}, ("not finite",)),
        ({"body.0.1.running_var": -torch.ones(4)}, ("body.0.1.running_var is a variance below",)),
        ({"head.bias": torch.ones(10).to_sparse()}, ("head.bias is sparse",)),
        ({"head.bias": torch.ones(10, device="meta")}, ("head.bias is sparse",)),
    ],
)
def test_what_could_matter_is_refused_by_name(change, words, few_digits, tmp_path):
    state = {k: v for k, v in (weights() | change).items() if v is not None}
    refused(state, few_digits, tmp_path, *words)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_another_precision_is_converted_with_a_word(kind, few_digits, tmp_path, told):
    state = {k: v.to(kind) if v.is_floating_point() else v for k, v in weights().items()}
    model = load(state, few_digits, tmp_path)
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert f"{str(kind)[6:]} converted to float32" in told.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, ("nothing",)),
        ([], ("list",)),
        (3, ("int",)),
        (torch.ones(3), ("Tensor",)),
        ({"epoch": 3, "\x1b[31mloss": 1.0}, (r"'epoch', '\\x1b[31mloss'",)),
        ({"model": {"conv": torch.ones(3)}}, ("of the 1 tensors", "'model'")),
        ({"model": {"head.bias": torch.ones(10)}}, ("model.body.0.0.weight is missing",)),
        ({1: torch.ones(3), None: torch.ones(3)}, ("'1', 'None'",)),
    ],
)
def test_content_without_such_weights(content, words, few_digits, tmp_path):
    refused(content, few_digits, tmp_path, "not a state dict of small_cnn-4", *words)


def test_content_that_holds_itself(few_digits, tmp_path):
    loop = {}
    loop |= {str(k): loop for k in range(5)}
    refused(loop, few_digits, tmp_path)


# -- what stands in the way -----------------------------------------------------------------


def test_bookkeeping_beside_the_weights_is_passed_over(few_digits, tmp_path):
    content = {
        "state_dict": weights(),
        "best": np.float64(0.5),
        "seen": np.int64(3),
        "flag": np.bool_(True),
        "curve": np.arange(3.0),
        "args": argparse.Namespace(lr=0.1, out=pathlib.PosixPath("/tmp/x")),
        "more": types.SimpleNamespace(a=1),
        "when": datetime.datetime(2020, 1, 1),
    }
    assert same(load(content, few_digits, tmp_path), weights())
    assert "lr" not in vars(read_checkpoint(tmp_path / "model.pt")["args"])


class Payload:
    def __reduce__(self):
        return os.mkdir, (str(pathlib.Path(os.environ["BAT_TEST_MARK"])),)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (network(), "bat.models.*SmallCNN"),
        ({"state_dict": weights(), "model": network()}, "bat.models.*SmallCNN"),
        ({"state_dict": weights(), "call": print}, "print"),
        ({"state_dict": weights(), "x": torch.optim.SGD([torch.ones(1)], 0.1)}, "torch.optim"),
        ({"state_dict": weights(), "x": Payload()}, "posix.mkdir"),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_an_object_is_named_and_not_run(content, name, legacy, few_digits, tmp_path, monkeypatch):
    monkeypatch.setenv("BAT_TEST_MARK", str(tmp_path / "owned"))
    path = tmp_path / "model.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ArtifactError, match=rf"{name}.*torch\.save\(model\.state_dict") as caught:
        load_model(path, ARCHITECTURE, few_digits, CPU)
    message = str(caught.value)
    assert message.isprintable()
    assert not any(word in message for word in ("damaged", "remove", "weights_only", "trust"))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\x89HDF\r\n\x1a\n" + b"0" * 50, "HDF5"),
        (b"\x1f\x8b\x08" + b"0" * 50, "gzip"),
        (b"\x02\0\0\0\0\0\0\0{}" + b"0" * 50, "safetensors"),
        (b"PK\x03\x04" + b"0" * 50, "damaged"),
        (b"0" * 257 + b"ustar", "a tar archive"),
        (b"nothing of the kind", "not a checkpoint"),
        (b"\x80\x02}q\x00.", "not a checkpoint"),
    ],
)
def test_files_that_are_no_checkpoint(content, words, few_digits, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=words) as caught:
        read_checkpoint(path)
    assert "that made it" not in str(caught.value)


def test_zips_that_are_no_checkpoint_and_other_pickles(tmp_path):
    path = tmp_path / "model.pt"
    for member, words in (("m/constants.pkl", "TorchScript"), ("model.pt", "no data.pkl")):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, b"0" * 5000)
        with pytest.raises(ArtifactError, match=words):
            read_checkpoint(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"0" * 5000)
    with pytest.raises(ArtifactError, match="members are larger"):
        read_checkpoint(path)
    torch.save(weights(), path, pickle_protocol=4)
    with pytest.raises(ArtifactError, match=r"another form of pickle.*torch\.save"):
        read_checkpoint(path)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    for name, words in (("pipe.pt", "not a file"), ("", "folder"), ("no.pt", "missing")):
        with pytest.raises(ArtifactError, match=words):
            read_checkpoint(tmp_path / name)


def test_every_bit_counts(tmp_path):
    path = tmp_path / "model.pt"
    state = {"a": torch.arange(4.0), "b": {"c": torch.ones(2)}}
    torch.save(state, path)
    content = path.read_bytes()
    found = 0
    for at in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        try:
            read = read_checkpoint(path)
            assert torch.equal(read["a"], state["a"])
            assert torch.equal(read["b"]["c"], state["b"]["c"])
        except ArtifactError as error:
            assert str(path) in str(error)
            found += 1
    assert found > 100


def test_a_file_that_was_written_without_checksums(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "model.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_checkpoint(tmp_path / "model.pt")["a"], torch.ones(3))


def test_advice_is_chosen_by_whose_file_it_is(tmp_path):
    ours = tmp_path / "runs" / "erm-all" / "seed0" / "best.pt"
    ours.parent.mkdir(parents=True)
    for path, advice in ((ours, "run the command again"), (tmp_path / "best.pt", "its maker")):
        torch.save(weights(), path)
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(ArtifactError, match=advice):
            read_checkpoint(path)


# -- normalization --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(few_digits):
    """Weights of a model that was trained on normalized images."""
    model = network()
    model.set_normalization(few_digits.info["mean"], few_digits.info["std"])
    x = torch.tensor(few_digits.train_images).float() / 255
    y = torch.tensor(few_digits.train_labels).long()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.state_dict()


def statistics(model):
    return [round(float(v), 4) for v in (model.mean, model.std)]


@pytest.mark.parametrize(
    "beside",
    [
        lambda s, m, d: (
            below("model.", s) | {"mu": m.view(1, 1, 1, 1), "sigma": d.view(1, 1, 1, 1)}
        ),
        lambda s, m, d: s | {"mean": m, "std": d},
        lambda s, m, d: below("1.", s) | {"0.mean": m, "0.std": d},
        lambda s, m, d: (
            below("module.model.", s) | below("module.normalize.", {"mean": m, "std": d})
        ),
        lambda s, m, d: (
            below("model.", s)
            | below("normalizer.new_", {"mean": m, "std": d})
            | below("attacker.normalize.new_", {"mean": m, "std": d})
            | below("attacker.model.", s)
        ),
        lambda s, m, d: {"state_dict": s, "mean": m.tolist(), "std": d.tolist()},
        lambda s, m, d: {"net": s, "normalization": {"mean": m.tolist(), "std": d.tolist()}},
        lambda s, m, d: below("net.", s) | {"_mean": m[0], "_std": d[0]},
        lambda s, m, d: OURS | {"state_dict": s, "normalization": {"mean": [0.4], "std": [0.2]}},
    ],
)
@pytest.mark.parametrize("normalize", [None, True])
def test_normalization_beside_the_weights_is_used(beside, normalize, few_digits, tmp_path, told):
    content = beside(weights(), torch.tensor([0.4]), torch.tensor([0.2]))
    model = load(content, few_digits, tmp_path, normalize=normalize)
    assert same(model, weights())
    assert statistics(model) == [0.4, 0.2]
    assert "mean (0.4) and standard deviation (0.2), as the file says" in told.text
    refused(content, few_digits, tmp_path, "the file's own word", "--no-normalize", normalize=False)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"mu": torch.tensor([123.7]), "sigma": torch.tensor([58.4])}, "expected a mean in [0, 1]"),
        ({"mu": torch.tensor([0.4]), "sigma": torch.tensor([0.0])}, "standard deviation in (0, 1]"),
        ({"mu": torch.tensor([torch.nan]), "sigma": torch.tensor([0.1])}, "expected a mean"),
        ({"mu": torch.ones(3), "sigma": torch.ones(3)}, "mu is not known"),
        ({"mu": torch.tensor([0.4])}, "mu is not known"),
        (
            below("a.", {"mean": torch.tensor([0.4]), "std": torch.tensor([0.2])})
            | below("b.", {"mean": torch.tensor([0.3]), "std": torch.tensor([0.2])}),
            "several normalizations that differ (a.mean, b.mean)",
        ),
    ],
)
def test_a_normalization_that_cannot_be_used(more, words, few_digits, tmp_path):
    refused(weights() | more, few_digits, tmp_path, words, normalize=None)


def test_what_the_file_does_not_say_is_tried_and_said(trained, few_digits, tmp_path, told):
    info = few_digits.info
    model = load(trained, few_digits, tmp_path, normalize=None)
    assert statistics(model) == [round(info[name][0], 4) for name in ("mean", "std")]
    assert "does not say whether its images were normalized" in told.text
    assert "going on with --normalize" in told.text
    told.clear()
    assert statistics(load(weights(), few_digits, tmp_path, normalize=None)) == [0, 1]
    assert "does not decide it: going on with --no-normalize" in told.text
    told.clear()
    assert statistics(load(trained, few_digits, tmp_path, normalize=False)) == [0, 1]
    assert not told.records


def test_our_own_files_say_it_themselves(trained, few_digits, tmp_path, told):
    info = few_digits.info
    ours = tmp_path / "small_cnn-4" / "runs" / "erm-all" / "seed0"
    ours.mkdir(parents=True)
    torch.save(trained, ours / "best.pt")  # as bat 0.1.0 wrote them
    model = load_model(ours / "best.pt", ARCHITECTURE, few_digits, CPU, normalize=None)
    assert statistics(model) == [round(info[name][0], 4) for name in ("mean", "std")]
    assert not told.records
    content = OURS | {"state_dict": trained, "class_names": info["class_names"]}
    plain = content | {"normalization": None}
    assert statistics(load(plain, few_digits, tmp_path, normalize=None)) == [0, 1]
    refused(plain, few_digits, tmp_path, "not normalized", "--normalize", normalize=True)
    refused(
        content | {"architecture": "resnet9-8"}, few_digits, tmp_path, "resnet9-8", "small_cnn-4"
    )
    refused(content | {"class_names": ["a"]}, few_digits, tmp_path, "class names ['a']")


def test_the_evaluation_states_the_normalization(trained, few_digits, tmp_path):
    torch.save(trained, tmp_path / "model.pt")
    spec = {"dataset": "digits", "attacks": {}, "max_samples": 20, "batch_size": 50, "seed": 0}
    out = tmp_path / "out.parquet"
    evaluate_checkpoint(
        tmp_path / "model.pt", ARCHITECTURE, few_digits, spec, out, device=CPU, command="test"
    )
    _, metadata = files.read_table(out, "evaluations")
    assert metadata["normalization"]["mean"] == pytest.approx(few_digits.info["mean"])


# -- safetensors ----------------------------------------------------------------------------


def write_safetensors(path, state, **changes):
    """As `safetensors.torch.save_file`: a header of JSON with places, then the bytes."""
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file({name: value.clone() for name, value in state.items()}, path, **changes)
    return path


@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
def test_weights_in_a_file_of_safetensors(prefix, few_digits, tmp_path):
    state = weights(seed=3)
    content = below(prefix, {n: v for n, v in state.items() if "num_batches" not in n})
    path = write_safetensors(tmp_path / "m.safetensors", content, metadata={"format": "pt"})
    model = load_model(path, ARCHITECTURE, few_digits, CPU, normalize=False)
    assert same(model, state)
    images = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(model(images), network(3).eval()(images))


def test_half_precision_and_a_name_of_torch_are_no_matter(few_digits, tmp_path):
    state = {name: value.to(torch.bfloat16) for name, value in weights().items()}
    path = write_safetensors(tmp_path / "model.pt", state)
    model = load_model(path, ARCHITECTURE, few_digits, CPU, normalize=False)
    assert same(model, {name: value.float() for name, value in state.items()})


def test_safetensors_of_another_network_and_damaged_ones(few_digits, tmp_path):
    other = weights(architecture="small_cnn-6")
    path = write_safetensors(tmp_path / "m.safetensors", other)
    with pytest.raises(ArtifactError, match=r"m\.safetensors"):
        load_model(path, ARCHITECTURE, few_digits, CPU, normalize=False)
    content = path.read_bytes()
    for damaged in (
        content[:-10],
        content[:100],
        content[:20] + b"\xff" * 20 + content[40:],
        content + b"\0",
    ):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="damaged, as a file of safetensors") as caught:
            read_checkpoint(path)
        assert "get it from its maker again" in str(caught.value)

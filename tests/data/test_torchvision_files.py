"""CIFAR and Fashion-MNIST: found whole, unpacked, downloaded, or refused."""

import gzip
import hashlib
import os
import pickle
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from samples import pixels, refused

from bat import config, data
from bat.data.sources import fashion_mnist, read_source

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def cifar100(tmp_path, monkeypatch):
    """CIFAR-100's official files in small, with their own list of checksums."""
    from torchvision.datasets import CIFAR100

    base = tmp_path / "cifar-100-python"
    base.mkdir()
    names = [f"class {i}" for i in range(3)]
    contents = {"meta": {"fine_label_names": names, "coarse_label_names": ["all"]}}
    for split, n in (("train", 9), ("test", 3)):
        contents[split] = {
            "filenames": [f"{i}.png" for i in range(n)],
            "batch_label": f"{split}ing batch 1 of 1",
            "fine_labels": [i % 3 for i in range(n)],
            "coarse_labels": [0] * n,
            "data": pixels(n, (n, 3072)),
        }
    sums = {}
    for name, content in contents.items():
        blob = pickle.dumps(content, protocol=2)
        (base / name).write_bytes(blob)
        sums[name] = md5(blob)
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": sums["meta"]})
    return tmp_path


def vision(source, folder, **settings):
    settings = {"download": False} | settings
    return config.TorchvisionData(source=source, folder=folder, **settings)


def test_cifar100_official_format(cifar100, tmp_path):
    raw = read_source(vision("cifar100", cifar100))
    assert raw.class_names == ("class 0", "class 1", "class 2")
    assert raw.train_labels.tolist() == [0, 1, 2] * 3
    np.testing.assert_array_equal(raw.train_images.reshape(9, 3072), pixels(9, (9, 3072)))
    np.testing.assert_array_equal(raw.test_images.reshape(3, 3072), pixels(3, (3, 3072)))
    assert [f["name"] for f in raw.files] == ["train", "test", "meta"]
    info = data.prepare(vision("cifar100", cifar100), tmp_path / "data")
    assert data.load(tmp_path / "data", verify=True).fingerprint == info["fingerprint"]


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_cifar_with_a_wrong_checksum_is_never_unpickled(cifar100, name):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(cifar100 / "unpickled"),)

    path = cifar100 / "cifar-100-python" / name
    path.write_bytes(pickle.dumps(Bomb()))
    refused(vision("cifar100", cifar100), str(path), "damaged", "data.download")
    assert not (cifar100 / "unpickled").exists()
    path.unlink()
    refused(vision("cifar100", cifar100), str(path), "missing", "cifar-100-python.tar.gz")


def test_cifar_is_unpacked_from_its_archive_without_network(cifar100, monkeypatch):
    from torchvision.datasets import CIFAR100

    archive = cifar100 / CIFAR100.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(cifar100 / "cifar-100-python", "cifar-100-python")
    shutil.rmtree(cifar100 / "cifar-100-python")
    refused(vision("cifar100", cifar100), "missing")  # the archive's checksum is unknown
    monkeypatch.setattr(CIFAR100, "tgz_md5", md5(archive.read_bytes()))
    assert len(read_source(vision("cifar100", cifar100)).train_labels) == 9


def test_a_failed_download_of_torchvision(cifar100, monkeypatch):
    from torchvision.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "url", "http://127.0.0.1:9/cifar.tar.gz")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (cifar100 / "cifar-100-python" / "train").unlink()
    refused(vision("cifar100", cifar100, download=True), "train is missing", "download failed")


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    labels = np.arange(10, dtype=np.uint8)
    arrays = [pixels(0, (20, 28, 28)), np.tile(labels, 2), pixels(1, (10, 28, 28)), labels]
    contents = dict(zip(fashion_mnist.IDX_MD5, map(idx, arrays), strict=True))
    monkeypatch.setattr(fashion_mnist, "IDX_MD5", {name: md5(c) for name, c in contents.items()})
    for name, content in contents.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path, contents


def test_fashion_mnist_from_any_place_and_form(fashion):
    folder, contents = fashion
    raw = read_source(vision("fashion_mnist", folder))
    np.testing.assert_array_equal(raw.train_images[:, 0], pixels(0, (20, 28, 28)))
    assert raw.test_labels.tolist() == list(range(10)) and raw.class_names[9] == "Ankle boot"
    for path in folder.glob("*.gz"):
        path.unlink()
    (folder / "FashionMNIST" / "raw").mkdir(parents=True)
    for name, content in contents.items():
        (folder / "FashionMNIST" / "raw" / name).write_bytes(content)
    again = read_source(vision("fashion_mnist", folder))
    np.testing.assert_array_equal(raw.train_images, again.train_images)


def test_wrong_fashion_mnist(fashion, tmp_path):
    folder, contents = fashion
    name = next(iter(contents))
    path = folder / f"{name}.gz"
    whole = path.read_bytes()
    for content in (whole[:-100], b"", gzip.compress(contents[name] + b"x")):
        path.write_bytes(content)
        refused(vision("fashion_mnist", folder), str(path), "damaged")
    path.unlink()
    words = (str(folder), f"{name}.gz", "dataset-fashion-mnist", "data.download")
    refused(vision("fashion_mnist", folder), *words)


def test_class_names_are_torchvisions():
    from torchvision.datasets import FashionMNIST

    assert list(fashion_mnist.FASHION_CLASSES) == FashionMNIST.classes
    assert [f"{name}.gz" for name in fashion_mnist.IDX_MD5] == [
        name for name, _ in FashionMNIST.resources
    ]


@pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_fashion_mnist_of_debian():
    raw = read_source(vision("fashion_mnist", DEBIAN))
    assert raw.train_images.shape == (60000, 1, 28, 28)
    np.testing.assert_array_equal(np.bincount(raw.train_labels), np.full(10, 6000))
    np.testing.assert_array_equal(np.bincount(raw.test_labels), np.full(10, 1000))

"""Sources: what every one gives, and how each wrong one is refused."""

import gzip
import hashlib
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from samples import encode, pets, pixels, refused, tiny, tiny_files, write_pets, write_zip

from bat import config, data
from bat.data.sources import fashion_mnist, read_source

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("BAT_SHARED_DATA", ROOT.parent / "shared" / "data"))
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


# -- image folders ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    return write_pets(tmp_path / "pets")


def test_image_folder(folder):
    (folder / "train" / "cat" / ".DS_Store").write_bytes(b"\0")
    seen = []
    raw = read_source(pets(folder), progress=lambda *step: seen.append(step))
    assert raw.class_names == ("cat", "dog")
    assert raw.train_labels.tolist() == [0] * 4 + [1] * 4 and raw.test_labels.tolist() == [
        0,
        0,
        1,
        1,
    ]
    expected = np.stack([pixels(100 * c + i) for c in range(2) for i in range(4)])
    np.testing.assert_array_equal(raw.train_images, expected.transpose(0, 3, 1, 2))
    assert seen[-1] == (12, 12)
    record = raw.files[0]["sha256"]
    (folder / "train" / "dog" / "3.png").write_bytes(encode(pixels(999)))
    assert read_source(pets(folder)).files[0]["sha256"] != record


def test_wrong_folders(folder, tmp_path):
    refused(pets(tmp_path / "none"), "none is no folder", "train/ and test/")
    (folder / "train" / "bird").mkdir()
    refused(pets(folder), "only train/ has 'bird'")
    (folder / "test" / "bird").mkdir()
    refused(pets(folder), "no training images", "'bird'")
    (folder / "train" / "bird" / "0.png").write_bytes(encode(pixels(0)))
    refused(pets(folder), "no test images", "'bird'")
    (folder / "test" / "bird" / "old").mkdir()
    (folder / "test" / "bird" / "old" / "0.png").write_bytes(encode(pixels(0)))
    refused(pets(folder), "bird/old/0.png", "not directly")
    shutil.rmtree(folder / "test")
    refused(pets(folder), f"{folder} holds no test/", "data.held_out")
    shutil.rmtree(folder / "train")
    refused(pets(folder), f"{folder} holds no train/", "data.held_out")


def test_one_class_is_not_enough(folder):
    for split in ("train", "test"):
        shutil.rmtree(folder / split / "dog")
    refused(pets(folder), "found 1 class")


# -- Parquet ---------------------------------------------------------------------------------


def write_parquet(path, labels, names=("a", "b"), *, binary=False, blobs=None):
    import pyarrow as pa
    import pyarrow.parquet as pq

    blobs = blobs or [encode(pixels(i)) for i in range(len(labels))]
    if binary:
        image = pa.array(blobs, pa.binary())
    else:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        image = pa.array([{"bytes": b, "path": "x.png"} for b in blobs], kind)
    table = pa.table({"image": image, "label": pa.array(labels)})
    if names:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    pq.write_table(table, path)


def parquet(path, **settings):
    return config.ParquetData(
        source="parquet", train=path / "train.parquet", test=path / "test.parquet", **settings
    )


@pytest.mark.parametrize("binary", [False, True])
def test_parquet(tmp_path, binary):
    write_parquet(tmp_path / "train.parquet", [1, 0, 1, 0], ("cat", "dog"), binary=binary)
    write_parquet(tmp_path / "test.parquet", [0, 1], ("cat", "dog"), binary=binary)
    raw = read_source(parquet(tmp_path))
    assert raw.class_names == ("cat", "dog") and raw.train_labels.tolist() == [1, 0, 1, 0]
    expected = np.stack([pixels(i) for i in range(4)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(raw.train_images, expected)
    digest = hashlib.sha256((tmp_path / "train.parquet").read_bytes()).hexdigest()
    assert raw.files[0]["sha256"] == digest
    assert any("official" in note for note in raw.notes)


def test_parquet_shards_and_classes_without_metadata(tmp_path):
    (tmp_path / "train").mkdir()
    for i in range(2):
        blobs = [encode(pixels(2 * i + j)) for j in range(2)]
        write_parquet(tmp_path / "train" / f"{i}.parquet", [7, 3], None, blobs=blobs)
    write_parquet(tmp_path / "test.parquet", [3, 7], None)
    raw = read_source(parquet(tmp_path).model_copy(update={"train": (tmp_path / "train",)}))
    assert raw.class_names == ("3", "7") and raw.train_labels.tolist() == [1, 0, 1, 0]
    assert raw.test_labels.tolist() == [0, 1] and len(raw.files) == 3
    expected = np.stack([pixels(i) for i in range(4)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(raw.train_images, expected)
    write_parquet(tmp_path / "test.parquet", ["x", "y"], None)
    write_parquet(tmp_path / "train.parquet", ["y", "x"], None)
    assert read_source(parquet(tmp_path)).train_labels.tolist() == [1, 0]


def truncate(path):
    os.truncate(path, path.stat().st_size - 20)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: (p / "test.parquet").unlink(), ("test.parquet", "no Parquet file")),
        (lambda p: truncate(p / "train.parquet"), ("train.parquet", "truncated or damaged")),
        (lambda p: (p / "train.parquet").write_bytes(b""), ("train.parquet", "truncated")),
        (lambda p: write_parquet(p / "train.parquet", [0, 2]), ("out of range", "0 to 1")),
        (lambda p: write_parquet(p / "test.parquet", [0, -1]), ("out of range", "row 1")),
        (lambda p: write_parquet(p / "test.parquet", [0, None]), ("1 rows without a label",)),
        (lambda p: write_parquet(p / "test.parquet", [0.5, 1.5]), ("holds double",)),
        (lambda p: write_parquet(p / "test.parquet", ["0", "1"]), ("must hold integers",)),
        (lambda p: write_parquet(p / "train.parquet", [0, 0]), ("no training images", "'b'")),
        (lambda p: write_parquet(p / "test.parquet", [1, 1]), ("no test images", "'a'")),
        (lambda p: write_parquet(p / "test.parquet", [0, 1], "ac"), ("different classes",)),
        (
            lambda p: write_parquet(p / "test.parquet", [0, 1], blobs=[encode(pixels(0)), None]),
            ("test.parquet: row 1", "no image bytes"),
        ),
        (
            lambda p: write_parquet(p / "test.parquet", [0, 1], blobs=[encode(pixels(0)), b"??"]),
            ("test.parquet: row 1", "does not decode"),
        ),
    ],
)
def test_wrong_parquet(tmp_path, damage, words):
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [0, 1])
    damage(tmp_path)
    refused(parquet(tmp_path), *words)


def test_wrong_parquet_columns(tmp_path):
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [0, 1])
    refused(parquet(tmp_path, image_column="img"), "no column 'img'", "'image', 'label'")
    refused(parquet(tmp_path, label_column="fine"), "no column 'fine'")
    refused(parquet(tmp_path, image_column="label"), "holds int64")
    for split, labels in (("train", [0, 1]), ("test", [0, 5])):
        write_parquet(tmp_path / f"{split}.parquet", labels, None)
    refused(parquet(tmp_path), "test labels [5] do not occur")


# -- Tiny ImageNet ---------------------------------------------------------------------------


def test_tiny_imagenet_from_zip_and_folder(tmp_path):
    files = tiny_files()
    path = write_zip(tmp_path / "tiny.zip", files)
    raw = read_source(tiny(path))
    assert raw.class_names == ("crane (n01)", "crane (n02)")
    assert raw.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.test_labels.tolist() == [1, 0] and raw.test_source_index.tolist() == [0, 2]
    grey = raw.train_images[0]
    assert (grey == grey[:1]).all()
    assert raw.files[0]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "not the official archive" in raw.notes[0]

    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    for folder in (tmp_path / "tiny-imagenet-200", tmp_path):
        other = read_source(tiny(folder))
        np.testing.assert_array_equal(raw.train_images, other.train_images)
        np.testing.assert_array_equal(raw.test_images, other.test_images)

    by_list = read_source(tiny(path, class_order="wnids"))
    assert by_list.class_names == ("goldfish", "crane")
    np.testing.assert_array_equal(by_list.train_images[3:], raw.train_images[:3])


def test_fewer_classes_than_asked_for(tmp_path):
    files = {k: v for k, v in tiny_files().items() if "/train/n03/" not in k}
    path = write_zip(tmp_path / "tiny.zip", files)
    assert len(read_source(tiny(path)).class_names) == 2
    refused(tiny(path, classes=3), "2 of the first 3 classes", "n03")
    refused(tiny(path, classes=2, class_order="wnids"), "1 of the first 2 classes", "n03")
    refused(tiny(path, classes=200), "2 of the first 200")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("train/n01/images/n01_1.JPEG", ("n01_1.JPEG is missing", "n01_boxes.txt")),
        ("val/images/val_2.JPEG", ("val_2.JPEG is missing", "val_annotations.txt")),
        ("val/val_annotations.txt", ("val_annotations.txt is missing",)),
        ("words.txt", ("words.txt is missing",)),
        ("wnids.txt", ("holds no wnids.txt",)),
    ],
)
def test_incomplete_tiny_imagenet(tmp_path, missing, words):
    files = tiny_files()
    del files[f"tiny-imagenet-200/{missing}"]
    refused(tiny(write_zip(tmp_path / "tiny.zip", files)), *words)


# -- torchvision's data sets -----------------------------------------------------------------


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


# -- the real files --------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared data sets")
def test_all_images_of_cifar10_and_tiny_imagenet():
    cifar = read_source(
        config.ParquetData(
            source="parquet",
            train=SHARED / "cifar10-jpeg-train.parquet",
            test=SHARED / "cifar10-jpeg-test.parquet",
        )
    )
    assert cifar.train_images.shape == (50000, 3, 32, 32)
    assert cifar.class_names[0] == "airplane"
    np.testing.assert_array_equal(np.bincount(cifar.train_labels), np.full(10, 5000))
    np.testing.assert_array_equal(np.bincount(cifar.test_labels), np.full(10, 1000))
    tiny_imagenet = read_source(tiny(SHARED / "tiny-imagenet-50.zip", classes=50))
    assert tiny_imagenet.train_images.shape == (25000, 3, 64, 64)
    assert tiny_imagenet.class_names[0] == "goldfish"
    np.testing.assert_array_equal(np.bincount(tiny_imagenet.train_labels), np.full(50, 500))
    np.testing.assert_array_equal(np.bincount(tiny_imagenet.test_labels), np.full(50, 50))
    refused(tiny(SHARED / "tiny-imagenet-50.zip", classes=51), "50 of the first 51")

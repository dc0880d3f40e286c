"""Small data sets in every layout, and how a source of them is configured and refused."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from bat import config
from bat.data.sources import read_source
from bat.errors import DataError

WNIDS = ("n03", "n01", "n02")


def pixels(seed, shape=(6, 6, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(image, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def refused(settings, *words):
    """The settings' source is refused, and the message has each of these words."""
    with pytest.raises(DataError) as caught:
        read_source(settings, workers=1)
    message = str(caught.value)
    for word in words:
        assert word in message, message


def write_pets(path):
    """Two classes, cats and dogs, with four training and two test images each."""
    for split, n in (("train", 4), ("test", 2)):
        for c, name in enumerate(("cat", "dog")):
            place = path / split / name
            place.mkdir(parents=True)
            for i in range(n):
                (place / f"{i}.png").write_bytes(encode(pixels(100 * c + i)))
    return path


def pets(folder, **settings):
    return config.ImageFolderData(source="image_folder", path=folder, **settings)


def tiny_files(per_class=3):
    """The official layout with three classes; one training image is grey."""
    root = "tiny-imagenet-200/"
    files = {
        "wnids.txt": "\n".join(WNIDS).encode() + b"\n",
        "words.txt": b"n01\tcrane, big bird\nn02\tcrane\nn03\tgoldfish, Carassius auratus\n",
    }
    for c, wnid in enumerate(sorted(WNIDS)):
        boxes = ""
        for i in range(per_class):
            image = pixels(10 * c + i, (8, 8) if i == 0 else (8, 8, 3))
            files[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = encode(image, "JPEG")
            boxes += f"{wnid}_{i}.JPEG\t0\t0\t7\t7\n"
        files[f"train/{wnid}/{wnid}_boxes.txt"] = boxes.encode()
    rows = [("val_0.JPEG", "n02"), ("val_1.JPEG", "n03"), ("val_2.JPEG", "n01")]
    for name, _ in rows:
        files[f"val/images/{name}"] = encode(pixels(len(name), (8, 8, 3)), "JPEG")
    files["val/val_annotations.txt"] = "".join(
        f"{name}\t{wnid}\t0\t0\t7\t7\n" for name, wnid in rows
    ).encode()
    return {root + name: content for name, content in files.items()}


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tiny(path, **settings):
    settings = {"classes": 2, "download": False} | settings
    return config.TinyImagenetData(source="tiny_imagenet", path=path, **settings)

"""The way from a folder of one's own photographs to figure 7, as the document says it."""

import io
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from bat import data
from bat.data.layouts import image_names
from bat.files import read_json

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

CLASSES = ("-rf Großer Brachvogel", "Anna's $1 & $HOME ducks", "köttbullar [x](1) #3")
NAMES = (
    b"caf\xe9 \xff.JPG",
    b"two\nlines.jpg",
    b"-rf.JPEG",
    b"$(touch OWNED).jpg",
    b"no extension",
    b"IMG_0001.PNG",
    b'it\'s a "bird".jpg',
    b"{dataset}.jpg",
    "雪の鳥🐦.jpg".encode(),
    b"a" * 240 + b".jpg",
)
PLAIN = {"crop": 0, "flip": False}
SMALL = {
    "compute": {"device": "cpu"},
    "datasets": {
        "birds": {
            "data": {"resize": 12},
            "scores": {
                "architecture": "small_cnn-4",
                "trials": 30,
                "training": {"epochs": 60, "batch_size": 10, "augmentation": PLAIN},
            },
        }
    },
}


def scene(seed, label):
    """The look of a class: light from one side, and a spot that differs from seed to seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:24j, 0:1:24j]
    light = (x, y, 1 - x)[label]
    spot = np.exp(-((x - rng.random()) ** 2 + (y - rng.random()) ** 2) / 0.02)
    colour = rng.random((2, 3))
    image = light[..., None] * (0.5 + colour[0] / 2) + spot[..., None] * (colour[1] - 0.5)
    return Image.fromarray((255 * image.clip(0, 1)).astype(np.uint8))


def encoded(image, kind="JPEG", turned=1, **options):
    """An image file; one whose orientation is not 1 is stored as a turned camera does."""
    exif = Image.Exif()
    if turned != 1:
        back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[turned]
        image, exif[0x0112] = image.transpose(back), turned
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def odd_kinds(image):
    """The same picture in the colours and formats that programs write."""
    clear = image.convert("RGBA")
    clear.putalpha(200)
    return {
        b"grey.JPG": encoded(image.convert("L")),
        b"grey and clear.png": encoded(image.convert("LA"), "PNG"),
        b"clear.png": encoded(clear, "PNG"),
        b"palette.gif": encoded(image.convert("P"), "GIF"),
        b"palette.png": encoded(image.convert("P"), "PNG", transparency=0),
        b"black and white.tif": encoded(image.convert("1"), "TIFF"),
        b"print.jpeg": encoded(image.convert("CMYK")),
        b"phone.webp": encoded(image, "WEBP"),
        b"two pictures.jpg": encoded(image, "MPO", save_all=True, append_images=[image]),
        b"wide.bmp": encoded(image.resize((90, 31)), "BMP"),
    }


def write(folder, name, content):
    """Write a file, under a plainer name where the file system does not take this one."""
    try:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(content)
    except OSError:
        (folder / f"plain {len(os.listdir(folder))}.jpg").write_bytes(content)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A home with photographs that nobody tidied up.

    Half of each class look as the class does. The others are bursts of two
    that look as one class and lie in the folder of another: a network knows
    one of them only if it has seen the other.
    """
    home = tmp_path_factory.mktemp("home")
    root = home / "Pictures" / "Anna's birds"
    for label, name in enumerate(CLASSES):
        folder = root / name
        folder.mkdir(parents=True)
        for i, file in enumerate(NAMES):
            image = scene(100 * label + i, label).resize((24 + i, 40 - i))
            write(folder, file, encoded(image, turned=(1, 3, 6)[i % 3]))
        for file, content in odd_kinds(scene(100 * label + 50, label)).items():
            write(folder, file, content)
        for i in range(10):
            image = scene(1000 + 100 * label + i, (label + 1 + i % 2) % 3)
            for shot, turned in ((1, 1), (2, 6)):
                content = encoded(image, quality=90 + shot, turned=turned)
                write(folder, b"burst %d %d.JPG" % (i, shot), content)
        for hidden in (b".DS_Store", b"._IMG_0001.PNG", b"Thumbs.db", b"notes.txt", b"clip.MOV"):
            write(folder, hidden, b"\0\1\2")
        (folder / ".ipynb_checkpoints").mkdir()
        write(folder / ".ipynb_checkpoints", b"clear-checkpoint.png", b"")
    (root / ".cache").mkdir()
    write(root, b"desktop.ini", b"")
    return home


def five_commands(repository):
    """The commands of the document, each as it is typed."""
    text = (repository / "docs" / "own-photographs.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def times(folder):
    return {path: path.lstat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


@pytest.fixture(scope="module")
def followed(repository, photographs, tmp_path_factory):
    """The folder in which the commands were typed, and what each of them printed.

    The environment at hand stands for the installed one, and a second file of
    smaller sizes is laid over the configuration.
    """
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("bat", "config", "workflow", "environment.yml"):
        (folder / name).symlink_to(repository / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name, words in (("python", '"$@"'), ("snakemake", '-m snakemake "$@"')):
        path = folder / ".venv" / "bin" / name
        path.write_text(f"#!/bin/sh\nexec '{sys.executable}' {words}\n")
        path.chmod(0o755)
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    before = times(photographs / "Pictures")
    printed = []
    for command in five_commands(repository)[1:]:
        done = subprocess.run(
            ["bash", "-euc", re.sub(r"birds\.yaml$", "birds.yaml small.yaml", command.rstrip())],
            cwd=folder,
            env=os.environ | {"HOME": str(photographs)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        printed.append(done.stdout)
    assert times(photographs / "Pictures") == before
    assert not list(folder.glob("**/OWNED"))
    return folder, printed


def test_there_are_five_commands(repository):
    commands = five_commands(repository)
    assert len(commands) == 5 and commands[0] == "make install\n"


def test_each_command_says_what_the_document_says(followed):
    _, (written, checked, planned, _) = followed
    assert written == ""
    assert checked.startswith("birds: image_folder, 30 trials of small_cnn-4\n")
    assert re.search(r"^trials +1$", planned, re.M) and "draw_fig7" in planned


def test_images_are_counted_turned_and_left_out(followed):
    folder, _ = followed
    info = read_json(folder / "results" / "birds" / "data" / "dataset.json")
    assert info["class_names"] == list(CLASSES)
    assert info["n_train"] == 96 and info["n_test"] == 24
    notes = "\n".join(info["notes"])
    assert "20 files or folders that are hidden or no images were left out" in notes
    assert "48 images were turned upright" in notes


def test_figure_7_shows_the_bursts(followed, photographs):
    folder, _ = followed
    figures = folder / "results" / "birds" / "figures"
    table = pd.read_csv(figures / "fig7.csv")
    with Image.open(figures / "fig7.png") as image:
        caption = image.info["Description"]
        assert image.width > 1000 and len(image.getcolors(1 << 24)) > 100
    assert caption.startswith(f"The {len(table)} pairs of largest influence of birds: ")
    assert "Scores from 30 small_cnn-4 models" in caption and "noise" not in caption
    assert (figures / "fig7.pdf").stat().st_size > 10_000
    assert set(table["train_class"]) <= {f"'{CLASSES[0]}", *CLASSES[1:]}
    prepared = data.load(folder / "results" / "birds" / "data")
    names = image_names(photographs / "Pictures" / "Anna's birds", "train")
    pairs = [
        (names[prepared.train_source_index[one]], names[prepared.test_source_index[other]])
        for one, other in zip(table["train_index"], table["test_index"], strict=True)
    ]
    assert table["stands"].sum() >= 3 and table["q"].between(0, 1).all()
    of_a_burst = [one[:-5] == other[:-5] for one, other in pairs]
    standing = of_a_burst[: table["stands"].sum()]  # at a false discovery rate of 0.1
    assert sum(standing) >= 0.9 * len(standing) and all(of_a_burst[:3]), pairs

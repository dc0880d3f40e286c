"""Which files are the images of a data set: folders of classes, Parquet shards of a split.

Nothing is read here but names, and the first bytes of files whose names do not
say what they are.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bat.errors import DataError
from bat.escaping import shown
from bat.files.archives import MAX_DEPTH, refuse_other
from bat.reading import is_visible

if TYPE_CHECKING:
    from bat import config

SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "val": ("val", "valid", "validation", "dev"),
}
"""Words in names that tell a split, as the `datasets` library reads them."""

SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif", ".heic", ".ico", ".tga"),
}
MAGIC = re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF....WEBP", re.DOTALL)


# -- folders of images ----------------------------------------------------------------------


@dataclass
class ImageFolder:
    """The images below a folder, by split, as relative POSIX paths in order.

    Without a test set of its own it has the split ``train`` alone.
    """

    path: Path
    classes: list[str] = field(default_factory=list)  # names of folders, in order
    images: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)  # names
    notes: list[str] = field(default_factory=list)

    def labels(self, split: str) -> list[int]:
        """The position in ``classes`` of each image's folder."""
        position = {name: i for i, name in enumerate(self.classes)}
        return [position[name.rsplit("/", 2)[-2]] for name in self.images[split]]


def image_folder(path: Path, *, held_out: bool) -> ImageFolder:
    """List the images of a folder of classes.

    Parameters
    ----------
    path : path
        Holds ``train`` and ``test`` (or ``val`` in its place), each with a
        folder for each class.
    held_out : bool
        The test set is taken out of the training images: there must be none,
        and the folders of the classes may lie directly in ``path``.

    Returns
    -------
    ImageFolder

    Raises
    ------
    DataError
        If a split is missing or lies inside the other, the classes differ, an
        image is not directly in the folder of a class, or a name of an image
        belongs to anything but a file.
    """
    layout = ImageFolder(path)
    splits = _split_folders(path, held_out, layout.notes)
    classes = {split: _class_folders(folder, layout) for split, folder in splits.items()}
    for split, other in (("train", "test"), ("test", "train")):
        only = sorted(set(classes.get(split, ())) - set(classes.get(other, classes["train"])))
        if only:
            raise DataError(
                f"{shown(path)}: {splits['train'].name}/ and {splits['test'].name}/ hold different "
                f"classes; only {splits[split].name}/ has "
                f"{', '.join(repr(shown(name)) for name in only)}. Every class needs a folder in "
                "both"
            )
    layout.classes = classes["train"]
    for split, folder in splits.items():
        below = [] if folder == path else [folder.name]
        layout.images[split] = sorted(
            "/".join([*below, name, image])
            for name in classes[split]
            for image in _images(folder / name, layout)
        )
    if layout.left_out:
        names = list(dict.fromkeys(map(shown, layout.left_out)))
        first, more = ", ".join(names[:5]), ", ..." if len(names) > 5 else ""
        layout.notes.append(
            f"{len(layout.left_out)} files or folders that are hidden or no images were left out "
            f"({first}{more})"
        )
    return layout


def image_names(path: Path, split: str) -> list[str]:
    """Images in the order that a split's source index counts them in."""
    held_out = not any(_find(path, split) for split in ("test", "val"))
    images = image_folder(path, held_out=held_out).images
    return images["train" if held_out else split]


def _split_folders(path: Path, held_out: bool, notes: list[str]) -> dict[str, Path]:
    if not path.is_dir():
        raise DataError(
            f"{shown(path)} is no folder; data.path must hold train/ and test/, each with one "
            "folder of images for each class"
        )
    train, test, val = (_find(path, split) for split in ("train", "test", "val"))
    if held_out:
        if test or val:
            raise DataError(
                f"{shown(path)} holds {(test or val).name}/, and data.held_out asks for a test set "
                "out of the training images; remove data.held_out, or move that folder away"
            )
        return {"train": train or path}
    if train is None:
        raise DataError(
            f"{shown(path)} holds no train/; data.path must hold train/ and test/, each with one "
            "folder of images for each class. Where the folders of the classes lie directly in it, "
            "set data.held_out: {share: 0.2} to take a test set out of the images, by seed"
        )
    if test is None and val is None:
        raise DataError(
            f"{shown(path)} holds no test/, nor val/; add one, or set data.held_out: {{share: 0.2}}"
            " to take a test set out of the training images, by seed"
        )
    if test is None:
        notes.append(f"{val.name}/ is the test set: there is no test/")
    elif val is not None:
        notes.append(f"{val.name}/ is not used: {test.name}/ is the test set")
    test = test or val
    inside = [(test, train), (train, test)]
    for inner, outer in inside:
        if inner.resolve().is_relative_to(outer.resolve()):
            raise DataError(
                f"{shown(inner)} lies inside {shown(outer)}: the model would be judged by images "
                "that it was trained on; give the two splits folders of their own"
            )
    return {"train": train, "test": test}


def _find(path: Path, split: str) -> Path | None:
    """The folder of a split, by its usual names in lower or upper case."""
    found = [e.name for e in _scan(path) if e.name.lower() in SPLITS[split] and _is_dir(e)]
    if len(found) > 1:
        raise DataError(
            f"{shown(path)} holds {' and '.join(f'{shown(name)}/' for name in found)}; which of "
            f"them is the {split} set? Leave one"
        )
    return path / found[0] if found else None


def _class_folders(path: Path, layout: ImageFolder) -> list[str]:
    names = []
    for entry in _scan(path):
        if is_visible(entry.name) and _is_dir(entry):
            names.append(entry.name)
        elif is_visible(entry.name) and _is_image(entry):
            raise _misplaced(Path(entry.path), path)
        else:
            layout.left_out.append(entry.name)
    return names


def _images(path: Path, layout: ImageFolder) -> Iterator[str]:
    """Names of the images directly in the folder of a class."""
    for entry in _scan(path):
        if not is_visible(entry.name):
            layout.left_out.append(entry.name)
        elif entry.is_file(follow_symlinks=False) and _is_named_image(entry.name):
            yield entry.name
        elif _is_dir(entry):
            inner = next(_images_below(Path(entry.path), 1), None)
            if inner is not None:
                raise _misplaced(inner, path.parent)
            layout.left_out.append(entry.name)
        elif _is_image(entry):
            yield entry.name
        else:
            layout.left_out.append(entry.name)


def _images_below(path: Path, depth: int) -> Iterator[Path]:
    for entry in _scan(path):
        if not is_visible(entry.name):
            continue
        if not _is_dir(entry):
            if _is_image(entry):
                yield Path(entry.path)
        elif depth < MAX_DEPTH:  # also the end of links that lead in a circle
            yield from _images_below(Path(entry.path), depth + 1)


def _misplaced(image: Path, split: Path) -> DataError:
    return DataError(
        f"{shown(image)} is not directly in the folder of a class; expected "
        f"{shown(split)}/CLASS/IMAGE. Move or remove it"
    )


def _scan(path: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{shown(path)} cannot be listed ({error.strerror}); allow reading it, or remove it"
        ) from None


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _is_named_image(name: str) -> bool:
    return name[name.rfind(".") :].lower() in SUFFIXES


def _is_image(entry: os.DirEntry) -> bool:
    """Whether a file is an image, by its name or else its first bytes."""
    named = _is_named_image(entry.name)
    try:
        is_file = entry.is_file()
    except OSError:
        is_file = False
    if not is_file:
        if named:
            refuse_other(Path(entry.path))
        return False
    if named:
        return True
    try:
        with open(entry.path, "rb") as file:
            return MAGIC.match(file.read(12)) is not None
    except OSError:
        return False


# -- Parquet --------------------------------------------------------------------------------


def parquet_shards(config: config.ParquetData) -> tuple[dict[str, list[Path]], list[str]]:
    """The shards of each split, in order, and notes on what was chosen.

    A file is taken as it is named. Of a folder, or of what a pattern matches,
    that holds the shards of several splits each split takes its own, by the
    words in the names.

    Raises
    ------
    DataError
        If there is no such file, or one belongs to both splits.
    """
    notes: list[str] = []
    given = {split: getattr(config, split) for split in ("train", "test")}
    shards = {
        split: [file for path in paths for file in _shards(path, split, notes)]
        for split, paths in given.items()
        if paths is not None
    }
    owner: dict[tuple[int, int], str] = {}
    for split, files in shards.items():
        for file in files:
            refuse_other(file)
            found = file.stat()
            other = owner.get((found.st_dev, found.st_ino))
            owner[found.st_dev, found.st_ino] = split
            if other == split:
                raise DataError(f"{shown(file)} is named twice for {split}; name it once")
            if other is not None:
                raise DataError(
                    f"{shown(file)} is among the files of train and of test: the model would be "
                    "judged by images that it was trained on; name the shards of each split by a "
                    f"pattern, as {shown(file.parent)}/train-*.parquet"
                )
    return shards, notes


def _shards(path: Path, split: str, notes: list[str]) -> list[Path]:
    if path.is_dir():
        root, files = path, sorted(path.glob("*.parquet"))
        # as the hub lays them out: data/train-0.parquet, or train/0.parquet
        files = files or sorted(
            p for d in range(2, MAX_DEPTH) for p in path.glob("*/" * (d - 1) + "*.parquet")
        )
        files = [f for f in files if is_visible(f.relative_to(path))]
    elif not os.path.lexists(path) and glob.has_magic(str(path)):
        root = below_pattern(path)
        files = [Path(p) for p in sorted(glob.glob(str(path), recursive=True))]
        if not files:
            raise DataError(f"no file matches {shown(path)}; check the pattern")
    else:
        root, files = path.parent, [path] if os.path.lexists(path) else []
    if not files:
        raise DataError(f"{shown(path)} is no Parquet file, nor a folder of them; check the path")
    of = {file: split_of(file.relative_to(root)) for file in files}
    found = set(of.values()) - {None}
    wanted = split
    if path.is_dir() and split == "test" and "test" not in found and "val" in found:
        wanted = "val"
    if path.is_dir() and found and wanted not in found and None not in of.values():
        raise DataError(
            f"{shown(path)} holds no shards of {split} by their names (only of "
            f"{', '.join(sorted(found))}); name the files that are meant by a pattern, as "
            f"{shown(files[0].parent)}/*.parquet"
        )
    if len(set(of.values())) < 2 or wanted not in found:
        chosen = files
    else:
        chosen = [file for file in files if of[file] == wanted]
    if len(chosen) < len(files) or wanted != split:
        notes.append(
            f"{split}: {len(chosen)} of the {len(files)} Parquet files of {shown(path.name)}, "
            f"those named after the split {wanted!r}"
        )
    return chosen


def below_pattern(path: Path) -> Path:
    """The path itself, or the folder that all matches of a pattern lie below.

    >>> below_pattern(Path("/hub/data/*/train-*.parquet")).as_posix()
    '/hub/data'
    """
    if os.path.lexists(path):
        return path
    return next(p for p in (path, *path.parents) if not glob.has_magic(str(p)))


def split_of(path: Path) -> str | None:
    """The split that a shard belongs to, by the words in its name, else in those of its folders.

    >>> split_of(Path("data/train-00000-of-00002.parquet")), split_of(Path("validation/0.parquet"))
    ('train', 'val')
    """
    for part in (path.stem, *reversed(path.parts[:-1])):
        words = re.split(r"[-._ 0-9]+", part.lower())
        for word in words:
            for split, names in SPLITS.items():
                if word in names:
                    return split
    return None

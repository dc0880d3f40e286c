"""From any source to a prepared folder.

What is done to a source, in this order: resize, subsample (train, then test),
label noise on the training labels that were kept, leaving out what a person
found wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bat.data.channels import channel_statistics, constant_channels
from bat.data.decoding import resized
from bat.data.dropping import drop
from bat.data.duplicates import count_duplicates, duplicate_notes
from bat.data.fingerprints import checksum_of_info, combined, digest_of
from bat.data.names import names_of
from bat.data.prepared import FINGERPRINTED, FORMAT_VERSION, PreparedData
from bat.data.raw import Progress, RawData, check_labels, draw_balanced, source_name
from bat.data.sources import read_source
from bat.data.writing import write_folder
from bat.escaping import shown
from bat.progress import log

if TYPE_CHECKING:
    from bat import config
    from bat.files.archives import FileState


def prepare(
    config: config.Data,
    out: str | Path,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
    revision: str | None = None,
) -> dict:
    """Read a source, check it, and write the prepared folder.

    A prepared folder at ``out`` with the same content is left as it is; one
    with another content is replaced, arrays that are the same being kept. The
    folder is complete at every moment that it exists, also if the process is
    killed or a second one writes it.

    Parameters
    ----------
    config : bat.config.Data
        The ``data`` section of a data set.
    out : path
        The folder to write; its parents are made.
    progress : callable (done, total), optional
        Called during long steps: bytes of a download, then images decoded.
    workers : int, optional
        Processes that decode images; by default the cores of this process.
    revision : str, optional
        What the specification says of the source's files (`bat.data.revisions`); it
        is recorded beside them.

    Returns
    -------
    dict
        The content of ``dataset.json``.

    Raises
    ------
    DataError
        If the source is incomplete, damaged or inconsistent, or ``out`` holds
        files that are not a prepared data set.
    """
    out = Path(out).resolve()
    raw = read_source(config, progress=progress, workers=workers)
    arrays, info, states = _prepared(config, raw)
    write_folder(out, arrays, info, states, revision, names_of(raw, arrays))
    return info


def prepare_in_memory(config: config.Data, raw: RawData) -> PreparedData:
    """What `prepare` and `load` would give of a source that is in memory; no file is written.

    Its ``folder`` is where it would have been, and is not there.
    """
    arrays, info, _ = _prepared(config, raw)
    for array in arrays.values():
        array.setflags(write=False)
    return PreparedData(folder=Path(config.source, "data"), info=info, **arrays)


def _prepared(
    config: config.Data, raw: RawData
) -> tuple[dict[str, np.ndarray], dict, Mapping[str, FileState]]:
    """The arrays, ``dataset.json``, and the files that they were read from."""
    arrays, label_noise = _transform(config, raw)
    if config.drop is None:
        return arrays, _describe(config, raw, arrays, label_noise), raw.states
    every = raw.train_source_index
    every = np.arange(len(raw.train_labels)) if every is None else every
    dropped, states = drop(config.drop, arrays, label_noise, every)
    labels = arrays["train_labels"], arrays["test_labels"]
    check_labels(*labels, raw.class_names, f"{source_name(config)} without {shown(config.drop)}")
    info = _describe(config, raw, arrays, label_noise) | {"dropped": dropped}
    return arrays, info | {"checksum": checksum_of_info(info)}, {**raw.states, **states}


def _transform(config: config.Data, raw: RawData) -> tuple[dict[str, np.ndarray], dict]:
    """Resize, subsample, then label noise; the arrays of the prepared folder."""
    subsample, noise = config.subsample, config.label_noise
    arrays = {}
    for number, split in enumerate(("train", "test")):
        images, labels = getattr(raw, f"{split}_images"), getattr(raw, f"{split}_labels")
        source_index = getattr(raw, f"{split}_source_index")
        if source_index is None:
            source_index = np.arange(len(labels))
        total, per_class = getattr(subsample, split), getattr(subsample, f"{split}_per_class")
        if total or per_class:
            rng = np.random.default_rng([subsample.seed, number])
            key = f"data.subsample.{split}{'_per_class' if per_class else ''}"
            kept = draw_balanced(labels, rng, key, total=total, per_class=per_class)
            images, labels, source_index = images[kept], labels[kept], source_index[kept]
        if config.resize and images.shape[2:] != (config.resize, config.resize):
            images = _resize(images, config.resize)
        arrays[f"{split}_images"] = np.ascontiguousarray(images)
        arrays[f"{split}_labels"] = labels.astype(np.int64)
        arrays[f"{split}_source_index"] = source_index.astype(np.int64)
    check_labels(
        arrays["train_labels"],
        arrays["test_labels"],
        raw.class_names,
        f"{source_name(config)} as kept",
    )
    labels = arrays["train_labels"]
    changed, wrong = _wrong_labels(labels, len(raw.class_names), noise.share, noise.seed)
    label_noise = {
        "share": noise.share,
        "seed": noise.seed,
        "changed": changed.tolist(),
        "original_labels": labels[changed].tolist(),
    }
    labels[changed] = wrong
    return arrays, label_noise


def _wrong_labels(
    labels: np.ndarray, n_classes: int, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions drawn by seed, and for each a uniformly drawn other label."""
    rng = np.random.default_rng(seed)
    changed = np.sort(rng.permutation(len(labels))[: round(share * len(labels))])
    shift = rng.integers(1, n_classes, size=len(changed))
    return changed, (labels[changed] + shift) % n_classes


def _resize(images: np.ndarray, edge: int) -> np.ndarray:
    from PIL import Image

    new = np.empty((*images.shape[:2], edge, edge), np.uint8)
    for i, c in itertools.product(*map(range, images.shape[:2])):
        new[i, c] = np.asarray(resized(Image.fromarray(images[i, c]), edge))
    return new


def _describe(config: config.Data, raw: RawData, arrays: dict, label_noise: dict) -> dict:
    shared = {"source", "resize", "subsample", "label_noise", "download"}
    paths = {"path", "folder", "train", "test", "drop"}
    settings = {k: v for k, v in config.model_dump().items() if k not in shared | paths}
    digests = {name: digest_of(array) for name, array in arrays.items()}
    parts = {name: digests[name] for name in FINGERPRINTED}
    mean, std = channel_statistics(arrays["train_images"])
    labels = _source_labels(arrays, label_noise)
    duplicates = count_duplicates(arrays["train_images"], arrays["test_images"], *labels)
    warnings = [
        *constant_channels(mean, std),
        *duplicate_notes(duplicates, len(arrays["test_labels"])),
    ]
    for warning in warnings:
        log.warning("%s: %s", source_name(config), warning)
    info = {
        "format_version": FORMAT_VERSION,
        "source": config.source,
        "settings": settings,
        "class_names": list(raw.class_names),
        "n_train": len(arrays["train_labels"]),
        "n_test": len(arrays["test_labels"]),
        "shape": list(arrays["train_images"].shape[1:]),
        "fingerprint": combined(parts.values()),
        "fingerprint_parts": parts,
        "mean": mean,
        "std": std,
        "resize": config.resize,
        "subsample": config.subsample.model_dump(),
        "label_noise": label_noise,
        "files": raw.files,
        "notes": [*raw.notes, *warnings],
        "duplicates": duplicates,
        "arrays": {
            name: {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digests[name]}
            for name, array in arrays.items()
        },
    }
    return info | {"checksum": checksum_of_info(info)}


def _source_labels(arrays: dict, label_noise: dict) -> tuple[np.ndarray, np.ndarray]:
    """Training and test labels as the source has them, without label noise."""
    train = arrays["train_labels"].copy()
    train[label_noise["changed"]] = label_noise["original_labels"]
    return train, arrays["test_labels"]

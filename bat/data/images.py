"""Image files and labels to the arrays of a data set; a test set held out where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bat.data.decoding import decode_images, decoder_note
from bat.data.raw import Progress, check_labels, draw_balanced, source_name
from bat.escaping import shown

if TYPE_CHECKING:
    from bat import config


def image_arrays(
    items: Iterable[tuple[str, bytes]],
    labels: dict[str, np.ndarray],
    class_names: tuple[str, ...],
    config: config.Data,
    channels: int,
    progress: Progress,
    workers: int,
    notes: Sequence[str] = (),
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Decode training images, then test images; the fields of `RawData` they fill.

    Where there are no test images, they are held out of the training images. ``names`` are those
    of the image files, in the same order.
    """
    chosen = None
    if "test" not in labels:
        chosen = hold_out(labels["train"], config.held_out)
        check_labels(*(labels["train"][i] for i in chosen), class_names, source_name(config))
    else:
        check_labels(labels["train"], labels["test"], class_names, source_name(config))
    n_train = len(labels["train"])
    images, turned = decode_images(
        items,
        sum(map(len, labels.values())),
        channels=channels,
        resize=config.resize,
        workers=workers,
        progress=progress,
    )
    notes = [*notes, decoder_note()]
    if turned:
        notes.append(f"{turned} images were turned upright, as their EXIF orientation says")
    fields = {"class_names": class_names, "notes": tuple(notes)}
    if names is not None:
        places = chosen or (range(n_train), range(n_train, len(names)))
        fields["names"] = {
            split: [shown(names[place]) for place in index]
            for split, index in zip(("train", "test"), places, strict=True)
        }
    if chosen is None:
        return fields | {
            "train_images": images[:n_train],
            "train_labels": labels["train"],
            "test_images": images[n_train:],
            "test_labels": labels["test"],
        }
    for split, index in zip(("train", "test"), chosen, strict=True):
        fields |= {
            f"{split}_images": images[index],
            f"{split}_labels": labels["train"][index],
            f"{split}_source_index": index,
        }
    return fields


def hold_out(labels: np.ndarray, held_out: config.HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training and of the test images, each in order."""
    rng = np.random.default_rng(held_out.seed)
    if held_out.samples is not None:
        test = draw_balanced(labels, rng, "data.held_out.samples", total=held_out.samples)
    else:
        order = rng.permutation(len(labels))
        members = [order[labels[order] == label] for label in np.unique(labels)]
        test = np.sort(
            np.concatenate([m[: max(1, round(held_out.share * len(m)))] for m in members])
        )
    return np.setdiff1d(np.arange(len(labels)), test), test

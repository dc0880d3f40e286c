"""Images that a data set holds more than once, equal in every pixel."""

from __future__ import annotations

import hashlib

import numpy as np

N_EXAMPLES = 10  # that are listed of each kind


def count_duplicates(
    train_images: np.ndarray,
    test_images: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
) -> dict[str, dict]:
    """Count images that are equal in every pixel.

    Parameters
    ----------
    train_images, test_images : ndarray of uint8, shape (n, C, H, W)
    train_labels, test_labels : ndarray of int64, shape (n,)

    Returns
    -------
    dict
        For ``train`` and ``test`` the numbers of images that repeat an earlier
        one of the split (``repeated``), of those with another label than the
        first of their kind (``other_label``); for ``across`` the numbers of
        test images that are in training (``repeated``), and that have there
        only other labels (``other_label``). Each with ``examples``, pairs of
        indices: the first image and its repetition, those with another label
        first; in ``across`` the training and the test image.
    """
    seen = _first_seen(train_images)
    labels_of: dict[bytes, set[int]] = {}
    for digest, label in zip(seen[0], train_labels.tolist(), strict=True):
        labels_of.setdefault(digest, set()).add(label)
    test = _first_seen(test_images)
    across = []
    for i, (digest, label) in enumerate(zip(test[0], test_labels.tolist(), strict=True)):
        if digest in seen[1]:
            across.append((seen[1][digest], i, label not in labels_of[digest]))
    return {
        "train": _summarize(_repetitions(*seen, train_labels)),
        "test": _summarize(_repetitions(*test, test_labels)),
        "across": _summarize(across),
    }


def _first_seen(images: np.ndarray) -> tuple[list[bytes], dict[bytes, int]]:
    """The digest of each image, and the first image of each digest."""
    digests = [hashlib.blake2b(image, digest_size=16).digest() for image in images]
    first: dict[bytes, int] = {}
    for i, digest in enumerate(digests):
        first.setdefault(digest, i)
    return digests, first


def _repetitions(
    digests: list[bytes], first: dict[bytes, int], labels: np.ndarray
) -> list[tuple[int, int, bool]]:
    return [
        (first[digest], i, bool(labels[first[digest]] != labels[i]))
        for i, digest in enumerate(digests)
        if first[digest] != i
    ]


def _summarize(pairs: list[tuple[int, int, bool]]) -> dict:
    shown_first = sorted(pairs, key=lambda pair: not pair[2])[:N_EXAMPLES]
    return {
        "repeated": len(pairs),
        "other_label": sum(differs for _, _, differs in pairs),
        "examples": [[one, other] for one, other, _ in shown_first],
    }


def duplicate_notes(duplicates: dict[str, dict], n_test: int) -> list[str]:
    """Sentences on the duplicates of a data set; none where there are none."""
    notes = []
    across = duplicates["across"]
    if across["repeated"]:
        share = "all" if across["repeated"] == n_test else f"{across['repeated']:,}"
        notes.append(
            f"{share} of the {n_test:,} test images are in the training set too, pixel by pixel"
            + (f", {across['other_label']:,} with another label" if across["other_label"] else "")
        )
    for split, name in (("train", "training"), ("test", "test")):
        found = duplicates[split]
        if found["repeated"]:
            notes.append(
                f"{found['repeated']:,} {name} images repeat an earlier one pixel by pixel"
                + (f", {found['other_label']:,} with another label" if found["other_label"] else "")
            )
    return notes

"""What stands for arrays and for the description of a data set: digests of their values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from bat.files.digests import json_digest


def fingerprint(
    train_images: np.ndarray,
    train_labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
) -> str:
    """The sha256 that stands for a data set: images and labels, in order.

    Each array contributes the sha256 of its dtype, shape and values, so that
    the same bytes in another shape give another fingerprint.
    """
    return combined(map(digest_of, (train_images, train_labels, test_images, test_labels)))


def digest_of(array: np.ndarray) -> str:
    """SHA-256 of an array's dtype, shape and values, in hex; the byte order changes nothing."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    digest.update(array)
    return digest.hexdigest()


def combined(digests: Iterable[str]) -> str:
    """One digest for several, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def checksum_of_info(info: dict) -> str:
    """Of the content of ``dataset.json`` beside this checksum itself."""
    return json_digest({key: value for key, value in info.items() if key != "checksum"})

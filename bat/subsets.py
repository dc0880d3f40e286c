"""Random subsets and random streams, each a function of (seed, trial, stream) alone.

Nothing here depends on how trials are grouped into jobs, so regrouping them or
adding more later changes no existing result.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from bat.errors import BatError

_WORD = 2**32  # SeedSequence takes 32-bit words; one word per key keeps the keys apart


def generator(seed: int, trial: int, stream: str) -> np.random.Generator:
    """Return the random generator of one stream of one trial.

    Streams with another seed, trial or name are independent of it.

    Parameters
    ----------
    seed, trial : int
        In [0, 2**32).
    stream : str
        What the numbers are for, such as ``"subset"`` or ``"order"``.

    Returns
    -------
    numpy.random.Generator
        A fresh PCG64 generator at the start of its stream.

    Raises
    ------
    BatError
        If ``seed`` or ``trial`` is not an integer in [0, 2**32).

    Examples
    --------
    >>> first = generator(0, 3, "order").integers(1000, size=4)
    >>> again = generator(0, 3, "order").integers(1000, size=4)
    >>> bool((first == again).all())
    True
    """
    for name, value in (("seed", seed), ("trial", trial)):
        if not isinstance(value, int | np.integer) or not 0 <= value < _WORD:
            raise BatError(f"{name} is {value!r}; expected an integer in [0, 2**32)")
    name = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:4], "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, trial, name])))


def torch_seed(seed: int, trial: int, stream: str) -> int:
    """Return a seed in [0, 2**63) for ``torch.manual_seed``, from the same scheme.

    Examples
    --------
    >>> torch_seed(0, 3, "init") == torch_seed(0, 3, "init") != torch_seed(0, 4, "init")
    True
    """
    return int(generator(seed, trial, stream).bit_generator.random_raw()) >> 1


def subset(seed: int, trial: int, n: int, ratio: float) -> np.ndarray:
    """Draw the training subset of one trial.

    Parameters
    ----------
    seed, trial : int
        In [0, 2**32).
    n : int
        Number of training samples.
    ratio : float
        Share of them in the subset, in (0, 1).

    Returns
    -------
    ndarray of bool, shape (n,)
        True for exactly ``round(ratio * n)`` samples, uniform over all such sets.

    Raises
    ------
    BatError
        If the ratio is not in (0, 1), or leaves the subset empty or complete.

    Notes
    -----
    The samples with the smallest of ``n`` raw 64-bit numbers are taken. NumPy
    promises the raw numbers of PCG64 for all versions, but not the results of
    ``Generator.permutation`` or ``Generator.choice``.

    Examples
    --------
    >>> int(subset(seed=0, trial=0, n=10, ratio=0.7).sum())
    7
    """
    if not 0 < ratio < 1:
        raise BatError(f"subset ratio is {ratio}; expected a share in (0, 1), such as 0.7")
    size = round(ratio * n)
    if not 0 < size < n:
        raise BatError(
            f"a subset of {ratio} of {n} samples holds {size}; expected at least one sample in it "
            "and one left out: use more samples or another ratio"
        )
    keys = generator(seed, trial, "subset").bit_generator.random_raw(n)
    mask = np.zeros(n, bool)
    mask[np.argsort(keys, kind="stable")[:size]] = True
    return mask


def pack(mask: np.ndarray) -> bytes:
    """Pack one row of booleans into bytes, eight to a byte, lowest bit first.

    Parameters
    ----------
    mask : ndarray of bool, shape (n,)

    Returns
    -------
    bytes
        ``ceil(n / 8)`` of them; the unused bits of the last one are 0.

    Raises
    ------
    BatError
        If ``mask`` is not a one-dimensional boolean array.

    Examples
    --------
    >>> pack(np.array([True, False, True]))
    b'\\x05'
    """
    if mask.ndim != 1 or mask.dtype != bool:
        raise BatError(f"found {mask.dtype} of shape {mask.shape}; expected one row of booleans")
    return np.packbits(mask, bitorder="little").tobytes()


def unpack(packed: bytes, n: int) -> np.ndarray:
    """Undo `pack`: bytes back to ``n`` booleans.

    Parameters
    ----------
    packed : bytes
        ``ceil(n / 8)`` bytes.
    n : int
        Number of booleans.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    BatError
        If the number of bytes does not belong to ``n``, or an unused bit is set.

    Examples
    --------
    >>> unpack(b"\\x05", 3)
    array([ True, False,  True])
    """
    if len(packed) != (n + 7) // 8:
        raise BatError(f"found {len(packed)} bytes; expected {(n + 7) // 8} for {n} booleans")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little").view(bool)
    if bits[n:].any():
        raise BatError(
            f"bits beyond the first {n} are set; the row is damaged or of another length"
        )
    return bits[:n]


HISTORY_SAMPLES = 2000
"""Samples of each split that are followed along training where nothing else is configured."""


def measured_samples(info: Mapping[str, Any], max_samples: int | None) -> dict[str, np.ndarray]:
    """Choose the samples whose accuracy is followed along training.

    Parameters
    ----------
    info : mapping
        Of the prepared data: ``n_train`` and ``n_test``.
    max_samples : int, optional
        At most this many of each split; all of them if None.

    Returns
    -------
    dict of str to ndarray of int64
        By split ('train', 'test'): rising positions, the same in every run.

    Examples
    --------
    >>> measured_samples({"n_train": 3, "n_test": 2}, None)["train"]
    array([0, 1, 2])
    """
    chosen = {}
    for split in ("train", "test"):
        n = info[f"n_{split}"]
        keys = generator(0, 0, f"measured-{split}").bit_generator.random_raw(n)
        chosen[split] = np.sort(np.argsort(keys, kind="stable")[: max_samples or n])
    return chosen


def followed_samples(
    info: Mapping[str, Any], max_samples: int | str | None, bits: Mapping[str, bytes]
) -> dict[str, np.ndarray]:
    """The samples whose verdicts a history holds.

    Parameters
    ----------
    info : mapping
        As for `measured_samples`.
    max_samples : int, "all" or None
        The run's ``history.max_samples``. Unset it is ``HISTORY_SAMPLES``, and was
        all samples in version 0.1.0; the length of the verdicts tells which.
    bits : mapping of str to bytes or None
        Packed verdicts of one epoch by split.

    Returns
    -------
    dict of str to ndarray of int64
        As `measured_samples` gives them.
    """
    if max_samples is not None:
        return measured_samples(info, None if max_samples == "all" else max_samples)
    every, some = measured_samples(info, None), measured_samples(info, HISTORY_SAMPLES)
    return {
        split: every[split]
        if len(bits[split] or b"") == -(-info[f"n_{split}"] // 8)
        else some[split]
        for split in every
    }

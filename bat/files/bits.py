"""Masks as packed bits, the form in which tables hold them."""

import numpy as np

from bat.errors import BatError


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

"""Random streams, each a function of (seed, trial, stream) alone.

Nothing here depends on how trials are grouped into jobs, so regrouping them or
adding more later changes no existing result.
"""

import hashlib

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

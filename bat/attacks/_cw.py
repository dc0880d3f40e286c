"""PGD on the margin loss of Carlini and Wagner."""

from __future__ import annotations

from bat.attacks.linf import CW_CONFIDENCE
from bat.attacks.pgd import PGD


def cw(
    eps: float,
    step: float,
    steps: int,
    *,
    restarts: int = 1,
    confidence: float = CW_CONFIDENCE,
) -> PGD:
    """PGD on the margin loss of Carlini and Wagner, the CW of robustness tables.

    Minimises ``max(z_y - max_{k != y} z_k + confidence, 0)`` from a uniform
    start. It is not their minimum-norm attack, which TRADES, MART and GAIRAT
    do not run either.

    References
    ----------
    Carlini and Wagner (2017), arXiv:1608.04644.
    """
    return PGD(eps=eps, step=step, steps=steps, restarts=restarts, loss="cw", confidence=confidence)

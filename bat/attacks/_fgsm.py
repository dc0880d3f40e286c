"""The fast gradient sign method."""

from __future__ import annotations

from bat.attacks.pgd import PGD


def fgsm(eps: float) -> PGD:
    """One step of length ``eps`` from the image itself, without a random start.

    References
    ----------
    Goodfellow et al. (2015), arXiv:1412.6572.
    """
    return PGD(eps=eps, step=eps, steps=1, start="zero")

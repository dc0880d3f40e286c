"""The ends of any score of the training samples, by shares: for scores without a known range."""

from __future__ import annotations

import numpy as np

from bat.errors import BatError
from bat.scores.proxies import PROXIES
from bat.scores.registry import SCORES


def atypical_end(kind: str) -> str:
    """Which end of a score is that of the atypical samples, 'high' or 'low'.

    >>> atypical_end("confidence"), atypical_end("csl")
    ('low', 'high')
    """
    if kind in PROXIES:
        return "high" if PROXIES[kind].high_is_atypical else "low"
    return SCORES[kind].atypical


def table_of(kind: str) -> str:
    """The kind of table that holds a score: its own, or that of all single trainings.

    >>> table_of("confidence"), table_of("csl")
    ('confidence', 'proxies')
    """
    return "proxies" if kind in PROXIES else kind


def ends(
    kind: str, values: np.ndarray, *, top: float, bottom: float
) -> tuple[np.ndarray, np.ndarray]:
    """The most atypical samples of a score, and the most typical ones.

    Parameters
    ----------
    kind : str
        A key of `bat.scores.registry.SCORES` or `bat.scores.proxies.PROXIES`, which
        says which end is which.
    values : ndarray of float, shape (n,)
    top, bottom : float
        Shares of the samples, in [0, 1]. Of equal values those of lower index count as more
        atypical.

    Returns
    -------
    atypical, typical : ndarray of bool, shape (n,)
        ``round(top * n)`` samples, and ``round(bottom * n)`` of the others.

    Raises
    ------
    BatError
        If a value is not finite, as of a score that the table does not hold.

    Examples
    --------
    >>> ends("csl", np.array([0.1, 3.0, 0.2, 0.9]), top=0.25, bottom=0.5)
    (array([False,  True, False, False]), array([ True, False,  True, False]))
    """
    n = len(values)
    if unknown := n - np.count_nonzero(np.isfinite(values)):
        raise BatError(
            f"{kind} is not known of {unknown} of {n} samples, so its ends are not; the table of "
            f"{table_of(kind)} must hold it: add it to proxies.names where it is made here, else "
            "name a score that the source has"
        )
    order = np.argsort(-values if atypical_end(kind) == "high" else values, kind="stable")
    n_top = round(top * n)
    atypical, typical = np.zeros((2, n), bool)
    atypical[order[:n_top]] = True
    typical[order[max(n_top, n - round(bottom * n)) :]] = True
    return atypical, typical

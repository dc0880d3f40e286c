"""The names of runs that no configuration lists: cells of the ablation, and runs of the studies."""

from __future__ import annotations


def ablation_name(alpha: float, beta: float) -> str:
    """The run that is a cell of the ablation; (0, 0) is PGD-AT.

    >>> ablation_name(1, 0.2), ablation_name(0, 0)
    ('bat-1-0.2', 'pgd-at')
    """
    return "pgd-at" if alpha == beta == 0 else f"bat-{alpha:g}-{beta:g}"


def study_name(method: str, share: float | None) -> str:
    """The run of a study; ``None`` is the whole training set.

    >>> study_name("erm", None), study_name("pgd-at", 0.2)
    ('erm-all', 'pgd-at-atypical-20')
    """
    return f"{method}-all" if share is None else f"{method}-atypical-{100 * share:g}"


def substitution_name(score: str) -> str:
    """BAT(1, 0.2) with another score; memorization's is the run of the tables."""
    return "bat-1-0.2" if score == "memorization" else f"bat-1-0.2-{score}"

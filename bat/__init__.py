"""Memorization, influence, and their part in adversarial training.

What notebooks and scripts use is here by name; `docs/python.md` shows it at work. A name is
looked up when it is first used, so that ``import bat`` costs nothing.

>>> import bat
>>> included = [bat.subset(seed=0, trial=t, n=4, ratio=0.5) for t in range(12)]
>>> bat.memorization(included, included).memorization
array([1., 1., 1., 1.])
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0.dev0"

if TYPE_CHECKING:
    from bat import attacks, objectives
    from bat.errors import BatError
    from bat.scores.estimates import (
        alignment,
        confidence,
        convergence,
        disagreement,
        influence,
        memorization,
    )
    from bat.scores.groups import test_groups, train_groups
    from bat.scores.subsets import subset
    from bat.scoring.outcomes import Trials, merge_trials
    from bat.scoring.running import run_trials
    from bat.sharing.score_tables import ScoreTables, read_scores

_PLACES = {
    "bat.errors": ("BatError",),
    "bat.scores.estimates": (
        *("alignment", "confidence", "convergence", "disagreement", "influence", "memorization"),
    ),
    "bat.scores.groups": ("test_groups", "train_groups"),
    "bat.scores.subsets": ("subset",),
    "bat.scoring.outcomes": ("Trials", "merge_trials"),
    "bat.scoring.running": ("run_trials",),
    "bat.sharing.score_tables": ("ScoreTables", "read_scores"),
}
_ROOMS = ("attacks", "objectives")

__all__ = [
    "BatError",
    "ScoreTables",
    "Trials",
    "alignment",
    "attacks",
    "confidence",
    "convergence",
    "disagreement",
    "influence",
    "memorization",
    "merge_trials",
    "objectives",
    "read_scores",
    "run_trials",
    "subset",
    "test_groups",
    "train_groups",
]


def __getattr__(name: str):
    """A public name, imported when it is first asked for (PEP 562)."""
    if name in _ROOMS:
        return import_module(f"bat.{name}")
    for module, names in _PLACES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module 'bat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

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

__version__ = "0.2.0"

if TYPE_CHECKING:
    from bat import attacks, objectives
    from bat.attacks.verdicts import evaluate
    from bat.checkpoints.anyones import load as load_model
    from bat.data.arrays import from_arrays
    from bat.data.prepared import PreparedData
    from bat.data.prepared import load as load_data
    from bat.errors import BatError
    from bat.models.anyones import build as build_model
    from bat.report.methods import compare
    from bat.scores.estimates import (
        alignment,
        confidence,
        convergence,
        disagreement,
        influence,
        memorization,
    )
    from bat.scores.groups import test_groups, train_groups
    from bat.scores.margin_influence import influence_from_margins
    from bat.scores.margins import memorization_from_margins
    from bat.scores.subsets import subset
    from bat.scoring.outcomes import Trials, merge_trials
    from bat.scoring.running import run_trials
    from bat.sharing.score_tables import ScoreTables, read_scores
    from bat.training.dynamics import Dynamics
    from bat.training.loop import Recorder
    from bat.training.scripts import History, train

_PLACES = {
    "BatError": "bat.errors",
    "Dynamics": "bat.training.dynamics",
    "History": "bat.training.scripts",
    "PreparedData": "bat.data.prepared",
    "Recorder": "bat.training.loop",
    "ScoreTables": "bat.sharing.score_tables",
    "Trials": "bat.scoring.outcomes",
    "alignment": "bat.scores.estimates",
    "attacks": "bat.attacks:",
    "build_model": "bat.models.anyones:build",
    "compare": "bat.report.methods",
    "confidence": "bat.scores.estimates",
    "convergence": "bat.scores.estimates",
    "disagreement": "bat.scores.estimates",
    "evaluate": "bat.attacks.verdicts",
    "from_arrays": "bat.data.arrays",
    "influence": "bat.scores.estimates",
    "influence_from_margins": "bat.scores.margin_influence",
    "load_data": "bat.data.prepared:load",
    "load_model": "bat.checkpoints.anyones:load",
    "memorization": "bat.scores.estimates",
    "memorization_from_margins": "bat.scores.margins",
    "merge_trials": "bat.scoring.outcomes",
    "objectives": "bat.objectives:",
    "read_scores": "bat.sharing.score_tables",
    "run_trials": "bat.scoring.running",
    "subset": "bat.scores.subsets",
    "test_groups": "bat.scores.groups",
    "train": "bat.training.scripts",
    "train_groups": "bat.scores.groups",
}
"""Where each public name is: a module, and after a colon the name there where it is another,
or nothing where the module itself is meant."""

__all__ = [
    "BatError",
    "Dynamics",
    "History",
    "PreparedData",
    "Recorder",
    "ScoreTables",
    "Trials",
    "alignment",
    "attacks",
    "build_model",
    "compare",
    "confidence",
    "convergence",
    "disagreement",
    "evaluate",
    "from_arrays",
    "influence",
    "influence_from_margins",
    "load_data",
    "load_model",
    "memorization",
    "memorization_from_margins",
    "merge_trials",
    "objectives",
    "read_scores",
    "run_trials",
    "subset",
    "test_groups",
    "train",
    "train_groups",
]


def __getattr__(name: str):
    """A public name, imported when it is first asked for (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module 'bat' has no attribute {name!r}")
    place, colon, other = _PLACES[name].partition(":")
    module = import_module(place)
    value = module if colon and not other else getattr(module, other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

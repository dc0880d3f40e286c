"""Estimators on arrays: memorization, influence, disagreement, confidence, groups; no files."""

from bat.scores._agreement import agreement, discoveries
from bat.scores._convergence import convergence, influence_convergence
from bat.scores._influence import InfluenceScores, influence
from bat.scores._memorization import MemorizationScores, memorization
from bat.scores.counts import trials_for_coverage
from bat.scores.registry import ATYPICAL_ABOVE, ENSEMBLE_SCORES, INFLUENCE_ABOVE, SCORES, Score

__all__ = [
    "ATYPICAL_ABOVE",
    "ENSEMBLE_SCORES",
    "INFLUENCE_ABOVE",
    "SCORES",
    "InfluenceScores",
    "MemorizationScores",
    "Score",
    "agreement",
    "convergence",
    "discoveries",
    "influence",
    "influence_convergence",
    "memorization",
    "trials_for_coverage",
]

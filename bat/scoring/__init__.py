"""From trial shards to score tables, groups, and the studies of the scores."""

from bat.scoring.convergence import CONVERGENCE_REPEATS, write_convergence
from bat.scoring.groups import write_groups
from bat.scoring.privacy import write_privacy
from bat.scoring.tables import write_ensembles, write_scores
from bat.scoring.trials import ShardTrials, read_trials

__all__ = [
    "CONVERGENCE_REPEATS",
    "ShardTrials",
    "read_trials",
    "write_convergence",
    "write_ensembles",
    "write_groups",
    "write_privacy",
    "write_scores",
]

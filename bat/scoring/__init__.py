"""From trial shards to score tables, groups, and the studies of the scores."""

from bat.scoring.tables import (
    CONVERGENCE_REPEATS,
    Trials,
    read_trials,
    write_convergence,
    write_ensembles,
    write_groups,
    write_scores,
)

__all__ = [
    "CONVERGENCE_REPEATS",
    "Trials",
    "read_trials",
    "write_convergence",
    "write_ensembles",
    "write_groups",
    "write_scores",
]

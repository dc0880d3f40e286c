"""Specifications hold what a stage depends on, and nothing else."""

from __future__ import annotations

from bat.config import load_config
from bat.plan.specifications import STAGES, all_specifications


def test_sizes_of_jobs_change_no_specification():
    def specs(**settings):
        configured = {"data": {"source": "cifar10"}, **settings}
        return all_specifications(load_config({"datasets": {"x": configured}}))

    assert specs(scores={"trials_per_job": 7}) == specs(scores={"trials_per_job": 11})
    assert specs()["x", "poisoning"]["stage_version"] == STAGES["poisoning"]

"""The training samples that runs choose for themselves: in specifications, and what is wrong there.

What `train_on` says stands in every specification; what `samples` adds to it in those of the
runs that have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bat.config import AnyRun, BatRun, Config, Dataset, Dropped, Groups
from bat.config.samples import WITHOUT_MEMORIZED
from bat.errors import BatError
from bat.files.indices import indices_digest, read_indices
from bat.plan.runs import all_runs, substitution_runs
from bat.plan.sizes import size
from bat.scores import SCORES


def score_threshold(of: BatRun | Dropped) -> dict[str, float]:
    """Which samples count as those of high score: those beyond sigma, or the top share."""
    if of.top is not None:
        return {"top": of.top}
    return {"sigma": SCORES[of.score].sigma if of.sigma is None else of.sigma}


def samples_specification(run: AnyRun) -> dict[str, dict]:
    """``{"samples": ...}`` of a run that chooses its own; empty for others.

    Raises
    ------
    BatError
        If its list of samples is missing, or none.
    """
    samples = run.samples
    if samples is None:
        return {}
    if samples.keep is not None:
        digest = indices_digest(read_indices(samples.keep))
        return {"samples": {"keep": {"file": str(samples.keep), "sha256": digest}}}
    if samples.drop.group is not None:
        return {"samples": {"drop": {"group": samples.drop.group}}}
    return {"samples": {"drop": {"kind": samples.drop.score, **score_threshold(samples.drop)}}}


def sample_problems(config: Config) -> list[str]:
    """What is wrong with the samples that runs choose, a line for each, by the run's key."""
    problems = [
        f"datasets.{name}.runs.{problem}"
        for name, dataset in config.datasets.items()
        for run_name, run in all_runs(dataset).items()
        if run.samples is not None
        for problem in _problems(dataset, config.results / name, run_name, run)
    ]
    return list(dict.fromkeys(problems))


def _problems(dataset: Dataset, folder: Path, name: str, run: AnyRun) -> Iterator[str]:
    if run.samples.keep is not None:
        if name not in dataset.runs:
            return  # it has the list of one that is among them
        known = size(dataset, folder)
        try:
            read_indices(run.samples.keep, None if known.assumed else known.n_train)
        except BatError as error:
            yield f"{name}.samples.keep: {error}"
    elif isinstance(run, BatRun) and run.alpha > 0 and _drops_all_memorized(run, dataset.groups):
        if name in dataset.runs:
            yield f"{name}.samples: {WITHOUT_MEMORIZED}"
        else:
            base, where, key = MADE_OF[name in substitution_runs(dataset)]
            yield (
                f"{base}.samples: {where} makes BAT of this run, and these samples leave no "
                f"memorized one in; choose them for a run of another name, or change {key}"
            )


MADE_OF = (
    ("pgd-at", "figure 4", "ablation.alpha"),
    ("bat-1-0.2", "the table of substitutions", "studies.scores"),
)
"""Runs that others are made of, by whether these have another score: where, and set by what."""


def _drops_all_memorized(run: BatRun, groups: Groups) -> bool:
    """Whether no sample that counts as memorized can be left, by the configuration alone."""
    drop = run.samples.drop
    if drop.group is not None and groups.score is not None:
        drop = Dropped(score=groups.score, top=groups.top)
    elif drop.group is not None:
        if groups.significance is not None or groups.false_discovery is not None:
            return False  # the group holds but some of those beyond its threshold
        drop = Dropped(score="memorization", sigma=groups.atypical_above)
    if drop.score != run.score:
        return False
    left_out, memorized = score_threshold(drop), score_threshold(run)
    if "top" in left_out and "top" in memorized:
        return left_out["top"] >= memorized["top"]
    if "sigma" not in left_out or "sigma" not in memorized:
        return False
    high = SCORES[run.score].atypical == "high"
    low, above = (left_out, memorized) if high else (memorized, left_out)
    return low["sigma"] <= above["sigma"]

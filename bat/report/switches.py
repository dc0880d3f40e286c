"""What single runs of a comparison do beside their method, in words for captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bat.report.words import LABELS, counted, exact_percent
from bat.scores.ranking import atypical_end


def switch_sentences(specs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What runs do beside their method: a sentence for each way, naming those that do so.

    Parameters
    ----------
    specs : mapping of str to mapping
        By run, from `bat.plan.specifications.run_specification`; what is absent is not set.

    Examples
    --------
    >>> switch_sentences({"mart": {}, "mine": {"start_from": {"run": "erm-all"}}})
    ['Started from the weights of erm-all: mine.']
    """
    found: dict[str, list[str]] = {}
    for run, spec in specs.items():
        for words in _switches(spec):
            found.setdefault(words, []).append(LABELS.get(run, run))
    return [f"{words}: {', '.join(names)}." for words, names in found.items()]


def _switches(spec: Mapping[str, Any]) -> Iterator[str]:
    if "averaging" in spec:
        yield _averaging(spec["averaging"])
    if (awp := spec.get("objective", {}).get("awp")) is not None:
        after = f" after {counted(awp['warmup'], 'epoch')}" if awp["warmup"] else ""
        yield f"Weights perturbed against the loss (AWP, gamma {awp['gamma']:g}){after}"
    if smoothing := spec.get("training", {}).get("label_smoothing"):
        yield f"Labels smoothed by {smoothing:g}"
    if (start := spec.get("start_from")) is not None:
        yield f"Started from the weights of {start.get('run') or Path(start['file']).name}"
    if (share := spec.get("train_on", {}).get("atypical")) is not None:
        others = "alone" if share == 0 else f"and {exact_percent(share)} of the atypical ones"
        yield f"Trained on the typical samples {others}"
    if "samples" in spec:
        yield f"Trained {_samples(**spec['samples'])}"


def _samples(keep: Mapping[str, Any] | None = None, drop: Mapping[str, Any] | None = None) -> str:
    if keep is not None:
        return f"on the samples that {Path(keep['file']).name} lists"
    if "group" in drop:
        return f"without the {drop['group']} samples"
    high = atypical_end(drop["kind"]) == "high"
    if "top" in drop:
        end = "highest" if high else "lowest"
        return f"without the {exact_percent(drop['top'])} of {end} {drop['kind']}"
    return f"without the samples of {drop['kind']} {'above' if high else 'below'} {drop['sigma']:g}"


def _averaging(averaging: Mapping[str, Any]) -> str:
    begin = f"from epoch {averaging['begin_epoch']} on"
    if averaging["kind"] == "swa":
        return f"Weights averaged over the epochs (SWA) {begin}"
    return f"Moving average of the weights (EMA, decay {averaging['decay']:g}) {begin}"

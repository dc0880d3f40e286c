"""What the trials give away of their training samples: the attack, from shards to files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bat import files
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.files import column, write_table
from bat.scores.fit import chance_accuracy
from bat.scores.privacy import Attack, membership_attack
from bat.scores.roc import FALSE_POSITIVE_RATES, Curve
from bat.scoring.trials import read_trials
from bat.streams import generator
from bat.validation import read_checked

GROUPS = ("typical", "atypical")


def write_privacy(
    shards: Sequence[Path],
    groups: Path,
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    command: str,
) -> None:
    """Attack the trials; write each sample's AUC, and how well members are told in all.

    Parameters
    ----------
    shards : sequence of path
        Of the trials behind the scores.
    groups : path
        ``train.parquet`` of the groups.
    prepared : PreparedData
    spec : dict
        From `bat.plan.specifications`: ``dataset``, ``trials`` and ``recipe``.
    out : path
        Folder of ``privacy.parquet`` and ``privacy.csv``.
    command : str
        For the metadata.

    Raises
    ------
    ArtifactError
        If trials lack margins, naming their shard, or a file is damaged or of other
        data.
    """
    trials = read_trials(shards, prepared, spec["trials"], recipe=spec["recipe"], margins=True)
    if trials.train_margin is None:
        raise ArtifactError(_lacking(shards))
    table, _ = read_checked(groups, "groups", prepared)
    attack = membership_attack(trials.included, trials.train_margin)
    labels = np.asarray(prepared.train_labels)
    made_of = {
        "trials": trials.digest(),
        "margins": hashlib.sha256(np.ascontiguousarray(trials.train_margin)).hexdigest(),
    }
    provenance = {
        "fingerprint": prepared.info["fingerprint"],
        "recipe": trials.recipe,
        "identity": {"dataset": spec["dataset"]},
    }
    columns = {
        "index": np.arange(len(labels)),
        "label": labels,
        "auc": attack.sample_auc,
        "auc_se": attack.sample_auc_se,
    }
    write_table(
        out / "privacy.parquet",
        "privacy",
        columns,
        **provenance,
        dataset=spec["dataset"],
        accuracies=trials.accuracies,
        chance_accuracy=chance_accuracy(labels),
        command=command,
        inputs=made_of,
    )
    parts = {name: column(table, name) for name in GROUPS}
    parts |= {f"class {label}": labels == label for label in range(len(prepared.class_names))}
    rows = pd.DataFrame(_rows(trials.included, attack, parts, spec["recipe"]["seed"]))
    path = out / "privacy.csv"
    files.write_bytes(path, rows.to_csv(index=False, lineterminator="\n").encode())
    made_of |= {"groups": files.table_digest(groups, "groups", GROUPS)}
    files.write_label(path, **provenance, inputs=made_of)


def _lacking(shards: Sequence[Path]) -> str:
    """What to say of shards with trials without margins."""
    counts = {path: files.empty_rows(path, "trials", "train_margin") for path in map(Path, shards)}
    lacking = {path: count for path, count in counts.items() if count}
    first, count = next(iter(lacking.items()))
    return (
        f"{first}: holds no margins of {count} trials"
        f"{f', and {len(lacking) - 1} more shards lack some' if len(lacking) > 1 else ''}; the "
        "attack needs those of every trial. They were trained before margins were kept, with "
        "scores.margins false, or by a training of your own that gives no logits. Move these "
        "shards to another folder and run the workflow with scores.margins true, which trains "
        "their trials again; or do without the target privacy"
    )


def _rows(
    included: np.ndarray, attack: Attack, parts: dict[str, np.ndarray], seed: int
) -> Iterator[dict]:
    """The curve of all samples, and of each part its area and two of its points.

    A part is attacked with thresholds of its own: its false positives are among its own
    non-members.
    """
    random = generator(seed, 0, "privacy")
    whole = Curve(included, attack.scores, attack.fold)
    levels = list(FALSE_POSITIVE_RATES)
    if whole.folds:
        first = math.ceil(10 * math.log10(whole.resolution))
        levels = sorted({*levels, *(10 ** (k / 10) for k in range(first, 1))})
    yield from _points("all", included.shape[1], whole, levels, random)
    for name, chosen in parts.items():
        if chosen.any():
            curve = Curve(included[:, chosen], attack.scores[:, chosen], attack.fold)
            yield from _points(name, int(chosen.sum()), curve, FALSE_POSITIVE_RATES, random)


def _points(
    part: str, n_samples: int, curve: Curve, levels: Sequence[float], random: np.random.Generator
) -> Iterator[dict]:
    area, area_low, area_high = curve.area()
    found = curve.rates(levels), *curve.rate_intervals(levels, random)
    for level, tpr, low, high in zip(levels, *found, strict=True):
        yield {
            "part": part,
            "n_samples": n_samples,
            "auc": area,
            "auc_low": area_low,
            "auc_high": area_high,
            "fpr": level,
            "tpr": tpr,
            "tpr_low": low,
            "tpr_high": high,
        }

"""Trials of one recipe from several machines or people, joined into one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from bat import validation
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.files import column, read_metadata, write_table
from bat.progress import log
from bat.reading import is_visible
from bat.scoring.tables import write_scores
from bat.validation.trials import holding


def merge(
    paths: Sequence[Path],
    prepared: PreparedData,
    out: Path,
    *,
    dataset: str,
    influence: dict,
    min_included_accuracy: float,
    command: str,
    architecture: str | None = None,
) -> None:
    """Join trials of one recipe from several places, and estimate the scores anew.

    Parameters
    ----------
    paths : sequence of path
        Shards, folders of shards, or folders with a folder ``trials`` of them.
    prepared : PreparedData
        The data set that all of them were trained on.
    out : path
        Gets ``trials/``, one shard per architecture, and ``scores/``, which is what
        one run with all the trials would have given.
    dataset : str
        Name for the metadata.
    influence : dict
        ``pairs`` and ``keep_above``, as in the configuration.
    min_included_accuracy : float
        Mean accuracy on samples trained on, below which scores are flagged.
    command : str
        For the metadata.
    architecture : str, optional
        Whose trials the scores come from; needed where there are several.

    Raises
    ------
    ArtifactError
        If recipes or fingerprints differ, a trial's number comes with two
        contents, a shard breaks a rule, or a number between is missing.
    """
    shards = [shard for path in paths for shard in shards_of(Path(path))]
    joined: dict[str, dict[int, tuple[pa.Table, Path]]] = {}
    recipes: dict[str, tuple[dict, Path]] = {}
    for shard in shards:
        metadata = read_metadata(shard, "trials", fingerprint=prepared.fingerprint)
        validation.check_metadata(shard, "trials", metadata)
        recipe = metadata["recipe"]
        name = recipe["architecture"]
        known, where = recipes.setdefault(name, (recipe, shard))
        if recipe != known:
            raise ArtifactError(
                f"{shard}: trained with another recipe than {where} "
                f"({'; '.join(differences(recipe, known))}); only trials of one recipe make a "
                "table"
            )
        _, table, _ = validation.check_table(shard, prepared)
        for at, trial in enumerate(column(table, "trial").tolist()):
            _add(joined.setdefault(name, {}), trial, table.slice(at, 1), shard)
    if architecture is None and len(joined) == 1:
        architecture = next(iter(joined))
    if architecture not in joined:
        raise ArtifactError(
            f"found trials of {', '.join(joined)}; name one of them (--architecture) as that "
            "which the scores come from"
        )
    for name, rows in joined.items():
        missing = sorted(set(range(max(rows) + 1)) - rows.keys())
        if missing:
            raise ArtifactError(
                f"{name}: of trials 0 to {max(rows)}, {len(missing)} are in none of the places "
                f"({', '.join(map(str, missing[:5]))}{', ...' if len(missing) > 5 else ''}); train "
                "them too, so that the number of trials tells which they are"
            )
    written = {}
    for name, rows in joined.items():
        written[name] = out / "trials" / f"{name}-{0:06d}-{max(rows):06d}.parquet"
        table = pa.concat_tables([rows[trial][0] for trial in sorted(rows)])
        provenance = {"fingerprint": prepared.fingerprint, "recipe": recipes[name][0]}
        write_table(written[name], "trials", table, **provenance, command=command)
        used = len({shard for _, shard in rows.values()})
        log.info("%s: %d trials, from %d of %d shards", written[name], len(rows), used, len(shards))
    spec = {
        "dataset": dataset,
        "trials": len(joined[architecture]),
        "recipe": recipes[architecture][0],
        "influence": influence,
        "min_included_accuracy": min_included_accuracy,
        "allow_unfitted": True,  # whoever merges sees the warning; a configuration refuses them
    }
    write_scores([written[architecture]], prepared, spec, out / "scores", command=command)


def shards_of(path: Path) -> list[Path]:
    """The shards of trials at a path: a file, a folder of them, or one with ``trials``."""
    if path.is_file():
        return [path]
    folder = path / "trials" if (path / "trials").is_dir() else path
    found = sorted(p for p in folder.glob("*.parquet") if is_visible(p.name))
    if not found:
        raise ArtifactError(f"{path}: no shard of trials there (*.parquet, or trials/*.parquet)")
    return found


def _add(rows: dict[int, tuple[pa.Table, Path]], trial: int, row: pa.Table, shard: Path) -> None:
    if trial not in rows:
        rows[trial] = row, shard
        return
    other, where = rows[trial]
    for name in ("included", "train_correct", "test_correct"):
        if not row.column(name).equals(other.column(name)):
            raise ArtifactError(
                f"{shard}: trial {trial} is also in {where}, with another content ({name}); leave "
                "one of the two out. Trials repeat bit for bit only on the same kind of device"
            )
    if holding(row) > holding(other):
        rows[trial] = row, shard


def differences(found: dict, expected: dict, prefix: str = "") -> list[str]:
    """In which keys two nested mappings differ, and how, for people."""
    lines = []
    for key in sorted(found.keys() | expected.keys()):
        a, b = found.get(key), expected.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a}, and {b} there")
    return lines

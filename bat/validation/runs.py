"""Rules of what a run leaves: its history, its evaluation; and that it is of the present model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bat import files
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.files.bits import unpack
from bat.reading import check_values, lies_there
from bat.scores.subsets import followed_samples
from bat.validation.rows import Rows


def check_history(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Epochs in order, finite numbers, and bits that fit the samples that were followed."""
    recipe, table = metadata["recipe"], rows.table
    if "inputs" in metadata and metadata.get("checkpoints", {}).keys() != {"last", "best"}:
        raise ArtifactError(
            f"{rows.path}: the metadata do not say which checkpoints, last and best, the run left"
        )
    rows.every(rows["epoch"] == np.arange(1, table.num_rows + 1), "epochs count from 1 up")
    rows.every(np.isfinite(rows["loss"]), "loss is a finite number")
    epochs = recipe.get("training", {}).get("epochs")
    if epochs is not None and table.num_rows != epochs:
        raise ArtifactError(f"{rows.path}: {table.num_rows} rows, and the run has {epochs} epochs")
    for name in files.STATISTICS:
        values = table.column(name).drop_null().to_numpy()
        if not np.isfinite(values).all():
            raise ArtifactError(f"{rows.path}: {name} is no finite number in some epoch")
    if rows.known("selection_accuracy"):
        rows.within("selection_accuracy", 0, 1)
    if prepared is None:
        return
    last = table.slice(table.num_rows - 1).to_pylist()[0] if table.num_rows else {}
    bits = {split: last.get(f"{split}_clean") for split in ("train", "test")}
    limit = recipe.get("history", {}).get("max_samples")
    for split, index in followed_samples(prepared.info, limit, bits).items():
        clean, pgd = (table.column(f"{split}_{flag}").to_pylist() for flag in files.FLAGS)
        for row, (of_clean, of_pgd) in enumerate(zip(clean, pgd, strict=True)):
            if of_clean is None and of_pgd is None:
                continue
            try:
                right, robust = (
                    unpack(of_clean or b"", len(index)),
                    unpack(of_pgd or b"", len(index)),
                )
            except ValueError as error:
                raise ArtifactError(f"{rows.path}: epoch {row + 1}, {split}: {error}") from None
            if (robust & ~right).any():
                raise ArtifactError(
                    f"{rows.path}: epoch {row + 1}: a {split} sample is right under PGD and wrong "
                    "without attack"
                )


def check_evaluations(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Verdicts of the attacks that were asked for; right under attack is right without."""
    _index_rises(rows)
    clean = rows["clean"].astype(bool)
    attacks = metadata["recipe"].get("attacks", {})
    for name in dict.fromkeys([*files.ATTACKS, *attacks]):
        if rows.known(name) != (name in attacks) and len(clean):
            words = "has no verdicts, and it was asked for" if name in attacks else "was not asked"
            raise ArtifactError(f"{rows.path}: the attack {name} {words}; evaluate again")
        if name in attacks:
            rows.every(
                clean | ~rows[name].astype(bool), f"right under {name} is right without attack"
            )
    _judged(rows, metadata, prepared)


def check_masking(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """What withstands an attack withstood those before it; a transfer attack has a source."""
    _index_rises(rows)
    before = {"few": "clean", "many": "few"}
    for name in files.MASKING:
        if name == "transfer" and not _has_source(metadata):
            if rows.known(name) and rows.table.num_rows:
                raise ArtifactError(f"{rows.path}: transfer has verdicts, and names no source")
            continue
        earlier = before.get(name, "many")
        rows.every(
            rows[earlier].astype(bool) | ~rows[name].astype(bool),
            f"what withstands {name} withstands {earlier}",
        )
    _judged(rows, metadata, prepared)


def _has_source(metadata: dict) -> bool:
    return metadata.get("inputs", {}).get("source", files.NO_SOURCE) != files.NO_SOURCE


def _index_rises(rows: Rows) -> None:
    index = rows["index"]
    rows.every(
        (index >= 0) & np.append(True, np.diff(index) > 0)[: len(index)],
        "index rises, each test sample once",
    )


def _judged(rows: Rows, metadata: dict, prepared: PreparedData | None) -> None:
    """Refuse rows that are not those of the samples that were asked for."""
    if prepared is None:
        return
    n, index = prepared.info["n_test"], rows["index"]
    rows.every(index < n, f"index is below {n}")
    limit = metadata["recipe"].get("max_samples")
    if limit is not None:
        check_values(str(rows.path), {"max_samples": limit}, {"max_samples": (int,)}, ArtifactError)
    expected = min(limit or n, n)
    if len(index) != expected:
        raise ArtifactError(
            f"{rows.path}: {len(index)} rows, and {expected} samples were judged; evaluate again"
        )


def check_model(
    path: Path, metadata: Mapping[str, Any], checkpoint: Path, name: str = "checkpoint"
) -> None:
    """Refuse what was measured of another model than a run has now.

    Parameters
    ----------
    path : path
        For the message.
    metadata : mapping
        Of what was measured.
    checkpoint : path
        ``best.pt`` or ``last.pt`` in the folder of the run, beside its history.
    name : str
        What the metadata call the model among their inputs.

    Raises
    ------
    ArtifactError
    """
    history = checkpoint.with_name("history.parquet")
    if not lies_there(history):
        return  # a model from elsewhere, put there by hand
    now = files.read_metadata(history, "history")
    if "inputs" in metadata and "checkpoints" in now:
        present = now["checkpoints"][checkpoint.stem]
    else:  # version 0.1.0 noted the sha256 of the file
        metadata = {"inputs": {"checkpoint": metadata.get("checkpoint_sha256")}}
        present = files.sha256_of(checkpoint)
    files.check_inputs(path, metadata, {name: present})

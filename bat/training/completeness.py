"""Whether a run lies there whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from bat import files
from bat.checkpoints.formats import checkpoint_digest
from bat.data import PreparedData
from bat.errors import ArtifactError, MisplacedError
from bat.progress import log
from bat.reading import lies_there
from bat.training.inputs import MadeOf, identity
from bat.validation import read_checked


def is_complete(out: Path, prepared: PreparedData, spec: dict, made_of: MadeOf) -> bool:
    """Whether a run lies there whole, of these settings and of what it would be made of now."""
    path = out / "history.parquet"
    if not lies_there(path):
        return False
    try:
        table, metadata = read_checked(path, "history", prepared)
        checkpoints = {name: checkpoint_digest(out / f"{name}.pt") for name in ("last", "best")}
    except MisplacedError:
        raise
    except ArtifactError as error:
        log.warning("%s; the run is trained again", error)
        return False
    if metadata["recipe"] != spec:
        log.info("%s: of other settings; trained again", out)
        return False
    if "inputs" not in metadata:
        return _adopt(path, table, metadata, made_of, checkpoints)
    changed = files.changed_inputs(metadata, made_of.digests)
    if changed:
        log.info("%s: %s changed since; trained again", out, " and ".join(changed))
        return False
    strange = [
        f"{n}.pt" for n, digest in metadata["checkpoints"].items() if checkpoints[n] != digest
    ]
    if strange:
        log.warning(
            "%s: %s not as the run left it; the run is trained again", out, " and ".join(strange)
        )
    return not strange


def _adopt(
    path: Path, table: pa.Table, metadata: dict, made_of: MadeOf, checkpoints: dict[str, str]
) -> bool:
    """Take over a run of version 0.1.0, which does not say what it was made of, by its time."""
    if path.stat().st_mtime + files.COPYING < made_of.since:
        log.info("%s: %s changed since; trained again", path.parent, " or ".join(made_of.digests))
        return False
    facts = {k: metadata[k] for k in ("best_epoch", "best_accuracy", "command", "recipe")}
    files.write_table(
        path,
        "history",
        table,
        fingerprint=metadata["fingerprint"],
        identity=identity(metadata["recipe"]),
        inputs=made_of.digests,
        checkpoints=checkpoints,
        adopted_from=metadata["package_version"],
        **facts,
    )
    log.info(
        "%s: made by version %s, which noted no %s; by its time it is of what lies there now, "
        "and from now on it says so",
        *(path.parent, metadata["package_version"], " or ".join(["inputs", *made_of.digests])),
    )
    return True

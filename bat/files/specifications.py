"""Specifications as files whose names tell their content.

A specification holds all that one stage depends on. Its file carries a digest
of it in its name, so that a changed setting is another file: nothing is ever
overwritten, and two configurations in one results folder never meet.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from bat.errors import ArtifactError
from bat.files.digests import json_digest
from bat.files.documents import read_json

_NAMED = re.compile(r".+-([0-9a-f]{12})")


def specification_text(spec: dict) -> str:
    """The JSON that a specification's file holds."""
    return json.dumps(spec, indent=2, allow_nan=False)


def specification_name(stage: str, spec: dict) -> str:
    """The stem of a specification's file: the stage and a digest of the content.

    >>> specification_name("figures", {"precision": 0.05})
    'figures-3232e0ddc220'
    """
    return f"{stage}-{json_digest(spec)[:12]}"


def read_specification(path: str | Path, *, seed: int | None = None) -> dict:
    """Read a specification, and refuse one that is not what its name says.

    Parameters
    ----------
    path : path-like
        A file whose name carries no digest is taken as it is.
    seed : int, optional
        Of one run; added to its specification, which all its seeds share.

    Raises
    ------
    ArtifactError
        If the file is missing, no specification, edited or damaged, or of
        another seed.
    """
    spec, named = read_json(path), _NAMED.fullmatch(Path(path).stem)
    if not isinstance(spec, dict):
        raise ArtifactError(f"{path}: holds {type(spec).__name__}, expected a mapping of settings")
    if named and named[1] != (found := json_digest(spec)[:12]):
        raise ArtifactError(
            f"{path}: edited or damaged (its content has the digest {found}, and its name says "
            f"{named[1]}); remove it and run the workflow again, which writes it"
        )
    if seed is None:
        return spec
    if spec.get("seed", seed) != seed:
        raise ArtifactError(f"{path}: is of seed {spec['seed']}, and seed {seed} was asked for")
    return spec | {"seed": seed}


def latest_configurations(results: Path) -> list[Path]:
    """The configurations that workflows were started with in a results folder, the last first.

    Raises
    ------
    ArtifactError
        If one was edited or damaged.
    """
    paths = list((results / "specs").glob("configuration-*.json"))
    for path in paths:
        read_specification(path)
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)

"""Whose a file is, and what it was made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bat.errors import REMAKE, ArtifactError, MisplacedError

_PLACES = [
    re.compile(pattern)
    for pattern in (
        r"/(?P<architecture>[^/]+)/(?:evaluations|masking|poisoning|representation)/(?P<run>[^/]+)"
        r"/seed(?P<seed>\d+)(?:-(?P<checkpoint>last))?\.\w+$",
        r"/(?P<architecture>[^/]+)/runs/(?P<run>[^/]+)/seed(?P<seed>\d+)"
        r"/(?:(?P<checkpoint>best|last|resume)\.pt|history\.\w+)$",
        r"/trials/(?P<architecture>[^/]+)-(?P<first>\d{6})-(?P<last>\d{6})\.parquet$",
        r"/proxies/(?P<architecture>[^/]+)-seed(?P<seed>\d+)\.parquet$",
        r"/groups/(?P<split>train|test)\.parquet$",
    )
]


def place_of(path: str | Path) -> dict[str, Any]:
    """What a file's place below a results folder says of it.

    Returns
    -------
    dict
        Those of ``architecture``, ``run``, ``seed``, ``checkpoint``, ``split``,
        ``first`` and ``last`` that the place tells; empty anywhere else.

    Examples
    --------
    >>> place_of("results/digits/small_cnn/runs/bat-1-0.2/seed3/best.pt")
    {'architecture': 'small_cnn', 'run': 'bat-1-0.2', 'seed': 3, 'checkpoint': 'best'}
    """
    for pattern in _PLACES:
        found = pattern.search(Path(path).absolute().as_posix())
        if found:
            said = {key: value for key, value in found.groupdict().items() if value is not None}
            return said | {key: int(said[key]) for key in ("seed", "first", "last") if key in said}
    return {}


def check_identity(path: str | Path, metadata: Mapping[str, Any]) -> None:
    """Refuse a file that says it is another's than its place says; unsaid is unasked.

    Parameters
    ----------
    path : path
    metadata : mapping
        Of the file: what it says under ``identity`` counts, or where that is
        missing (version 0.1.0) what its recipe says.

    Raises
    ------
    MisplacedError
    """
    recipe, expected = metadata.get("recipe"), place_of(path)
    recipe = recipe if isinstance(recipe, dict) else {}
    # the seed of attacks or subsets is no run's
    said = metadata | (recipe if "run" in recipe else {k: recipe[k] for k in recipe if k != "seed"})
    said |= metadata.get("identity") or {}
    wrong = [key for key, value in expected.items() if key in said and said[key] != value]
    if wrong:
        found = ", ".join(f"{key} {said[key]}" for key in wrong)
        words = ", ".join(f"{key} {expected[key]}" for key in wrong)
        raise MisplacedError(
            f"{path}: says that it is of {found}, and it lies in the place of {words}: a file was "
            f"put in another's place. Put the right one back, or {REMAKE}"
        )


def check_inputs(
    path: Path, metadata: Mapping[str, Any], present: Mapping[str, str], *, what: str = "it"
) -> None:
    """Refuse a file that was made of other inputs than the present ones.

    Parameters
    ----------
    path : path
        For the message.
    metadata : mapping
        Of the file; inputs that it does not name are not asked for.
    present : mapping of str to str
        Digests by name.
    what : str
        What the message calls the content.
    """
    changed = changed_inputs(metadata, present)
    if changed:
        raise ArtifactError(
            f"{path}: {what} was made of other {' and '.join(changed)} than those that lie there "
            "now; run the workflow, which makes it again"
        )


def changed_inputs(metadata: Mapping[str, Any], present: Mapping[str, str]) -> list[str]:
    """Names of the inputs that a file was made of in another state than the present one."""
    inputs = metadata.get("inputs") or {}
    return [name for name, digest in present.items() if inputs.get(name, digest) != digest]

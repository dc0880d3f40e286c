"""JSON: plain, with a checksum of its own, and as a label beside a file without metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bat.errors import REMAKE, ArtifactError, DamagedError
from bat.files.digests import json_digest, sha256_of
from bat.files.identity import check_inputs
from bat.files.schemas import FORMAT_VERSION
from bat.files.writing import write_bytes
from bat.reading import Expected, check_values, lies_there, parse_json, regular_file


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises
    ------
    ArtifactError
        If the file is missing, or not JSON as `parse_json` takes it.
    """
    regular_file(path, ArtifactError)
    try:
        return parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable JSON file ({error})") from None


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, in the one form that equal values share."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def signed(content: dict) -> dict:
    """JSON content with a checksum over the rest of it, for `read_signed`."""
    return content | {"checksum": json_digest(content)}


def read_signed(path: str | Path) -> dict:
    """Read a JSON mapping, and compare the checksum that it carries, where it has one.

    Raises
    ------
    ArtifactError
        If the file is missing, no mapping in JSON, or damaged.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ArtifactError(
            f"{path}: holds {type(content).__name__}, expected a mapping of keys; {REMAKE}"
        )
    checksum = content.pop("checksum", None)
    if checksum is not None and checksum != json_digest(content):
        raise DamagedError(f"{path}: damaged (its content belies its checksum); {REMAKE}")
    return content


def write_label(path: Path, **label: Any) -> None:
    """Write beside a file that has no metadata of its own what it is: its sha256 and a label."""
    content = {"format_version": FORMAT_VERSION, "sha256": sha256_of(path), **label}
    write_json(_label_of(path), signed(content))


def check_label(
    path: Path, fingerprint: str | None = None, made_of: Mapping[str, str] | None = None
) -> None:
    """Refuse a file that is not what its label says (`write_label`); without one, all is taken.

    Parameters
    ----------
    path : path
        Of the file; its label lies beside it.
    fingerprint : str, optional
        Of the data set in use; by default the file may be of any.
    made_of : mapping of str to str, optional
        Digests of what it would be made of now, by name, as for `check_inputs`.

    Raises
    ------
    ArtifactError
        If the label is damaged, or not of this file, data set or inputs.
    """
    if not lies_there(_label_of(path)):
        return
    label = read_signed(_label_of(path))
    check_values(str(_label_of(path)), label, _LABEL, ArtifactError)
    of_others = fingerprint is not None and label.get("fingerprint") != fingerprint
    if of_others or label.get("sha256") != sha256_of(path):
        raise ArtifactError(
            f"{path}: is not the file that {_label_of(path).name} beside it speaks of (edited, or "
            f"of other data); {REMAKE}"
        )
    check_inputs(path, label, made_of or {})


_LABEL: Expected = {"identity": (dict,), "inputs": (dict,)}


def _label_of(path: Path) -> Path:
    return path.with_suffix(".json")

"""Score tables packed for others: one zip, with a card and checksums."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

from bat import files
from bat.errors import ArtifactError
from bat.sharing.cards import card, facts
from bat.sharing.folders import (
    CARD,
    FILE_NAMES,
    INFO,
    REQUIRED,
    SOURCE_INDEX,
    SUMS,
    check_info,
    opened,
)
from bat.validation import check_all


def export(folder: Path, out: Path, *, licence: str = "not stated") -> str:
    """Pack the score tables of a results folder into one zip.

    Parameters
    ----------
    folder : path
        ``results/{dataset}``, with ``scores/`` and ``data/dataset.json``.
    out : path
        The zip to write.
    licence : str
        What the card says, as an SPDX name (``CC-BY-4.0``).

    Returns
    -------
    str
        The entry of a configuration that uses it. The same tables give the same
        bytes: nothing in the archive is compressed, dated or in an order of its own.

    Raises
    ------
    ArtifactError
        If a table is missing or breaks a rule, or ``dataset.json`` is of other data.
    """
    with opened(folder) as source:
        source.require(REQUIRED)
        if not source.info:
            raise ArtifactError(f"{folder}: no data/{INFO}, which says what the tables speak of")
        check_all(source.tables.values())
        check_info(source)
        found = facts(source)
        content: dict[str, Path | bytes] = {
            FILE_NAMES[kind]: path for kind, path in source.tables.items()
        }
        content |= {SOURCE_INDEX[split]: path for split, path in source.source_index.items()}
        content[INFO] = (json.dumps(source.info, indent=1) + "\n").encode()
        content[CARD] = card(source, found, licence).encode()
        sums = {name: _checksum(content[name]) for name in sorted(content)}
        content[SUMS] = "".join(f"{s}  {name}\n" for name, s in sums.items()).encode()
        with files.atomic_path(out) as temporary:
            _write_zip(temporary, content)
        optional = f"\n  tables: [{', '.join(found['optional'])}]" if found["optional"] else ""
    return f"scores:\n  source: {out}\n  sha256: {files.sha256_of(out)}{optional}"


def _checksum(content: Path | bytes) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return files.sha256_of(content)


def _write_zip(path: Path, content: dict[str, Path | bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16  # as on Unix
            if isinstance(content[name], bytes):
                archive.writestr(member, content[name])
                continue
            member.file_size = content[name].stat().st_size
            with open(content[name], "rb") as file, archive.open(member, "w") as packed:
                shutil.copyfileobj(file, packed, 1 << 20)

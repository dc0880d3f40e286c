"""Score tables brought into a results folder.

Whatever comes in is checked before any of it is used: its checksum, every rule
of `bat.validation`, and that it speaks of the data set in use.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from bat import files
from bat.addresses import (
    UNKEPT,
    address_variable,
    is_address,
    kept_address,
    shown_address,
    shown_source,
)
from bat.data import PreparedData
from bat.data.revisions import score_files, write_record
from bat.errors import ArtifactError
from bat.escaping import for_markdown
from bat.files import read_metadata
from bat.files.archives import FileState, state_of
from bat.files.downloads import download
from bat.progress import log, progress
from bat.scores.fit import chance_accuracy, fit_facts, require_fit
from bat.sharing.cards import description, facts, matched_text
from bat.sharing.folders import (
    FILE_NAMES,
    OPTIONAL,
    REQUIRED,
    Source,
    folder_checksum,
    naming,
    opened,
)
from bat.sharing.matching import stage_published, stage_score_list, stage_tables
from bat.validation import check_all


def fetch(spec: dict, prepared: PreparedData, out: Path, *, command: str) -> str:
    """Bring the configured score tables into the results folder.

    Tables with the fingerprint of the data in use are taken over byte for byte.
    Others are refused, or, where a key is configured, matched by it.

    Parameters
    ----------
    spec : dict
        From `bat.plan.specifications`: ``source``, ``sha256``, ``match``, ``tables``,
        ``keep_above``, ``dataset``, ``image_folder``.
    prepared : PreparedData
    out : path
        ``results/{dataset}/scores``. A download is kept beside it in ``source/``.
    command : str
        For the metadata of tables that are matched.

    Returns
    -------
    str
        What was fetched, in Markdown; also written to ``source.md``.

    Raises
    ------
    ArtifactError, DownloadError
        If anything is missing, damaged, or of another data set. Then ``out`` is
        as it was.
    """
    path = _local(spec, out.parent / "source")
    # before they are read: what changes meanwhile is seen by the next start of the workflow
    states = {} if is_address(spec["source"]) else _states(path)
    kinds = [*REQUIRED, *spec["tables"]]
    out.mkdir(parents=True, exist_ok=True)
    with (
        opened(path, scratch=out.parent) as source,
        tempfile.TemporaryDirectory(prefix=".fetched.", dir=out.parent) as staging,
    ):
        _check_sum(spec, path, source)
        staged = {kind: Path(staging) / FILE_NAMES[kind] for kind in kinds}
        if source.score_list:
            matched = stage_score_list(spec, source, prepared, staged, command)
        elif source.arrays:
            matched = stage_published(spec, source, prepared, staged, command)
        else:
            matched = stage_tables(spec, source, prepared, staged, command)
        if matched is not None:
            with naming(staging, source.name):
                check_all(staged.values(), prepared)
        fitted = fit_facts(read_metadata(staged["memorization"], "memorization"))
        fitted.setdefault("chance_accuracy", chance_accuracy(np.asarray(prepared.train_labels)))
        require_fit(fitted, spec.get("allow_unfitted", False))
        # only now, when all of them hold what they must
        for file in staged.values():
            with files.atomic_path(out / file.name) as temporary:
                shutil.copyfile(file, temporary)
        if "convergence" in staged:
            files.write_label(
                out / FILE_NAMES["convergence"], fingerprint=prepared.fingerprint, command=command
            )
        name = shown_source(spec["source"])
        here = Source(name, {kind: out / f.name for kind, f in staged.items()})
        note = _note(spec, here, matched)
        files.write_bytes(out / "source.md", note.encode())
        write_record(out, states, spec.get("sources"))
        unused = [kind for kind in OPTIONAL if kind in source.tables and kind not in kinds]
        if unused:
            log.info(
                "%s also holds %s; list them under scores.tables to use them",
                name,
                ", ".join(unused),
            )
    return note


def _states(path: Path) -> dict[str, FileState]:
    if not path.exists():
        return {}  # refused when it is opened
    return {name: state_of(file) for name, file in score_files(path).items()}


def _local(spec: dict, cache: Path) -> Path:
    source = spec["source"]
    if not is_address(source):
        return Path(source)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", source.split("?")[0].rstrip("/").rsplit("/", 1)[-1])
    path = cache / f"{spec['sha256'][:16]}-{name}"
    if source.endswith(UNKEPT):
        variable = address_variable(spec["sha256"])
        whole = os.environ.get(variable, "")
        if kept_address(whole) == source:
            source = whole
        elif not path.exists():
            raise ArtifactError(
                f"{source}: what follows the ? is kept in no file; start the workflow, which has "
                f"it from the configuration, or set {variable} to the whole address"
            )
    with progress(f"{shown_address(source)}, KiB", 0) as bar:

        def report(done: int, total: int) -> None:
            bar.total = max(total, done) >> 10
            bar.update(done >> 10)

        download(source, path, checksum=spec["sha256"], report=report)
    return path


def _check_sum(spec: dict, path: Path, source: Source) -> None:
    if not spec["sha256"]:
        return
    found = folder_checksum(source.files) if path.is_dir() else files.sha256_of(path)
    if found != spec["sha256"]:
        what = ", ".join(file.name for file in source.files) if path.is_dir() else "the file"
        raise ArtifactError(
            f"{path}: the sha256 of {what} is {found}, and the configuration expects "
            f"{spec['sha256']}: it was changed or damaged, or is another one"
        )


def _note(spec: dict, source: Source, matched: dict | None) -> str:
    found = facts(source)
    how = "The fingerprint is that of the data set in use." if matched is None else "Matched "
    if matched is not None:
        how += for_markdown(f"{matched_text(matched)}.")
    place = shown_source(spec["source"])
    rows = [(name, for_markdown(text)) for name, text in description(source, found)]
    if spec["sha256"]:
        rows.insert(0, ("sha256", spec["sha256"]))
    # as code, so that an address can be copied; it holds no sign that would end that
    code = is_address(spec["source"])
    rows.insert(0, ("Source", f"`{place}`" if code else for_markdown(place)))
    lines = [
        f"# Where the scores of {for_markdown(spec['dataset'])} come from",
        "",
        how,
        "",
        "| | |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| {name} | {text} |" for name, text in rows), ""])

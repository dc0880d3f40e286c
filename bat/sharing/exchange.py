"""Score tables between people: packed for others, fetched, shown and validated.

Whatever comes in is checked before any of it is used: its checksum, every rule
of `bat.validation`, and that it speaks of the data set in use.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from bat import validation
from bat.addresses import is_address, shown_address, shown_source
from bat.data import PreparedData
from bat.data.revisions import score_files, write_record
from bat.escaping import for_markdown, plain
from bat.files import artifacts
from bat.files.archives import FileState, state_of
from bat.files.artifacts import ArtifactError, column, read_metadata
from bat.files.downloads import download
from bat.progress import log, progress
from bat.scores.fit import chance_accuracy, fit_facts, require_fit
from bat.sharing import published
from bat.sharing.cards import card, description, facts, matched_text
from bat.sharing.folders import (
    CARD,
    FILE_NAMES,
    INFO,
    OPTIONAL,
    REQUIRED,
    SOURCE_INDEX,
    SUMS,
    Source,
    check_info,
    check_sums,
    folder_checksum,
    naming,
    opened,
)
from bat.sharing.lists import is_score_list, read_score_list
from bat.sharing.matching import stage_published, stage_score_list, stage_tables
from bat.validation import check_all

# -- publishing -----------------------------------------------------------------------------


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
        with artifacts.atomic_path(out) as temporary:
            _write_zip(temporary, content)
        optional = f"\n  tables: [{', '.join(found['optional'])}]" if found["optional"] else ""
    return f"scores:\n  source: {out}\n  sha256: {artifacts.sha256_of(out)}{optional}"


def _checksum(content: Path | bytes) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return artifacts.sha256_of(content)


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


# -- using ----------------------------------------------------------------------------------


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
        facts = fit_facts(read_metadata(staged["memorization"], "memorization"))
        facts.setdefault("chance_accuracy", chance_accuracy(np.asarray(prepared.train_labels)))
        require_fit(facts, spec.get("allow_unfitted", False))
        # only now, when all of them hold what they must
        for file in staged.values():
            with artifacts.atomic_path(out / file.name) as temporary:
                shutil.copyfile(file, temporary)
        if "convergence" in staged:
            artifacts.write_label(
                out / FILE_NAMES["convergence"], fingerprint=prepared.fingerprint, command=command
            )
        name = shown_source(spec["source"])
        here = Source(name, {kind: out / f.name for kind, f in staged.items()})
        note = _note(spec, here, matched)
        artifacts.write_bytes(out / "source.md", note.encode())
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
    with progress(f"{shown_address(source)}, KiB", 0) as bar:

        def report(done: int, total: int) -> None:
            bar.total = max(total, done) >> 10
            bar.update(done >> 10)

        download(source, path, checksum=spec["sha256"], report=report)
    return path


def _check_sum(spec: dict, path: Path, source: Source) -> None:
    if not spec["sha256"]:
        return
    found = folder_checksum(source.files) if path.is_dir() else artifacts.sha256_of(path)
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


# -- looking --------------------------------------------------------------------------------


def show(path: Path, console, *, top: int = 10) -> None:
    """Print what the tables at a path are, and their most memorized samples.

    Parameters
    ----------
    path : path
        As for `opened`, or a single table in a folder of tables.
    console : rich.console.Console
    top : int
        Samples to list.
    """
    from rich.table import Table
    from rich.text import Text

    path = Path(path)
    is_table = path.is_file() and path.name in FILE_NAMES.values()
    with opened(path.parent if is_table else path) as source:
        if source.arrays or source.score_list:
            raise ArtifactError(
                f"{source.name}: no tables yet; name it as scores.source in a configuration, "
                "which makes tables of it, and look at those"
            )
        source.require(REQUIRED)
        check_all(source.tables.values())
        check_info(source)
        found = facts(source)
        table = Table(title=Text(plain(source.name)), show_header=False, title_justify="left")
        table.add_column()
        table.add_column(overflow="fold")
        for name, text in description(source, found):
            table.add_row(Text(name), Text(plain(text)))
        console.print(table)
        console.print(_top_samples(found["memorization"], source.info.get("class_names"), top))


def _top_samples(memorization: pa.Table, class_names: list[str] | None, top: int):
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text("Most memorized training samples"), title_justify="left")
    for name in ("index", "label", "memorization", "standard error"):
        table.add_column(name, justify="left" if name == "label" else "right")
    values = column(memorization, "memorization")
    order = np.lexsort((np.arange(len(values)), -values))[:top]
    labels, errors = column(memorization, "label"), column(memorization, "memorization_se")
    for index in order.tolist():
        label = class_names[labels[index]] if class_names else labels[index]
        error = float(errors[index]) if errors[index] is not None else float("nan")
        table.add_row(
            str(index),
            Text(plain(str(label))),
            f"{values[index]:.3f}",
            "not known" if np.isnan(error) else f"{error:.3f}",
        )
    return table


def validate(path: Path, prepared: PreparedData | None = None) -> Iterator[tuple[str, str]]:
    """Check every score file at a path against every rule of its kind.

    Parameters
    ----------
    path : path
        A table, a list of scores, a folder (all tables below it), or an archive.
    prepared : PreparedData, optional
        The data set; the tables must be of it.

    Yields
    ------
    name, text
        Of each file that holds what it must.

    Raises
    ------
    ArtifactError
        At the first file that does not.
    """
    path = Path(path)
    if is_score_list(path):
        yield str(path), _score_list(path, prepared)
    elif path.is_file() and path.suffix in (".parquet", ".csv"):
        for file, text in validation.check_files([path], prepared):
            yield str(file), text
    elif path.is_dir():
        files = [p for p in sorted(path.rglob("*.parquet")) if not _hidden(p, path)]
        beside = [p.with_name(FILE_NAMES["convergence"]) for p in files if p.stem == REQUIRED[0]]
        files += [p for p in beside if p.is_file()]
        if not files:
            raise ArtifactError(f"{path}: no table there")
        for folder in sorted({file.parent for file in files}):
            if (folder / SUMS).is_file():
                check_sums(folder)
        for file, text in validation.check_files(files, prepared):
            yield str(file), text
    else:
        with opened(path) as source:
            if source.arrays:
                read = published.read_published(source.arrays, keep_above=0.0)
                yield str(path), f"published arrays, {read.tables['memorization'].num_rows} samples"
                return
            source.require(REQUIRED)
            check_info(source)
            for file, text in validation.check_files(list(source.tables.values()), prepared):
                yield f"{path}:{file.name}", text


def _score_list(path: Path, prepared: PreparedData | None) -> str:
    scores = read_score_list(path)
    n = len(scores.memorization)
    if prepared is not None and n < prepared.info["n_train"]:
        raise ArtifactError(
            f"{path}: {n} scores, and the data set has {prepared.info['n_train']} training samples"
        )
    return f"list of scores ({', '.join(scores.columns)}), {n} rows; use it with scores.match"


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)

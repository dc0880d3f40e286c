"""Score tables between people: packed, fetched, matched to a data set, merged, shown.

An archive is a zip that holds, without folders, the tables of ``scores/``, the
``dataset.json`` of the data they speak of, the samples' positions in its source,
a card for readers, and ``SHA256SUMS``. A folder with the same files will do, and
so will a results folder of ours.

Whatever comes in is checked before any of it is used: its checksum, every rule
of `bat.validation`, and that it speaks of the data set in use.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from bat import artifacts, published, validation
from bat.artifacts import ArtifactError, column, read_metadata, read_table, write_table
from bat.data import PreparedData
from bat.downloads import download
from bat.progress import log, progress

REQUIRED = ("memorization", "influence", "test")
OPTIONAL = ("disagreement", "confidence", "convergence")
FILE_NAMES = {kind: f"{kind}.parquet" for kind in (*REQUIRED, *OPTIONAL)}
FILE_NAMES["convergence"] = "convergence.csv"
SOURCE_INDEX = {split: f"{split}_source_index.npy" for split in ("train", "test")}
INFO, CARD, SUMS = "dataset.json", "README.md", "SHA256SUMS"
MEMBERS = {*FILE_NAMES.values(), *SOURCE_INDEX.values(), INFO, CARD, SUMS}

MAX_ARCHIVE = 64 << 30  # bytes that an archive may unpack to
MAX_RATIO = 100  # and how many times its own size
THRESHOLDS = (0.15, 0.25, 0.5)


# -- what is at a path ----------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Score files that were found, by what they are.

    Attributes
    ----------
    name : str
        What messages call the place.
    tables : dict of str to path
        By kind, a key of ``FILE_NAMES``.
    info : dict
        ``dataset.json``; empty where there is none.
    source_index : dict of str to path
        Positions of the samples in the data set's source, by split.
    arrays : list of path
        Published arrays, which come in place of tables.
    """

    name: str
    tables: dict[str, Path] = field(default_factory=dict)
    info: dict = field(default_factory=dict)
    source_index: dict[str, Path] = field(default_factory=dict)
    arrays: list[Path] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """What the checksum of a folder covers, in the order of `folder_checksum`."""
        return self.arrays or sorted(self.tables.values(), key=lambda p: (p.suffix, p.name))

    def require(self, kinds: Sequence[str]) -> None:
        missing = [kind for kind in kinds if kind not in self.tables]
        if missing:
            raise ArtifactError(
                f"{self.name}: holds no {' and no '.join(FILE_NAMES[k] for k in missing)}; found "
                f"{', '.join(p.name for p in self.tables.values()) or 'no table of scores'}"
            )


@contextlib.contextmanager
def opened(path: str | Path, *, scratch: Path | None = None) -> Iterator[Source]:
    """Look at a zip, a folder or published arrays; a zip is unpacked for as long as this lasts.

    Parameters
    ----------
    path : path-like
        An archive of `export`, the folder it was unpacked to, a folder of
        tables, a results folder of a data set, or published ``npz`` files.
    scratch : path, optional
        Folder to unpack in; the system's by default.

    Yields
    ------
    Source

    Raises
    ------
    ArtifactError
        If there is nothing, the archive is damaged or not safe to unpack, or a
        file does not have the checksum that ``SHA256SUMS`` states. Messages
        about unpacked files name the archive.
    """
    path = Path(path)
    if path.is_dir():
        yield _look(path, str(path))
    elif not path.exists():
        raise ArtifactError(f"{path}: there is no such file or folder")
    elif published.is_published(path):
        yield Source(str(path), arrays=[path])
    else:
        with (
            tempfile.TemporaryDirectory(prefix=".unpacked.", dir=scratch) as folder,
            _naming(folder, path),
        ):
            _unpack(path, Path(folder))
            yield _look(Path(folder), str(path))


@contextlib.contextmanager
def _naming(folder: str, name: str | Path) -> Iterator[None]:
    """Let messages about files in a temporary folder name the place they come from."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(str(error).replace(folder, str(name))) from None


def _look(folder: Path, name: str) -> Source:
    root = folder / "scores" if (folder / "scores").is_dir() else folder
    data = next((p for p in (root, root.parent / "data") if (p / INFO).is_file()), root)
    tables = {kind: root / file for kind, file in FILE_NAMES.items() if (root / file).is_file()}
    if not tables:
        arrays = [p for p in sorted(root.glob("*.npz")) if published.is_published(p)]
        if not arrays:
            raise ArtifactError(
                f"{name}: no table of scores there; expected {', '.join(FILE_NAMES.values())}, "
                "a zip of them, or the published npz files"
            )
        return Source(name, arrays=arrays)
    if (root / SUMS).is_file():
        _check_sums(root)
    return Source(
        name,
        tables,
        artifacts.read_json(data / INFO) if (data / INFO).is_file() else {},
        {s: data / file for s, file in SOURCE_INDEX.items() if (data / file).is_file()},
    )


def _check_sums(root: Path) -> None:
    stated = {}
    for line in (root / SUMS).read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if not match:
            raise ArtifactError(f"{root / SUMS}: {line[:80]!r} is no line of checksums")
        stated[match[2]] = match[1]
    for name in sorted(MEMBERS - {SUMS}):
        path = root / name
        if not path.is_file() and name in stated:
            raise ArtifactError(f"{path}: the file is missing, and {SUMS} lists it")
        if path.is_file() and artifacts.sha256_of(path) != stated.get(name):
            raise ArtifactError(
                f"{path}: damaged or changed, it does not have the checksum in {SUMS} "
                f"({stated.get(name, 'which does not list it')}); get it from its maker again"
            )


def _unpack(path: Path, folder: Path) -> None:
    """Unpack the score files of a zip, which lie at its top or all in one folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name, member in _safe_members(path, archive).items():
                with archive.open(member) as packed, open(folder / name, "wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
    except ArtifactError:
        raise
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(
            f"{path}: cannot be read as a zip ({error}): truncated, damaged, or something else; "
            "get it again"
        ) from None


def _safe_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in archive.infolist():
        reason = _unsafe(member)
        if reason:
            raise ArtifactError(f"{path}: member {member.filename!r} {reason}; it is not unpacked")
    size = sum(member.file_size for member in members)
    if size > MAX_ARCHIVE or size > MAX_RATIO * path.stat().st_size + (1 << 20):
        raise ArtifactError(
            f"{path}: {path.stat().st_size} bytes would unpack to {size}, more than any archive "
            "of score tables; it is not unpacked"
        )
    known = [m for m in members if PurePosixPath(m.filename).name in MEMBERS]
    at = {str(PurePosixPath(m.filename).parent) for m in known}
    found = {PurePosixPath(m.filename).name: m for m in known}
    if len(at) > 1 or len(found) < len(known):
        raise ArtifactError(
            f"{path}: holds score files in several places ({', '.join(sorted(at))}), or one "
            "twice; expected one set of them"
        )
    return found


def _unsafe(member: zipfile.ZipInfo) -> str | None:
    name = PurePosixPath(member.filename)
    if name.is_absolute() or "\\" in member.filename or re.match("[A-Za-z]:", member.filename):
        return "is an absolute path or one of another system"
    if ".." in name.parts:
        return "leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 1:
        return "is encrypted"
    return None


def folder_checksum(files: Sequence[Path]) -> str:
    """The checksum of several files: what ``sha256sum FILES | sha256sum`` prints."""
    lines = "".join(f"{artifacts.sha256_of(path)}  {path.name}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


# -- a table's facts ------------------------------------------------------------------------


def facts(source: Source) -> dict:
    """What a set of tables is, for the card and for `show`.

    Returns
    -------
    dict
        ``metadata`` (of the memorization table), ``n_train``, ``n_test``, ``n_pairs``,
        ``kept`` (of the influence table's metadata: which pairs are), ``above`` (share
        of memorization above each of ``THRESHOLDS``), ``se`` (median standard error, NaN
        where not known), ``carried`` (share of the test samples with a kept influence
        above 0.15), ``memorization`` (the table) and ``optional`` (further kinds).
    """
    source.require(REQUIRED)
    memorization, metadata = read_table(source.tables["memorization"], "memorization")
    test, _ = read_table(source.tables["test"], "test")
    pairs, about_pairs = read_table(
        source.tables["influence"], "influence", columns=["test_index", "influence"]
    )
    strong = column(pairs, "influence") > THRESHOLDS[0]
    values = column(memorization, "memorization")
    return {
        "metadata": metadata,
        "n_train": memorization.num_rows,
        "n_test": test.num_rows,
        "n_pairs": pairs.num_rows,
        "kept": about_pairs["influence"],
        "above": {t: float(np.mean(values > t)) for t in THRESHOLDS},
        "se": _median(memorization, "memorization_se"),
        "carried": len(np.unique(column(pairs, "test_index")[strong])) / test.num_rows,
        "memorization": memorization,
        "optional": [kind for kind in OPTIONAL if kind in source.tables],
    }


def _median(table: pa.Table, name: str) -> float:
    if table.column(name).null_count:
        return float("nan")
    return float(np.median(column(table, name)))


def description(source: Source, found: dict) -> list[tuple[str, str]]:
    """The facts of `facts` as pairs of a heading and a text."""
    metadata, info = found["metadata"], source.info
    recipe = metadata["recipe"]
    training = recipe.get("training", {})
    rows = [
        ("Data set", str(metadata.get("dataset", info.get("source", "not stated")))),
        ("Samples", f"{found['n_train']:,} training, {found['n_test']:,} test"),
    ]
    if info:
        shape = " x ".join(map(str, info["shape"]))
        rows.append(("Images", f"{shape}, {len(info['class_names'])} classes, {info['source']}"))
    rows.append(("Fingerprint", str(metadata["fingerprint"] or "none")))
    if "matched" in metadata:
        rows.append(("Matched", matched_text(metadata["matched"])))
    if "source" in recipe:
        rows.append(("Made by", str(recipe["source"])))
    rows.append(("Models", f"{recipe.get('trials', '?')} of {recipe.get('architecture', '?')}"))
    if "subset_ratio" in recipe:
        seed = f", seed {recipe['seed']}" if "seed" in recipe else ""
        rows.append(("Subsets", f"{recipe['subset_ratio']:.0%} of the training set{seed}"))
    if training:
        rows.append(
            (
                "Training",
                ", ".join(f"{key} {training[key]}" for key in _TRAINING if key in training),
            )
        )
    for name, what in (
        ("included", "samples trained on"),
        ("excluded", "samples left out"),
        ("test", "test samples"),
    ):
        if name in metadata.get("accuracies", {}):
            rows.append((f"Accuracy, {what}", f"{metadata['accuracies'][name]:.2%}"))
    if "converged" in metadata:
        reached = "yes" if metadata["converged"] else "no: memorization is understated"
        rows.append(("Converged", reached))
    for threshold, share in found["above"].items():
        rows.append((f"Memorization above {threshold:g}", f"{share:.1%} of the training samples"))
    se = found["se"]
    median = "not known" if np.isnan(se) else f"{se:.3f} (median)"
    rows.append(("Standard error", f"{median} {metadata.get('standard_errors', '')}".strip()))
    kept = found["kept"]
    pairs = "pairs of one class" if kept.get("pairs") == "same_class" else "pairs"
    rows.append(("Influence", f"{found['n_pairs']:,} {pairs} above {kept['keep_above']:g}"))
    rows.append(
        (f"Influence above {THRESHOLDS[0]:g}", f"on {found['carried']:.1%} of the test samples")
    )
    if found["optional"]:
        rows.append(("Also", ", ".join(found["optional"])))
    rows.append(("Made with", f"bat {metadata['package_version']}: {metadata['command']}"))
    return rows


_TRAINING = ("epochs", "batch_size", "lr", "schedule")


def matched_text(matched: dict) -> str:
    """How tables came to speak of a data set that they were not made on, in a sentence."""
    return (
        f"by {matched['by']}, with equal labels, from tables of "
        f"{matched['n_train']:,} training and {matched['n_test']:,} test samples "
        + (
            f"of the data set with fingerprint {matched['fingerprint']}"
            if matched["fingerprint"]
            else "without a fingerprint"
        )
        + "; that the images are the same was not checked"
    )


def card(source: Source, found: dict, licence: str) -> str:
    """The card of an archive, in Markdown, from nothing but the tables' metadata."""
    rows = [("Licence", licence), *description(source, found)]
    lines = [
        f"# Memorization and influence scores of {found['metadata'].get('dataset', 'a data set')}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(text)} |" for name, text in rows),
        "",
        "Memorization is the accuracy on a training sample of the models trained with it, minus",
        "that of the models trained without it; influence is the same difference on a test sample.",
        "Both lie in [-1, 1]; a high memorization is an atypical sample.",
        "",
        "```python",
        "import pandas as pd",
        'scores = pd.read_parquet("memorization.parquet")  # unzip the archive first',
        'print(scores.sort_values("memorization", ascending=False).head())',
        "```",
        "",
        "| file | rows | content |",
        "|---|---|---|",
        f"| memorization.parquet | {found['n_train']:,} | one per training sample, in order |",
        f"| influence.parquet | {found['n_pairs']:,} | one per kept pair of a training and a test "
        "sample |",
        f"| test.parquet | {found['n_test']:,} | one per test sample, in order |",
        *(f"| {FILE_NAMES[kind]} | | {_CONTENT[kind]} |" for kind in found["optional"]),
        "",
        "`dataset.json` says which images and labels these rows speak of, and its fingerprint is",
        "their sha256. `sha256sum -c SHA256SUMS` checks the files.",
        "",
    ]
    return "\n".join(lines)


_CONTENT = {
    "disagreement": "disagreement of an ensemble on each training sample",
    "confidence": "confidence of an ensemble in each training label",
    "convergence": "how the scores settle with the number of models",
}


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


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
        _check(source.tables.values())
        found = facts(source)
        if found["metadata"]["fingerprint"] != source.info["fingerprint"]:
            raise ArtifactError(
                f"{folder}: the tables speak of the data set {found['metadata']['fingerprint']}, "
                f"and {INFO} is of {source.info['fingerprint']}; run the workflow, which makes "
                "them anew"
            )
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


def _check(files: Iterable[Path], prepared: PreparedData | None = None) -> None:
    for _ in validation.check_files(list(files), prepared):
        pass


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
        From `bat.studies`: ``source``, ``sha256``, ``match``, ``tables``, ``keep_above``,
        ``dataset``, ``image_folder``.
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
    kinds = [*REQUIRED, *spec["tables"]]
    out.mkdir(parents=True, exist_ok=True)
    with (
        opened(path, scratch=out.parent) as source,
        tempfile.TemporaryDirectory(prefix=".fetched.", dir=out.parent) as staging,
    ):
        _check_sum(spec, path, source)
        staged = {kind: Path(staging) / FILE_NAMES[kind] for kind in kinds}
        if source.arrays:
            matched = _stage_published(spec, source, prepared, staged, command)
        else:
            matched = _stage_tables(spec, source, prepared, staged, command)
        if matched is not None:
            with _naming(staging, source.name):
                _check(staged.values(), prepared)
        # only now, when all of them hold what they must
        for file in staged.values():
            with artifacts.atomic_path(out / file.name) as temporary:
                shutil.copyfile(file, temporary)
        here = Source(spec["source"], {kind: out / f.name for kind, f in staged.items()})
        note = _note(spec, here, matched)
        artifacts.write_bytes(out / "source.md", note.encode())
        unused = [kind for kind in OPTIONAL if kind in source.tables and kind not in kinds]
        if unused:
            log.info(
                "%s also holds %s; list them under scores.tables to use them",
                spec["source"],
                ", ".join(unused),
            )
    return note


def is_address(source: str) -> bool:
    """Whether a source is to be downloaded."""
    return "://" in source


def _local(spec: dict, cache: Path) -> Path:
    source = spec["source"]
    if not is_address(source):
        return Path(source)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", source.split("?")[0].rstrip("/").rsplit("/", 1)[-1])
    path = cache / f"{spec['sha256'][:16]}-{name}"
    with progress(f"{source}, KiB", 0) as bar:

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
        how += f"{matched_text(matched)}."
    rows = [("Source", spec["source"]), *description(source, found)]
    if spec["sha256"]:
        rows.insert(1, ("sha256", spec["sha256"]))
    lines = [
        f"# Where the scores of {spec['dataset']} come from",
        "",
        how,
        "",
        "| | |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| {name} | {_cell(text)} |" for name, text in rows), ""])


# -- to which data set tables belong --------------------------------------------------------


def _stage_tables(
    spec: dict, source: Source, prepared: PreparedData, staged: dict[str, Path], command: str
) -> dict | None:
    source.require(list(staged))
    parquet = [kind for kind in staged if kind != "convergence"]
    metadata = {k: read_metadata(source.tables[k], k) for k in parquet}
    theirs = metadata["memorization"].get("fingerprint")
    fits = theirs == prepared.fingerprint
    _check((source.tables[kind] for kind in staged), prepared if fits else None)
    if fits:
        for kind, file in staged.items():
            shutil.copyfile(source.tables[kind], file)
        return None
    tables = {kind: read_table(source.tables[kind], kind)[0] for kind in parquet}
    if spec["match"] == "fingerprint":
        raise _other_data(source, theirs, tables, prepared)
    keys = {split: None for split in ("train", "test")}
    if spec["match"] == "source_index":
        keys |= {s: np.load(p, allow_pickle=False) for s, p in source.source_index.items()}
    for kind in staged.keys() - set(parquet):
        shutil.copyfile(source.tables[kind], staged[kind])
    files = {kind: staged[kind] for kind in parquet}
    return _match(spec, source.name, tables, metadata, keys, prepared, files, command)


def _stage_published(
    spec: dict, source: Source, prepared: PreparedData, staged: dict[str, Path], command: str
) -> dict:
    if spec["tables"]:
        raise ArtifactError(
            f"{source.name}: published arrays hold no {', '.join(spec['tables'])}; remove "
            "scores.tables"
        )
    if spec["match"] == "fingerprint":
        raise ArtifactError(
            f"{source.name}: published arrays carry no fingerprint; name the key that their rows "
            "are matched by, with scores.match: source_index (CIFAR-100, the official order) or "
            "file_name (ImageNet)"
        )
    read = published.read_published(source.arrays, keep_above=spec["keep_above"])
    keys: dict = {split: np.arange(read.tables[k].num_rows) for split, k in _OF_SPLIT.items()}
    if spec["match"] == "file_name":
        keys = read.file_names or {}
    elif read.file_names:
        raise ArtifactError(
            f"{source.name}: these rows are in an order of their own; match them with "
            "scores.match: file_name"
        )
    metadata = {
        kind: read.metadata | {"fingerprint": None, "dataset": spec["dataset"]}
        for kind in read.tables
    }
    return _match(spec, source.name, read.tables, metadata, keys, prepared, staged, command)


_OF_SPLIT = {"train": "memorization", "test": "test"}


def _other_data(
    source: Source, theirs: str | None, tables: dict[str, pa.Table], prepared: PreparedData
) -> ArtifactError:
    """Why tables cannot be of the data set in use, as far as it can be told."""
    reasons = []
    for split, kind in _OF_SPLIT.items():
        labels, ours = column(tables[kind], "label"), getattr(prepared, f"{split}_labels")
        if len(labels) != len(ours):
            reasons.append(f"{len(labels)} {split} samples, and {len(ours)} in use")
        elif not np.array_equal(labels, ours):
            same = np.array_equal(np.sort(labels), np.sort(ours))
            order = "in another order" if same else "others in number"
            reasons.append(f"{(labels != ours).sum()} {split} labels differ, {order}")
    for key in ("source", "settings", "resize", "subsample", "class_names", "shape"):
        found, expected = source.info.get(key), prepared.info.get(key)
        if source.info and found != expected:
            reasons.append(f"{key}: {_short(found)}, and {_short(expected)} in use")
    noise = [info.get("label_noise", {}).get("share", 0) for info in (source.info, prepared.info)]
    if source.info and noise[0] != noise[1]:
        reasons.append(f"label noise: {noise[0]:g}, and {noise[1]:g} in use")
    advice = "use tables of this data set, or prepare the data as their maker did"
    if not any("samples" in r or "labels" in r for r in reasons):
        reasons.append("the labels fit in number and order, so only images differ")
        advice = (
            "if the rows are the same samples, name the key that says so, scores.match: index "
            "or source_index"
        )
    return ArtifactError(
        f"{source.name}: speaks of the data set with fingerprint {theirs}, and the one in use is "
        f"{prepared.fingerprint} ({'; '.join(reasons)}); {advice}"
    )


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _match(
    spec: dict,
    name: str,
    tables: dict[str, pa.Table],
    metadata: dict[str, dict],
    keys: dict,
    prepared: PreparedData,
    staged: dict[str, Path],
    command: str,
) -> dict:
    """Write the rows of the samples in use, in their order; what the metadata say of it."""
    rows = {}
    for split, kind in _OF_SPLIT.items():
        labels = column(tables[kind], "label")
        ours = np.asarray(getattr(prepared, f"{split}_labels"))
        rows[split] = _rows(spec, name, split, len(labels), keys.get(split), prepared)
        wrong = np.flatnonzero(labels[rows[split]] != ours)
        if wrong.size:
            raise ArtifactError(
                f"{name}: matched by {spec['match']}, {wrong.size} of {len(ours)} {split} labels "
                f"differ (sample {wrong[0]}: {labels[rows[split]][wrong[0]]} there, "
                f"{ours[wrong[0]]} in use); these are other samples, or another order"
            )
    first = metadata["memorization"]
    matched = {
        "by": spec["match"],
        "fingerprint": first.get("fingerprint"),
        "n_train": tables["memorization"].num_rows,
        "n_test": tables["test"].num_rows,
    }
    for kind, file in staged.items():
        provenance = {
            key: value
            for key, value in metadata[kind].items()
            if key not in ("format_version", "kind", "package_version", "command")
        }
        provenance |= {"fingerprint": prepared.fingerprint, "matched": matched}
        table = _select(kind, tables, rows)
        write_table(file, kind, table, **provenance, command=command)
    log.info("%s: matched %s", name, matched_text(matched))
    return matched


def _rows(spec: dict, name: str, split: str, n: int, keys, prepared: PreparedData) -> np.ndarray:
    """The table's row of each sample in use."""
    by, n_ours = spec["match"], prepared.info[f"n_{split}"]
    if by == "index":
        if n != n_ours:
            raise ArtifactError(
                f"{name}: {n} {split} samples, and {n_ours} in use; only equal numbers can be "
                "matched by index"
            )
        return np.arange(n)
    if keys is None:
        raise ArtifactError(
            f"{name}: holds no {by} of its {split} samples, so nothing can be matched by it; "
            "archives made by `scores export` hold source_index, the published ImageNet index "
            "file names"
        )
    keys = np.asarray(keys)
    if keys.shape != (n,) or keys.dtype.kind not in "iuU":
        raise ArtifactError(
            f"{name}: {keys.shape} {split} keys for {n} rows; expected one for each"
        )
    wanted = np.asarray(getattr(prepared, f"{split}_source_index"))
    if by == "file_name":
        wanted = np.array(_image_names(spec, split))[wanted]
        keys, wanted = (np.array([n.rsplit("/", 1)[-1] for n in k]) for k in (keys, wanted))
    order = np.argsort(keys, kind="stable")
    if (keys[order][1:] == keys[order][:-1]).any():
        raise ArtifactError(f"{name}: a {by} stands for two {split} samples; expected unique ones")
    at = np.minimum(np.searchsorted(keys[order], wanted), n - 1)
    missing = np.flatnonzero(keys[order][at] != wanted)
    if missing.size:
        raise ArtifactError(
            f"{name}: holds no scores of {missing.size} of the {n_ours} {split} samples in use "
            f"(the first has {by} {wanted[missing[0]]})"
        )
    return order[at]


def _image_names(spec: dict, split: str) -> list[str]:
    """File names of an image folder's split, in the order that its samples are read in."""
    if spec["image_folder"] is None:
        raise ArtifactError(
            "scores.match: file_name needs a data set read from files, with data.source: "
            "image_folder"
        )
    folder = Path(spec["image_folder"])
    found = (folder / split).glob("*/*")
    return sorted(p.relative_to(folder).as_posix() for p in found if not p.name.startswith("."))


def _select(kind: str, tables: dict[str, pa.Table], rows: dict[str, np.ndarray]) -> pa.Table:
    """A table's rows of the samples in use, under their indices in use."""
    table = tables[kind]
    inverse = {}
    for split, of in _OF_SPLIT.items():
        inverse[split] = np.full(tables[of].num_rows, -1)
        inverse[split][rows[split]] = np.arange(len(rows[split]))
    if kind == "influence":
        return _select_pairs(table, inverse)
    chosen = rows["test" if kind == "test" else "train"]
    table = table.take(pa.array(chosen))
    table = _set(table, "index", np.arange(len(chosen)))
    if kind != "test":
        return table
    index = column(table, "max_influence_train_index")
    there = np.where(index >= 0, inverse["train"][index], -1)
    best = np.where(there >= 0, column(table, "max_influence"), np.nan)
    # of a sample whose strongest influence is not in use, the strongest kept one in use
    pairs = _select_pairs(tables["influence"], inverse)
    train, test, value = (
        column(pairs, name) for name in ("train_index", "test_index", "influence")
    )
    order = np.lexsort((-train, value))  # the largest, of equal ones the lowest sample, comes last
    strongest, strongest_index = np.full(len(chosen), np.nan), np.full(len(chosen), -1)
    strongest[test[order]], strongest_index[test[order]] = value[order], train[order]
    kept = strongest_index >= 0
    table = _set(table, "max_influence", np.where(kept, strongest, best))
    return _set(table, "max_influence_train_index", np.where(kept, strongest_index, there))


def _select_pairs(table: pa.Table, inverse: dict[str, np.ndarray]) -> pa.Table:
    train = inverse["train"][column(table, "train_index")]
    test = inverse["test"][column(table, "test_index")]
    used = np.flatnonzero((train >= 0) & (test >= 0))
    used = used[np.lexsort((test[used], train[used]))]
    table = _set(table.take(pa.array(used)), "train_index", train[used])
    return _set(table, "test_index", test[used])


def _set(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    at = table.schema.get_field_index(name)
    field = table.schema.field(at)
    return table.set_column(at, field, pa.array(values, field.type))


# -- merging --------------------------------------------------------------------------------


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
    from bat import scoring

    shards = [shard for path in paths for shard in _shards(Path(path))]
    joined: dict[str, dict[int, tuple[pa.Table, Path]]] = {}
    recipes: dict[str, tuple[dict, Path]] = {}
    for shard in shards:
        recipe = read_metadata(shard, "trials", fingerprint=prepared.fingerprint)["recipe"]
        name = recipe["architecture"]
        known, where = recipes.setdefault(name, (recipe, shard))
        if recipe != known:
            raise ArtifactError(
                f"{shard}: trained with another recipe than {where} "
                f"({'; '.join(_differences(recipe, known))}); only trials of one recipe make a "
                "table"
            )
        _, table, _ = validation.check_table(shard, prepared)
        for at, trial in enumerate(column(table, "trial").tolist()):
            _add(joined.setdefault(name, {}), trial, table.slice(at, 1), shard)
    if architecture is None and len(joined) == 1:
        architecture = next(iter(joined))
    if architecture not in joined:
        raise ArtifactError(
            f"found trials of {', '.join(joined)}; name one of them as the architecture that the "
            "scores come from"
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
        log.info("%s: %d trials from %d shards", written[name], len(rows), len(shards))
    spec = {
        "dataset": dataset,
        "trials": len(joined[architecture]),
        "recipe": recipes[architecture][0],
        "influence": influence,
        "min_included_accuracy": min_included_accuracy,
    }
    scoring.write_scores([written[architecture]], prepared, spec, out / "scores", command=command)


def _shards(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    folder = path / "trials" if (path / "trials").is_dir() else path
    found = sorted(p for p in folder.glob("*.parquet") if not p.name.startswith("."))
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
    if other["probabilities"].null_count:
        rows[trial] = row, shard


def _differences(found: dict, expected: dict, prefix: str = "") -> list[str]:
    lines = []
    for key in sorted(found.keys() | expected.keys()):
        a, b = found.get(key), expected.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += _differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a}, and {b} there")
    return lines


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
        if source.arrays:
            raise ArtifactError(
                f"{source.name}: published arrays; name them as scores.source in a configuration, "
                "which makes tables of them, and look at those"
            )
        _check(source.tables.values())
        found = facts(source)
        table = Table(title=Text(source.name), show_header=False, title_justify="left")
        table.add_column()
        table.add_column(overflow="fold")
        for name, text in description(source, found):
            table.add_row(Text(name), Text(text))
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
            Text(str(label)),
            f"{values[index]:.3f}",
            "not known" if np.isnan(error) else f"{error:.3f}",
        )
    return table


def validate(path: Path, prepared: PreparedData | None = None) -> Iterator[tuple[str, str]]:
    """Check every score file at a path against every rule of its kind.

    Parameters
    ----------
    path : path
        A table, a folder (all tables below it), or an archive.
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
    if path.is_file() and path.suffix in (".parquet", ".csv"):
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
                _check_sums(folder)
        for file, text in validation.check_files(files, prepared):
            yield str(file), text
    else:
        with opened(path) as source:
            if source.arrays:
                read = published.read_published(source.arrays, keep_above=0.0)
                yield str(path), f"published arrays, {read.tables['memorization'].num_rows} samples"
                return
            source.require(REQUIRED)
            for file, text in validation.check_files(list(source.tables.values()), prepared):
                yield f"{path}:{file.name}", text


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)

"""Score files where they lie: a folder, a zip that is unpacked with care, published arrays.

An archive is a zip that holds, without folders, the tables of ``scores/``, the
``dataset.json`` of the data they speak of, the samples' positions in its source,
a card for readers, and ``SHA256SUMS``. A folder with the same files will do, and
so will a results folder of ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bat.errors import ArtifactError
from bat.files import column, read_json, read_table, sha256_of
from bat.files.zips import DAMAGED, Limits, open_zip
from bat.reading import Expected, check_values, is_visible, lies_there
from bat.scores import ENSEMBLE_SCORES
from bat.sharing import published
from bat.sharing.lists import is_score_list

REQUIRED = ("memorization", "influence", "test")
OPTIONAL = (*ENSEMBLE_SCORES, "proxies", "convergence")
FILE_NAMES = {kind: f"{kind}.parquet" for kind in (*REQUIRED, *OPTIONAL)}
FILE_NAMES["convergence"] = "convergence.csv"
SOURCE_INDEX = {split: f"{split}_source_index.npy" for split in ("train", "test")}
INFO, CARD, SUMS = "dataset.json", "README.md", "SHA256SUMS"
MEMBERS = {*FILE_NAMES.values(), *SOURCE_INDEX.values(), INFO, CARD, SUMS}

LIMITS = Limits(members=1000, size=64 << 30, member_size=64 << 30)
"""Of an archive of tables; Parquet does not get much smaller in a zip."""


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
    score_list : path, optional
        A list of memorization scores, which comes in place of tables.
    """

    name: str
    tables: dict[str, Path] = field(default_factory=dict)
    info: dict = field(default_factory=dict)
    source_index: dict[str, Path] = field(default_factory=dict)
    arrays: list[Path] = field(default_factory=list)
    score_list: Path | None = None

    @property
    def files(self) -> list[Path]:
        """What the checksum of a folder covers, in the order of `folder_checksum`."""
        return self.arrays or sorted(self.tables.values(), key=lambda p: (p.suffix, p.name))

    def require(self, kinds: Sequence[str]) -> None:
        """Refuse a source that lacks score tables of these kinds, naming what it holds."""
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
        tables, a results folder of a data set, published ``npz`` files, or a
        list of scores.
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
    elif is_score_list(path):
        yield Source(str(path), score_list=path)
    elif published.is_published(path):
        yield Source(str(path), arrays=[path])
    elif path.name in FILE_NAMES.values():
        raise ArtifactError(f"{path}: is one table of several; name the folder that it lies in")
    else:
        with (
            tempfile.TemporaryDirectory(prefix=".unpacked.", dir=scratch) as folder,
            naming(folder, path),
        ):
            _unpack(path, Path(folder))
            yield _look(Path(folder), str(path))


@contextlib.contextmanager
def naming(folder: str, name: str | Path) -> Iterator[None]:
    """Let messages about files in a temporary folder name the place they come from."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(str(error).replace(folder, str(name))) from None


def _look(folder: Path, name: str) -> Source:
    root = folder / "scores" if (folder / "scores").is_dir() else folder
    data = next((p for p in (root, root.parent / "data") if (p / INFO).is_file()), root)
    tables = {kind: root / file for kind, file in FILE_NAMES.items() if lies_there(root / file)}
    if not tables:
        files = [p for p in sorted(root.iterdir()) if is_visible(p.name)]
        arrays = [p for p in files if p.suffix == ".npz" and published.is_published(p)]
        if not arrays:
            lists = [p.name for p in files if is_score_list(p)]
            found = f" ({', '.join(lists)} may be a list of scores: name that file)" * bool(lists)
            raise ArtifactError(
                f"{name}: no table of scores there; expected {', '.join(FILE_NAMES.values())}, "
                f"a zip of them, the published npz files, or a file with a list of scores{found}"
            )
        return Source(name, arrays=arrays)
    if (root / SUMS).is_file():
        check_sums(root)
    info = read_json(data / INFO) if (data / INFO).is_file() else None
    if info is not None and not (isinstance(info, dict) and info.keys() >= _OF_INFO):
        raise ArtifactError(
            f"{data / INFO}: expected {', '.join(sorted(_OF_INFO))}; get it from its maker again"
        )
    info = info or {}
    check_values(str(data / INFO), info, _INFO, ArtifactError)
    noise: Expected = {"share": (float, 0, 1)}
    check_values(str(data / INFO), info.get("label_noise", {}), noise, ArtifactError)
    for key, kind, what in (("class_names", str, "texts"), ("shape", int, "whole numbers")):
        wrong = [value for value in info.get(key, []) if not isinstance(value, kind)]
        if wrong:
            raise ArtifactError(f"{data / INFO}: {key} holds {wrong[0]!r:.80}, expected {what}")
    if info and len(info["shape"]) != 3:
        raise ArtifactError(f"{data / INFO}: shape is {info['shape']!r:.80}, expected 3 numbers")
    return Source(
        name,
        tables,
        info,
        {s: data / file for s, file in SOURCE_INDEX.items() if (data / file).is_file()},
    )


_OF_INFO = {"fingerprint", "source", "shape", "class_names"}
_INFO: Expected = {
    "fingerprint": (str,),
    "source": (str,),
    "shape": (list,),
    "class_names": (list,),
    "n_train": (int, 1, 2**31 - 1),
    "n_test": (int, 1, 2**31 - 1),
    "label_noise": (dict,),
    "settings": (dict,),
}


def check_info(source: Source) -> None:
    """Refuse a source whose ``dataset.json`` is not of the data that its tables speak of.

    Raises
    ------
    ArtifactError
        If fingerprint, number of samples or number of classes differ.
    """
    if not source.info:
        return
    tables = {kind: read_table(source.tables[kind], kind) for kind in _OF_SPLIT}
    labels = [column(table, "label") for table, _ in tables.values()]
    found = {
        "fingerprint": tables["memorization"][1].get("fingerprint"),
        "n_train": len(labels[0]),
        "n_test": len(labels[1]),
        "number of class_names": 1 + max(int(values.max(initial=-1)) for values in labels),
    }
    stated = source.info | {"number of class_names": len(source.info["class_names"])}
    for key, value in found.items():
        if stated.get(key, value) != value:
            of = "test" if key == "n_test" else "memorization"
            raise ArtifactError(
                f"{source.name}: the {key} in {INFO} is {stated[key]}, and {value} in the tables "
                f"({source.tables[of].name}); "
                "they speak of different data: get them from their maker again, or run the "
                "workflow, which makes them anew"
            )


_OF_SPLIT = ("memorization", "test")


def check_sums(root: Path) -> None:
    """Refuse a folder in which a score file does not have its checksum in ``SHA256SUMS``."""
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
        if path.is_file() and sha256_of(path) != stated.get(name):
            raise ArtifactError(
                f"{path}: damaged or changed, it does not have the checksum in {SUMS} "
                f"({stated.get(name, 'which does not list it')}); get it from its maker again"
            )


def _unpack(path: Path, folder: Path) -> None:
    """Unpack the score files of a zip, which lie at its top or all in one folder."""
    with open_zip(path, LIMITS, ArtifactError) as archive:
        for name, member in _score_members(path, archive).items():
            try:
                with archive.open(member) as packed, open(folder / name, "xb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
            except DAMAGED as error:
                raise ArtifactError(
                    f"{path}: {name} cannot be read as a zip's member ({error}): truncated or "
                    "damaged; get it again"
                ) from None


def _score_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    known = [m for m in members if PurePosixPath(m.filename).name in MEMBERS]
    at = {str(PurePosixPath(m.filename).parent) for m in known}
    found = {PurePosixPath(m.filename).name: m for m in known}
    if len(at) > 1 or len(found) < len(known):
        raise ArtifactError(
            f"{path}: holds score files in several places ({', '.join(sorted(at))}), or one "
            "twice; expected one set of them"
        )
    return found


def folder_checksum(files: Sequence[Path]) -> str:
    """The checksum of several files: what ``sha256sum FILES | sha256sum`` prints."""
    lines = "".join(f"{sha256_of(path)}  {path.name}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()

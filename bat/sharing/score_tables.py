"""Score tables as data frames, from wherever they come: a results folder, an archive, a list."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bat.data import PreparedData, load
from bat.errors import ArtifactError
from bat.reading import read_array
from bat.sharing import published
from bat.sharing.folders import FILE_NAMES, REQUIRED, SOURCE_INDEX, Source, check_info, opened
from bat.sharing.lists import ScoreList, read_score_list
from bat.sharing.matching import stage_published, stage_score_list, stage_tables
from bat.validation import check_beside, check_convergence, check_together, read_checked

if TYPE_CHECKING:
    import pandas as pd

SPLIT = dict.fromkeys(("memorization", "disagreement", "confidence", "proxies"), "train")
SPLIT |= {"test": "test"}
"""Whose samples the rows of a table are, by kind."""


@dataclass(frozen=True, eq=False)
class ScoreTables:
    """Score tables as data frames.

    Attributes
    ----------
    name : str
        Where they come from.
    tables : dict of str to DataFrame
        Those that were found: ``memorization``, ``influence``, ``test``,
        ``disagreement``, ``confidence``, ``proxies``, ``convergence``; each is also an
        attribute. ``index`` is the sample's position in the prepared data and,
        where it is known, ``source_index`` that in the data set's own order.
    metadata : dict of str to dict
        By table: recipe, fingerprint of the data, accuracies, and so on.
    class_names : list of str
        By label; empty where they are not known.
    """

    name: str
    tables: dict[str, pd.DataFrame]
    metadata: dict[str, dict] = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)

    def table(self, kind: str) -> pd.DataFrame:
        """One of the tables.

        Raises
        ------
        ArtifactError
            If it is not among them.
        """
        if kind not in self.tables:
            raise ArtifactError(
                f"{self.name}: holds no table of {kind}; found {', '.join(self.tables)}"
            )
        return self.tables[kind]

    @property
    def memorization(self) -> pd.DataFrame:
        """A row for each training sample: ``memorization``, its standard error and counts."""
        return self.table("memorization")

    @property
    def influence(self) -> pd.DataFrame:
        """A row for each kept pair: ``train_index``, ``test_index``, ``influence``, ``q``."""
        return self.table("influence")

    @property
    def test(self) -> pd.DataFrame:
        """A row for each test sample: ``accuracy``, ``max_influence`` and whose that is."""
        return self.table("test")

    @property
    def disagreement(self) -> pd.DataFrame:
        """A row for each training sample; high is atypical."""
        return self.table("disagreement")

    @property
    def confidence(self) -> pd.DataFrame:
        """A row for each training sample; low is atypical."""
        return self.table("confidence")

    @property
    def proxies(self) -> pd.DataFrame:
        """A row for each training sample: scores of single trainings, and their errors."""
        return self.table("proxies")

    @property
    def convergence(self) -> pd.DataFrame:
        """A row for each number of trials: how far the scores are settled."""
        return self.table("convergence")

    def __repr__(self) -> str:
        found = ", ".join(f"{kind} ({len(table):,} rows)" for kind, table in self.tables.items())
        return f"ScoreTables({self.name}: {found})"


def read_scores(
    path: str | Path,
    data: PreparedData | str | Path | None = None,
    *,
    match: str | None = None,
    keep_above: float = 0.02,
    image_folder: str | Path | None = None,
) -> ScoreTables:
    """Read the scores of a data set, checked against every rule of their kind.

    Parameters
    ----------
    path : path-like
        A results folder of a data set (``results/digits``), its ``scores``
        folder, an archive of them, published arrays (``npz``), or a list of
        scores (CSV, TSV, ``npy``, ``npz``, Parquet).
    data : PreparedData or path-like, optional
        The data set, or its prepared folder. The tables must be of it, or are
        matched to it; without, they are read as they are.
    match : {"index", "source_index", "file_name"}, optional
        How the rows of scores from elsewhere belong to the samples of ``data``.
        Without it fingerprints must be equal.
    keep_above : float
        Of published arrays, pairs with a larger influence are kept.
    image_folder : path-like, optional
        Where the image files of ``data`` are, for ``match="file_name"``.

    Returns
    -------
    ScoreTables

    Raises
    ------
    ArtifactError
        If there are no scores, several sets of them, or they are damaged, break
        a rule or belong to other data.

    Examples
    --------
    >>> import bat
    >>> path = getfixture("tmp_path") / "scores.csv"
    >>> _ = path.write_text("index,memorization\\n0,0.02\\n1,0.81\\n")
    >>> bat.read_scores(path).memorization
       index  memorization
    0      0          0.02
    1      1          0.81
    """
    if match is not None and data is None:
        raise ArtifactError(f"{path}: match={match!r} needs data, the samples to be matched to")
    path = _one_set(Path(path))
    with opened(path) as source:
        if data is None:
            return _as_they_are(source, keep_above)
        if not isinstance(data, PreparedData):
            data = load(data)
        spec = {
            "match": match or "fingerprint",
            "tables": [],
            "keep_above": keep_above,
            "dataset": data.folder.parent.name,
            "image_folder": image_folder,
        }
        return _of_data(source, data, spec)


def _one_set(path: Path) -> Path:
    """The place of one set of scores; a folder of several, or of none, is refused by name."""
    if path.is_file() and path.name in FILE_NAMES.values():
        return path.parent
    if not path.is_dir() or (path / "scores").is_dir():
        return path
    below = sorted(file.parts[-3] for file in path.glob(f"*/scores/{FILE_NAMES['test']}"))
    if below:
        raise ArtifactError(
            f"{path}: holds the scores of {', '.join(below)}; name one of these data sets, as "
            f"{path / below[0]}"
        )
    if (path.parent / "scores").is_dir() and path.name != "scores":
        raise ArtifactError(
            f"{path}: is one folder of a data set's results, and its scores lie in "
            f"{path.parent / 'scores'}; name {path.parent}"
        )
    return path


def _as_they_are(source: Source, keep_above: float) -> ScoreTables:
    if source.score_list:
        return ScoreTables(
            source.name, {"memorization": _frame(read_score_list(source.score_list))}
        )
    if source.arrays:
        read = published.read_published(source.arrays, keep_above=keep_above)
        tables = {kind: table.to_pandas() for kind, table in read.tables.items()}
        for split, kind in (("train", "memorization"), ("test", "test")):
            if read.file_names:
                tables[kind]["file_name"] = read.file_names[split]
        return ScoreTables(source.name, tables, dict.fromkeys(tables, read.metadata))
    source.require(REQUIRED)
    check_info(source)
    tables, metadata = _read(source.tables, None)
    index = {split: read_array(file, ArtifactError) for split, file in source.source_index.items()}
    _add_source_index(source.name, tables, index)
    return ScoreTables(source.name, tables, metadata, list(source.info.get("class_names", [])))


def _of_data(source: Source, data: PreparedData, spec: dict) -> ScoreTables:
    """The tables, matched to a data set."""
    kinds = list(source.tables) or list(REQUIRED)
    stage = stage_score_list if source.score_list else stage_published
    stage = stage_tables if source.tables else stage
    with tempfile.TemporaryDirectory(prefix="bat-scores-") as folder:
        staged = {kind: Path(folder) / FILE_NAMES[kind] for kind in kinds}
        stage(spec, source, data, staged, "bat.read_scores")
        tables, metadata = _read(staged, data)
    index = {split: np.asarray(getattr(data, f"{split}_source_index")) for split in SOURCE_INDEX}
    _add_source_index(source.name, tables, index)
    return ScoreTables(source.name, tables, metadata, data.class_names)


def _read(
    files: dict[str, Path], data: PreparedData | None
) -> tuple[dict[str, pd.DataFrame], dict[str, dict[str, Any]]]:
    import pandas as pd

    found = {k: read_checked(file, k, data) for k, file in files.items() if k != "convergence"}
    check_together(files["memorization"].parent, found)
    frames = {kind: table.to_pandas() for kind, (table, _) in found.items()}
    if "convergence" in files:
        check_convergence(files["convergence"])
        check_beside(files["convergence"], found)
        frames["convergence"] = pd.read_csv(files["convergence"])
    return frames, {kind: metadata for kind, (_, metadata) in found.items()}


def _add_source_index(name: str, tables: dict, index: dict[str, np.ndarray]) -> None:
    for kind, split in SPLIT.items():
        if kind not in tables or split not in index:
            continue
        if index[split].shape != (len(tables[kind]),):
            raise ArtifactError(
                f"{name}: {len(tables[kind])} {split} samples, and {len(index[split])} positions "
                "in the source; get it from its maker again"
            )
        tables[kind].insert(1, "source_index", index[split])


def _frame(scores: ScoreList) -> pd.DataFrame:
    """What a list tells, by the names that our tables have."""
    import pandas as pd

    names = ("index", "file_name", "label", "memorization", "memorization_se")
    known = {name: getattr(scores, name) for name in names}
    known["index"] = np.arange(len(scores.memorization)) if scores.index is None else scores.index
    return pd.DataFrame({name: values for name, values in known.items() if values is not None})

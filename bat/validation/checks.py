"""What must hold in every table, checked value by value, ours and anybody's alike.

A file is read as it would be for use, then against its contract: the order of
the rows, ranges, counts that sum to the trials, differences that are what they
say. A value that a table's maker did not know is null, for all rows of the
column; its checks are left out.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bat.data import PreparedData
from bat.files import artifacts
from bat.files.artifacts import ArtifactError, MisplacedError, column, read_table
from bat.files.bits import unpack
from bat.progress import log
from bat.reading import Expected, check_values, parse_json, regular_file
from bat.scores.subsets import followed_samples, subset
from bat.statistics import above, proportion_variance

ROUNDING = 1e-9
"""Differences of float64 values that come from the order of operations alone."""

CONVERGENCE_COLUMNS = ("n_trials", "split_half_correlation", "se_p95")
DRAWN_COLUMNS = (
    *("repeats", "se_mean", "split_half_correlation_sd"),
    *("split_half_spearman", "split_half_spearman_sd"),
)


def check_files(
    paths: list[Path], prepared: PreparedData | None = None
) -> Iterator[tuple[Path, str]]:
    """Check files one by one, then those that lie together against each other.

    Parameters
    ----------
    paths : list of path
        Parquet tables of ours, and ``convergence.csv``.
    prepared : PreparedData, optional
        The data set; rows, labels, classes and subsets are then checked too.

    Yields
    ------
    path, text
        A file that holds what it must, and in a few words what that is.

    Raises
    ------
    ArtifactError
        At the first file that does not, with the rule that it breaks.
    """
    by_folder: dict[Path, dict[str, tuple[pa.Table, dict]]] = {}
    for path in paths:
        if path.suffix == ".csv":
            yield path, f"convergence, {check_convergence(path)} rows"
            continue
        kind, table, metadata = check_table(path, prepared)
        if kind not in ("trials", "groups"):
            by_folder.setdefault(path.parent, {})[kind] = table, metadata
        yield path, f"{kind}, {table.num_rows} rows"
    for folder, tables in by_folder.items():
        check_together(folder, tables)


def check_all(files: Iterable[Path], prepared: PreparedData | None = None) -> None:
    """Check files as `check_files` does, all of them at once."""
    for _ in check_files(list(files), prepared):
        pass


def check_table(path: Path, prepared: PreparedData | None = None) -> tuple[str, pa.Table, dict]:
    """Read one table and check everything that it promises by itself.

    Parameters
    ----------
    path : path
    prepared : PreparedData, optional

    Returns
    -------
    kind : str
        A key of `artifacts.SCHEMAS`.
    table : pyarrow.Table
    metadata : dict

    Raises
    ------
    ArtifactError
        If it is damaged, or breaks a rule of its kind.
    """
    kind = kind_of(path)
    return kind, *read_checked(path, kind, prepared)


def read_checked(
    path: Path, kind: str, prepared: PreparedData | None, *, without: Sequence[str] = ()
) -> tuple[pa.Table, dict]:
    """Read one table of a known kind and check everything that it promises by itself.

    Parameters
    ----------
    path : path
    kind : str
        A key of `artifacts.SCHEMAS`.
    prepared : PreparedData or None
        The data set in use; a table of another one is refused.
    without : sequence of str
        Columns that are not read, and that no rule asks for.

    Returns
    -------
    table : pyarrow.Table
    metadata : dict

    Raises
    ------
    ArtifactError
        If it is damaged, another's, or breaks a rule of its kind.
    """
    fingerprint = prepared.info["fingerprint"] if prepared else None
    metadata = artifacts.read_metadata(path, kind, fingerprint=fingerprint)
    check_metadata(path, kind, metadata)
    split = artifacts.place_of(path).get("split") if kind == "groups" else _SPLIT.get(kind)
    if prepared and split:
        found, expected = pq.read_metadata(path).num_rows, prepared.info[f"n_{split}"]
        if found != expected:
            raise ArtifactError(
                f"{path}: {found} rows, and the data set has {expected} samples; it belongs to "
                "another data set, or rows were lost"
            )
    columns = [name for name in artifacts.SCHEMAS[kind].names if name not in without]
    table, _ = read_table(path, kind, columns=columns)
    if kind in _CHECKS:
        _CHECKS[kind](_Rows(path, table), metadata, prepared)
    return table, metadata


GROUPS_MADE_OF = ("memorization", "influence", "test")
"""Kinds of the score tables that groups are made of."""


def groups_inputs(scores: Path) -> dict[str, str]:
    """What stands for the score tables in the ``inputs`` of groups; `scores` is their folder."""
    return {
        kind: artifacts.table_digest(
            scores / f"{kind}.parquet", kind, artifacts.SCHEMAS[kind].names
        )
        for kind in GROUPS_MADE_OF
    }


def check_model(path: Path, metadata: Mapping[str, Any], checkpoint: Path) -> None:
    """Refuse what was measured of another model than a run has now.

    Parameters
    ----------
    path : path
        For the message.
    metadata : mapping
        Of what was measured.
    checkpoint : path
        ``best.pt`` or ``last.pt`` in the folder of the run, beside its history.

    Raises
    ------
    ArtifactError
    """
    history = checkpoint.with_name("history.parquet")
    if not history.exists():
        return  # a model from elsewhere, put there by hand
    now = artifacts.read_metadata(history, "history")
    if "inputs" in metadata and "checkpoints" in now:
        present = now["checkpoints"][checkpoint.stem]
    else:  # version 0.1.0 noted the sha256 of the file
        metadata = {"inputs": {"checkpoint": metadata.get("checkpoint_sha256")}}
        present = artifacts.sha256_of(checkpoint)
    artifacts.check_inputs(path, metadata, {"checkpoint": present})


def made_already(
    path: Path,
    kind: str,
    prepared: PreparedData,
    *,
    recipe: dict,
    inputs: Mapping[str, str],
    before: Callable[[dict], bool],
) -> pa.Table | None:
    """The table that lies there already, where it is what would be made now.

    Parameters
    ----------
    path, kind, prepared
        As for `read_checked`.
    recipe : dict
        That it must have been made by.
    inputs : mapping of str to str
        Digests of what it would be made of now.
    before : callable
        Whether the metadata of a table of version 0.1.0, which names no inputs,
        are of the present ones.

    Returns
    -------
    pyarrow.Table, or None
        None where it is to be made, which the log says if something lies there.

    Raises
    ------
    MisplacedError
        If a file of another run lies there; it is not overwritten.
    """
    if not path.exists():
        return None
    try:
        table, metadata = read_checked(path, kind, prepared)
    except MisplacedError:
        raise
    except ArtifactError as error:
        log.warning("%s; made again", error)
        return None
    changed = artifacts.changed_inputs(metadata, inputs)
    if "inputs" not in metadata and not before(metadata):
        changed = list(inputs)
    if metadata["recipe"] != recipe:
        changed.append("settings")
    if changed:
        log.info("%s: of other %s; made again", path, " and ".join(changed))
        return None
    path.touch()
    log.info("%s: there already", path)
    return table


def kind_of(path: Path) -> str:
    """The kind that a table's metadata states.

    Raises
    ------
    ArtifactError
        If the file is no table of ours, is damaged or of a newer format.
    """
    regular_file(path, ArtifactError)
    try:
        text = (pq.read_schema(path).metadata or {})[b"bat"]
        metadata = parse_json(text, longest=artifacts.MAX_METADATA)
        kind = metadata["kind"]
    except (KeyError, TypeError):
        raise ArtifactError(
            f"{path}: no key 'bat' in its metadata that names its kind; it is no table of scores"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: damaged ({str(error).splitlines()[0]}); get it from its maker again"
        ) from None
    if not isinstance(kind, str) or kind not in artifacts.SCHEMAS:
        newer = metadata.get("format_version", 0)
        raise ArtifactError(
            f"{path}: a table of the unknown kind {kind!r:.80}, format version {newer!s:.80}; this "
            f"package reads up to {artifacts.FORMAT_VERSION}"
        )
    return kind


def check_convergence(path: Path) -> int:
    """Check ``convergence.csv``; the number of its rows."""
    regular_file(path, ArtifactError)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = set(rows[0]) if rows else set()
        for name in CONVERGENCE_COLUMNS:
            if name not in columns:
                raise ArtifactError(f"{path}: has no column {name!r}")
        trials = [int(row["n_trials"]) for row in rows]
        values = [float(row[name] or "nan") for row in rows for name in columns]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path}: not a table of numbers ({error})") from None
    if trials != sorted(set(trials)) or any(map(math.isinf, values)):
        raise ArtifactError(f"{path}: n_trials must rise, and every value must be a number")
    missing = [name for name in DRAWN_COLUMNS if name not in columns]
    if missing:
        raise ArtifactError(f"{path}: has no column {', '.join(missing)}, which the figure draws")
    return len(rows)


# -- rules ----------------------------------------------------------------------------------


class _Rows:
    """The columns of one table, and the complaint about the first row that breaks a rule."""

    def __init__(self, path: Path, table: pa.Table):
        self.path, self.table = path, table

    def known(self, name: str) -> bool:
        """Whether the column has values; one that has them only for some rows is refused."""
        nulls = self.table.column(name).null_count
        if 0 < nulls < self.table.num_rows:
            raise ArtifactError(
                f"{self.path}: {name} is null in {nulls} of {self.table.num_rows} rows; a column "
                "has a value in every row or in none"
            )
        return nulls == 0

    def __getitem__(self, name: str) -> np.ndarray:
        if not self.known(name):
            raise ArtifactError(f"{self.path}: {name} has no values, and it must")
        return column(self.table, name)

    def every(self, good: np.ndarray, rule: str) -> None:
        bad = np.flatnonzero(~good)
        if bad.size:
            more = f" (and {bad.size - 1} more rows)" if bad.size > 1 else ""
            raise ArtifactError(f"{self.path}: row {bad[0]}{more} breaks the rule: {rule}")

    def within(self, name: str, low: float, high: float) -> None:
        values = self[name]
        self.every((values >= low) & (values <= high), f"{name} lies in [{low:g}, {high:g}]")

    def index_and_label(self, labels: np.ndarray | None) -> None:
        self.every(self["index"] == np.arange(self.table.num_rows), "index counts from 0 up")
        self.every(self["label"] >= 0, "label is a class number, 0 or more")
        if labels is not None:
            self.every(self["label"] == labels, "label is the data set's label of that sample")


_METADATA: Expected = {
    "dataset": (str,),
    "recipe": (dict,),
    "accuracies": (dict,),
    "influence": (dict,),
    "matched": (dict,),
    "thresholds": (dict,),
    "chance": (dict,),
    "converged": (bool,),
    "min_included_accuracy": (float, 0, 1),
    "chance_accuracy": (float, 0, 1),
    "checkpoints": (dict,),
    "checkpoint_sha256": (str,),
    "best_epoch": (int, 0, 2**31 - 1),
    "best_accuracy": (float, -1, 1),
    "undefined_steps": (dict,),
    "attack": (dict,),
    "standard_errors": (str,),
    "samples": (str,),
    "command": (str,),
    "package_version": (str,),
}
_RECIPE: Expected = {
    "source": (str,),
    "architecture": (str,),
    "trials": (int, 1, 2**31 - 1),
    "subset_ratio": (float, 0, 1),
    "seed": (int, 0, 2**63 - 1),
    "training": (dict,),
    "stage_version": (int,),
    "dataset": (str,),
    "run": (str,),
    "attacks": (dict,),
    "adversary": (dict,),
    "history": (dict,),
}
_INFLUENCE: Expected = {"pairs": (str,), "keep_above": (float, -1, 1)}
_MATCHED: Expected = {"by": (str,), "n_train": (int, 1, 2**31 - 1), "n_test": (int, 0, 2**31 - 1)}
_REQUIRED = {
    "trials": {"architecture", "subset_ratio", "seed", "training"},
}
"""Keys of the recipe, by kind of table."""
_LONGEST = 10_000  # characters of one text


def check_metadata(path: Path, kind: str, metadata: dict) -> None:
    """Check that what the metadata of a table say is of the right type, and in range.

    Raises
    ------
    ArtifactError
        With the key, what was found and what is expected.
    """
    where = str(path)
    _require_keys(where, "metadata", metadata, {"fingerprint", "recipe", *_SAID})
    check_values(where, metadata, _METADATA, ArtifactError)
    for text in _texts(metadata):
        if len(text) > _LONGEST:
            raise ArtifactError(
                f"{where}: the metadata hold a text of {len(text):,} characters "
                f"({text[:40]!r}...), expected {_LONGEST:,} at most"
            )
    recipe, fingerprint = metadata["recipe"], metadata["fingerprint"]
    if kind in ("disagreement", "confidence"):
        check_values(where, recipe, {name: (dict,) for name in recipe}, ArtifactError)
        recipes = list(recipe.values())
    else:
        recipes = [recipe] if kind in _CHECKS else []
    for one in recipes:
        required = _REQUIRED.get(kind, set())
        if "trainer" in one:  # a training of somebody's own has no recipe of ours
            required = required - {"training"}
        _require_keys(where, "recipe", one, required)
        check_values(where, one, _RECIPE, ArtifactError)
    check_values(where, metadata.get("influence", {}), _INFLUENCE, ArtifactError)
    if "matched" in metadata:
        _require_keys(where, "matched", metadata["matched"], {*_MATCHED, "fingerprint"})
        check_values(where, metadata["matched"], _MATCHED, ArtifactError)
    for value in (fingerprint, metadata.get("matched", {}).get("fingerprint")):
        if value is not None and not re.fullmatch("[0-9a-f]{64}", str(value)):
            raise ArtifactError(f"{where}: the fingerprint {value!r:.80} is no sha256 in hex")
    for name, value in metadata.get("accuracies", {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ArtifactError(
                f"{where}: the mean accuracy {name!r:.80} is {value!r:.80}, which is no number in "
                "[0, 1]"
            )


_SAID = ("command", "package_version")


def _require_keys(where: str, what: str, values: dict, keys: set[str]) -> None:
    missing = sorted(keys - values.keys())
    if missing:
        raise ArtifactError(f"{where}: the {what} lack {', '.join(missing)}; get it anew")


def _texts(value: Any) -> Iterator[str]:
    """All texts of nested metadata, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _check_memorization(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
    rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
    rows.within("memorization", -1, 1)
    if rows.known("memorization_se"):
        se = rows["memorization_se"]
        rows.every((se > 0) & (se <= 1), "memorization_se is above 0, and at most 1")
    counts = ("n_included", "n_excluded", "accuracy_included", "accuracy_excluded")
    if not all([rows.known(name) for name in counts]):
        if "trials" in metadata.get("inputs", {}):
            raise ArtifactError(
                f"{rows.path}: made of trials, and {' or '.join(counts)} have no values; remove it "
                "and run the command again that made it"
            )
        return
    n_in, n_out, acc_in, acc_out = (rows[name] for name in counts)
    rows.every((n_in > 0) & (n_out > 0), "n_included and n_excluded are at least 1")
    for name in counts[2:]:
        rows.within(name, 0, 1)
    difference = np.abs(rows["memorization"] - (acc_in - acc_out))
    rows.every(difference <= ROUNDING, "memorization is accuracy_included less accuracy_excluded")
    for n, accuracy, name in ((n_in, acc_in, counts[2]), (n_out, acc_out, counts[3])):
        rows.every(
            np.abs(accuracy * n - np.rint(accuracy * n)) < 1e-6, f"{name} is a share of its trials"
        )
    right = np.rint(acc_in * n_in), np.rint(acc_out * n_out)
    if rows.known("memorization_se"):
        parts = [(proportion_variance(k, n), n) for k, n in zip(right, (n_in, n_out), strict=True)]
        wrong = [
            np.abs(np.sqrt(variance) - rows["memorization_se"]) > ROUNDING
            for variance in (
                sum(part for part, _ in parts),
                sum(part * n / (n + 2) for part, n in parts),  # files of version 0.1.0
            )
        ]
        rows.every(
            ~min(wrong, key=np.count_nonzero),
            "memorization_se is that of the difference of the two shares",
        )
    recipe = metadata["recipe"]
    if "trials" in recipe:
        rows.every(
            n_in + n_out == recipe["trials"],
            f"n_included and n_excluded sum to the {recipe['trials']} trials",
        )
    if "trials" in recipe and "subset_ratio" in recipe and "matched" not in metadata:
        size = round(recipe["subset_ratio"] * len(n_in))
        if n_in.sum() != size * recipe["trials"]:
            raise ArtifactError(
                f"{rows.path}: n_included sums to {n_in.sum()}; {recipe['trials']} subsets of "
                f"{size} samples give {size * recipe['trials']}"
            )
        for name, total, count in (
            ("included", right[0].sum(), size),
            ("excluded", right[1].sum(), len(n_in) - size),
        ):
            stated = metadata.get("accuracies", {}).get(name)
            mean = total / (count * recipe["trials"])
            if stated is not None and abs(stated - mean) > ROUNDING:
                raise ArtifactError(
                    f"{rows.path}: the metadata state a mean accuracy {name} of {stated}, and the "
                    f"rows give {mean}"
                )


def _check_influence(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
    train, test, influence = (rows[n] for n in ("train_index", "test_index", "influence"))
    rows.every((train >= 0) & (test >= 0), "train_index and test_index are 0 or more")
    key = (train.astype(np.int64) << 32) + test
    rows.every(
        np.append(True, np.diff(key) > 0)[: len(key)],
        "pairs are sorted by train_index, then test_index, each pair once",
    )
    keep_above = metadata.get("influence", {}).get("keep_above")
    if keep_above is None:
        raise ArtifactError(f"{rows.path}: the metadata do not say above what pairs are kept")
    rows.every(influence > np.float32(keep_above), f"influence is above keep_above, {keep_above:g}")
    rows.within("influence", -1, 1)
    if rows.known("influence_se"):
        se = rows["influence_se"]
        rows.every((se > 0) & (se <= 1), "influence_se is above 0, and at most 1")
    if rows.known("q"):
        rows.within("q", 0, 1)
    _check_chance(rows, metadata)
    if prepared is not None:
        labels = np.asarray(prepared.train_labels), np.asarray(prepared.test_labels)
        _check_pairs(rows, metadata, *labels)


def _check_chance(rows: _Rows, metadata: dict) -> None:
    """What the metadata say of chance: ascending thresholds, and counts of these rows."""
    chance = metadata.get("chance", {})
    if not chance:
        return
    columns = [chance.get(name) for name in ("thresholds", "observed", "expected")]
    numbers = [x for values in columns if isinstance(values, list) for x in values]
    numbers += [chance.get(name) for name in ("candidates", "level", "standing")]
    known = len({len(values) if isinstance(values, list) else -1 for values in columns}) == 1
    if not known or not all(isinstance(x, int | float) and 0 <= x < math.inf for x in numbers):
        raise ArtifactError(
            f"{rows.path}: chance is {chance!r}; expected numbers of candidates, level and "
            "standing, and equally many of thresholds, observed and expected"
        )
    influence = rows["influence"]
    for threshold, observed, _ in zip(*columns, strict=True):
        found = np.count_nonzero(above(influence, threshold))
        if found != observed:
            raise ArtifactError(
                f"{rows.path}: the metadata state {observed} pairs above {threshold:g}, and the "
                f"rows give {found}"
            )


def _check_pairs(rows: _Rows, metadata: dict, train_labels, test_labels) -> None:
    train, test = rows["train_index"], rows["test_index"]
    rows.every(train < len(train_labels), f"train_index is below {len(train_labels)}")
    rows.every(test < len(test_labels), f"test_index is below {len(test_labels)}")
    if metadata["influence"].get("pairs") == "same_class":
        rows.every(
            train_labels[train] == test_labels[test], "the samples of a pair share their class"
        )


def _check_test(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
    rows.index_and_label(None if prepared is None else np.asarray(prepared.test_labels))
    if rows.known("accuracy"):
        rows.within("accuracy", 0, 1)
        trials = metadata["recipe"].get("trials")
        if trials and "matched" not in metadata:
            right = rows["accuracy"] * trials
            rows.every(np.abs(right - np.rint(right)) < 1e-6, "accuracy is a share of the trials")
        stated = metadata.get("accuracies", {}).get("test")
        mean = rows["accuracy"].mean()
        if stated is not None and "matched" not in metadata and abs(stated - mean) > ROUNDING:
            raise ArtifactError(
                f"{rows.path}: the metadata state a mean accuracy test of {stated}, and the rows "
                f"give {mean}"
            )
    best, index = rows["max_influence"], rows["max_influence_train_index"]
    none = np.isnan(best)
    rows.every(none | (np.abs(best) <= 1), "max_influence lies in [-1, 1]")
    rows.every((index == -1) == none, "max_influence_train_index is -1 where there is none")
    rows.every(index >= -1, "max_influence_train_index is 0 or more, or -1")


def _check_metric(name: str, high: float):
    def check(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
        rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
        rows.within(name, 0, high + ROUNDING)

    return check


def _check_evaluations(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
    index, clean = rows["index"], rows["clean"].astype(bool)
    rows.every(
        (index >= 0) & np.append(True, np.diff(index) > 0)[: len(index)],
        "index rises, each test sample once",
    )
    attacks = metadata["recipe"].get("attacks", {})
    for name in artifacts.ATTACKS:
        if rows.known(name) != (name in attacks) and len(index):
            words = "has no verdicts, and it was asked for" if name in attacks else "was not asked"
            raise ArtifactError(f"{rows.path}: the attack {name} {words}; evaluate again")
        if name in attacks:
            rows.every(
                clean | ~rows[name].astype(bool), f"right under {name} is right without attack"
            )
    if prepared is None:
        return
    n = prepared.info["n_test"]
    rows.every(index < n, f"index is below {n}")
    limit = metadata["recipe"].get("max_samples")
    if limit is not None:
        check_values(str(rows.path), {"max_samples": limit}, {"max_samples": (int,)}, ArtifactError)
    expected = min(limit or n, n)
    if len(index) != expected:
        raise ArtifactError(
            f"{rows.path}: {len(index)} rows, and {expected} samples were judged; evaluate again"
        )


def _check_history(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
    recipe, table = metadata["recipe"], rows.table
    if "inputs" in metadata and metadata.get("checkpoints", {}).keys() != {"last", "best"}:
        raise ArtifactError(
            f"{rows.path}: the metadata do not say which checkpoints, last and best, the run left"
        )
    rows.every(rows["epoch"] == np.arange(1, table.num_rows + 1), "epochs count from 1 up")
    rows.every(np.isfinite(rows["loss"]), "loss is a finite number")
    epochs = recipe.get("training", {}).get("epochs")
    if epochs is not None and table.num_rows != epochs:
        raise ArtifactError(f"{rows.path}: {table.num_rows} rows, and the run has {epochs} epochs")
    for name in artifacts.STATISTICS:
        values = table.column(name).drop_null().to_numpy()
        if not np.isfinite(values).all():
            raise ArtifactError(f"{rows.path}: {name} is no finite number in some epoch")
    if rows.known("selection_accuracy"):
        rows.within("selection_accuracy", 0, 1)
    if prepared is None:
        return
    last = table.slice(table.num_rows - 1).to_pylist()[0] if table.num_rows else {}
    bits = {split: last.get(f"{split}_clean") for split in ("train", "test")}
    limit = recipe.get("history", {}).get("max_samples")
    for split, index in followed_samples(prepared.info, limit, bits).items():
        clean, pgd = (table.column(f"{split}_{flag}").to_pylist() for flag in artifacts.FLAGS)
        for row, (of_clean, of_pgd) in enumerate(zip(clean, pgd, strict=True)):
            if of_clean is None and of_pgd is None:
                continue
            try:
                right, robust = (
                    unpack(of_clean or b"", len(index)),
                    unpack(of_pgd or b"", len(index)),
                )
            except ValueError as error:
                raise ArtifactError(f"{rows.path}: epoch {row + 1}, {split}: {error}") from None
            if (robust & ~right).any():
                raise ArtifactError(
                    f"{rows.path}: epoch {row + 1}: a {split} sample is right under PGD and wrong "
                    "without attack"
                )


def _check_poisoning(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
    rows.index_and_label(None if prepared is None else np.asarray(prepared.train_labels))
    rows.within("score", 0, 1)
    recipe, attack = metadata["recipe"], metadata.get("attack")
    asked = {**recipe.get("adversary", {}), "steps": recipe.get("history", {}).get("steps")}
    if "adversary" in recipe and attack != asked:
        raise ArtifactError(
            f"{rows.path}: the attack is {attack!r:.80}, and the run asks for {asked!r:.80}; "
            "remove it and run the command again that made it"
        )
    for name in ("predicted", "predicted_clean"):
        rows.every(rows[name] != rows["label"], f"{name} is another class than the label")
        if prepared is not None:
            rows.within(name, 0, len(prepared.info["class_names"]) - 1)


def _check_groups(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
    rows.every(rows["index"] == np.arange(rows.table.num_rows), "index counts from 0 up")
    rows.every(
        ~(rows["typical"].astype(bool) & rows["atypical"].astype(bool)),
        "no sample is typical and atypical",
    )
    chance = metadata.get("chance", {})
    known = {key: value for key, value in chance.items() if value is not None}
    numbers = dict.fromkeys(("expected", "false_discovery"), (float, 0, math.inf))
    numbers["members"] = (int, 0, 2**31 - 1)
    check_values(f"{rows.path}: chance", known, numbers, ArtifactError)
    members = np.count_nonzero(rows["atypical"])
    if chance and chance.get("members") != members:
        raise ArtifactError(
            f"{rows.path}: the metadata state {chance.get('members')!r} atypical samples, and the "
            f"rows give {members}"
        )


def _some(trial: np.ndarray) -> str:
    return f"{trial.min()} to {trial.max()} ({len(trial)})" if len(trial) else "of no number"


def _check_trials(rows: _Rows, metadata: dict, prepared: PreparedData | None) -> None:
    trial, recipe = rows["trial"], metadata["recipe"]
    rows.every(trial >= 0, "trial is 0 or more")
    said = artifacts.place_of(rows.path)
    if "first" in said and {*trial.tolist()} != {*range(said["first"], said["last"] + 1)}:
        raise MisplacedError(
            f"{rows.path}: holds the trials {_some(trial)}, and its name says {said['first']} to "
            f"{said['last']}: a file was put in another's place. Put the right one back, or remove "
            "it and run the command again that made it"
        )
    rows.every(
        np.append(True, np.diff(trial) > 0)[: len(trial)], "trials are sorted, each number once"
    )
    rows.every(rows["seed"] == recipe["seed"], f"seed is the recipe's, {recipe['seed']}")
    for name in ("included_accuracy", "excluded_accuracy", "test_accuracy"):
        rows.within(name, 0, 1)
    rows.every((rows["seconds"] >= 0) & np.isfinite(rows["seconds"]), "seconds are 0 or more")
    for name in ("included", "train_correct", "test_correct", "device"):
        _ = rows[name]  # no nulls
    if prepared is None:
        return
    n, n_test, path = prepared.info["n_train"], prepared.info["n_test"], rows.path
    if "probabilities" in rows.table.column_names:
        size = 2 * n * len(prepared.info["class_names"])  # float16
        found = set(pc.unique(pc.binary_length(rows.table["probabilities"])).to_pylist())
        if strange := found - {size, None}:
            raise ArtifactError(
                f"{path}: class probabilities of {min(strange)} bytes, expected {size}: one number "
                "of 2 bytes for each training sample and class"
            )
    read = [name for name in rows.table.column_names if name != "probabilities"]
    for row in rows.table.select(read).to_pylist():
        number = row["trial"]
        try:
            included, train, test = (
                unpack(row["included"], n),
                unpack(row["train_correct"], n),
                unpack(row["test_correct"], n_test),
            )
        except ValueError as error:
            raise ArtifactError(f"{path}: trial {number}: {error}") from None
        if (included != subset(recipe["seed"], number, n, recipe["subset_ratio"])).any():
            raise ArtifactError(
                f"{path}: trial {number} was not trained on the subset of its seed and number"
            )
        for name, mask in (
            ("included", train[included]),
            ("excluded", train[~included]),
            ("test", test),
        ):
            if abs(row[f"{name}_accuracy"] - mask.mean()) > ROUNDING:
                raise ArtifactError(
                    f"{path}: trial {number} states {name}_accuracy {row[f'{name}_accuracy']}, and "
                    f"its predictions give {mask.mean()}"
                )


_CHECKS: dict[str, Callable[[_Rows, dict, PreparedData | None], None]] = {
    "memorization": _check_memorization,
    "influence": _check_influence,
    "test": _check_test,
    "disagreement": _check_metric("disagreement", math.log(2)),
    "confidence": _check_metric("confidence", 1.0),
    "groups": _check_groups,
    "trials": _check_trials,
    "evaluations": _check_evaluations,
    "history": _check_history,
    "poisoning": _check_poisoning,
}
_SPLIT = {
    "memorization": "train",
    "disagreement": "train",
    "confidence": "train",
    "poisoning": "train",
    "test": "test",
}
"""Whose samples the rows of a kind are."""


# -- tables that lie together ---------------------------------------------------------------


def check_together(folder: Path, tables: dict[str, tuple[pa.Table, dict]]) -> None:
    """Check tables that lie in one folder against each other.

    Parameters
    ----------
    folder : path
        For the messages.
    tables : dict
        Tables and their metadata by kind.

    Raises
    ------
    ArtifactError
        If they are of other data sets or trials, or contradict each other.
    """
    names = list(tables)
    first = names[0]
    for name in names[1:]:
        if tables[name][1]["fingerprint"] != tables[first][1]["fingerprint"]:
            raise ArtifactError(
                f"{folder}: {first}.parquet and {name}.parquet speak of different data sets"
            )
    one_run = [name for name in ("memorization", "influence", "test") if name in tables]
    for name in one_run[1:]:
        made_of = [tables[kind][1].get("inputs", {}).get("trials") for kind in (one_run[0], name)]
        if None not in made_of and made_of[0] != made_of[1]:
            raise ArtifactError(
                f"{folder}: {one_run[0]}.parquet and {name}.parquet were made of different trials"
            )
        if tables[name][1]["recipe"] != tables[one_run[0]][1]["recipe"]:
            raise ArtifactError(
                f"{folder}: {one_run[0]}.parquet and {name}.parquet come from different recipes"
            )
    for name in ("disagreement", "confidence"):
        if name in tables and "memorization" in tables:
            ours, theirs = (column(tables[n][0], "label") for n in ("memorization", name))
            if not np.array_equal(ours, theirs):
                raise ArtifactError(f"{folder / name}.parquet: labels differ from memorization's")
    if len(one_run) < 3:
        return
    memorization, test = tables["memorization"][0], tables["test"][0]
    pairs, metadata = tables["influence"]
    rows = _Rows(folder / "influence.parquet", pairs)
    _check_pairs(rows, metadata, column(memorization, "label"), column(test, "label"))
    _check_maxima(folder, rows, metadata["influence"]["keep_above"], memorization.num_rows, test)


def _check_maxima(folder: Path, pairs: _Rows, keep_above: float, n_train: int, test: pa.Table):
    """``max_influence`` is the largest kept pair's where one is kept, and not above otherwise."""
    rows = _Rows(folder / "test.parquet", test)
    best, index = rows["max_influence"], rows["max_influence_train_index"]
    largest = np.full(test.num_rows, -np.inf)
    np.maximum.at(largest, pairs["test_index"], pairs["influence"])
    kept = np.isfinite(largest)
    rows.every(~kept | (best == largest), "max_influence is that of the test sample's kept pairs")
    rows.every(
        kept | np.isnan(best) | (best <= np.float32(keep_above)),
        f"max_influence is at most keep_above, {keep_above:g}, where no pair is kept",
    )
    rows.every(index < n_train, f"max_influence_train_index is below {n_train}")
    at_best = pairs["influence"] == largest[pairs["test_index"]]
    lowest = np.full(test.num_rows, n_train)
    np.minimum.at(lowest, pairs["test_index"][at_best], pairs["train_index"][at_best])
    rows.every(
        ~kept | (index == lowest), "max_influence_train_index is the lowest sample that has it"
    )

"""To which data set score tables belong: by its fingerprint, or by a key that is stated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from bat.data import PreparedData
from bat.data.layouts import image_names
from bat.errors import ArtifactError
from bat.files import SCHEMAS, column, read_metadata, read_table, write_table
from bat.progress import log
from bat.reading import read_array
from bat.sharing import published
from bat.sharing.cards import matched_text
from bat.sharing.folders import Source, check_info
from bat.sharing.lists import ScoreList, read_score_list
from bat.validation import check_all

NOTHING_KEPT = 1.0
"""No influence is above this: a table of no pairs, cut there, claims nothing."""


def stage_tables(
    spec: dict, source: Source, prepared: PreparedData, staged: dict[str, Path], command: str
) -> dict | None:
    """Copy a source's tables, or write them anew for the data in use.

    Parameters
    ----------
    spec : dict
        As for `sharing.fetch`.
    source : Source
    prepared : PreparedData
    staged : dict of str to path
        Where each kind is written.
    command : str
        For the metadata of tables that are matched.

    Returns
    -------
    dict or None
        What the metadata say of the matching; None where the fingerprints are
        equal and the files were copied.

    Raises
    ------
    ArtifactError
        If a table is missing or breaks a rule, speaks of other data and no key
        is stated, or the key does not fit.
    """
    source.require(list(staged))
    parquet = [kind for kind in staged if kind != "convergence"]
    metadata = {k: read_metadata(source.tables[k], k) for k in parquet}
    theirs = metadata["memorization"].get("fingerprint")
    fits = theirs == prepared.fingerprint
    check_all((source.tables[kind] for kind in staged), prepared if fits else None)
    check_info(source)
    if fits:
        for kind, file in staged.items():
            shutil.copyfile(source.tables[kind], file)
        return None
    tables = {kind: read_table(source.tables[kind], kind)[0] for kind in parquet}
    if spec["match"] == "fingerprint":
        raise _other_data(source, theirs, tables, prepared)
    keys = {}
    if spec["match"] == "source_index":
        keys = {
            split: read_array(path, ArtifactError) for split, path in source.source_index.items()
        }
    for kind in staged.keys() - set(parquet):
        shutil.copyfile(source.tables[kind], staged[kind])
    files = {kind: staged[kind] for kind in parquet}
    return _match(spec, source.name, tables, metadata, keys, prepared, files, command)


def stage_published(
    spec: dict, source: Source, prepared: PreparedData, staged: dict[str, Path], command: str
) -> dict:
    """Write published arrays as tables for the data in use, as `stage_tables` does."""
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


def stage_score_list(
    spec: dict, source: Source, prepared: PreparedData, staged: dict[str, Path], command: str
) -> dict:
    """Write a list of scores as tables for the data in use, as `stage_tables` does.

    What the list does not tell is null: of influence, no pair is above ``keep_above`` 1.
    """
    if spec["tables"]:
        raise ArtifactError(
            f"{source.name}: a list of scores holds no {', '.join(spec['tables'])}; remove "
            "scores.tables"
        )
    scores = read_score_list(source.score_list)
    n, n_test = len(scores.memorization), prepared.info["n_test"]
    rows = _rows_of_list(spec, source.name, scores, prepared)
    _check_labels(source.name, spec["match"], scores, rows, prepared)
    if scores.ignored:
        names = ", ".join(map(repr, scores.ignored[:8]))
        log.info("%s: without the columns %s, which are not known", source.name, names)
    matched = {
        "by": spec["match"],
        "fingerprint": None,
        "n_train": n,
        "n_test": 0,
        "labels": scores.label is not None,
    }
    unknown = [None] * len(rows)
    values = {
        "memorization": {
            **dict.fromkeys(SCHEMAS["memorization"].names, unknown),
            "index": np.arange(len(rows)),
            "label": prepared.train_labels,
            "memorization": scores.memorization[rows],
        },
        "influence": {name: [] for name in SCHEMAS["influence"].names},
        "test": {
            "index": np.arange(n_test),
            "label": prepared.test_labels,
            "accuracy": [None] * n_test,
            "max_influence": np.full(n_test, np.nan),
            "max_influence_train_index": np.full(n_test, -1),
        },
    }
    if scores.memorization_se is not None:
        values["memorization"]["memorization_se"] = scores.memorization_se[rows]
    for kind, file in staged.items():
        write_table(
            file,
            kind,
            values[kind],
            fingerprint=prepared.fingerprint,
            recipe={"source": f"a list of scores ({', '.join(scores.columns)})"},
            command=command,
            dataset=spec["dataset"],
            influence={"keep_above": NOTHING_KEPT},
            matched=matched,
        )
    log.warning(
        "%s: %s. A list of scores tells of no influence, so no test sample is in a group",
        source.name,
        matched_text(matched),
    )
    return matched


def _rows_of_list(spec: dict, name: str, scores: ScoreList, prepared: PreparedData) -> np.ndarray:
    """The row of a list of scores for each training sample in use."""
    if spec["match"] == "fingerprint":
        raise ArtifactError(
            f"{name}: a list of scores carries no fingerprint; say which row is which "
            "sample with scores.match: index (its index is, or without one its row is, the "
            "position in the data in use), source_index (in the data set's source) or file_name"
        )
    keys = scores.file_name if spec["match"] == "file_name" else scores.index
    if spec["match"] == "index" and keys is not None:
        rows = _rows_by_position(name, keys, prepared.info["n_train"])
    else:
        if spec["match"] == "source_index" and keys is None:
            keys = np.arange(len(scores.memorization))  # as published arrays, in the source's order
        rows = _rows(spec, name, "train", len(scores.memorization), keys, prepared)
    return rows


def _rows_by_position(name: str, index: np.ndarray, n: int) -> np.ndarray:
    """The row of each position in the data in use, counted from 0, or from 1 if it must be."""
    order = np.argsort(index)
    if len(index) == n and index[order[0]] == 1 and index[order[-1]] == n:
        log.info("%s: its index counts from 1", name)
        return order
    if len(index) != n or index[order[-1]] >= n:
        missing = np.setdiff1d(np.arange(n), index)
        which = f" ({len(missing)} of them are missing, the first {missing[0]})" * bool(
            len(missing)
        )
        raise ArtifactError(
            f"{name}: {len(index)} rows with an index from {index[order[0]]} to "
            f"{index[order[-1]]}; expected each of 0 to {n - 1} once, the positions in the data "
            f"in use{which}"
        )
    return order


def _check_labels(
    name: str, by: str, scores: ScoreList, rows: np.ndarray, prepared: PreparedData
) -> None:
    if scores.label is None:
        return
    ours, theirs = np.asarray(prepared.train_labels), scores.label[rows]
    if theirs.dtype.kind == "U":
        ours = np.array(prepared.info["class_names"])[ours]
    wrong = np.flatnonzero(theirs != ours)
    if wrong.size:
        raise ArtifactError(
            f"{name}: matched by {by}, {wrong.size} of {len(ours)} train labels differ (sample "
            f"{wrong[0]}: {theirs[wrong[0]]} there, {ours[wrong[0]]} in use); these are other "
            "samples, or another order"
        )


_OURS = {
    *("format_version", "kind", "package_version", "command", "path", "columns"),
    *("identity", "inputs", "content", "kept", "chance"),
}
"""Keys of the metadata that are written anew, and names that `write_table` has for other things."""

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
        provenance = {key: value for key, value in metadata[kind].items() if key not in _OURS}
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
    return image_names(Path(spec["image_folder"]), split)


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

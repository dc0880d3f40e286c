"""What the page of all images shows of them: scores and pairs, packed for a browser.

Arrays are base64 of little-endian float32, int32 or uint8; pairs lie as CSR, by training sample.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bat.files import PREDICTED
from bat.reading import lies_there
from bat.report.folder import Folder
from bat.scores import SCORES
from bat.scores.proxies import PROXIES
from bat.scores.ranking import atypical_end
from bat.scores.registry import INFLUENCE_ABOVE

OPTIONAL = ("disagreement", "confidence", "proxies", "privacy")
"""Score tables of training samples that a data set may have beside those that it must."""

_TITLES = {
    "memorization": ("Memorization", "accuracy on it of models trained with it, less without it"),
    "accuracy_included": ("Accuracy with it", "of the models trained with this sample"),
    "accuracy_excluded": ("Accuracy without it", "of the models trained without this sample"),
    "memorization_margin": ("Memorization, margins", "memorization of the margin, not the hit"),
    "disagreement": ("Disagreement", "of an ensemble on it, in nats"),
    "confidence": ("Confidence", "of an ensemble in its label"),
    "auc": ("Membership AUC", "how well models tell that it was trained on"),
    **{name: (proxy.title, "score of single trainings") for name, proxy in PROXIES.items()},
    "accuracy": ("Accuracy", "over all models"),
    "max_influence": ("Largest influence", "of one training sample on it"),
}
"""Columns of score tables that are shown, in their order: title and explanation."""


_NEAREST = "Distance to its nearest image", "in pixels, 0 is equal; low is a near duplicate"
_SUSPICION = (
    "Likely wrong label",
    "mean rank by memorization, confidence and cumulative loss, of those that there are; at most 1",
)
_SUSPECT = {"memorization_margin": 1, "memorization": 1, "confidence": -1, "csl": 1}


def packed(values: Any, kind: str) -> dict[str, str]:
    """An array as the page reads it.

    Parameters
    ----------
    values : array-like
    kind : {'f4', 'i4', 'u1'}

    Returns
    -------
    dict of str
        ``kind``, and ``data`` in base64.
    """
    array = np.ascontiguousarray(values, dtype=np.dtype(kind).newbyteorder("<"))
    return {"kind": kind, "data": base64.b64encode(array.tobytes()).decode()}


def splits(folder: Folder, distance: np.ndarray) -> dict[str, dict]:
    """Scores, labels and groups of training and test samples.

    Parameters
    ----------
    folder : Folder
        Of the data set, with memorization, influence, the test table and groups;
        of `OPTIONAL` what there is.
    distance : ndarray of float, shape (n_train + n_test, k)
        To the nearest images, from `bat.report.browse_neighbours.nearest`.

    Returns
    -------
    dict of dict
        By split: ``n``, ``label``, ``group`` (0 neither, 1 typical, 2 atypical), ``source``
        and ``columns``, a list of ``name``, ``title``, ``about``, ``values`` and, where it is
        known, ``se``. Where it is known what models without a sample predict, ``predicted`` too:
        ``models``, and ``class`` and ``share`` of a few classes a sample.
    """
    prepared, pairs = folder.prepared, folder.scores("influence")[0]
    train = [folder.scores("memorization")[0]]
    for kind in OPTIONAL:
        if lies_there(folder.path / "scores" / f"{kind}.parquet"):
            train.append(folder.scores(kind)[0])
    test = [folder.scores("test")[0]]
    thresholds = folder.groups("test")[1].get("thresholds", {})
    above = pairs[pairs["influence"] > thresholds.get("influence_above", INFLUENCE_ABOVE)]
    found = {}
    for split, tables, place, title in (
        ("train", train, "train_index", "Test images influenced"),
        ("test", test, "test_index", "Training images that carry it"),
    ):
        n = prepared.info[f"n_{split}"]
        columns = [column for table in tables for column in _columns(table)]
        counts = np.bincount(above[place], minlength=n)
        about = "pairs of influence above the threshold of the groups"
        columns.append(_column("n_pairs", title, about, counts))
        if split == "train":
            columns.append(_column("suspicion", *_SUSPICION, _suspicion(tables)))
        own = distance[:n] if split == "train" else distance[-n:]
        if own.shape[1]:
            columns.append(_column("nearest", *_NEAREST, own[:, 0]))
        groups = folder.groups(split)[0]
        found[split] = {
            "n": n,
            "label": packed(getattr(prepared, f"{split}_labels"), "i4"),
            "source": packed(getattr(prepared, f"{split}_source_index"), "i4"),
            "group": packed(groups["typical"] + 2 * groups["atypical"], "u1"),
            "columns": columns,
        }
        for table in (table for table in tables if "n_held_out" in table):
            if table["n_held_out"].notna().all():
                found[split]["predicted"] = _predicted(table)
    return found


def _predicted(table: pd.DataFrame) -> dict[str, dict]:
    """What the models without a sample predict, by sample and then by falling share."""
    classes, shares = (list(names) for names in zip(*PREDICTED, strict=True))
    return {
        "models": packed(table["n_held_out"], "i4"),
        "class": packed(table[classes], "i4"),
        "share": packed(table[shares], "f4"),
    }


def pairs_of(influence: pd.DataFrame, n_train: int) -> dict[str, dict]:
    """Influence as CSR, by training sample and then by influence, largest first.

    Parameters
    ----------
    influence : DataFrame
        ``train_index``, ``test_index``, ``influence``, ``influence_se``.
    n_train : int

    Returns
    -------
    dict
        ``start`` (n_train + 1 offsets), ``test``, ``influence``, ``se``, packed.
    """
    order = np.lexsort((influence["test_index"], -influence["influence"], influence["train_index"]))
    table = influence.iloc[order]
    counts = np.bincount(table["train_index"], minlength=n_train)
    return {
        "start": packed(np.concatenate([[0], np.cumsum(counts)]), "i4"),
        "test": packed(table["test_index"], "i4"),
        "influence": packed(table["influence"], "f4"),
        "se": packed(table["influence_se"], "f4"),
    }


def _suspicion(tables: list[pd.DataFrame]) -> np.ndarray:
    """How likely each label is wrong, by the mean of its ranks in what finds wrong labels best."""
    found = {}
    for table in tables:
        for name in (name for name in _SUSPECT if name in table and table[name].notna().all()):
            found[name] = (_SUSPECT[name] * table[name]).rank(pct=True)
    if "memorization_margin" in found:
        del found["memorization"]
    return np.mean(list(found.values()), axis=0)


def _columns(table: pd.DataFrame) -> Iterator[dict]:
    """The columns of a score table that are known here and hold values."""
    for name in (name for name in table if name in _TITLES and table[name].notna().any()):
        title, about = _TITLES[name]
        low = (name in SCORES or name in PROXIES) and atypical_end(name) == "low"
        se = table.get(f"{name}_se")
        known = se is not None and se.notna().any()
        about = f"{about}; low is atypical" if low else about
        yield _column(name, title, about, table[name], se if known else None)


def _column(name: str, title: str, about: str, values: Any, se: Any = None) -> dict:
    column = {"name": name, "title": title, "about": about, "values": packed(values, "f4")}
    return column if se is None else column | {"se": packed(se, "f4")}

"""The annotation study of appendix B.3: a sheet for people, and what they answered.

People see an image and two class names, the label and the class that a robust
model takes it for, and say which fits. Neither the page nor its order tells
which name is the label, or the score; the key file does, and stays here.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bat import data
from bat.errors import ArtifactError, BatError
from bat.files import column, read_json, write_bytes, write_json
from bat.reading import is_visible, lies_there, regular_file
from bat.report.annotation_page import Item, page
from bat.report.captions import about_groups
from bat.report.paper import ANNOTATED, ANSWERS
from bat.streams import generator
from bat.validation import read_checked

CHOICES = ("first", "second", "both", "neither")
"""Answers as files hold them: by the order on the page."""


COLUMNS = ("sheet", "item", "annotator", "answer")


# -- the sheet ------------------------------------------------------------------------------


def choose_items(
    scores: pd.DataFrame, atypical: np.ndarray, *, per_group: int = 100, seed: int = 0
) -> pd.DataFrame:
    """Choose the atypical samples of highest and lowest score, and shuffle them.

    Parameters
    ----------
    scores : DataFrame
        ``index``, ``label``, ``predicted_clean``, ``score``; one row per training
        sample.
    atypical : ndarray of bool, shape (n,)
        Which of them are atypical.
    per_group : int
        Samples of each group; half of the atypical ones where they are fewer
        than twice as many.
    seed : int
        Of the order, and of the side on which the label is named.

    Returns
    -------
    DataFrame
        ``item`` (1, 2, ... in the order shown), ``index``, ``label``,
        ``predicted``, ``score``, ``group`` ('high' or 'low'), ``first`` (which of
        'label' and 'predicted' is named first: each in half of every group).
        Equal scores go by index.

    Raises
    ------
    BatError
        If fewer than two samples are atypical.

    Notes
    -----
    ``predicted`` is the likeliest wrong class on the image as it is, as B.3
    prints it; the score is that under attack, equation (6).
    """
    ranked = scores[atypical].sort_values(["score", "index"], ascending=[False, True])
    n = min(per_group, len(ranked) // 2)
    if n < 1:
        raise BatError(
            f"found {len(ranked)} atypical training samples; an annotation sheet needs at least "
            "two: change the thresholds in groups, or raise scores.trials"
        )
    ranked = ranked.rename(columns={"predicted": "attacked", "predicted_clean": "predicted"})
    ranked = ranked[["index", "label", "predicted", "score"]]
    parts = []
    for group, rows in (("high", ranked.head(n)), ("low", ranked.tail(n))):
        sides = np.where(_order(n, seed, f"side-{group}") % 2 == 0, "label", "predicted")
        parts.append(rows.assign(group=group, first=sides))
    items = pd.concat(parts).iloc[_order(2 * n, seed, "order")].reset_index(drop=True)
    items.insert(0, "item", np.arange(1, 2 * n + 1))
    return items


def _order(n: int, seed: int, stream: str) -> np.ndarray:
    keys = generator(seed, 0, f"annotation-{stream}").bit_generator.random_raw(n)
    return np.argsort(keys, kind="stable")


def write_sheet(
    scores: Path, groups: Path, folder: Path, out: Path, *, seed: int = 0
) -> dict[str, Any]:
    """Write ``sheet.html`` for annotators, and its ``key.json``, into ``out``.

    Parameters
    ----------
    scores : path
        Table of kind ``poisoning``.
    groups : path
        Groups of the training samples.
    folder : path
        The prepared data.
    out : path
        Folder; answers lie in its subfolder ``answers``.
    seed : int
        As in `choose_items`.

    Returns
    -------
    dict
        What the key holds: ``sheet`` (its name), ``dataset``, ``architecture``,
        ``run``, ``run_seed``, ``seed``, ``fingerprint``, ``checkpoint_sha256``,
        ``items`` as in `choose_items`, and ``caution``, which says what the
        atypical group goes by, and where it is built on chance.

    Raises
    ------
    ArtifactError
        If a table is missing, damaged or of another data set.
    BatError
        If there are answers to another sheet in ``out``, whose key this would
        replace, or fewer than two samples are atypical.
    """
    prepared = data.load(folder, verify=True)
    fingerprint = prepared.fingerprint
    table, metadata = read_checked(scores, "poisoning", prepared)
    members, about = read_checked(groups, "groups", prepared)
    items = choose_items(table.to_pandas(), column(members, "atypical"), seed=seed)
    spec = metadata["recipe"]
    key: dict[str, Any] = {
        "dataset": spec["dataset"],
        "architecture": spec["architecture"],
        "run": spec["run"],
        "run_seed": spec["seed"],
        "seed": seed,
        "fingerprint": fingerprint,
        "checkpoint_sha256": metadata["checkpoint_sha256"],
        "items": items.to_dict("records"),
    }
    name = _name(key)
    key = {"sheet": name, **key, "caution": about_groups({"train": about})}
    _keep_answered(out, name)
    classes = prepared.class_names
    shown = []
    for item in items.itertuples():
        names = [classes[item.label], classes[item.predicted]]
        if item.first == "predicted":
            names.reverse()
        shown.append(Item(item.item, prepared.train_images[item.index], *names))
    write_json(out / "key.json", key)
    write_bytes(out / "sheet.html", page(name, spec["dataset"], shown).encode())
    return key


def _name(key: Mapping[str, Any]) -> str:
    """The name of a sheet, by what its key says of the items."""
    said = {name: value for name, value in key.items() if name not in ("sheet", "caution")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def read_key(path: Path) -> dict[str, Any]:
    """Read the key of a sheet, from `write_sheet`.

    Raises
    ------
    ArtifactError
        If it is missing, damaged, or not what the name of its sheet says.
    """
    key = read_json(path)
    if not isinstance(key, dict) or "items" not in key or key.get("sheet") != _name(key):
        raise ArtifactError(
            f"{path}: is no key of a sheet, or was edited (the name of the sheet is that of other "
            "items); put the one back that was written with the sheet: answers mean nothing "
            "without it"
        )
    return key


def answer_files(folder: Path) -> list[Path]:
    """The annotators' files in an annotation folder, by name."""
    return sorted(path for path in (folder / "answers").glob("*.csv") if is_visible(path.name))


def _keep_answered(out: Path, name: str) -> None:
    """Refuse to replace the key that answers on disk need."""
    answers = answer_files(out)
    if not answers or not lies_there(out / "key.json"):
        return
    before = read_key(out / "key.json")["sheet"]
    if before != name:
        raise BatError(
            f"{out}: {len(answers)} answer files lie beside the sheet {before}, and the images, "
            f"the groups or the model have changed since, which gives the sheet {name}. Without "
            "the old key.json the answers mean nothing: move the folder elsewhere to keep them, "
            "or remove the answers to start anew"
        )


# -- the answers ----------------------------------------------------------------------------


def read_answers(paths: Sequence[Path], key: Mapping[str, Any]) -> pd.DataFrame:
    """Read annotators' files and tell the label from the predicted class by the key.

    Parameters
    ----------
    paths : sequence of path
        CSV files as the sheet saves them; an annotator need not have finished.
    key : mapping
        From `write_sheet`.

    Returns
    -------
    DataFrame
        ``annotator``, ``item``, ``group``, ``answer`` ('y1', 'y2', 'both' or
        'neither'), one row per answer.

    Raises
    ------
    BatError
        If a file is missing or no such CSV, answers another sheet, names an
        unknown item or answer, or repeats an annotator's item.
    """
    items = {str(item["item"]): item for item in key["items"]}
    rows: list[dict] = []
    seen: dict[tuple[str, str], Path] = {}
    for path in paths:
        for line, row in _read_csv(path):
            where = f"{path}, line {line}"
            if row["sheet"] != key["sheet"]:
                raise BatError(
                    f"{where}: answers the sheet {row['sheet']!r}, expected {key['sheet']!r}; "
                    "take the file away, or put the key.json of its sheet in place"
                )
            item = items.get(row["item"])
            if item is None:
                raise BatError(f"{where}: item {row['item']!r}, expected 1 to {len(items)}")
            if row["answer"] not in CHOICES:
                expected = ", ".join(CHOICES)
                raise BatError(f"{where}: answer {row['answer']!r}, expected one of {expected}")
            annotator = " ".join(row["annotator"].split())
            if not annotator:
                raise BatError(f"{where}: no annotator; write a name or a number there")
            if (annotator, row["item"]) in seen:
                raise BatError(
                    f"{where}: {annotator!r} answers item {row['item']} for the second time "
                    f"(before in {seen[annotator, row['item']]}); keep one of the files, or tell "
                    "two people of one name apart in the column annotator"
                )
            seen[annotator, row["item"]] = path
            rows.append(
                {
                    "annotator": annotator,
                    "item": item["item"],
                    "group": item["group"],
                    "answer": _decoded(row["answer"], item["first"]),
                }
            )
    return pd.DataFrame(rows, columns=["annotator", "item", "group", "answer"])


def _read_csv(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The lines of an answer file with their numbers, stripped of blanks."""
    regular_file(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            found = reader.fieldnames or []
            missing = [name for name in COLUMNS if name not in found]
            if missing:
                raise BatError(
                    f"{path}: has the columns {', '.join(found) or 'none'}, expected "
                    f"{', '.join(COLUMNS)}, separated by commas, as the sheet saves them"
                )
            lines = [
                (reader.line_num, {name: (row[name] or "").strip() for name in COLUMNS})
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BatError(f"{path}: not a readable CSV file in UTF-8 ({error})") from None
    if not lines:
        raise BatError(f"{path}: holds no answer; take the file away, or save the sheet again")
    return lines


def _decoded(answer: str, first: str) -> str:
    if answer in ("both", "neither"):
        return answer
    return "y1" if (answer == "first") == (first == "label") else "y2"


# -- agreement ------------------------------------------------------------------------------


def agreement(answers: pd.DataFrame) -> pd.DataFrame:
    """Measure how far annotators agree, in each group and in both.

    Parameters
    ----------
    answers : DataFrame
        From `read_answers`.

    Returns
    -------
    DataFrame
        ``group`` ('high', 'low', 'all'), ``n_images`` with two answers or more,
        ``n_annotators`` of them, ``agreement`` (chance in [0, 1] that two
        annotators of an image say the same), ``fleiss_kappa``, and
        ``cohen_kappa``, the mean over pairs of annotators with images in
        common. A kappa is 1 for full agreement and 0 for that of chance; NaN
        where all answers are the same, so that chance alone agrees fully, and
        where no image has two answers.

    References
    ----------
    Cohen (1960), Educational and Psychological Measurement 20, 37-46; Fleiss
    (1971), Psychological Bulletin 76, 378-382, with the mean agreement over
    images where their numbers of answers differ.
    """
    rows = []
    for group in (*ANNOTATED, "all"):
        part = answers if group == "all" else answers[answers["group"] == group]
        wide = part.pivot(index="item", columns="annotator", values="answer")
        wide = wide[wide.notna().sum(axis=1) >= 2].dropna(axis=1, how="all")
        counts = np.stack([(wide == answer).sum(axis=1) for answer in ANSWERS], axis=1)
        observed, kappa = fleiss_kappa(counts)
        pairs = []
        for a, b in combinations(wide.columns, 2):
            both = wide[[a, b]].dropna()
            pairs.append(cohen_kappa(both[a].to_numpy(), both[b].to_numpy()))
        pairs = [value for value in pairs if not np.isnan(value)]
        rows.append(
            {
                "group": group,
                "n_images": len(wide),
                "n_annotators": wide.shape[1],
                "agreement": observed,
                "fleiss_kappa": kappa,
                "cohen_kappa": float(np.mean(pairs)) if pairs else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def fleiss_kappa(counts: np.ndarray) -> tuple[float, float]:
    """Return the share of agreeing pairs and Fleiss' kappa.

    Parameters
    ----------
    counts : ndarray of int, shape (n_images, n_answers)
        How many annotators gave each answer; two or more for each image.

    Examples
    --------
    >>> fleiss_kappa(np.array([[2, 0], [0, 2]]))
    (1.0, 1.0)
    """
    if len(counts) == 0:
        return float("nan"), float("nan")
    raters = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    chance = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return float(agreeing.mean()), _kappa(agreeing.mean(), chance)


def cohen_kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Cohen's kappa of two annotators' answers, arrays of shape (n,); NaN for n = 0.

    Examples
    --------
    >>> cohen_kappa(np.array(["y1", "y1", "y2", "y2"]), np.array(["y1", "y2", "y1", "y2"]))
    0.0
    """
    if len(a) == 0:
        return float("nan")
    chance = sum((a == answer).mean() * (b == answer).mean() for answer in ANSWERS)
    return _kappa((a == b).mean(), chance)


def _kappa(observed: float, chance: float) -> float:
    if np.isclose(chance, 1.0):
        return float("nan")
    return float((observed - chance) / (1.0 - chance))

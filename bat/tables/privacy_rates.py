"""How well members are told: of all samples, by group, and by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bat.escaping import plain
from bat.plan.catalogue import Entry
from bat.report.captions import captioned, of_dataset, sentences
from bat.report.folder import Folder
from bat.report.words import interval_text, percent
from bat.report.writing import write_shown
from bat.scores.roc import FALSE_POSITIVE_RATES

ENTRY = Entry(
    shows="membership inference by group and by class",
    about=(
        "How well members of the subsets are told from the others on **{dataset}**: of all "
        "training samples, of the typical and the atypical ones, and of each class."
    ),
    needs=("privacy", "groups"),
    targets=("privacy",),
    at="tables/privacy",
)


def rates_by_part(rates: pd.DataFrame, class_names: Sequence[str]) -> pd.DataFrame:
    """Set the rates of each part in one row.

    Parameters
    ----------
    rates : DataFrame
        ``privacy.csv``.
    class_names : sequence of str

    Returns
    -------
    DataFrame
        ``part`` ('all', 'typical', 'atypical', then 'class 0', ...), ``name`` (of the
        class, else of the part), ``n_samples``, ``auc``, ``auc_low``, ``auc_high``,
        and for each rate of false positives ``tpr_0.001``, ``tpr_0.001_low``,
        ``tpr_0.001_high``.
    """
    rows = []
    for part, found in rates.groupby("part", sort=False):
        first = found.iloc[0]
        name = part
        if part.startswith("class "):
            name = plain(str(class_names[int(part.removeprefix("class "))]))
        row = {"part": part, "name": name}
        row |= {key: first[key] for key in ("n_samples", "auc", "auc_low", "auc_high")}
        for level in FALSE_POSITIVE_RATES:
            at = found[found["fpr"] == level].iloc[0]
            row[f"tpr_{level:g}"] = at["tpr"]
            row |= {f"tpr_{level:g}_{end}": at[f"tpr_{end}"] for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)


def presentation(table: pd.DataFrame) -> pd.DataFrame:
    """`rates_by_part` for readers: values with their intervals."""
    rows = []
    for row in table.to_dict("records"):
        area = None
        if not np.isnan(row["auc"]):
            ends = interval_text(row["auc_low"], row["auc_high"], scale=1, digits=3)
            area = f"{row['auc']:.3f} {ends}"
        cells = {
            "Samples": row["name"] if row["part"] != "all" else "all",
            "n": f"{row['n_samples']:,}",
            "AUC": area,
        }
        for level in FALSE_POSITIVE_RATES:
            low, tpr, high = (row[f"tpr_{level:g}{end}"] for end in ("_low", "", "_high"))
            text = None if np.isnan(tpr) else f"{100 * tpr:.1f} {interval_text(low, high)}"
            cells[f"TPR at {percent(level)} FPR (%)"] = text
        rows.append(cells)
    return pd.DataFrame(rows)


def caption(metadata: Mapping[str, Any]) -> str:
    """Caption of `rates_by_part`; ``metadata`` are those of ``privacy.parquet``."""
    return captioned(
        metadata,
        f"Membership inference (LiRA) on the models trained on subsets{of_dataset(metadata)}, each "
        "fifth of them attacked with the others: the area under the curve (chance: 0.5) and the "
        "share of members found where so many non-members of the same samples are taken for "
        "members (chance: as many), with 95 % intervals over models, the fits taken as given. A "
        "dash: too few non-members to tell.",
    )


def write(folder: Folder, out: Path) -> list[Path]:
    """Write the table of a data set.

    Parameters
    ----------
    folder : Folder
        Of the data set.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written.
    """
    table = rates_by_part(folder.rates(), folder.prepared.class_names)
    text = sentences(caption(folder.scores("privacy")[1]), folder.caution())
    return write_shown(table, presentation(table), out, text)

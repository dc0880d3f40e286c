"""B.3: what annotators say of atypical samples of high and low poisoning score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bat.errors import BatError
from bat.plan.catalogue import Entry
from bat.report.comparison import Comparison
from bat.report.paper import ANNOTATED, ANNOTATION_SHARES, ANSWERS
from bat.report.words import counted, percent
from bat.report.writing import write_table_files
from bat.statistics import wilson_interval
from bat.studies.annotation import agreement, answer_files, read_answers, read_key

ENTRY = Entry(
    shows="the answers of the annotation study, and how far annotators agree",
    paper="B.3",
    scope="architecture",
    files=("csv", "md", "tex", "_agreement.csv"),
    targets=("annotation_table",),
    own_rule=True,
)


def answer_shares(answers: pd.DataFrame) -> pd.DataFrame:
    """Count the answers of each group, beside the paper's.

    Parameters
    ----------
    answers : DataFrame
        From `bat.studies.annotation.read_answers`.

    Returns
    -------
    DataFrame
        ``group``, ``answer``, ``count``, ``share`` of the group's answers in
        [0, 1] with its 95 % interval ``low`` to ``high``, ``n_answers``,
        ``n_images`` (with an answer), ``n_annotators``, ``paper`` (share).

    Notes
    -----
    Wilson's interval with the number of images, not of answers: what two people
    say of one image is not independent. It is too wide where they are.
    """
    rows = []
    for group in ANNOTATED:
        part = answers[answers["group"] == group]
        n, n_images = len(part), part["item"].nunique()
        for answer, paper in zip(ANSWERS, ANNOTATION_SHARES[group], strict=True):
            count = int((part["answer"] == answer).sum())
            low = high = share = float("nan")
            if n:
                share = count / n
                low, high = wilson_interval(share * n_images, n_images)
            rows.append(
                {
                    "group": group,
                    "answer": answer,
                    "count": count,
                    "share": share,
                    "low": float(low),
                    "high": float(high),
                    "n_answers": n,
                    "n_images": n_images,
                    "n_annotators": part["annotator"].nunique(),
                    "paper": paper,
                }
            )
    return pd.DataFrame(rows)


def presentation(table: pd.DataFrame) -> pd.DataFrame:
    """The table of B.3 for readers: a row per group and one for the paper's, in percent."""
    rows = []
    for group, name in ANNOTATED.items():
        part = table[table["group"] == group].set_index("answer")
        ours, paper = {"Group": name}, {"Group": f"{name} (paper)"}
        for answer, title in ANSWERS.items():
            cell = part.loc[answer]
            ours[title] = "–"
            if cell["n_answers"]:
                low, high = 100 * cell["low"], 100 * cell["high"]
                ours[title] = f"{100 * cell['share']:.1f} ({low:.1f} to {high:.1f})"
            paper[title] = f"{100 * cell['paper']:.1f}"
        first = part.iloc[0]
        rows += [ours | {"Images": str(first["n_images"])}, paper | {"Images": "100"}]
    return pd.DataFrame(rows)


def caption(table: pd.DataFrame, agreed: pd.DataFrame, key: Mapping[str, Any]) -> str:
    """Caption of `presentation`: images, annotators, intervals and agreement."""
    per_group = sum(item["group"] == "high" for item in key["items"])
    annotators = table["n_annotators"].max()
    answers = table.drop_duplicates("group")["n_answers"].sum()
    text = (
        f"Answers (%) on the {per_group} atypical training images of {key['dataset']} with the "
        f"highest and the {per_group} with the lowest poisoning score under {key['run']} "
        f"({key['architecture']}, seed {key['run_seed']}): {counted(answers, 'answer')} of "
        f"{counted(annotators, 'annotator')}"
    )
    if answers < len(key["items"]) * annotators:
        text += ", not all of whom finished"
    text += ". In parentheses: 95 % Wilson intervals, counting each image once. "
    all_images = agreed.set_index("group").loc["all"]
    if all_images["n_images"]:
        text += (
            f"On {int(all_images['n_images'])} images with two answers or more, two annotators "
            f"agree in {percent(all_images['agreement'])}; Fleiss' kappa "
            f"{_number(all_images['fleiss_kappa'])}, Cohen's kappa (mean over pairs) "
            f"{_number(all_images['cohen_kappa'])}. "
        )
    text += (
        "Paper: appendix B.3, two annotators on 200 CIFAR-100 images; its shares for high "
        "scores add up to 101 as printed."
    )
    return f"{text} {key.get('caution', '')}".strip()


def _number(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.2f}"


def write_answer_tables(key: Path, answers: Sequence[Path], out: Path) -> list[Path]:
    """Write the table of B.3 and the agreement from any number of answer files.

    Parameters
    ----------
    key : path
        ``key.json`` of the sheet.
    answers : sequence of path
    out : path
        Gives ``<out>.csv``, ``<out>.md``, ``<out>.tex`` and
        ``<out>_agreement.csv``.

    Returns
    -------
    list of Path

    Raises
    ------
    BatError
        If there is no answer file, or one is refused by `bat.studies.annotation.read_answers`.
    """
    if not answers:
        raise BatError(
            f"no answers yet; this waits for CSV files in {key.parent / 'answers'}: open "
            f"{key.parent / 'sheet.html'} in a browser, answer, and put the saved file there"
        )
    content = read_key(key)
    found = read_answers(answers, content)
    table, agreed = answer_shares(found), agreement(found)
    text = caption(table, agreed, content)
    files = write_table_files(table, out, text, formats=("csv",))
    files += write_table_files(presentation(table), out, text, formats=("md", "tex"))
    more = out.with_name(f"{out.name}_agreement")
    return files + write_table_files(agreed, more, text, formats=("csv",))


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write the table from the answers that lie in a comparison's folder.

    Parameters
    ----------
    comparison : Comparison
        Of the data set and architecture.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The files written.
    """
    folder = comparison.folder.path / comparison.architecture / "annotation"
    return write_answer_tables(folder / "key.json", answer_files(folder), out)

"""A page with every number of the paper beside ours, read from results on disk.

What is not on disk is "not run"; nothing is computed anew but means over seeds
and samples. Damaged files are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from bat.config.attacks import ATTACKS
from bat.data import read_info
from bat.errors import ArtifactError
from bat.escaping import for_markdown
from bat.figures.fig6 import memorization_histogram, range_text
from bat.files import write_bytes
from bat.plan.catalogue import Entry
from bat.reading import lies_there, regular_file
from bat.report import paper
from bat.report.captions import provenance
from bat.report.paper_ours import (
    Ours,
    Pair,
    fingerprint_of,
    of_annotation,
    of_atypical,
    of_discrimination,
    of_typical,
    of_whole,
    read_values,
)
from bat.report.words import LABELS, cell_text, percent
from bat.report.writing import markdown_text, with_suffix
from bat.scores import ATYPICAL_ABOVE
from bat.validation import read_checked

ENTRY = Entry(
    shows="each number of the paper beside ours",
    about="Every number of the paper beside ours, as far as there are results on disk.",
    paper="all numbers",
    scope="all",
    at="paper-comparison",
    files=("md",),
    targets=("paper_page", "paper_comparison"),
    own_rule=True,
)

NOT_RUN = "not run"
NO_NUMBER = "–"

HEAD = """# The paper's numbers beside ours

Made by `snakemake paper_comparison` from the results on disk; edit `bat/tables/paper_page.py`,
not this page. "{not_run}" is what has no result on disk, and "{no_number}" what the paper gives no
number for. Ours are means ± standard deviations over seeds, where there are several. The paper
trains for 200 epochs in section 3 and 160 in section 5, and gives no number of seeds and no spread.
"""


def write(results: Path, out: Path) -> list[Path]:
    """Write the page for a results folder, which may be empty or missing.

    Parameters
    ----------
    results : path
    out : path
        The page, or its name without suffix.

    Returns
    -------
    list of Path
        The page.

    Raises
    ------
    ArtifactError
        If a file on disk is damaged or lacks a column.
    """
    path = out if out.suffix == ".md" else with_suffix(out, "md")
    write_bytes(path, page(results).encode())
    return [path]


def page(results: Path) -> str:
    """The page as Markdown."""
    names = sorted(path.parent.parent.name for path in results.glob("*/data/dataset.json"))
    made = ("tables/*.csv", "figures/*.csv", "runs/*/*/history.parquet")
    files = [path for pattern in made for path in results.glob(f"*/*/{pattern}")]
    pairs = sorted({path.relative_to(results).parts[:2] for path in files})
    parts = [
        HEAD.format(not_run=NOT_RUN, no_number=NO_NUMBER),
        "## What is on disk\n",
        _markdown(_on_disk(results, names, pairs), "Nothing: every number of ours is missing."),
        "## Atypical training samples (section 2.1, figure 6)\n",
        "In parentheses: counting only samples that stay above when 1.96 standard errors are taken "
        "from their memorization, and all that come above when these are added. By chance: the "
        "share that the standard errors alone would put above if no sample were memorized.\n",
        _markdown(_scores(results, names)),
    ]
    sections = (
        (
            "Fitting the whole training set (section 2.2)",
            "Accuracy of PGD-AT after the last epoch on all samples.",
            paper.WHOLE,
            of_whole,
        ),
        (
            "Atypical samples in adversarial training (section 3.1, figure 1)",
            "Accuracy of PGD-AT on the whole training set, after the last epoch.",
            paper.ATYPICAL,
            of_atypical,
        ),
        (
            "Typical samples by share of atypical ones (section 3.2, figure 2, B.2)",
            "Accuracy on the test typical group after training on all typical and a share of the "
            "atypical samples; differences are paired by seed and sample, with a 95 % interval "
            "that counts both (in tables made by version 0.1.0: seeds alone).",
            paper.TYPICAL,
            of_typical,
        ),
        (
            "Discrimination between classes (B.2 iii)",
            "The paper says that it degrades in adversarial training, and prints no number. "
            "Intervals count seeds alone.",
            paper.DISCRIMINATION,
            of_discrimination,
        ),
        (
            "Poisoning atypical samples, judged by people (B.3)",
            "Answers of annotators, with 95 % Wilson intervals.",
            paper.ANNOTATION,
            of_annotation,
        ),
    )
    for title, text, labels, read in sections:
        rows = _beside(labels, {pair: read(results, pair) for pair in pairs})
        parts += [f"## {title}\n", f"{text}\n", _markdown(rows, f"No results: {NOT_RUN}.")]
    parts += [
        "## Methods under attack (tables 1 to 6)\n",
        "Accuracy in percent; in parentheses the difference from BAT(1, 0.2), the paper's taken "
        "from the accuracies that it prints.\n",
    ]
    for pair in dict.fromkeys([*paper.TABLES, *pairs]):
        parts += _methods(results, pair)
    return "\n".join(parts).replace("\u00a0", " ")


def _markdown(rows: list[dict], otherwise: str = "") -> str:
    if not rows:
        return f"{otherwise}\n"
    return markdown_text(pd.DataFrame(rows), "").lstrip("\n")


# -- what is on disk ------------------------------------------------------------------------


def _on_disk(results: Path, names: list[str], pairs: list[Pair]) -> list[dict]:
    rows = []
    for name in names:
        info = read_info(results / name / "data")
        models = [architecture for dataset, architecture in pairs if dataset == name]
        rows.append(
            {
                "Data set": name,
                "Training samples": f"{info['n_train']:,}",
                "Test samples": f"{info['n_test']:,}",
                "Classes": str(len(info["class_names"])),
                "Test images also in training": _in_both(info),
                "Models": ", ".join(models) or NOT_RUN,
            }
        )
    return rows


def _in_both(info: dict) -> str:
    """Test images that the training set holds too; data of older versions were not searched."""
    if "duplicates" not in info:
        return "not counted"
    return f"{info['duplicates']['across']['repeated']:,}"


def _scores(results: Path, names: list[str]) -> list[dict]:
    printed = {c.dataset: c.printed for c in paper.CLAIMS if c.quantity in paper.SCORES}
    rows = []
    for name in dict.fromkeys([*printed, *names]):
        path, ours = results / name / "scores" / "memorization.parquet", Ours(NOT_RUN, "")
        if lies_there(path):
            table, metadata = read_checked(
                path, "memorization", None, fingerprint=fingerprint_of(results, name)
            )
            found = memorization_histogram(table.to_pandas(), atypical_above=ATYPICAL_ABOVE).iloc[0]
            text = f"{percent(found['share_above'])} {range_text(found)}"
            if not pd.isna(found["share_by_chance"]):
                text += f", {percent(found['share_by_chance'])} by chance"
            ours = Ours(text, provenance(metadata))
        row = {"Data set": name, "Quantity": paper.SCORES["atypical"]}
        rows.append(row | _columns(printed.get(name), ours))
    return rows


def _columns(printed: str | None, ours: Ours) -> dict[str, str]:
    return {"Paper": printed or NO_NUMBER, "Ours": ours.text, "Made with": ours.made}


# -- numbers in the text --------------------------------------------------------------------


def _beside(labels: Mapping[str, str], ours: Mapping[Pair, Mapping[str, Ours]]) -> list[dict]:
    """Rows of all quantities of which the paper or we have a number, the paper's pairs first."""
    claims = [claim for claim in paper.CLAIMS if claim.quantity in labels]
    made = [pair for pair, found in ours.items() if found]
    named = {c.dataset for c in claims if c.architecture} | {dataset for dataset, _ in made}
    stated = [
        (c.dataset, c.architecture) for c in claims if c.architecture or c.dataset not in named
    ]
    rows = []
    for dataset, architecture in dict.fromkeys([*stated, *made]):
        found = ours.get((dataset, architecture), {})
        for quantity, label in labels.items():
            printed = [
                c.printed
                for c in claims
                if (c.quantity, c.dataset) == (quantity, dataset)
                and c.architecture in (None, architecture)
            ]
            if printed or quantity in found:
                row = {"Data set": dataset, "Model": architecture or "–", "Quantity": label}
                shown = found.get(quantity, Ours(NOT_RUN, ""))
                rows.append(row | _columns("; ".join(printed), shown))
    return rows


# -- tables 1 to 6 --------------------------------------------------------------------------

TITLES = {"clean": "Clean"} | {name: attack.title for name, attack in ATTACKS.items()}


def _methods(results: Path, pair: Pair) -> list[str]:
    """One table of methods with the paper's beside it; nothing where neither has one."""
    columns = "run attack mean sd difference"
    table = read_values(results, pair, "tables/methods.csv", columns)
    printed = paper.TABLES.get(pair)
    if table.empty and printed is None:
        return []
    if "checkpoint" in table:  # version 0.1.0 judged the best epochs alone
        table = table[table["checkpoint"] == "best"]
    if "reference" in table:
        table = table.assign(
            difference=table["difference"].where(table["reference"] == paper.BASELINE)
        )
    ours = {
        (row.run, row.attack): cell_text(row.mean, row.sd, row.difference)
        for row in table.itertuples()
    }
    theirs = {} if printed is None else printed.accuracies
    known = {*theirs, *table["run"]}
    rows = []
    for run in [name for name in dict.fromkeys([*LABELS, *table["run"]]) if name in known]:
        row = {"Method": LABELS.get(run, run)}
        for attack, title in TITLES.items():
            row[title] = ours.get((run, attack), NOT_RUN)
            if printed is not None:
                row[f"{title}, paper"] = NO_NUMBER
                if run in theirs:
                    value = theirs[run][attack]
                    difference = value - theirs[paper.BASELINE][attack]
                    row[f"{title}, paper"] = cell_text(value / 100, np.nan, difference / 100)
        rows.append(row)
    title = f"### {for_markdown(', '.join(pair))}"
    if printed is not None:
        title += f" (table{'s' if len(printed.tables) > 1 else ''} "
        title += f"{' and '.join(map(str, printed.tables))})"
    return [f"{title}\n", _caption(results, pair), _markdown(rows)]


def _caption(results: Path, pair: Pair) -> str:
    """What our table's own file says of data, models, epochs and seeds."""
    path = results.joinpath(*pair, "tables", "methods.md")
    if not lies_there(path):
        return f"Ours: {NOT_RUN}.\n"
    text = regular_file(path, ArtifactError).read_text(encoding="utf-8", errors="replace")
    line = text.split("\n", 1)[0]
    return f"Ours: {line.replace('<', '&lt;')}\n"  # it is Markdown already, of whoever wrote it

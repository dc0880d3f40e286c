"""A page with every number of the paper beside ours, read from results on disk.

What is not on disk is "not run"; nothing is computed anew but means over seeds
and samples. Damaged files are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bat.config.attacks import ATTACKS
from bat.config.values import fraction_text
from bat.errors import ArtifactError
from bat.escaping import for_markdown
from bat.figures.fig6 import interval_text, memorization_histogram
from bat.files import read_json, read_metadata, write_bytes
from bat.files.bits import unpack
from bat.plan.catalogue import Entry
from bat.plan.names import study_name
from bat.reading import regular_file
from bat.report import paper
from bat.report.captions import about_groups, provenance
from bat.report.words import LABELS, cell_text, difference_text, mean_text, percent
from bat.report.writing import markdown_text, with_suffix
from bat.scores.subsets import followed_samples
from bat.statistics import mean_and_sd
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


class Ours(NamedTuple):
    """A number of ours as readers see it, and how it was made."""

    text: str
    made: str


Pair = tuple[str, str]  # data set, architecture


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
            _whole,
        ),
        (
            "Atypical samples in adversarial training (section 3.1, figure 1)",
            "Accuracy of PGD-AT on the whole training set, after the last epoch.",
            paper.ATYPICAL,
            _atypical,
        ),
        (
            "Typical samples by share of atypical ones (section 3.2, figure 2, B.2)",
            "Accuracy on the test typical group after training on all typical and a share of the "
            "atypical samples; differences are paired by seed and sample, with a 95 % interval "
            "that counts both (in tables made by version 0.1.0: seeds alone).",
            paper.TYPICAL,
            _typical,
        ),
        (
            "Discrimination between classes (B.2 iii)",
            "The paper says that it degrades in adversarial training, and prints no number. "
            "Intervals count seeds alone.",
            paper.DISCRIMINATION,
            _discrimination,
        ),
        (
            "Poisoning atypical samples, judged by people (B.3)",
            "Answers of annotators, with 95 % Wilson intervals.",
            paper.ANNOTATION,
            _annotation,
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
        info = read_json(results / name / "data" / "dataset.json")
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
        if path.exists():
            table, metadata = read_checked(path, "memorization", None)
            found = memorization_histogram(
                table.to_pandas(), atypical_above=paper.ATYPICAL_ABOVE
            ).iloc[0]
            text = f"{percent(found['share_above'])} {interval_text(found)}"
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


def _whole(results: Path, pair: Pair) -> dict[str, Ours]:
    """Accuracy after the last epoch from the histories of PGD-AT on everything."""
    run, values = study_name("pgd-at", None), {}
    paths = sorted(_run(results, pair, run).glob("seed*/history.parquet"))
    for path in paths:
        table, metadata = read_checked(path, "history", None)
        info = read_json(results / pair[0] / "data" / "dataset.json")
        last = table.slice(table.num_rows - 1).to_pylist()[0]
        bits = {split: last[f"{split}_clean"] for split in ("train", "test")}
        limit = metadata["recipe"]["history"]["max_samples"]
        measured = followed_samples(info, limit, bits)
        for quantity in paper.WHOLE:
            split, attack = quantity.split("-")
            correct = unpack(last[f"{split}_{attack}"], len(measured[split]))
            values.setdefault(quantity, []).append(correct.mean())
    made = _made(results, pair, run, len(paths))
    return {
        quantity: Ours(_percent(*mean_and_sd(accuracies)[:2]), made)
        for quantity, accuracies in values.items()
    }


def _atypical(results: Path, pair: Pair) -> dict[str, Ours]:
    """The last epoch of figure 1."""
    table = _csv(results, pair, "figures/fig1.csv", "series attack epoch mean sd n_seeds n")
    found = {}
    for row in table[table["epoch"] == table["epoch"].max()].itertuples():
        made = f"{_made(results, pair, study_name('pgd-at', None), row.n_seeds)}; {row.n:,} samples"
        made += _caution(results, pair)
        found[f"{row.series}-{row.attack}"] = Ours(_percent(row.mean, row.sd), made)
    return found


def _caution(results: Path, pair: Pair) -> str:
    """What the groups behind a number go by, and which are built on chance, if any."""
    paths = {
        split: results / pair[0] / "groups" / f"{split}.parquet" for split in ("train", "test")
    }
    about = {s: read_metadata(path, "groups") for s, path in paths.items() if path.exists()}
    text = about_groups(about)
    return f"; {text}" if text else ""


def _typical(results: Path, pair: Pair) -> dict[str, Ours]:
    """The table of end values by share of atypical samples."""
    table = _csv(results, pair, "tables/typical.csv", f"attack {_COMPARED}")
    return _by_share(results, pair, table, "attack")


_COMPARED = "method run label mean sd n_seeds difference low high"


def _discrimination(results: Path, pair: Pair) -> dict[str, Ours]:
    """The table of similarities and probes, by share of atypical samples."""
    table = _csv(results, pair, "tables/representation.csv", f"measure {_COMPARED}")
    return _by_share(results, pair, table, "measure")


def _by_share(results: Path, pair: Pair, table: pd.DataFrame, what: str) -> dict[str, Ours]:
    found = {}
    for row in table[table["label"].isin(["0 %", "100 %"])].itertuples():
        kind, share = getattr(row, what), row.label.removesuffix(" %")
        made = _made(results, pair, row.run, row.n_seeds) + _caution(results, pair)
        form = {"scale": 1, "digits": 3} if kind == "discrimination" else {}
        text = mean_text(row.mean, row.sd, **form) + ("" if form else " %")
        found[f"{row.method}-{share}-{kind}"] = Ours(text, made)
        if share == "100":
            text = difference_text(row.difference, row.low, row.high, **form)
            text += "" if form else " points"
            found[f"{row.method}-change-{kind}"] = Ours(text, made)
    return found


def _annotation(results: Path, pair: Pair) -> dict[str, Ours]:
    """The table of answers."""
    columns = "group answer share low high n_images n_annotators"
    table = _csv(results, pair, "tables/annotation.csv", columns)
    return {
        f"{row.group}-{row.answer}": Ours(
            f"{100 * row.share:.1f} % ({100 * row.low:.1f} to {100 * row.high:.1f})",
            f"{row.n_images} images, {row.n_annotators} annotators",
        )
        for row in table[table["share"].notna()].itertuples()
    }


# -- tables 1 to 6 --------------------------------------------------------------------------

TITLES = {"clean": "Clean"} | {name: attack.title for name, attack in ATTACKS.items()}


def _methods(results: Path, pair: Pair) -> list[str]:
    """One table of methods with the paper's beside it; nothing where neither has one."""
    columns = "run attack mean sd difference"
    table, printed = _csv(results, pair, "tables/methods.csv", columns), paper.TABLES.get(pair)
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
    if not path.exists():
        return f"Ours: {NOT_RUN}.\n"
    line = path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
    return f"Ours: {line.replace('<', '&lt;')}\n"  # it is Markdown already, of whoever wrote it


# -- files ----------------------------------------------------------------------------------


def _run(results: Path, pair: Pair, run: str) -> Path:
    return results.joinpath(*pair, "runs", run)


def _csv(results: Path, pair: Pair, name: str, columns: str) -> pd.DataFrame:
    """A table of ours; without rows where there is no such file."""
    path, wanted = results.joinpath(*pair, name), columns.split()
    if not path.exists():
        return pd.DataFrame(columns=wanted)
    try:
        table = pd.read_csv(regular_file(path, ArtifactError))
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{path}: not a readable table ({error}); make it again") from None
    missing = set(wanted) - set(table.columns)
    if missing:
        raise ArtifactError(f"{path}: lacks the columns {sorted(missing)}; make it again")
    return table


def _made(results: Path, pair: Pair, run: str, n_seeds: int) -> str:
    """Seeds of a number, with epochs and attack where a history of the run is on disk."""
    words = [f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"]
    for path in sorted(_run(results, pair, run).glob("seed*/history.parquet"))[:1]:
        recipe = read_metadata(path, "history")["recipe"]
        words.insert(0, f"{recipe['training']['epochs']} epochs")
        if recipe["objective"]["method"] == "erm":
            continue
        eps = fraction_text(recipe["adversary"]["eps"])
        words.append(f"PGD-{recipe['history']['steps']} at eps {eps}")
    return ", ".join(words)


def _percent(mean: float, sd: float) -> str:
    return f"{mean_text(mean, sd)} %"

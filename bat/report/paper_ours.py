"""Our numbers for what the paper's text says, read from results on disk as readers see them.

Each function gives those of one data set and architecture by quantity, as `bat.report.paper`
names them; none where nothing is on disk. Damaged files are refused by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bat.config.values import fraction_text
from bat.data import INFO, read_info
from bat.errors import ArtifactError
from bat.files import read_metadata
from bat.files.bits import unpack
from bat.plan.names import study_name
from bat.reading import lies_there
from bat.report import paper
from bat.report.captions import about_groups
from bat.report.words import counted, difference_text, mean_text
from bat.scores.subsets import followed_samples
from bat.statistics import mean_and_sd
from bat.validation import read_checked, read_rows


class Ours(NamedTuple):
    """A number of ours as readers see it, and how it was made."""

    text: str
    made: str


Pair = tuple[str, str]  # data set, architecture


def fingerprint_of(results: Path, name: str) -> str | None:
    """Of a data set below the results, whose arrays may be missing; None where it says none."""
    folder = results / name / "data"
    return read_info(folder)["fingerprint"] if lies_there(folder / INFO) else None


def of_whole(results: Path, pair: Pair) -> dict[str, Ours]:
    """Accuracy after the last epoch from the histories of PGD-AT on everything."""
    run, values = study_name("pgd-at", None), {}
    paths = sorted(_run(results, pair, run).glob("seed*/history.parquet"))
    for path in paths:
        info = read_info(results / pair[0] / "data")
        table, metadata = read_checked(path, "history", None, fingerprint=info["fingerprint"])
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


def of_atypical(results: Path, pair: Pair) -> dict[str, Ours]:
    """The last epoch of figure 1."""
    table = read_values(results, pair, "figures/fig1.csv", "series attack epoch mean sd n_seeds n")
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
    of_data = fingerprint_of(results, pair[0])
    about = {
        split: read_metadata(path, "groups", fingerprint=of_data)
        for split, path in paths.items()
        if lies_there(path)
    }
    text = about_groups(about)
    return f"; {text}" if text else ""


def of_typical(results: Path, pair: Pair) -> dict[str, Ours]:
    """The table of end values by share of atypical samples."""
    table = read_values(results, pair, "tables/typical.csv", f"attack {_COMPARED}")
    return _by_share(results, pair, table, "attack")


_COMPARED = "method run label mean sd n_seeds difference low high"


def of_discrimination(results: Path, pair: Pair) -> dict[str, Ours]:
    """The table of similarities and probes, by share of atypical samples."""
    table = read_values(results, pair, "tables/representation.csv", f"measure {_COMPARED}")
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


def of_annotation(results: Path, pair: Pair) -> dict[str, Ours]:
    """The table of answers."""
    columns = "group answer share low high n_images n_annotators"
    table = read_values(results, pair, "tables/annotation.csv", columns)
    return {
        f"{row.group}-{row.answer}": Ours(
            f"{100 * row.share:.1f} % ({100 * row.low:.1f} to {100 * row.high:.1f})",
            f"{counted(row.n_images, 'image')}, {counted(row.n_annotators, 'annotator')}",
        )
        for row in table[table["share"].notna()].itertuples()
    }


def _run(results: Path, pair: Pair, run: str) -> Path:
    return results.joinpath(*pair, "runs", run)


def read_values(results: Path, pair: Pair, name: str, columns: str) -> pd.DataFrame:
    """A table of ours as CSV, with at least some columns, in words; no rows without the file.

    Raises
    ------
    ArtifactError
        If it cannot be read, lacks a column, or holds what no table of ours does.
    """
    path, wanted = results.joinpath(*pair, name), columns.split()
    if not lies_there(path):
        return pd.DataFrame(columns=wanted)
    read_rows(path, "a readable table")  # pandas fills a short row up, or takes half a number
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{path}: not a readable table ({error}); make it again") from None
    missing = set(wanted) - set(table.columns)
    if missing:
        raise ArtifactError(f"{path}: lacks the columns {sorted(missing)}; make it again")
    for column in wanted:
        _check_cells(path, table[column], "attack" in wanted)
    return table


_TEXTS = ("series", "attack", "method", "run", "label", "measure", "group", "answer")
_COUNTS = ("epoch", "n", "n_seeds", "n_images", "n_annotators")


def _check_cells(path: Path, cells: pd.Series, of_accuracies: bool) -> None:
    """Refuse cells of a column of ours that are no text, count or share, or lie out of range."""
    name, empty, numbers = cells.name, cells.isna(), pd.to_numeric(cells, errors="coerce")
    if name in _TEXTS:
        wrong, expected = empty, "a text"
    elif name in _COUNTS:
        wrong, expected = ~((numbers >= 0) & (numbers % 1 == 0)), "a whole number, 0 or more"
    else:
        share = name == "share" or (name == "mean" and of_accuracies)
        low, high = (0, 1) if share else (0, 2) if name == "sd" else (-2, 2)
        wrong, expected = ~numbers.between(low, high) & ~empty, f"a number in [{low}, {high}]"
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ArtifactError(
            f"{path}: {name} is {cells.iloc[row]!s:.80} in row {row + 1}, expected {expected}; "
            "make it again"
        )


def _made(results: Path, pair: Pair, run: str, n_seeds: int) -> str:
    """Seeds of a number, with epochs and attack where a history of the run is on disk."""
    words = [counted(n_seeds, "seed")]
    for path in sorted(_run(results, pair, run).glob("seed*/history.parquet"))[:1]:
        of_data = fingerprint_of(results, pair[0])
        recipe = read_metadata(path, "history", fingerprint=of_data)["recipe"]
        words.insert(0, f"{recipe['training']['epochs']} epochs")
        if recipe["objective"]["method"] == "erm":
            continue
        eps = fraction_text(recipe["adversary"]["eps"])
        words.append(f"PGD-{recipe['history']['steps']} at eps {eps}")
    return ", ".join(words)


def _percent(mean: float, sd: float) -> str:
    return f"{mean_text(mean, sd)} %"

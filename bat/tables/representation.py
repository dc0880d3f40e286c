"""B.2 (iii): what fitting atypical samples does to the features, by their share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from bat.plan.catalogue import Entry
from bat.plan.inputs import checkpoint_file, result_file
from bat.report.captions import sentences
from bat.report.comparison import Comparison
from bat.report.seeds import compared_by
from bat.report.shares import by_share
from bat.report.words import LABELS, difference_text, mean_text
from bat.report.writing import write_shown
from bat.studies.representation import MEASURES, PROBE_ITERATIONS, read_measures
from bat.validation import check_model

ENTRY = Entry(
    shows="what fitting atypical samples does to the features",
    paper="B.2 (iii)",
    scope="architecture",
    needs=("representation", "groups"),
    runs=("erm by share", "pgd-at by share"),
)


def representation_table(
    measured: Mapping[tuple[str, int], Mapping], runs: Mapping[str, str], reference: str
) -> pd.DataFrame:
    """Summarise the measures over seeds, with differences from one run.

    Parameters
    ----------
    measured : mapping of (run, seed) to mapping
        From `bat.studies.representation.read_measures`.
    runs : mapping of str to str
        Label by run.
    reference : str
        The run that differences are taken from, paired by seed.

    Returns
    -------
    DataFrame
        ``run``, ``label``, ``measure``, the columns of `bat.report.seeds.compared`, and
        ``sample_se``, the root mean square over seeds of the standard errors that
        the choice of test samples gives each seed's value.
    """
    frame = pd.DataFrame(
        [
            (run, seed, measure, content[measure], content[f"{measure}_se"])
            for (run, seed), content in measured.items()
            for measure in MEASURES
        ],
        columns=["run", "seed", "measure", "value", "se"],
    )
    table = compared_by(frame, "measure", runs, reference)
    errors = {
        key: float(np.sqrt((part["se"] ** 2).mean()))
        for key, part in frame.groupby(["measure", "run"])
    }
    return table.assign(
        sample_se=[errors[key] for key in zip(table["measure"], table["run"], strict=True)]
    )


def presentation(table: pd.DataFrame) -> pd.DataFrame:
    """`representation_table` of both methods for readers: a row for each run."""
    rows, first = [], table["label"].iloc[0]
    for (method, label), part in table.groupby(["method", "label"], sort=False):
        row = {"Method": LABELS[method], "Atypical": label}
        for cell in part.itertuples():
            scale, digits = (100, 1) if cell.measure == "probe_accuracy" else (1, 3)
            form = {"scale": scale, "digits": digits}
            row[MEASURES[cell.measure]] = mean_text(cell.mean, cell.sd, **form)
            if cell.measure in ("discrimination", "probe_accuracy"):
                text = difference_text(cell.difference, cell.low, cell.high, **form)
                title = f"Difference, {MEASURES[cell.measure]}"
                row[title] = None if label == first else text
        rows.append(row)
    return pd.DataFrame(rows)


def caption(table: pd.DataFrame, measured: Mapping, dataset: str, architecture: str) -> str:
    """Caption of `representation_table`."""
    contents = list(measured.values())
    epochs = " or ".join(
        str(n) for n in dict.fromkeys(c["recipe"]["training"]["epochs"] for c in contents)
    )
    first, several = contents[0], table["n_seeds"].max() > 1
    text = (
        f"Penultimate features of {dataset} ({architecture}) after {epochs} epochs on all typical "
        "and a share of the atypical samples: mean cosine similarity of two test typical samples "
        "of one class and of two classes, and the accuracy on them of a logistic regression fitted "
        f"to the features of the training typical samples; {first['n_test']:,} test and "
        f"{first['n_train']:,} training samples"
    )
    text += (
        f"; mean ± standard deviation over {table['n_seeds'].max()} seeds. Differences: from the "
        "first share, paired by seed, with a 95 % t-interval of seeds alone, on these test samples."
        if several
        else ". Differences: from the first share. One seed, so no spread is known."
    )
    errors = table.groupby("measure")["sample_se"].max()
    text += (
        " From the choice of test samples, the values of one seed have standard errors of up to "
        f"{errors[['within', 'between', 'discrimination']].max():.3f} (similarities) and "
        f"{100 * errors['probe_accuracy']:.1f} points (probe)."
    )
    undirected = sum(c["n_undirected"] for c in contents)
    if undirected:
        text += (
            f" In all, {undirected} features of test samples are 0, have no angle, and are left "
            "out of the similarities."
        )
    stopped = sum(not c["probe_converged"] for c in contents)
    if stopped:
        text += (
            f" {stopped} of {len(contents)} regressions had not converged after "
            f"{PROBE_ITERATIONS} iterations."
        )
    return text


def read_representations(
    comparison: Comparison, runs: Iterable[str]
) -> dict[tuple[str, int], dict]:
    """Measures of the features by run and seed, of the models that the runs have now."""
    folder, fingerprint = comparison.folder.path, comparison.folder.prepared.fingerprint
    measured = {}
    for run in runs:
        for seed in comparison.spec["seeds"]:
            path = folder / result_file("representation", comparison.architecture, run, seed)
            measured[run, seed] = read_measures(path, fingerprint)
            checkpoint = folder / checkpoint_file(comparison.architecture, run, seed, "last")
            check_model(path, measured[run, seed], checkpoint)
    return measured


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write the table of a data set and architecture.

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
    measured, parts = {}, []
    for method, runs, reference in by_share(comparison.spec):
        found = read_representations(comparison, runs)
        parts.append(representation_table(found, runs, reference).assign(method=method))
        measured |= found
    table = pd.concat(parts, ignore_index=True)
    folder = comparison.folder
    text = sentences(
        caption(table, measured, comparison.dataset, comparison.architecture), folder.caution()
    )
    text = folder.noted(text, "groups/train.parquet")
    return write_shown(table, presentation(table), out, text)

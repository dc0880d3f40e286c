"""How well a model's features tell classes apart: similarities and a linear probe.

Appendix B.2 (iii) of the paper states that fitting atypical samples in
adversarial training degrades the discrimination between classes, and prints no
number. Here the statement is measured, on the test typical group, by

- the mean cosine similarity of two samples of one class, and of two classes,
- the accuracy of a logistic regression on the features.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bat.errors import BatError
from bat.files.artifacts import (
    ArtifactError,
    MisplacedError,
    changed_inputs,
    check_identity,
    read_signed,
)
from bat.progress import log
from bat.reading import Expected, check_values
from bat.report.comparison import LABELS
from bat.report.curves import compared
from bat.report.tables import difference_text, mean_text
from bat.statistics import proportion_variance

KIND = "representation"
MEASURES = {
    "within": "Within a class",
    "between": "Between classes",
    "discrimination": "Within − between",
    "probe_accuracy": "Linear probe (%)",
}
"""What is measured of each model, and what readers call it."""

PROBE_ITERATIONS = 1000
_FORM: Expected = {
    "recipe": (dict,),
    "identity": (dict,),
    "inputs": (dict,),
    **dict.fromkeys(("n_train", "n_test", "dim"), (int, 1, 2**31 - 1)),
    "n_undirected": (int, 0, 2**31 - 1),
    "probe_train_accuracy": (float, 0, 1),
    "probe_iterations": (int, 0, 2**31 - 1),
    "probe_converged": (bool,),
}


# -- measures -------------------------------------------------------------------------------


class Estimate(NamedTuple):
    """A value and its standard error over the samples."""

    value: float
    se: float


def class_similarity(features: np.ndarray, labels: np.ndarray) -> dict[str, Estimate]:
    """Compare features within classes and between them, by the cosine of their angle.

    Parameters
    ----------
    features : ndarray of float, shape (n, dim)
        No row is all 0, since such a row has no direction.
    labels : ndarray of int, shape (n,)
        At least two classes with two samples or more.

    Returns
    -------
    dict of str to Estimate
        ``within``, the mean over all pairs of samples of one class; ``between``,
        that over all pairs of two classes, both in [-1, 1]; and their difference
        ``discrimination`` in [-2, 2], higher where classes are better told apart.

    Raises
    ------
    BatError
        If shapes differ, a row is 0 or not finite, or classes are too few.

    Notes
    -----
    Pairs that share a sample depend on each other, so the standard errors are
    the jackknife's over samples, not those of a mean over pairs. Both come from
    sums of unit vectors, in a time linear in n.

    Examples
    --------
    >>> features = np.array([[1, 0], [2, 0], [0, 1], [0, 3]])
    >>> class_similarity(features, np.array([0, 0, 1, 1]))["discrimination"]
    Estimate(value=1.0, se=0.0)
    """
    features, (_, label) = np.asarray(features, float), np.unique(labels, return_inverse=True)
    if features.ndim != 2 or label.shape != features.shape[:1]:
        raise BatError(
            f"features have shape {features.shape} and labels {np.shape(labels)}; expected "
            "(n, dim) and (n,)"
        )
    length = np.linalg.norm(features, axis=1)
    if not (np.isfinite(length) & (length > 0)).all():
        raise BatError(
            "a row of the features is 0 or not finite and has no direction; leave it out"
        )
    sizes = np.bincount(label)
    if (sizes > 1).sum() < 2:
        raise BatError(
            f"{(sizes > 1).sum()} of {len(sizes)} classes have two samples or more; similarities "
            "within and between classes need at least two such classes: widen the typical group"
        )
    unit = features / length[:, None]
    sums = (np.arange(len(sizes))[:, None] == label).astype(float) @ unit  # (classes, dim)
    n, own, size = len(unit), (unit * sums[label]).sum(axis=1), sizes[label]
    other = unit @ sums.sum(axis=0) - own
    # ordered pairs, with all samples and without each of them
    n_within, n_between = (size - 1).sum(), (n - size).sum()
    within, between = (own - 1).sum(), other.sum()
    within_without = (within - 2 * (own - 1)) / (n_within - 2 * (size - 1))
    between_without = (between - 2 * other) / (n_between - 2 * (n - size))
    within, between = within / n_within, between / n_between
    return {
        "within": Estimate(float(within), _jackknife(within_without)),
        "between": Estimate(float(between), _jackknife(between_without)),
        "discrimination": Estimate(
            float(within - between), _jackknife(within_without - between_without)
        ),
    }


def _jackknife(without: np.ndarray) -> float:
    """Standard error of an estimate from its values without each of the samples."""
    n = len(without)
    return float(np.sqrt((n - 1) * without.var()))


class Probe(NamedTuple):
    """Accuracy of a linear classifier, and how its fit ended."""

    accuracy: float
    accuracy_se: float
    train_accuracy: float
    iterations: int
    converged: bool


def linear_probe(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
) -> Probe:
    """Fit a logistic regression on features and judge it on others.

    Parameters
    ----------
    train_features, test_features : ndarray of float, shape (n, dim)
        Standardised here by the mean and deviation of the training features.
    train_labels, test_labels : ndarray of int, shape (n,)

    Returns
    -------
    Probe
        Accuracies in [0, 1], the standard error of that on the test features
        over samples, and whether lbfgs ended before its limit of iterations.

    Raises
    ------
    BatError
        If the training labels are of one class.

    Notes
    -----
    scikit-learn's ``LogisticRegression`` with its default penalty, C = 1.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(train_labels)) < 2:
        raise BatError(
            f"the {len(train_labels)} training samples of the probe are of one class; expected two "
            "or more: widen the typical group"
        )
    regression = LogisticRegression(max_iter=PROBE_ITERATIONS)
    probe = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by `converged`
        probe.fit(np.asarray(train_features, float), train_labels)
    accuracy = float(probe.score(np.asarray(test_features, float), test_labels))
    iterations = int(regression.n_iter_.max())
    return Probe(
        accuracy,
        float(np.sqrt(proportion_variance(accuracy * len(test_labels), len(test_labels)))),
        float(probe.score(np.asarray(train_features, float), train_labels)),
        iterations,
        iterations < PROBE_ITERATIONS,
    )


# -- table ----------------------------------------------------------------------------------


def read_measures(path: Path, fingerprint: str) -> dict:
    """What `bat.studies.features.represent_checkpoint` wrote.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, edited, of another kind, another data
        set or another run, or a measure is out of its range.
    """
    content = read_signed(path)
    if content.get("kind") != KIND:
        raise ArtifactError(f"{path}: holds no measures of a representation; make it again")
    if content.get("fingerprint") != fingerprint:
        raise ArtifactError(
            f"{path}: speaks of the data set with fingerprint {content.get('fingerprint')}, and "
            f"the one in use is {fingerprint}; make it again"
        )
    missing = sorted({*_FORM} - {"identity", "inputs"} - content.keys())
    if missing:
        raise ArtifactError(f"{path}: has no {', '.join(missing)}; make it again")
    check_values(str(path), content, _FORM, ArtifactError)
    training = content["recipe"].get("training")
    if not isinstance(training, dict) or not isinstance(training.get("epochs"), int):
        raise ArtifactError(f"{path}: its recipe names no epochs of training; make it again")
    check_identity(path, content)
    for name in MEASURES:
        low = 0.0 if name == "probe_accuracy" else -2.0
        for key, least in ((name, low), (f"{name}_se", 0.0)):
            value = content.get(key)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not least <= value <= 2.0:
                raise ArtifactError(
                    f"{path}: {key} is {value!r}, expected a number from {least:g} to 2; "
                    "make it again"
                )
    return content


def made_already(path: Path, recipe: dict, inputs: Mapping[str, str]) -> dict | None:
    """The measures that lie there already, of this run and these inputs; None where there are none.

    Those of version 0.1.0, which name no inputs, are taken again: it costs seconds.
    """
    if not path.exists():
        return None
    try:
        content = read_measures(path, inputs["data"])
    except MisplacedError:
        raise
    except ArtifactError as error:
        log.warning("%s; measured again", error)
        return None
    if content.get("recipe") != recipe or "inputs" not in content:
        return None
    return None if changed_inputs(content, inputs) else content


def representation_table(
    measured: Mapping[tuple[str, int], Mapping], runs: Mapping[str, str], reference: str
) -> pd.DataFrame:
    """Summarise the measures over seeds, with differences from one run.

    Parameters
    ----------
    measured : mapping of (run, seed) to mapping
        From `read_measures`.
    runs : mapping of str to str
        Label by run.
    reference : str
        The run that differences are taken from, paired by seed.

    Returns
    -------
    DataFrame
        ``run``, ``label``, ``measure``, the columns of `bat.report.curves.compared`, and
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
    rows = []
    for measure, part in frame.groupby("measure", sort=False):
        by_run = {run: of_run.set_index("seed") for run, of_run in part.groupby("run")}
        values = {run: by_run[run]["value"] for run in runs}
        for row in compared(values, reference):
            sample_se = float(np.sqrt((by_run[row["run"]]["se"] ** 2).mean()))
            label = {"run": row["run"], "label": runs[row["run"]], "measure": measure}
            rows.append(label | row | {"sample_se": sample_se})
    return pd.DataFrame(rows)


def present(table: pd.DataFrame) -> pd.DataFrame:
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
        "first share, paired by seed, with a 95 % t-interval."
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

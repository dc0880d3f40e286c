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

from bat.errors import ArtifactError, BatError, MisplacedError
from bat.files import changed_inputs, check_identity, read_signed
from bat.progress import log
from bat.reading import Expected, check_values, lies_there
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


# -- files ----------------------------------------------------------------------------------


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
    if not lies_there(path):
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

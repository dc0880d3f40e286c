"""Ensemble metrics of atypical samples: disagreement, confidence, and their alignment.

Both need only the predicted probabilities of a set of models. On samples that
every model was trained on they are saturated, so by default each sample is
judged by the models that did not train on it.
"""

import itertools

import numpy as np

from bat.errors import BatError
from bat.scores.registry import ATYPICAL_ABOVE
from bat.statistics import above, correlation

_BLOCK = 2**18  # floats of one block of samples: 1 MB, to stay in the cache
_TINY = np.float32(1e-30)  # p log max(p, tiny) is 0 at p = 0


def disagreement(probabilities, held_out=None) -> np.ndarray:
    """Measure how much the models of an ensemble differ on each sample.

    Parameters
    ----------
    probabilities : ndarray of float16 or float32, shape (m, n, k)
        Model ``j``'s probabilities of the ``k`` classes for sample ``i``.
    held_out : ndarray of bool, shape (m, n), optional
        True where model ``j`` did not train on sample ``i``; only these are
        compared. None compares all models, the in-sample form of the paper.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, log 2]; high is atypical.

    Raises
    ------
    BatError
        If shapes differ, a row of probabilities does not sum to 1, or a sample
        has fewer than two models to compare.

    Notes
    -----
    Appendix A.1 of the paper: ``ed(x) = 1/m^2 sum_j sum_p JS(F_j(x) || F_p(x))``
    with natural logarithms, over ordered pairs and j = p included.

    Examples
    --------
    >>> two = np.array([[[1.0, 0.0]], [[0.0, 1.0]]], dtype=np.float32)
    >>> disagreement(two).round(4)  # half of log 2: half of the four pairs differ
    array([0.3466])
    """
    held_out = _check(probabilities, held_out, needed=2)
    n_models, n, k = probabilities.shape
    result = np.empty(n)
    block = max(1, _BLOCK // (n_models * k))
    for start in range(0, n, block):
        part = slice(start, start + block)
        result[part] = _disagreement(probabilities[:, part], held_out[:, part])
    return result


def confidence(probabilities, labels, held_out=None) -> np.ndarray:
    """Average the probability that an ensemble gives to each sample's label.

    Parameters
    ----------
    probabilities : ndarray of float16 or float32, shape (m, n, k)
        Model ``j``'s probabilities of the ``k`` classes for sample ``i``.
    labels : ndarray of int, shape (n,)
        In [0, k).
    held_out : ndarray of bool, shape (m, n), optional
        True where model ``j`` did not train on sample ``i``; only these are
        averaged. None averages all models, the in-sample form of the paper.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1]; low is atypical.

    Raises
    ------
    BatError
        If shapes differ, a label is out of range, a row of probabilities does
        not sum to 1, or a sample has no model to average.

    Notes
    -----
    Appendix A.1 of the paper: ``conf(x) = 1/m sum_j F_j(x)[y]``.

    Examples
    --------
    >>> two = np.array([[[1.0, 0.0]], [[0.5, 0.5]]], dtype=np.float32)
    >>> confidence(two, np.array([0]))
    array([0.75])
    """
    held_out = _check(probabilities, held_out, needed=1)
    labels = np.asarray(labels)
    _, n, k = probabilities.shape
    known = labels.shape == (n,) and labels.dtype.kind in "iu"
    if not known or not 0 <= labels.min() <= labels.max() < k:
        raise BatError(
            f"labels are {labels.dtype} of shape {labels.shape}; expected integers of shape ({n},) "
            f"with values 0 to {k - 1}"
        )
    of_label = probabilities[:, np.arange(n), labels]
    return of_label.mean(axis=0, where=held_out, dtype=np.float64)


def predictions(probabilities, held_out, n_classes=3):
    """Count what the models that did not train on a sample predict for it.

    Parameters
    ----------
    probabilities : ndarray of float16 or float32, shape (m, n, k)
        Model ``j``'s probabilities of the ``k`` classes for sample ``i``.
    held_out : ndarray of bool, shape (m, n)
        True where model ``j`` did not train on sample ``i``; only these count.
    n_classes : int
        How many classes to keep, the most often predicted first; of equal ones the lower number.

    Returns
    -------
    classes : ndarray of int32, shape (n, n_classes)
        -1 where no further class is predicted.
    shares : ndarray of float64, shape (n, n_classes)
        Of the models that did not train on the sample; 0 beside -1.

    Examples
    --------
    >>> three = np.array([[[0.9, 0.1]], [[0.2, 0.8]], [[0.4, 0.6]]], dtype=np.float32)
    >>> predictions(three, np.ones((3, 1), bool), n_classes=2)[0]
    array([[1, 0]], dtype=int32)
    """
    _, n, k = probabilities.shape
    rows, counts = np.arange(n), np.zeros((n, k), np.int32)
    for of_model, counted in zip(probabilities, held_out, strict=True):
        counts[rows, of_model.argmax(axis=1)] += counted
    n_models = np.maximum(held_out.sum(axis=0), 1)
    classes, shares = np.full((n, n_classes), -1, np.int32), np.zeros((n, n_classes))
    for place in range(n_classes):
        best = counts.argmax(axis=1)
        found = counts[rows, best]
        classes[:, place] = np.where(found > 0, best, -1)
        shares[:, place] = found / n_models
        counts[rows, best] = 0
    return classes, shares


def alignment(
    memorization, metrics, *, threshold=ATYPICAL_ABOVE, tops=(0.1, 0.2, 0.4)
) -> list[dict]:
    """Compare memorization and cheaper metrics of atypical samples, pair by pair.

    Parameters
    ----------
    memorization : ndarray of float, shape (n,)
        Memorization scores.
    metrics : dict of str to ndarray of float, shape (n,)
        The other metrics, each turned so that **high is atypical**: give
        ``1 - confidence``.
    threshold : float
        Samples with memorization above it are the positives of the ROC curve.
    tops : sequence of float
        Shares of the data set, in (0, 1), whose top sets are compared.

    Returns
    -------
    list of dict
        One row for each pair of metrics, with ``metric_a``, ``metric_b``, their
        ``spearman`` correlation, and for each top share ``overlap_10`` (in
        percent): the part of the one's top 10 % that is in the other's. ``auc``
        is the area under the ROC curve of ``metric_b`` for ``metric_a`` above
        the threshold where ``metric_a`` is memorization, else NaN. ``note``
        says why a value is NaN, and is empty otherwise.

    Raises
    ------
    BatError
        If a metric has another length, or a value is not finite.

    Notes
    -----
    Ties at the edge of a top set share its last places evenly, so the overlap
    is the mean over random ways to break them.

    Examples
    --------
    >>> rows = alignment(np.array([0.9, 0.0, 0.1, 0.0, 0.3]),
    ...                  {"disagreement": np.array([0.6, 0.1, 0.2, 0.0, 0.3])}, tops=(0.4,))
    >>> rows[0]["overlap_40"], rows[0]["auc"]
    (1.0, 1.0)
    """
    from scipy.stats import rankdata

    metrics = {"memorization": memorization, **metrics}
    metrics = {name: np.asarray(values, np.float64) for name, values in metrics.items()}
    n = len(memorization)
    for name, values in metrics.items():
        if values.shape != (n,) or not np.isfinite(values).all():
            raise BatError(f"{name} has shape {values.shape}; expected {n} finite values")
    ranks = {name: rankdata(values) for name, values in metrics.items()}
    positive = above(metrics["memorization"], threshold)
    rows = []
    for a, b in itertools.combinations(metrics, 2):
        row, notes = {"metric_a": a, "metric_b": b}, []
        row["spearman"] = correlation(ranks[a], ranks[b])
        if np.isnan(row["spearman"]):
            notes.append("a metric is constant")
        for top in tops:
            row[f"overlap_{100 * top:g}"] = top_overlap(ranks[a], ranks[b], top)
        row["auc"] = float("nan")
        if a == "memorization":
            row["auc"] = area_under_roc(ranks[b], positive)
            if np.isnan(row["auc"]):
                which = "every" if positive.all() else "no"
                notes.append(f"{which} sample has memorization > {threshold}")
        rows.append({**row, "note": "; ".join(notes)})
    return rows


def _check(probabilities, held_out, needed):
    if probabilities.ndim != 3 or 0 in probabilities.shape:
        raise BatError(f"probabilities have shape {probabilities.shape}; expected (m, n, k)")
    m, n, _ = probabilities.shape
    for j, of_model in enumerate(probabilities):
        sums = of_model.sum(axis=1, dtype=np.float32)
        wrong = np.flatnonzero(~(np.abs(sums - 1) < 0.02))  # float16 rounds; NaN is wrong as well
        if wrong.size:
            i = wrong[0]
            raise BatError(
                f"the probabilities of model {j} for sample {i} sum to {sums[i]}; expected 1: "
                "give probabilities, not logits"
            )
    if held_out is None:
        held_out = np.ones((m, n), bool)
    if held_out.shape != (m, n) or held_out.dtype != bool:
        raise BatError(f"held_out is {held_out.dtype} {held_out.shape}; expected bool {(m, n)}")
    counts = held_out.sum(axis=0)
    few = np.flatnonzero(counts < needed)
    if few.size:
        raise BatError(
            f"{few.size} of {n} samples were left out by fewer than {needed} of the {m} models "
            f"(sample {few[0]} by {counts[few[0]]}). {_advice(n, held_out.mean(), needed)}"
        )
    return held_out


def _advice(n, share, needed) -> str:
    """Say how many models leave each of ``n`` samples out ``needed`` (1 or 2) times."""
    if not 0 < share < 1:
        return "Use at least two models" if share else "Use models that leave samples out"
    models = needed
    while n * (1 - share) ** models * (1 + (needed - 1) * models * share / (1 - share)) > 0.01:
        models += 1
    return f"With {share:.0%} left out, {models} models leave less than a 1 % chance of that"


def _disagreement(probabilities, held_out):
    # the models that left a sample out come first, those that did not are cut or masked
    order = np.argsort(~held_out, axis=0, kind="stable")[: held_out.sum(axis=0).max()]
    p = np.take_along_axis(probabilities, order[:, :, None], axis=0).astype(np.float32)
    valid = np.take_along_axis(held_out, order, axis=0)  # (q, b)
    entropy = _entropy(p)
    total = np.zeros(p.shape[1])
    for j in range(len(p) - 1):
        js = _entropy((p[j] + p[j + 1 :]) / 2) - (entropy[j] + entropy[j + 1 :]) / 2
        total += js.sum(axis=0, where=valid[j] & valid[j + 1 :], dtype=np.float64)
    return np.maximum(2 * total / valid.sum(axis=0) ** 2, 0)


def _entropy(p):
    return -np.einsum("...k,...k->...", p, np.log(np.maximum(p, _TINY)))


def top_overlap(a, b, top) -> float:
    """The part of the one's top share that is in the other's; ties at the edge share its places."""
    size = max(1, round(top * len(a)))
    return float(_top(a, size) @ _top(b, size)) / size


def _top(ranks, size):
    """Return the membership of each sample in the top set, shared evenly by ties at its edge."""
    edge = np.partition(ranks, len(ranks) - size)[len(ranks) - size]
    above, tied = ranks > edge, ranks == edge
    return above + tied * ((size - above.sum()) / tied.sum())


def area_under_roc(ranks, positive) -> float:
    """Area under the ROC curve from mid-ranks (Mann-Whitney), NaN without both kinds."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    return float(
        (ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    )

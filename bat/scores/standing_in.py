"""How well other scores stand in for memorization, with intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bat.errors import BatError
from bat.scores.ensembles import area_under_roc, top_overlap
from bat.scores.registry import ATYPICAL_ABOVE
from bat.statistics import above, correlation
from bat.streams import generator

TOPS = (0.1, 0.2, 0.4)
CORRELATIONS = ("spearman", "pearson")
MEASURES = (*CORRELATIONS, "auc", *(f"overlap_{100 * top:g}" for top in TOPS), "auc_wrong")
DRAWS = 200


def standing_in(
    memorization: np.ndarray,
    scores: Mapping[str, np.ndarray],
    *,
    wrong: np.ndarray | None = None,
    reliability: Mapping[str, float] | None = None,
    threshold: float = ATYPICAL_ABOVE,
    draws: int = DRAWS,
) -> list[dict]:
    """Compare scores with memorization, and with labels that are known to be wrong.

    Parameters
    ----------
    memorization : ndarray of float, shape (n,)
        The reference.
    scores : mapping of str to ndarray of float, shape (n_seeds, n) or (n,)
        Each turned so that **high is atypical**; of several seeds the mean is what
        is compared.
    wrong : ndarray of bool, shape (n,), optional
        Samples whose label was planted wrong.
    reliability : mapping, optional
        ``spearman`` and ``pearson`` correlation that the reference has with another
        estimate of the same number of trials: its own noise.
    threshold : float
        Memorization above which a sample is atypical, for the ROC curve.
    draws : int
        Bootstrap draws of the intervals.

    Returns
    -------
    list of dict
        A row for each score, in order, with ``score``, ``n_seeds``, each of
        `MEASURES` with the bounds of its 95 % interval (``..._low``, ``..._high``;
        they hold the measure),
        and ``spearman_true``, ``pearson_true``: the correlations divided by the
        square root of the reliability, in [-1, 1], which takes the noise of the
        reference out (Spearman, 1904). NaN where a measure is undefined.

    Raises
    ------
    BatError
        If shapes differ or a value is not finite.

    Notes
    -----
    Samples are drawn with replacement, and the ends are percentiles. Of several seeds
    each is left out in turn (jackknife), and what that gives is added to the distance
    of either end, as independent errors are. A draw of seeds with replacement would not
    do: it averages fewer different ones, so all draws lie below the mean of all. Three
    seeds are few: their part of the interval is then rather too narrow.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(500) ** 4
    >>> rows = standing_in(truth, {"noisy": truth + 0.1 * rng.normal(size=(3, 500))}, draws=50)
    >>> rows[0]["pearson_low"] < rows[0]["pearson"] < rows[0]["pearson_high"]
    True
    """
    n = len(memorization)
    reference = np.asarray(memorization, np.float64)
    given = {name: np.atleast_2d(np.asarray(v, np.float64)) for name, v in scores.items()}
    for name, values in [("memorization", reference[None]), *given.items()]:
        if values.shape[1:] != (n,) or not np.isfinite(values).all():
            raise BatError(f"{name} has shape {values.shape}; expected {n} finite values of each")
    rows = []
    for name, values in given.items():
        rng = generator(0, 0, f"bootstrap-{name}")
        mean, drawn = values.mean(axis=0), []
        found = _measure(reference, mean, wrong, threshold)
        for _ in range(draws):
            index = rng.integers(0, n, n)
            of_samples = None if wrong is None else wrong[index]
            drawn.append(_measure(reference[index], mean[index], of_samples, threshold))
        without = [
            _measure(reference, np.delete(values, seed, axis=0).mean(axis=0), wrong, threshold)
            for seed in range(len(values) if len(values) > 1 else 0)
        ]
        row = {"score": name, "n_seeds": len(values)}
        for measure in MEASURES:
            among = ([one[measure] for one in several] for several in (drawn, without))
            least = -1 if measure in CORRELATIONS else 0
            low, high = _interval(found[measure], *among, least)
            row |= {measure: found[measure], f"{measure}_low": low, f"{measure}_high": high}
        for measure, of_reference in (reliability or {}).items():
            root = np.sqrt(of_reference) if of_reference > 0 else np.nan
            row[f"{measure}_true"] = float(np.clip(row[measure] / root, -1.0, 1.0))
        rows.append(row)
    return rows


def spearman_brown(of_halves: float) -> float:
    """The correlation that two whole sets of trials would have, from that of their halves.

    >>> spearman_brown(0.5)
    0.6666666666666666
    """
    return 2 * of_halves / (1 + of_halves)


def _interval(found, drawn: list[float], without: list[float], least: int) -> tuple[float, float]:
    """Ends of the 95 % interval, from draws of samples and from the seeds but one."""
    among = np.array(drawn)[np.isfinite(drawn)]
    if not len(among):
        return np.nan, np.nan
    apart = np.array([found - np.quantile(among, 0.025), np.quantile(among, 0.975) - found])
    error = np.sqrt((len(without) - 1) * np.var(without)) if without else 0.0
    low, high = np.array([-1, 1]) * np.hypot(np.maximum(apart, 0), 1.96 * error) + found
    return float(max(low, least)), float(min(high, 1))


def _measure(reference, values, wrong, threshold) -> dict[str, float]:
    from scipy.stats import rankdata

    ranks, of_reference = rankdata(values), rankdata(reference)
    found = {
        "spearman": correlation(of_reference, ranks),
        "pearson": correlation(reference, values),
        "auc": area_under_roc(ranks, above(reference, threshold)),
    }
    found |= {f"overlap_{100 * top:g}": top_overlap(of_reference, ranks, top) for top in TOPS}
    found["auc_wrong"] = np.nan if wrong is None else area_under_roc(ranks, wrong)
    return found

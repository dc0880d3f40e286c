"""How many trials the scores of a data set need: measured rows, continued."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bat.scores import INFLUENCE_ABOVE
from bat.scores.chance import Counts
from bat.scores.significance import MANY_TRIALS, least_trials
from bat.statistics import trials_needed


def convergence_study(
    rows: pd.DataFrame,
    *,
    precision: float,
    counts: Counts | None = None,
    chosen: np.ndarray | None = None,
) -> pd.DataFrame:
    """Continue the measured rows to the trials that a wanted precision needs.

    Parameters
    ----------
    rows : DataFrame
        From `bat.scores.memorization.convergence` and `influence_convergence`, by rising
        ``n_trials``; tables of version 0.1.0 lack the columns of the latter.
    precision : float
        Wanted standard error of a score, for 95 % of the samples.
    counts : Counts, optional
        Those behind the scores of all trials. With them the standard errors at
        other numbers of trials come from their own formula, each sample's shares
        kept; without them they fall as 1 / sqrt(``n_trials``), which asks for up to
        twice too many.
    chosen : ndarray of bool, shape (n_train,), optional
        Training samples whose pairs above `INFLUENCE_ABOVE` are looked at, as in
        `influence_convergence`.

    Returns
    -------
    DataFrame
        The rows, with ``source`` 'measured', followed by rows with ``source``
        'extrapolated', from the last measured one to the largest of twice its
        trials and the trials needed, with 0 ``repeats`` and correlations of NaN; in
        all of them ``precision`` and ``n_needed``. ``share_by_chance`` is the share
        of the pairs above that chance gives, at most 1, and ``n_needed_influence``
        the trials with which it is at most a half, as measured where that was
        reached and else by the continuation; NaN where not known.

    Notes
    -----
    Of the pairs above, those in excess of chance with all trials are taken to be
    real and to stay above (one, where there is no excess); the number that chance
    gives with more trials is exact, each test sample's accuracy kept.
    """
    last = rows.iloc[-1]
    n_last = int(last["n_trials"])

    def errors(trials: int) -> tuple[float, float]:
        if counts is None:
            fall = np.sqrt(n_last / trials)
            return last["se_mean"] * fall, last["se_p95"] * fall
        found = counts.standard_errors(trials)
        return float(found.mean()), float(np.quantile(found, 0.95))

    if counts is None:
        needed = trials_needed(last["se_p95"], n_last, precision)
    else:
        needed = least_trials(lambda trials: errors(trials)[1] <= precision, n_last)
    measured = rows.assign(source="measured", share_by_chance=np.nan)
    if "influence_above" in rows:
        share = rows["influence_by_chance"] / rows["influence_above"].where(lambda n: n > 0)
        measured["share_by_chance"] = share.clip(upper=1)
    chance = _chance_ahead(last, counts, chosen)
    needed_influence = _half_measured(measured)
    if chance is not None and np.isnan(needed_influence):
        needed_influence = least_trials(lambda trials: chance(trials) <= 0.5, n_last)
    end = np.nanmax([2 * n_last, needed, needed_influence])
    trials = np.unique(np.geomspace(n_last, end, 20).round().astype(int))
    further = pd.DataFrame([errors(n) for n in trials.tolist()], columns=["se_mean", "se_p95"])
    further.insert(0, "n_trials", trials)
    further.insert(1, "repeats", 0)
    further["share_by_chance"] = [np.nan if chance is None else chance(n) for n in trials.tolist()]
    table = pd.concat([measured, further.assign(source="extrapolated")], ignore_index=True)
    return table.assign(
        precision=float(precision), n_needed=int(needed), n_needed_influence=needed_influence
    )


def _half_measured(measured: pd.DataFrame) -> float:
    """Trials after which no measured share by chance is above a half; NaN where the last is."""
    trials, share = (measured[name].to_numpy(float) for name in ("n_trials", "share_by_chance"))
    if not share[-1] <= 0.5:
        return np.nan
    above_half = np.flatnonzero(~(share <= 0.5))
    if not above_half.size:
        return trials[0]
    at = above_half[-1]
    if np.isnan(share[at]):
        return trials[at + 1]
    between = (share[at] - 0.5) / (share[at] - share[at + 1])
    return float(np.ceil(trials[at] * (trials[at + 1] / trials[at]) ** between))


def _chance_ahead(last, counts, chosen):
    """A function of the trials that gives the share of pairs above that chance gives, or None."""
    if counts is None or not last.get("influence_candidates", 0) > 0 or not chosen.any():
        return None
    part = last["influence_candidates"] / counts.n_candidates(chosen).sum()
    real = max(last["influence_above"] - last["influence_by_chance"], 1.0)

    def share(trials: int) -> float:
        if trials > MANY_TRIALS:
            return 0.0
        expected = part * counts.at(trials).by_chance(chosen, INFLUENCE_ABOVE)[0]
        return expected / (expected + real)

    return share

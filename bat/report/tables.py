"""Score tables to the tidy tables that figures draw and reports print.

Functions here compute; `bat.figures.drawing` only draws what they return. Score tables
are data frames with the columns of the score files, one row per sample or pair;
``index`` is a sample's position in the prepared arrays. Captions are made here
too, since they are words about values: they say the number of samples, the
trials and the seed, and what each interval is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bat.errors import BatError
from bat.escaping import for_csv, for_latex, for_markdown, plain
from bat.files.artifacts import write_bytes
from bat.scores.chance import Counts, chance_text, memorization_by_chance, pairs_by_chance
from bat.scores.fit import fit_sentence
from bat.scores.significance import LEVEL, MANY_TRIALS, least_trials
from bat.statistics import above, trials_needed

Z_95 = 1.96  # a standard normal variable lies within +- Z_95 in 95 % of cases

# --- Tables of the score figures ---------------------------------------------


def memorization_examples(
    memorization: pd.DataFrame,
    class_names: Sequence[str],
    *,
    levels: Sequence[float] = (0.0, 0.5, 1.0),
    tolerance: float = 0.2,
    columns: int = 10,
) -> pd.DataFrame:
    """Choose training samples whose memorization is nearest to each level.

    Each level is a row of the figure and each class a column (several columns
    where classes are few). Of more classes than columns, those that come
    nearest to most levels are taken.

    Parameters
    ----------
    memorization : DataFrame
        ``index``, ``label``, ``memorization``, ``memorization_se``.
    class_names : sequence of str
        Names by label.
    levels : sequence of float
        Memorization values in [-1, 1] to come near to.
    tolerance : float
        Farthest that a shown sample may be from its level. Where a class has no
        such sample the table has no row, and where no class has one the figure
        has none.
    columns : int
        Images beside each other, at least 1.

    Returns
    -------
    DataFrame
        ``level``, ``row``, ``column``, ``index``, ``label``, ``class_name``,
        ``memorization``, ``memorization_se``; by row, then column. Ties go to
        the smaller standard error, then the smaller index.

    Notes
    -----
    Figure 5 of the paper.
    """
    per_class = max(1, columns // len(class_names))
    chosen = []
    for level in levels:
        near = memorization[["index", "label", "memorization", "memorization_se"]].copy()
        near["distance"] = (near["memorization"] - level).abs()
        near = near[near["distance"] <= tolerance]
        near = near.sort_values(["label", "distance", "memorization_se", "index"])
        near["place"] = near.groupby("label").cumcount()
        chosen.append(near[near["place"] < per_class].assign(level=float(level)))
    table = pd.concat(chosen, ignore_index=True)
    if table.empty:
        wanted = ", ".join(f"{level:g}" for level in levels)
        raise BatError(f"No sample has memorization within {tolerance:g} of {wanted}.")

    rank = table.groupby("label")["distance"].agg(["size", "sum"]).reset_index()
    rank = rank.sort_values(["size", "sum", "label"], ascending=[False, True, True])
    labels = np.sort(rank["label"].to_numpy()[: max(1, columns // per_class)])
    table = table[table["label"].isin(labels)]
    return pd.DataFrame(
        {
            "level": table["level"],
            "row": pd.factorize(table["level"])[0],
            "column": np.searchsorted(labels, table["label"]) * per_class + table["place"],
            "index": table["index"],
            "label": table["label"],
            "class_name": _names(class_names, table["label"]),
            "memorization": table["memorization"],
            "memorization_se": table["memorization_se"],
        }
    ).sort_values(["row", "column"], ignore_index=True)


def memorization_histogram(
    memorization: pd.DataFrame, *, atypical_above: float = 0.15, width: float = 0.02
) -> pd.DataFrame:
    """Count training samples by memorization, with the share above a threshold.

    Parameters
    ----------
    memorization : DataFrame
        ``memorization``, ``memorization_se``.
    atypical_above : float
        Memorization above which a sample is atypical; an edge of the bins.
    width : float
        Width of a bin on the memorization scale; by default one bin is centred
        at 0, where most samples lie.

    Returns
    -------
    DataFrame
        One row per bin ``(left, right]`` from the first to the last occupied
        one: ``left``, ``right``, ``count``, ``share``; and the same in every
        row: ``threshold``, ``share_above`` and its bounds ``share_above_low``
        and ``share_above_high``, which count the samples that stay above, or
        come above, when 1.96 standard errors are taken from, or added to, the
        estimate of each; and ``share_by_chance``, which the standard errors alone
        would put above if no sample were memorized. The last three are NaN where
        standard errors are not known.

    Notes
    -----
    Figure 6 of the paper. The bounds hold sample by sample, so they are wider
    than an interval for the share itself, and assume nothing on how the errors
    of different samples depend on each other.
    """
    values = memorization["memorization"].to_numpy(dtype=np.float64)
    if values.size == 0:
        raise BatError("The memorization table has no rows; a histogram needs at least one.")
    margin = Z_95 * memorization["memorization_se"].to_numpy(dtype=np.float64)
    steps = np.arange(
        np.floor((-1 - atypical_above) / width) - 1, np.ceil((1 - atypical_above) / width) + 2
    )
    edges = np.round(atypical_above + width * steps, 10)
    places = np.searchsorted(edges, np.round(values, 10)) - 1  # the edges are rounded as well
    counts = np.bincount(places, minlength=len(edges) - 1)
    occupied = np.flatnonzero(counts)
    shown = slice(occupied[0], occupied[-1] + 1)
    by_chance = memorization_by_chance(memorization, atypical_above)
    low, high = (
        np.nan if by_chance is None else float(np.mean(above(moved, atypical_above)))
        for moved in (values - margin, values + margin)
    )
    return pd.DataFrame(
        {
            "left": edges[:-1][shown],
            "right": edges[1:][shown],
            "count": counts[shown],
            "share": counts[shown] / values.size,
            "threshold": float(atypical_above),
            "share_above": float(np.mean(above(values, atypical_above))),
            "share_above_low": low,
            "share_above_high": high,
            "share_by_chance": np.nan if by_chance is None else by_chance / values.size,
        }
    )


def influence_pairs(
    influence: pd.DataFrame,
    memorization: pd.DataFrame,
    test: pd.DataFrame,
    class_names: Sequence[str],
    *,
    atypical_above: float = 0.15,
    influence_above: float = 0.15,
    n_pairs: int = 12,
) -> pd.DataFrame:
    """Choose the pairs of largest influence that stand, then others, each training sample once.

    Parameters
    ----------
    influence : DataFrame
        ``train_index``, ``test_index``, ``influence``, ``influence_se``, ``q``.
    memorization : DataFrame
        ``index``, ``label``, ``memorization``, ``memorization_se`` of the
        training samples.
    test : DataFrame
        ``index``, ``label`` of the test samples.
    class_names : sequence of str
        Names by label.
    atypical_above, influence_above : float
        Pairs count whose training sample's memorization, and whose influence,
        are above these.
    n_pairs : int
        At most this many rows.

    Returns
    -------
    DataFrame
        ``train_index``, ``test_index``, ``influence``, ``influence_se``,
        ``train_label``, ``train_class``, ``memorization``, ``memorization_se``,
        ``test_label``, ``test_class``, ``q`` and ``stands`` (``q`` is at most 0.1),
        those that stand first, by falling influence; empty where no pair qualifies.

    Notes
    -----
    Figure 7 of the paper.
    """
    train = memorization.rename(columns={"index": "train_index", "label": "train_label"})
    train = train[["train_index", "train_label", "memorization", "memorization_se"]]
    tested = test.rename(columns={"index": "test_index", "label": "test_label"})
    pairs = influence[["train_index", "test_index", "influence", "influence_se", "q"]]
    pairs = pairs[above(pairs["influence"], influence_above)].merge(train, on="train_index")
    pairs = pairs[above(pairs["memorization"], atypical_above)]
    pairs = pairs.merge(tested[["test_index", "test_label"]], on="test_index")
    pairs["q"] = pairs.pop("q").astype(float)
    pairs["stands"] = pairs["q"] <= LEVEL
    pairs = pairs.sort_values(
        ["stands", "influence", "train_index", "test_index"], ascending=[False, False, True, True]
    )
    pairs = pairs.drop_duplicates("train_index").head(n_pairs).reset_index(drop=True)
    pairs.insert(5, "train_class", _names(class_names, pairs["train_label"]))
    test_class = _names(class_names, pairs["test_label"])
    pairs.insert(pairs.columns.get_loc("q"), "test_class", test_class)
    return pairs


def metric_values(
    memorization: pd.DataFrame, metrics: Mapping[str, np.ndarray], *, atypical_above: float = 0.15
) -> pd.DataFrame:
    """Set each sample's memorization beside its cheaper scores.

    Parameters
    ----------
    memorization : DataFrame
        ``index``, ``memorization``, of n samples.
    metrics : mapping of str to ndarray of float, shape (n,)
        Scores in the same order; higher is more atypical.
    atypical_above : float
        Memorization above which a sample is atypical.

    Returns
    -------
    DataFrame
        ``index``, ``memorization``, ``atypical``, and a column per metric.
    """
    table = memorization[["index", "memorization"]].reset_index(drop=True)
    table["atypical"] = above(table["memorization"], atypical_above)
    for name, values in metrics.items():
        if len(values) != len(table):
            raise BatError(
                f"The scores '{name}' have {len(values)} rows and the memorization table "
                f"{len(table)}; both must come from the same training set, in its order."
            )
        table[name] = np.asarray(values, dtype=np.float64)
    return table


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


def convergence_study(
    rows: pd.DataFrame,
    *,
    precision: float,
    counts: Counts | None = None,
    chosen: np.ndarray | None = None,
    influence_above: float = 0.15,
) -> pd.DataFrame:
    """Continue the measured rows to the trials that a wanted precision needs.

    Parameters
    ----------
    rows : DataFrame
        From `bat.scores.convergence` and `influence_convergence`, by rising
        ``n_trials``; tables of version 0.1.0 lack the columns of the latter.
    precision : float
        Wanted standard error of a score, for 95 % of the samples.
    counts : Counts, optional
        Those behind the scores of all trials. With them the standard errors at
        other numbers of trials come from their own formula, each sample's shares
        kept; without them they fall as 1 / sqrt(``n_trials``), which asks for up to
        twice too many.
    chosen : ndarray of bool, shape (n_train,), optional
        Training samples whose pairs are looked at, as in `influence_convergence`.
    influence_above : float
        Their influence counts above this.

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
    chance = _chance_ahead(last, counts, chosen, influence_above)
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


def _chance_ahead(last, counts, chosen, threshold):
    """A function of the trials that gives the share of pairs above that chance gives, or None."""
    if counts is None or not last.get("influence_candidates", 0) > 0 or not chosen.any():
        return None
    part = last["influence_candidates"] / counts.n_candidates(chosen).sum()
    real = max(last["influence_above"] - last["influence_by_chance"], 1.0)

    def share(trials: int) -> float:
        if trials > MANY_TRIALS:
            return 0.0
        expected = part * counts.at(trials).by_chance(chosen, threshold)[0]
        return expected / (expected + real)

    return share


def group_sizes(dataset: str, groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count the samples of each group.

    Parameters
    ----------
    dataset : str
        Name of the data set, repeated in every row.
    groups : mapping of str to DataFrame
        By split ('train', 'test'): ``typical`` and ``atypical``, one row per
        sample; no sample is in both.

    Returns
    -------
    DataFrame
        ``dataset``, ``split``, ``group`` ('typical', 'neither', 'atypical',
        'all'), ``size``, ``share`` of the split in [0, 1].
    """
    rows = []
    for split, frame in groups.items():
        typical = frame["typical"].to_numpy(dtype=bool)
        atypical = frame["atypical"].to_numpy(dtype=bool)
        sizes = {
            "typical": typical.sum(),
            "neither": (~typical & ~atypical).sum(),
            "atypical": atypical.sum(),
            "all": len(frame),
        }
        for group, size in sizes.items():
            rows.append((dataset, split, group, int(size), size / len(frame)))
    return pd.DataFrame(rows, columns=["dataset", "split", "group", "size", "share"])


def over_seeds(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Summarise a value over the seeds of each run.

    Parameters
    ----------
    frame : DataFrame
        The columns ``by``, ``seed`` and ``value``, one row per seed.
    by : sequence of str
        Columns that name a point, such as ``("series", "epoch")``.
    value : str
        Column to summarise.

    Returns
    -------
    DataFrame
        ``by``, ``mean``, ``sd`` (n - 1 in the denominator; NaN for one seed)
        and ``n_seeds``, in order of first appearance.
    """
    repeated = frame.duplicated([*by, "seed"])
    if repeated.any():
        first = frame.loc[repeated, [*by, "seed"]].iloc[0].to_dict()
        raise BatError(f"{first} appears more than once; expected one row per seed.")
    summary = frame.groupby(list(by), sort=False)[value].agg(["mean", "std", "count"])
    return summary.rename(columns={"std": "sd", "count": "n_seeds"}).reset_index()


def _names(class_names: Sequence[str], labels: pd.Series) -> np.ndarray:
    """Look up class names, shape (n,) of str."""
    names = np.array([plain(str(name)) for name in class_names], dtype=object)
    return names[labels.to_numpy(dtype=np.int64)]


# --- Captions ----------------------------------------------------------------


def provenance(metadata: Mapping[str, Any]) -> str:
    """Say in a sentence or two where scores come from.

    Parameters
    ----------
    metadata : mapping
        Metadata of a score table: ``dataset``, ``recipe`` (``architecture``,
        ``trials``, ``subset_ratio``, ``seed``), ``accuracies`` (``included``,
        ``excluded``, ``test``) and what `bat.scores.fit` reads; what is absent is left out.

    Returns
    -------
    str
        Ends with a warning where the models did not fit their subsets.
    """
    recipe = metadata.get("recipe", {})
    parts = []
    if "trials" in recipe:
        models = f"{recipe['trials']} {recipe.get('architecture', '')}".strip() + " models"
        parts.append(f"Scores from {models}")
        if "subset_ratio" in recipe:
            parts.append(
                f"each trained on a random {percent(recipe['subset_ratio'], 0)} of the samples"
            )
        if "seed" in recipe:
            parts.append(f"seed {recipe['seed']}")
    text = ", ".join(parts) + "." if parts else ""
    accuracies = metadata.get("accuracies", {})
    means = [
        f"{percent(accuracies[key])} on {what}"
        for key, what in (
            ("included", "samples trained on"),
            ("excluded", "samples left out"),
            ("test", "test samples"),
        )
        if key in accuracies
    ]
    if means:
        text += f" Mean accuracy {', '.join(means)}."
    if "matched" in metadata:
        text += (
            " The scores were made on another version of the data and matched by "
            f"{metadata['matched']['by']}."
        )
    return f"{text} {fit_sentence(metadata)}".strip()


def caption_examples(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `memorization_examples`."""
    levels = ", ".join(f"{level:g}" for level in sorted(table["level"].unique()))
    return _caption(
        metadata,
        f"Training images{_of(metadata)} whose memorization is nearest to {levels}; "
        "below each its memorization ± standard error and its label.",
    )


def caption_histogram(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `memorization_histogram`."""
    first = table.iloc[0]
    text = (
        f"Memorization of the {table['count'].sum():,} training samples{_of(metadata)}. "
        f"{percent(first['share_above'])} lie above {first['threshold']:g}"
    )
    if pd.isna(first["share_by_chance"]):
        text += "; standard errors are not known, so neither is how many of them chance gives."
    else:
        text += (
            "; in brackets the share that stays above, or comes above, with 1.96 standard errors "
            "taken from, or added to, each estimate. The standard errors alone would put "
            f"{percent(first['share_by_chance'])} there if no sample were memorized."
        )
    return _caption(metadata, text)


def caption_pairs(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `influence_pairs`."""
    known = pairs_by_chance(metadata)
    known = f" {known}" if known else ""
    if table.empty:
        text = "No training sample has both memorization and an influence above the threshold"
        return _caption(metadata, f"{text}{_of(metadata)}.{known}")
    standing = int(table["stands"].sum())
    rate = f"at a false discovery rate of {percent(LEVEL, 0)} among all candidate pairs"
    if table["q"].isna().all():
        which = "Which of them are more than chance is not known."
    elif standing:
        which = f"Those that stand {rate} come first and are marked ★: {standing} of them."
    else:
        which = f"None of them stands {rate}: each may be chance."
    return _caption(
        metadata,
        f"The {len(table)} pairs of largest influence{_of(metadata)}: a training image (left) and "
        "the test image that it carries most (right), each training image once. Below them the "
        "label, and memorization (left) and influence (right) ± standard error. "
        f"{which}{known}",
    )


def caption_alignment(
    values: pd.DataFrame, metadata: Mapping[str, Any], ensemble: Mapping[str, Any] | None = None
) -> str:
    """Caption of `metric_values` beside the rows of the alignment table.

    ``ensemble`` is the metadata of the disagreement or confidence table.
    """
    text = (
        f"Agreement of the atypicality metrics on the {len(values):,} training samples"
        f"{_of(metadata)}; each metric is oriented so that higher is more atypical. AUC: for "
        "telling atypical samples (orange) from the others. Overlap: share of one metric's "
        "highest samples that are among the other's; dashed lines: overlap expected by chance."
    )
    if ensemble:
        members = [
            f"{recipe.get('trials', '?')} {name}" for name, recipe in ensemble["recipe"].items()
        ]
        if members:
            text += f" Disagreement and confidence are those of {' and '.join(members)} models"
            text += ", on samples left out." if ensemble.get("samples") == "held_out" else "."
    return _caption(metadata, text)


def caption_convergence(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `convergence_study`."""
    last = table.iloc[-1]
    needed = "not known for these scores"
    if not pd.isna(last["n_needed_influence"]):
        needed = f"most are real from about {last['n_needed_influence']:,.0f} trials"
    return _caption(
        metadata,
        f"Convergence of the memorization scores{_of(metadata)}. Left: correlation of the scores "
        "from two disjoint halves of the trials; bands are ± 1 standard deviation over "
        f"{table['repeats'].max()} random draws. Middle: standard error over the samples, "
        "continued with the shares of each sample as they are (dotted); a standard error of "
        f"{last['precision']:g} for 95 % of the samples needs about {last['n_needed']:,.0f} "
        "trials. Right: share of the pairs with influence above 0.15 that chance gives, from "
        f"atypical training samples; {needed}.",
    )


def caption_groups(
    table: pd.DataFrame, metadata: Mapping[str, Any], chances: Mapping[str, dict] | None = None
) -> str:
    """Caption of `group_sizes`; ``chances`` are the groups' ``chance`` metadata by split."""
    text = f"Sizes of the typical and atypical groups{_of(metadata)}."
    parts = [f"{split} {chance_text(chance)}" for split, chance in (chances or {}).items()]
    if parts:
        text += f" Atypical samples: {'; '.join(parts)}."
    return _caption(metadata, text)


def percent(share: float, digits: int = 1) -> str:
    """Write a share of 1 as '12.3 %', with a space that does not break."""
    return f"{100 * share:.{digits}f}\u00a0%"


def interval_text(histogram_row: Mapping[str, Any]) -> str:
    """The bounds of `memorization_histogram`'s share in parentheses, or that they are not known."""
    low, high = (histogram_row[f"share_above_{side}"] for side in ("low", "high"))
    return "(interval not known)" if pd.isna(low) else f"({percent(low)} to {percent(high)})"


def mean_text(mean: float, sd: float, *, scale: float = 100, digits: int = 1) -> str:
    """Write a mean with its standard deviation, where there is one.

    >>> mean_text(0.62, 0.003), mean_text(0.25, float("nan"), scale=1, digits=3)
    ('62.0 ± 0.3', '0.250')
    """
    text = f"{scale * mean:.{digits}f}"
    return text if pd.isna(sd) else f"{text} ± {scale * sd:.{digits}f}"


def difference_text(
    difference: float, low: float, high: float, *, scale: float = 100, digits: int = 1
) -> str:
    """Write a difference with its interval, where there is one.

    >>> difference_text(-0.017, -0.031, -0.002), difference_text(-0.0004, *[float("nan")] * 2)
    ('−1.7 [−3.1, −0.2]', '+0.0')
    """

    def signed(value: float) -> str:
        return f"{scale * value:+z.{digits}f}".replace("-", "−")

    text = signed(difference)
    return text if pd.isna(low) else f"{text} [{signed(low)}, {signed(high)}]"


def _of(metadata: Mapping[str, Any]) -> str:
    return f" of {metadata['dataset']}" if "dataset" in metadata else ""


def _caption(metadata: Mapping[str, Any], text: str) -> str:
    return f"{text} {provenance(metadata)}".strip()


# --- Writing -----------------------------------------------------------------


def csv_text(frame: pd.DataFrame) -> str:
    """The values of a table as CSV, at full precision."""
    shown = frame.rename(columns=lambda name: for_csv(str(name)))
    texts = shown.select_dtypes(exclude=["number", "bool"]).columns
    for name in texts:  # numbers keep their type, and so their digits
        shown[name] = shown[name].map(
            lambda value: for_csv(value) if isinstance(value, str) else value
        )
    return shown.to_csv(index=False, lineterminator="\n")


def markdown_text(frame: pd.DataFrame, caption: str, digits: int = 3) -> str:
    """A table as Markdown, its caption above it."""
    columns = [for_markdown(str(name)) for name in frame.columns]
    rules = ["---:" if numeric else ":---" for numeric in _numeric(frame)]
    cells = [
        [for_markdown(_text(value, digits)) for value in row]
        for row in frame.itertuples(index=False, name=None)
    ]
    lines = ["| " + " | ".join(row) + " |" for row in [columns, rules, *cells]]
    return "\n".join([for_markdown(caption), "", *lines, ""])


def latex_text(frame: pd.DataFrame, caption: str, digits: int = 3) -> str:
    """A table as a LaTeX float (package booktabs)."""
    columns = [for_latex(str(name)) for name in frame.columns]
    cells = [
        [for_latex(_text(value, digits)) for value in row]
        for row in frame.itertuples(index=False, name=None)
    ]
    rows = [" & ".join(row) + r" \\" for row in [columns, *cells]]
    align = "".join("r" if numeric else "l" for numeric in _numeric(frame))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{for_latex(caption)}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def write_table_files(
    frame: pd.DataFrame,
    path_without_suffix: str | Path,
    caption: str,
    formats: Sequence[str] = ("csv", "md"),
    *,
    digits: int = 3,
) -> list[Path]:
    """Write a table for machines and readers, each file atomically.

    Parameters
    ----------
    frame : DataFrame
        Its columns in order; the row index is not written.
    path_without_suffix : path-like
        Each format's name is added as the suffix.
    caption : str
        Printed with the table in 'md' and 'tex'.
    formats : sequence of {'csv', 'md', 'tex'}
        CSV has full precision.
    digits : int
        Decimals of floating-point numbers in 'md' and 'tex'.

    Returns
    -------
    list of Path
        The files, in the order of ``formats``.
    """
    written = []
    for name in formats:
        if name == "csv":
            text = csv_text(frame)
        elif name == "md":
            text = markdown_text(frame, caption, digits)
        elif name == "tex":
            text = latex_text(frame, caption, digits)
        else:
            raise BatError(f"'{name}' is not a table format; use csv, md or tex.")
        path = with_suffix(path_without_suffix, name)
        write_bytes(path, text.encode())
        written.append(path)
    return written


def with_suffix(path_without_suffix: str | Path, suffix: str) -> Path:
    """Add a suffix to a name that may hold dots, such as ``eps0.1``."""
    path = Path(path_without_suffix)
    return path.with_name(f"{path.name}.{suffix}")


def _numeric(frame: pd.DataFrame) -> list[bool]:
    return [kind.kind in "iuf" for kind in frame.dtypes]


def _text(value: Any, digits: int) -> str:
    """One cell for readers."""
    if pd.isna(value):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.{digits}f}"
    return str(value)

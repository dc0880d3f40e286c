"""Score tables to the tidy tables that figures draw and reports print.

Functions here compute; `bat.figures` only draws what they return. Score tables
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

from bat.artifacts import write_bytes
from bat.errors import BatError
from bat.fit import fit_sentence
from bat.statistics import trials_needed

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
        estimate of each.

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
    counts = np.bincount(np.searchsorted(edges, values) - 1, minlength=len(edges) - 1)
    occupied = np.flatnonzero(counts)
    shown = slice(occupied[0], occupied[-1] + 1)
    return pd.DataFrame(
        {
            "left": edges[:-1][shown],
            "right": edges[1:][shown],
            "count": counts[shown],
            "share": counts[shown] / values.size,
            "threshold": float(atypical_above),
            "share_above": float(np.mean(values > atypical_above)),
            "share_above_low": float(np.mean(values - margin > atypical_above)),
            "share_above_high": float(np.mean(values + margin > atypical_above)),
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
    """Choose the pairs of largest influence, one test sample per training sample.

    Parameters
    ----------
    influence : DataFrame
        ``train_index``, ``test_index``, ``influence``, ``influence_se``.
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
        ``test_label``, ``test_class``, by falling influence; empty where no
        pair qualifies.

    Notes
    -----
    Figure 7 of the paper.
    """
    train = memorization.rename(columns={"index": "train_index", "label": "train_label"})
    train = train[["train_index", "train_label", "memorization", "memorization_se"]]
    tested = test.rename(columns={"index": "test_index", "label": "test_label"})
    pairs = influence[["train_index", "test_index", "influence", "influence_se"]]
    pairs = pairs[pairs["influence"] > influence_above].merge(train, on="train_index")
    pairs = pairs[pairs["memorization"] > atypical_above]
    pairs = pairs.merge(tested[["test_index", "test_label"]], on="test_index")
    pairs = pairs.sort_values(
        ["influence", "train_index", "test_index"], ascending=[False, True, True]
    )
    pairs = pairs.drop_duplicates("train_index").head(n_pairs).reset_index(drop=True)
    pairs.insert(5, "train_class", _names(class_names, pairs["train_label"]))
    pairs["test_class"] = _names(class_names, pairs["test_label"])
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
    table["atypical"] = table["memorization"] > atypical_above
    for name, values in metrics.items():
        if len(values) != len(table):
            raise BatError(
                f"The scores '{name}' have {len(values)} rows and the memorization table "
                f"{len(table)}; both must come from the same training set, in its order."
            )
        table[name] = np.asarray(values, dtype=np.float64)
    return table


def convergence_study(rows: pd.DataFrame, *, precision: float) -> pd.DataFrame:
    """Continue the standard errors to the trials that a wanted precision needs.

    Parameters
    ----------
    rows : DataFrame
        From `bat.memorization.convergence`, by rising ``n_trials``.
    precision : float
        Wanted standard error of a score, for 95 % of the samples.

    Returns
    -------
    DataFrame
        The rows, with ``source`` 'measured', followed by rows with ``source``
        'extrapolated', from the last measured one to the larger of twice its
        trials and the trials needed, whose standard errors fall as
        1 / sqrt(``n_trials``), with 0 ``repeats`` and correlations of NaN; in all
        of them ``precision`` and ``n_needed``.
    """
    last = rows.iloc[-1]
    needed = trials_needed(last["se_p95"], last["n_trials"], precision)
    end = max(2 * last["n_trials"], needed)
    trials = np.unique(np.geomspace(last["n_trials"], end, 20).round().astype(int))
    fall = np.sqrt(last["n_trials"] / trials)
    further = pd.DataFrame(
        {
            "n_trials": trials,
            "repeats": 0,
            "se_mean": last["se_mean"] * fall,
            "se_p95": last["se_p95"] * fall,
        }
    )
    table = pd.concat(
        [rows.assign(source="measured"), further.assign(source="extrapolated")], ignore_index=True
    )
    return table.assign(precision=float(precision), n_needed=int(needed))


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
    return np.asarray(class_names, dtype=object)[labels.to_numpy(dtype=np.int64)]


# --- Captions ----------------------------------------------------------------


def provenance(metadata: Mapping[str, Any]) -> str:
    """Say in a sentence or two where scores come from.

    Parameters
    ----------
    metadata : mapping
        Metadata of a score table: ``dataset``, ``recipe`` (``architecture``,
        ``trials``, ``subset_ratio``, ``seed``), ``accuracies`` (``included``,
        ``excluded``, ``test``) and what `bat.fit` reads; what is absent is left out.

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
    return _caption(
        metadata,
        f"Memorization of the {table['count'].sum():,} training samples{_of(metadata)}. "
        f"{percent(first['share_above'])} lie above {first['threshold']:g}; in brackets the share "
        "that stays above, or comes above, with 1.96 standard errors taken from, or added to, "
        "each estimate.",
    )


def caption_pairs(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `influence_pairs`."""
    if table.empty:
        text = "No training sample has both memorization and an influence above the threshold"
        return _caption(metadata, f"{text}{_of(metadata)}.")
    return _caption(
        metadata,
        f"The {len(table)} pairs of largest influence{_of(metadata)}: a training image (left) and "
        "the test image that it carries most (right), each training image once. Below them the "
        "label, and memorization (left) and influence (right) ± standard error.",
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
        members = [f"{recipe['trials']} {name}" for name, recipe in ensemble["recipe"].items()]
        text += f" Disagreement and confidence are those of {' and '.join(members)} models"
        text += ", on samples left out." if ensemble["samples"] == "held_out" else "."
    return _caption(metadata, text)


def caption_convergence(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `convergence_study`."""
    last = table.iloc[-1]
    return _caption(
        metadata,
        f"Convergence of the memorization scores{_of(metadata)}. Left: correlation of the scores "
        "from two disjoint halves of the trials; bands are ± 1 standard deviation over "
        f"{table['repeats'].max()} random draws. Right: standard error over the samples, continued "
        f"as 1/√trials (dotted); a standard error of {last['precision']:g} for 95 % of the samples "
        f"needs about {last['n_needed']:,.0f} trials.",
    )


def caption_groups(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `group_sizes`."""
    return _caption(metadata, f"Sizes of the typical and atypical groups{_of(metadata)}.")


def percent(share: float, digits: int = 1) -> str:
    """Write a share of 1 as '12.3 %', with a space that does not break."""
    return f"{100 * share:.{digits}f}\u00a0%"


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

_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "\u00a0": "~",
        "√": r"$\surd$",
        "α": r"$\alpha$",
        "β": r"$\beta$",
    }
)
_MARKDOWN = str.maketrans({"|": "\\|", "\n": " "})


def csv_text(frame: pd.DataFrame) -> str:
    """The values of a table as CSV, at full precision."""
    return frame.to_csv(index=False, lineterminator="\n")


def markdown_text(frame: pd.DataFrame, caption: str, digits: int = 3) -> str:
    """A table as Markdown, its caption above it."""
    columns = [str(name).translate(_MARKDOWN) for name in frame.columns]
    rules = ["---:" if numeric else ":---" for numeric in _numeric(frame)]
    cells = [
        [_text(value, digits).translate(_MARKDOWN) for value in row]
        for row in frame.itertuples(index=False, name=None)
    ]
    lines = ["| " + " | ".join(row) + " |" for row in [columns, rules, *cells]]
    return "\n".join([caption, "", *lines, ""])


def latex_text(frame: pd.DataFrame, caption: str, digits: int = 3) -> str:
    """A table as a LaTeX float (package booktabs)."""
    columns = [str(name).translate(_LATEX) for name in frame.columns]
    cells = [
        [_text(value, digits).translate(_LATEX) for value in row]
        for row in frame.itertuples(index=False, name=None)
    ]
    rows = [" & ".join(row) + r" \\" for row in [columns, *cells]]
    align = "".join("r" if numeric else "l" for numeric in _numeric(frame))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption.translate(_LATEX)}}}",
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

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
        Farthest that a shown sample may be from its level. A class without
        such a sample has no row for that level.
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
    for row, level in enumerate(levels):
        near = memorization[["index", "label", "memorization", "memorization_se"]].copy()
        near["distance"] = (near["memorization"] - level).abs()
        near = near[near["distance"] <= tolerance]
        near = near.sort_values(["label", "distance", "memorization_se", "index"])
        near["place"] = near.groupby("label").cumcount()
        chosen.append(near[near["place"] < per_class].assign(level=float(level), row=row))
    table = pd.concat(chosen, ignore_index=True)

    rank = table.groupby("label")["distance"].agg(["size", "sum"]).reset_index()
    rank = rank.sort_values(["size", "sum", "label"], ascending=[False, True, True])
    labels = np.sort(rank["label"].to_numpy()[: max(1, columns // per_class)])
    table = table[table["label"].isin(labels)]
    return pd.DataFrame(
        {
            "level": table["level"],
            "row": table["row"],
            "column": np.searchsorted(labels, table["label"]) * per_class + table["place"],
            "index": table["index"],
            "label": table["label"],
            "class_name": _names(class_names, table["label"]),
            "memorization": table["memorization"],
            "memorization_se": table["memorization_se"],
        }
    ).sort_values(["row", "column"], ignore_index=True)


def memorization_histogram(
    memorization: pd.DataFrame, *, threshold: float = 0.15, width: float = 0.025
) -> pd.DataFrame:
    """Count training samples by memorization, with the share above a threshold.

    Parameters
    ----------
    memorization : DataFrame
        ``memorization``, ``memorization_se``.
    threshold : float
        Memorization above which a sample is atypical; an edge of the bins.
    width : float
        Width of a bin on the memorization scale.

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
    steps = np.arange(np.floor((-1 - threshold) / width) - 1, np.ceil((1 - threshold) / width) + 2)
    edges = np.round(threshold + width * steps, 10)
    counts = np.bincount(np.searchsorted(edges, values) - 1, minlength=len(edges) - 1)
    occupied = np.flatnonzero(counts)
    shown = slice(occupied[0], occupied[-1] + 1)
    return pd.DataFrame(
        {
            "left": edges[:-1][shown],
            "right": edges[1:][shown],
            "count": counts[shown],
            "share": counts[shown] / values.size,
            "threshold": float(threshold),
            "share_above": float(np.mean(values > threshold)),
            "share_above_low": float(np.mean(values - margin > threshold)),
            "share_above_high": float(np.mean(values + margin > threshold)),
        }
    )


def influence_pairs(
    influence: pd.DataFrame,
    memorization: pd.DataFrame,
    test: pd.DataFrame,
    class_names: Sequence[str],
    *,
    threshold: float = 0.15,
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
    threshold : float
        Pairs count where both the influence and the training sample's
        memorization are above it.
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
    pairs = pairs[pairs["influence"] > threshold].merge(train, on="train_index")
    pairs = pairs[pairs["memorization"] > threshold]
    pairs = pairs.merge(tested[["test_index", "test_label"]], on="test_index")
    pairs = pairs.sort_values(
        ["influence", "train_index", "test_index"], ascending=[False, True, True]
    )
    pairs = pairs.drop_duplicates("train_index").head(n_pairs).reset_index(drop=True)
    pairs.insert(5, "train_class", _names(class_names, pairs["train_label"]))
    pairs["test_class"] = _names(class_names, pairs["test_label"])
    return pairs


def metric_values(
    memorization: pd.DataFrame, metrics: Mapping[str, np.ndarray], *, threshold: float = 0.15
) -> pd.DataFrame:
    """Set each sample's memorization beside its cheaper scores.

    Parameters
    ----------
    memorization : DataFrame
        ``index``, ``memorization``, of n samples.
    metrics : mapping of str to ndarray of float, shape (n,)
        Scores in the same order; higher is more atypical.
    threshold : float
        Memorization above which a sample is atypical.

    Returns
    -------
    DataFrame
        ``index``, ``memorization``, ``atypical``, and a column per metric.
    """
    table = memorization[["index", "memorization"]].reset_index(drop=True)
    table["atypical"] = table["memorization"] > threshold
    for name, values in metrics.items():
        if len(values) != len(table):
            raise BatError(
                f"The scores '{name}' have {len(values)} rows and the memorization table "
                f"{len(table)}; both must come from the same training set, in its order."
            )
        table[name] = np.asarray(values, dtype=np.float64)
    return table


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
        ``excluded``, ``test``) and ``converged``; what is absent is left out.

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
            parts.append(f"each trained on a random {recipe['subset_ratio']:.0%} of the samples")
        if "seed" in recipe:
            parts.append(f"seed {recipe['seed']}")
    text = ", ".join(parts) + "." if parts else ""
    accuracies = metadata.get("accuracies", {})
    means = [
        f"{accuracies[key]:.1%} on {what}"
        for key, what in (
            ("included", "samples trained on"),
            ("excluded", "samples left out"),
            ("test", "test samples"),
        )
        if key in accuracies
    ]
    if means:
        text += f" Mean accuracy {', '.join(means)}."
    if metadata.get("converged") is False:
        text += " The models did not fit their subsets fully, so memorization is understated."
    return text.strip()


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
        f"{first['share_above']:.1%} lie above {first['threshold']:g}; in brackets the share "
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
        f"The {len(table)} largest influences{_of(metadata)}: a training image (left) and the test "
        "image that it carries most (right), each training image once. Below them the label, "
        "and memorization (left) and influence (right) ± standard error.",
    )


def caption_alignment(values: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `metric_values` beside the rows of the alignment table."""
    return _caption(
        metadata,
        f"Agreement of the atypicality metrics on the {len(values):,} training samples"
        f"{_of(metadata)}; each metric is oriented so that higher is more atypical. AUC: for "
        "telling atypical samples (orange) from the others. Overlap: share of one metric's "
        "highest samples that are among the other's; dashed lines: overlap expected by chance.",
    )


def caption_convergence(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `convergence_study`."""
    last = table.iloc[-1]
    return _caption(
        metadata,
        f"Convergence of the memorization scores{_of(metadata)}. Left: correlation of the scores "
        "from two disjoint halves of the trials; bands are ± 1 standard deviation over random "
        "halvings. Right: standard error over the samples, continued as 1/√trials; a standard "
        f"error of {last['precision']:g} for 95 % of the samples needs about "
        f"{last['n_needed']:,.0f} trials.",
    )


def caption_groups(table: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Caption of `group_sizes`."""
    return _caption(metadata, f"Sizes of the typical and atypical groups{_of(metadata)}.")


def _of(metadata: Mapping[str, Any]) -> str:
    return f" of {metadata['dataset']}" if "dataset" in metadata else ""


def _caption(metadata: Mapping[str, Any], text: str) -> str:
    return f"{text} {provenance(metadata)}".strip()


# --- Writing -----------------------------------------------------------------

_ABSENT = {"md": "–", "tex": "--"}
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
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
        [_text(value, digits, "md").translate(_MARKDOWN) for value in row]
        for row in frame.itertuples(index=False, name=None)
    ]
    lines = ["| " + " | ".join(row) + " |" for row in [columns, rules, *cells]]
    return "\n".join([caption, "", *lines, ""])


def latex_text(frame: pd.DataFrame, caption: str, digits: int = 3) -> str:
    """A table as a LaTeX float (package booktabs)."""
    columns = [str(name).translate(_LATEX) for name in frame.columns]
    cells = [
        [_text(value, digits, "tex").translate(_LATEX) for value in row]
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
    return [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]


def _text(value: Any, digits: int, kind: str) -> str:
    """One cell for readers."""
    if pd.isna(value):
        return _ABSENT[kind]
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.{digits}f}"
    return str(value)

"""What a set of score tables is, in words: from the tables and their metadata alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bat.escaping import for_markdown
from bat.files import column, read_table
from bat.scores import ATYPICAL_ABOVE, ENSEMBLE_SCORES, INFLUENCE_ABOVE, SCORES
from bat.scores.chance import counts_of, memorization_by_chance, pairs_by_chance
from bat.scores.fit import fit_sentence
from bat.sharing.folders import FILE_NAMES, OPTIONAL, REQUIRED, Source
from bat.statistics import above

THRESHOLDS = (ATYPICAL_ABOVE, 0.25, 0.5)


def facts(source: Source) -> dict:
    """What a set of tables is, for the card and for `show`.

    Returns
    -------
    dict
        ``metadata`` (of the memorization table), ``n_train``, ``n_test``, ``n_pairs``
        (above ``keep_above``), ``kept`` (of the influence table's metadata: which pairs
        are), ``above`` (share of memorization above each of ``THRESHOLDS``), ``se``
        (median standard error, NaN where not known), ``carried`` (share of the test
        samples with a kept influence above 0.15), the same by chance alone (None where
        not known), ``above_by_chance`` and ``carried_by_chance``, ``pairs_by_chance`` (a
        sentence),
        ``memorization`` (the table) and ``optional`` (further kinds).
    """
    source.require(REQUIRED)
    memorization, metadata = read_table(source.tables["memorization"], "memorization")
    test, _ = read_table(source.tables["test"], "test")
    pairs, about_pairs = read_table(
        source.tables["influence"], "influence", columns=["test_index", "influence"]
    )
    influence = column(pairs, "influence")
    kept = np.float32(about_pairs["influence"]["keep_above"])
    strong = above(influence, INFLUENCE_ABOVE)
    values = column(memorization, "memorization")
    expected = {t: memorization_by_chance(memorization, t) for t in THRESHOLDS}
    by_chance = {t: None if n is None else n / len(values) for t, n in expected.items()}
    counts, carried = counts_of(memorization, test, about_pairs), None
    if counts is not None:
        everyone = np.ones(memorization.num_rows, bool)
        carried = float(counts.by_chance(everyone, INFLUENCE_ABOVE)[1].mean())
    return {
        "metadata": metadata,
        "n_train": memorization.num_rows,
        "n_test": test.num_rows,
        "n_pairs": int(np.count_nonzero(influence > kept)),
        "kept": about_pairs["influence"],
        "above": {t: float(np.mean(above(values, t))) for t in THRESHOLDS},
        "above_by_chance": by_chance,
        "se": _median(memorization, "memorization_se"),
        "carried": len(np.unique(column(pairs, "test_index")[strong])) / test.num_rows,
        "carried_by_chance": carried,
        "pairs_by_chance": pairs_by_chance(about_pairs),
        "memorization": memorization,
        "optional": [kind for kind in OPTIONAL if kind in source.tables],
    }


def _median(table: pa.Table, name: str) -> float:
    if table.column(name).null_count:
        return float("nan")
    return float(np.median(column(table, name)))


def description(source: Source, found: dict) -> list[tuple[str, str]]:
    """The facts of `facts` as pairs of a heading and a text."""
    metadata, info = found["metadata"], source.info
    recipe = metadata["recipe"]
    training = recipe.get("training", {})
    rows = [
        ("Data set", str(metadata.get("dataset", info.get("source", "not stated")))),
        ("Samples", f"{found['n_train']:,} training, {found['n_test']:,} test"),
    ]
    if info:
        shape = " x ".join(map(str, info["shape"]))
        rows.append(("Images", f"{shape}, {len(info['class_names'])} classes, {info['source']}"))
    rows.append(("Fingerprint", str(metadata["fingerprint"] or "none")))
    if "matched" in metadata:
        rows.append(("Matched", matched_text(metadata["matched"])))
    if "source" in recipe:
        rows.append(("Made by", str(recipe["source"])))
    rows.append(("Models", f"{recipe.get('trials', '?')} of {recipe.get('architecture', '?')}"))
    if "subset_ratio" in recipe:
        seed = f", seed {recipe['seed']}" if "seed" in recipe else ""
        rows.append(("Subsets", f"{recipe['subset_ratio']:.0%} of the training set{seed}"))
    if training:
        rows.append(
            (
                "Training",
                ", ".join(f"{key} {training[key]}" for key in _TRAINING if key in training),
            )
        )
    for name, what in (
        ("included", "samples trained on"),
        ("excluded", "samples left out"),
        ("test", "test samples"),
    ):
        if name in metadata.get("accuracies", {}):
            rows.append((f"Accuracy, {what}", f"{metadata['accuracies'][name]:.2%}"))
    if "converged" in metadata:
        rows.append(("Converged", "yes" if metadata["converged"] else "no"))
    if sentence := fit_sentence(metadata):
        rows.append(("Fit", sentence))
    for threshold, share in found["above"].items():
        text = f"{share:.1%} of the training samples"
        text += f", {_chance(found['above_by_chance'][threshold])}"
        rows.append((f"Memorization above {threshold:g}", text))
    se = found["se"]
    median = "not known" if np.isnan(se) else f"{se:.3f} (median)"
    rows.append(("Standard error", f"{median} {metadata.get('standard_errors', '')}".strip()))
    kept = found["kept"]
    pairs = "pairs of one class" if kept.get("pairs") == "same_class" else "pairs"
    if kept["keep_above"] >= 1:
        rows.append(("Influence", "not known"))
    else:
        rows.append(("Influence", f"{found['n_pairs']:,} {pairs} above {kept['keep_above']:g}"))
        by_chance = _chance(found["carried_by_chance"])
        text = f"on {found['carried']:.1%} of the test samples, {by_chance}"
        rows.append((f"Influence above {INFLUENCE_ABOVE:g}", text))
    if found["pairs_by_chance"]:
        rows.append(("Chance", found["pairs_by_chance"].replace("\u00a0", " ")))
    if found["optional"]:
        rows.append(("Also", ", ".join(found["optional"])))
    rows.append(("Made with", f"bat {metadata['package_version']}: {metadata['command']}"))
    return rows


def _chance(share: float | None) -> str:
    return "by chance not known" if share is None else f"{share:.1%} by chance"


_TRAINING = ("epochs", "batch_size", "lr", "schedule")


def matched_text(matched: dict) -> str:
    """How tables came to speak of a data set that they were not made on, in a sentence."""
    if "labels" in matched:
        labels = "with equal labels" if matched["labels"] else "with no labels to compare"
        return (
            f"by {matched['by']}, {labels}, from a list of {matched['n_train']:,} scores; that "
            "the images are the same was not checked"
        )
    return (
        f"by {matched['by']}, with equal labels, from tables of "
        f"{matched['n_train']:,} training and {matched['n_test']:,} test samples "
        + (
            f"of the data set with fingerprint {matched['fingerprint']}"
            if matched["fingerprint"]
            else "without a fingerprint"
        )
        + "; that the images are the same was not checked"
    )


def card(source: Source, found: dict, licence: str) -> str:
    """The card of an archive, in Markdown, from nothing but the tables' metadata."""
    rows = [("Licence", licence), *description(source, found)]
    dataset = for_markdown(str(found["metadata"].get("dataset", "a data set")))
    lines = [
        f"# Memorization and influence scores of {dataset}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {for_markdown(text)} |" for name, text in rows),
        "",
        "Memorization is the accuracy on a training sample of the models trained with it, minus",
        "that of the models trained without it; influence is the same difference on a test sample.",
        "Both lie in [-1, 1]; a high memorization is an atypical sample.",
        "",
        "```python",
        "import pandas as pd",
        'scores = pd.read_parquet("memorization.parquet")  # unzip the archive first',
        'print(scores.sort_values("memorization", ascending=False).head())',
        "```",
        "",
        "| file | rows | content |",
        "|---|---|---|",
        f"| memorization.parquet | {found['n_train']:,} | one per training sample, in order |",
        f"| influence.parquet | {found['n_pairs']:,} | one per kept pair of a training and a test "
        "sample |",
        f"| test.parquet | {found['n_test']:,} | one per test sample, in order |",
        *(f"| {FILE_NAMES[kind]} | | {_CONTENT[kind]} |" for kind in found["optional"]),
        "",
        "`dataset.json` says which images and labels these rows speak of, and its fingerprint is",
        "their sha256. `sha256sum -c SHA256SUMS` checks the files.",
        "",
    ]
    return "\n".join(lines)


_CONTENT = {
    **{name: SCORES[name].content for name in ENSEMBLE_SCORES},
    "proxies": "scores of single trainings",
    "convergence": "how the scores settle with the number of models",
}

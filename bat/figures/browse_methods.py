"""The page of all images with what each method of training gets right under attacks."""

from __future__ import annotations

from pathlib import Path

from bat.plan.catalogue import Entry
from bat.plan.inputs import runs_of
from bat.report.browse_content import gather
from bat.report.browse_methods import method_columns
from bat.report.browse_page import write_page
from bat.report.comparison import Comparison
from bat.report.writing import with_suffix

ENTRY = Entry(
    shows="the page of all images, with what each method keeps and loses under attacks",
    about=(
        "Every image of **{dataset}** with its scores, and of the test images what each method "
        "keeps and loses under each attack ({architecture}); one page that works without a network."
    ),
    scope="architecture",
    needs=("memorization", "influence", "test", "groups", "evaluations"),
    uses=("disagreement", "confidence", "proxies", "privacy"),
    runs=("configured", "external"),
    at="browse",
    files=("html",),
    beside="_files",
)


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write the page.

    Parameters
    ----------
    comparison : Comparison
        Of the data set and architecture.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The page, and where there are many images the files of them beside it.
    """
    content, prepared, orders = gather(comparison.folder)
    evaluations = comparison.evaluations(runs_of(ENTRY.runs, comparison.spec))
    attacks = comparison.spec["evaluation"]["attacks"]
    columns, choices = method_columns(evaluations, attacks, prepared.info["n_test"])
    content["splits"]["test"]["columns"] += columns
    content |= {"methods": choices, "architecture": comparison.architecture}
    return write_page(with_suffix(out, "html"), content, prepared, orders)

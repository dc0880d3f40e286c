"""The page of all images: what is memorized, what carries what, to look at and to filter."""

from __future__ import annotations

from pathlib import Path

from bat.plan.catalogue import Entry
from bat.report.browse_content import gather
from bat.report.browse_page import write_page
from bat.report.folder import Folder
from bat.report.writing import with_suffix

ENTRY = Entry(
    shows="a page of all images, to sort, filter and look at",
    about=(
        "Every image of **{dataset}** with its scores and the images that it carries or is "
        "carried by, to sort, filter and look at; one page that works without a network."
    ),
    needs=("memorization", "influence", "test", "groups"),
    uses=("disagreement", "confidence", "proxies", "privacy"),
    at="browse",
    files=("html",),
    beside="_files",
)


def write(folder: Folder, out: Path) -> list[Path]:
    """Write the page.

    Parameters
    ----------
    folder : Folder
        Of the data set.
    out : path
        Without suffix.

    Returns
    -------
    list of Path
        The page, and where there are many images the files of them beside it.
    """
    return write_page(with_suffix(out, "html"), *gather(folder))

"""The page of all images: what is memorized, what carries what, to look at and to filter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bat.plan.catalogue import Entry
from bat.report.browse_columns import packed, pairs_of, splits
from bat.report.browse_neighbours import nearest
from bat.report.browse_page import write_page
from bat.report.captions import provenance
from bat.report.folder import Folder
from bat.report.images import checked_images
from bat.report.saving import with_suffix

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
    prepared = folder.shown()
    (influence, _), (memorization, about) = (
        folder.scores(name) for name in ("influence", "memorization")
    )
    for split in ("train", "test"):
        images = getattr(prepared, f"{split}_images")
        checked_images(images, influence[f"{split}_index"], split)
    orders = {
        "train": np.argsort(-memorization["memorization"].to_numpy(), kind="stable"),
        "test": np.argsort(folder.scores("test")[0]["accuracy"].to_numpy(), kind="stable"),
    }
    neighbours, distance = nearest(prepared)
    content = {
        "dataset": folder.spec["dataset"],
        "note": provenance(about),
        "fingerprint": prepared.fingerprint,
        "splits": splits(folder, distance),
        "nearest": {
            "each": neighbours.shape[1],
            "index": packed(neighbours, "i4"),
            "distance": packed(distance, "f4"),
        },
        "pairs": pairs_of(influence, len(memorization)),
    }
    return write_page(with_suffix(out, "html"), content, prepared, orders)

"""All that the page of images shows of a data set, read once for every page of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from bat.data import PreparedData, read_names
from bat.report.browse_columns import packed, pairs_of, splits
from bat.report.browse_neighbours import nearest
from bat.report.captions import provenance, ranked_text, sentences
from bat.report.folder import Folder
from bat.report.images import checked_images


def gather(folder: Folder) -> tuple[dict[str, Any], PreparedData, dict[str, np.ndarray]]:
    """Read what the page shows.

    Parameters
    ----------
    folder : Folder
        Of the data set.

    Returns
    -------
    content, prepared, orders
        As `bat.report.browse_page.write_page` takes them.
    """
    prepared = folder.shown()
    (influence, _), (memorization, about) = (
        folder.scores(name) for name in ("influence", "memorization")
    )
    for split in ("train", "test"):
        images = getattr(prepared, f"{split}_images")
        checked_images(images, influence[f"{split}_index"], split)
    _, groups = folder.groups("train")
    orders = {
        "train": np.argsort(-memorization["memorization"].to_numpy(), kind="stable"),
        "test": np.argsort(folder.scores("test")[0]["accuracy"].to_numpy(), kind="stable"),
    }
    neighbours, distance = nearest(prepared)
    of_splits, names = splits(folder, distance), read_names(prepared) or {}
    for split, of_split in names.items():
        of_splits[split]["names"] = list(of_split)
    content = {
        "dataset": folder.spec["dataset"],
        "note": sentences(provenance(about), ranked_text(groups.get("thresholds", {}))),
        "fingerprint": prepared.fingerprint,
        "splits": of_splits,
        "nearest": {
            "each": neighbours.shape[1],
            "index": packed(neighbours, "i4"),
            "distance": packed(distance, "f4"),
        },
        "pairs": pairs_of(influence, len(memorization)),
    }
    return content, prepared, orders

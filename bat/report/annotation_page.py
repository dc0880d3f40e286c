"""The annotators' page: one HTML file that loads nothing and sends nothing.

Images are PNG data inside of it, and its content security policy lets it fetch
nothing. Answers stay in the browser (``localStorage``) until they are saved as
CSV.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from bat.escaping import for_html, plain


class Item(NamedTuple):
    """An image and the two class names beside it, in the order shown."""

    item: int
    image: np.ndarray  # (C, H, W) uint8, 1 or 3 channels
    first: str
    second: str


def page(sheet: str, dataset: str, items: Sequence[Item]) -> str:
    """Make the page.

    Parameters
    ----------
    sheet : str
        The sheet's name, which answers carry.
    dataset : str
        Shown on the first screen.
    items : sequence of Item
        In the order shown.

    Returns
    -------
    str
        HTML that holds nothing of the items but what is in them.
    """
    content = {
        "sheet": sheet,
        "items": [
            {
                "item": item.item,
                "image": png_uri(item.image),
                "names": [plain(item.first), plain(item.second)],
            }
            for item in items
        ],
    }
    # no tag of a class name may end the script
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    parts = {"DATASET": for_html(dataset), "COUNT": str(len(items)), "SHEET": text}
    # all at once: what is put in is not looked at again
    return re.sub("@(DATASET|COUNT|SHEET)@", lambda found: parts[found[1]], _template())


def _template() -> str:
    """The page, with ``@DATASET@``, ``@COUNT@`` and ``@SHEET@`` where these go."""
    return files("bat.report").joinpath("annotation.html").read_text(encoding="utf-8")


def png_uri(image: np.ndarray) -> str:
    """An image, uint8 of shape (C, H, W), as a data URI."""
    from PIL import Image

    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

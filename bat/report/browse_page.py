"""The page of all images: one HTML file that asks nothing of any other machine.

Its parts lie in ``browse/``. Scripts are modules there; in the page each is a function, which
takes what it imports from those before it.
"""

from __future__ import annotations

import base64
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from bat.data import PreparedData
from bat.escaping import for_html, plain
from bat.files import write_bytes
from bat.report.browse_columns import packed
from bat.report.browse_sheets import layout, sheets

SCRIPTS = (
    "data",
    "text",
    "address",
    "order",
    "sheets",
    "grid",
    "detail",
    "filters",
    "methods",
    "compare",
    "export",
    "review",
    "main",
)
"""The page's scripts, each after those that it needs."""

IN_PAGE = 20_000
"""Images up to this number lie in the page itself, more in a folder beside it."""


def write_page(
    path: Path, content: dict[str, Any], prepared: PreparedData, orders: dict[str, np.ndarray]
) -> list[Path]:
    """Write the page, and beyond `IN_PAGE` images their sheets beside it.

    Parameters
    ----------
    path : path
        ``browse.html``; sheets lie in ``browse_files``, which holds no others afterwards.
    content : dict
        What the scripts read, from `bat.report.browse_content.gather`.
    prepared : PreparedData
        The images.
    orders : dict of ndarray
        By split, the images in the order in which they are likely looked at.

    Returns
    -------
    list of Path
        The files written.
    """
    beside = prepared.info["n_train"] + prepared.info["n_test"] > IN_PAGE
    folder = path.with_name(f"{path.stem}_files")
    folder.mkdir(parents=True, exist_ok=True)  # the workflow expects it of every page
    for old in folder.glob("*.png"):
        old.unlink()
    written, content = [], content | {"classes": [plain(name) for name in prepared.class_names]}
    for split, order in orders.items():
        images, addresses = getattr(prepared, f"{split}_images"), []
        for number, sheet in enumerate(sheets(images, order)):
            if beside:
                place = folder / f"{split}-{number:03d}.png"
                write_bytes(place, sheet)
                written.append(place)
                addresses.append(f"{folder.name}/{place.name}")
            else:
                addresses.append("data:image/png;base64," + base64.b64encode(sheet).decode())
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        content["splits"][split]["sheets"] = layout(prepared.shape) | {
            "addresses": addresses,
            "place": packed(rank, "i4"),
        }
    write_bytes(path, html(content, beside=beside).encode())
    return [path, *written]


def html(content: dict[str, Any], *, beside: bool = False) -> str:
    """The page's text.

    Parameters
    ----------
    content : dict
        Plain values, as ``data.js`` reads them.
    beside : bool
        Whether sheets lie in files beside the page, which it may then read.
    """
    # no tag in a name may end the script
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    title = ", ".join(content[key] for key in ("dataset", "architecture") if key in content)
    parts = {
        "TITLE": for_html(title),
        "NOTE": for_html(content["note"]),
        "IMAGES": "data: 'self' file:" if beside else "data:",
        "STYLE": _read("style.css"),
        "SCRIPT": script(),
        "CONTENT": text,
    }
    names = "|".join(parts)
    # all at once: what is put in is not looked at again
    return re.sub(f"@({names})@", lambda found: parts[found[1]], _read("page.html"))


def script() -> str:
    """All scripts as one, each within a function that gives what it exports."""
    return "\n".join(["const modules = {};", *map(_as_function, SCRIPTS)])


def _as_function(name: str) -> str:
    text = re.sub(
        r'^import (\{[^}]*\}) from "\./(\w+)\.js";$',
        r"const \1 = modules.\2;",
        _read(f"{name}.js"),
        flags=re.MULTILINE,
    )
    exported = re.findall(r"^export (?:const|class|function) (\w+)", text, re.MULTILINE)
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f"modules.{name} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();"


def _read(name: str) -> str:
    return files("bat.report").joinpath("browse", name).read_text(encoding="utf-8")

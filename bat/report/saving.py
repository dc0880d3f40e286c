"""Figures to files: PDF and PNG with their caption, beside the values that they draw."""

import io
import textwrap
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from bat.escaping import plain
from bat.files import write_bytes
from bat.report.fonts import drawable, is_own
from bat.report.style import styled
from bat.report.writing import csv_text, with_suffix


@styled
def save_figure(
    fig: Figure,
    path_without_suffix: str | Path,
    table: pd.DataFrame,
    caption: str,
    *,
    more_tables: Mapping[str, pd.DataFrame] | None = None,
) -> list[Path]:
    """Save a figure as PDF and PNG beside the values that it draws.

    The caption is printed under the figure and kept in the files' metadata
    (PDF subject, PNG description). Equal input gives equal bytes: no file holds
    a date. All files are made before the first is written, and each takes its
    place atomically.

    Parameters
    ----------
    fig : Figure
        Left as it was.
    path_without_suffix : path-like
        Gives ``<path>.pdf``, ``<path>.png`` and ``<path>.csv``.
    table : DataFrame
        The values drawn.
    caption : str
        What is shown, with n, seeds, and what bands are.
    more_tables : mapping of str to DataFrame, optional
        Further values drawn, each written to ``<path>_<name>.csv``.

    Returns
    -------
    list of Path
        The files written.
    """
    caption = plain(caption)
    tables = {"": table} | {f"_{name}": more for name, more in (more_tables or {}).items()}
    base = Path(path_without_suffix)
    files = {
        with_suffix(base, "pdf"): _rendered(
            fig, caption, "pdf", {"Subject": caption, "CreationDate": None, "Producer": None}
        ),
        with_suffix(base, "png"): _rendered(
            fig, caption, "png", {"Description": caption, "Software": None}
        ),
    }
    for name, values in tables.items():
        files[with_suffix(base.with_name(base.name + name), "csv")] = csv_text(values).encode()
    for path, content in files.items():
        write_bytes(path, content)
    return list(files)


def _rendered(fig: Figure, caption: str, kind: str, metadata: dict) -> bytes:
    """The file's bytes, with the caption under the figure."""
    width, height = fig.get_size_inches()
    text = fig.text(
        0,
        -0.08 / height,
        drawable(textwrap.fill(caption, int(width * 19.5))),  # characters of 7 points
        fontsize=7,
        color="#333333",
        va="top",
        linespacing=1.35,
    )
    buffer = io.BytesIO()
    # fonts of others as shapes: Matplotlib embeds those with cubic outlines as what they are not
    own = all(is_own(drawn.get_text()) for drawn in fig.findobj(Text))
    try:
        with matplotlib.rc_context({} if own else {"pdf.fonttype": 3}):
            fig.savefig(
                buffer,
                format=kind,
                dpi=200,
                metadata=metadata,
                bbox_inches="tight",
                pad_inches=0.06,
            )
    finally:
        text.remove()
    return buffer.getvalue()

"""Tables to files: CSV for programs, Markdown and LaTeX for readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bat.errors import BatError
from bat.escaping import for_csv, for_latex, for_markdown
from bat.files import write_bytes


class Part(NamedTuple):
    """A table for readers: its caption, its cells, and which of them are set in bold."""

    caption: str
    cells: pd.DataFrame
    marked: pd.DataFrame | None = None  # bool, of the same shape


def csv_text(frame: pd.DataFrame) -> str:
    """The values of a table as CSV, at full precision."""
    shown = frame.rename(columns=lambda name: for_csv(str(name)))
    texts = shown.select_dtypes(exclude=["number", "bool"]).columns
    for name in texts:  # numbers keep their type, and so their digits
        shown[name] = shown[name].map(
            lambda value: for_csv(value) if isinstance(value, str) else value
        )
    return shown.to_csv(index=False, lineterminator="\n")


def markdown_text(
    frame: pd.DataFrame, caption: str, digits: int = 3, marked: pd.DataFrame | None = None
) -> str:
    """A table as Markdown, its caption above it; ``marked`` cells are bold."""
    columns = [for_markdown(str(name)) for name in frame.columns]
    rules = ["---:" if numeric else ":---" for numeric in _numeric(frame)]
    cells = _cells(frame, digits, marked, for_markdown, "**{}**")
    lines = ["| " + " | ".join(row) + " |" for row in [columns, rules, *cells]]
    return "\n".join([for_markdown(caption), "", *lines, ""])


def latex_text(
    frame: pd.DataFrame, caption: str, digits: int = 3, marked: pd.DataFrame | None = None
) -> str:
    """A table as a LaTeX float (package booktabs); ``marked`` cells are bold."""
    columns = [for_latex(str(name)) for name in frame.columns]
    cells = _cells(frame, digits, marked, for_latex, r"\textbf{{{}}}")
    rows = [" & ".join(row) + r" \\" for row in [columns, *cells]]
    align = "".join("r" if numeric else "l" for numeric in _numeric(frame))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{for_latex(caption)}}}",
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


def _cells(
    frame: pd.DataFrame,
    digits: int,
    marked: pd.DataFrame | None,
    escaped: Callable[[str], str],
    bold: str,
) -> list[list[str]]:
    """The cells for readers, row by row."""
    flags = np.zeros(frame.shape, bool) if marked is None else marked.to_numpy(bool)
    return [
        [
            bold.format(text) if flag else text
            for flag, text in zip(
                of_row, (escaped(_text(value, digits)) for value in row), strict=True
            )
        ]
        for of_row, row in zip(flags, frame.itertuples(index=False, name=None), strict=True)
    ]


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


def write_shown(
    table: pd.DataFrame, shown: pd.DataFrame, path_without_suffix: Path, caption: str
) -> list[Path]:
    """Write a table for programs (CSV), and what readers are shown of it (Markdown, LaTeX)."""
    return write_parts(table, [Part(caption, shown)], path_without_suffix)


def write_parts(
    table: pd.DataFrame, parts: Sequence[Part], path_without_suffix: Path
) -> list[Path]:
    """Write a table for programs (CSV), and for readers several that show it, one below another."""
    files = write_table_files(table, path_without_suffix, "", formats=("csv",))
    for suffix, text_of in (("md", markdown_text), ("tex", latex_text)):
        texts = [text_of(part.cells, part.caption, marked=part.marked) for part in parts]
        path = with_suffix(path_without_suffix, suffix)
        write_bytes(path, "\n".join(texts).encode())
        files.append(path)
    return files

"""Tables as CSV, Markdown and LaTeX."""

import io

import numpy as np
import pandas as pd
import pytest

from bat.errors import BatError
from bat.report.writing import csv_text, latex_text, markdown_text, write_table_files


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "name": ["a|b_1", "5 % ± 1"],
            "value": [0.1 + 0.2, np.nan],
            "size": [1000, 2],
            "ok": [True, False],
        }
    )


def test_csv_keeps_every_digit(frame):
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(csv_text(frame))), frame)


def test_markdown(frame):
    lines = markdown_text(frame, "What it is.", digits=2).splitlines()
    assert lines == [
        "What it is.",
        "",
        "| name | value | size | ok |",
        "| :--- | ---: | ---: | :--- |",
        "| a\\|b_1 | 0.30 | 1000 | yes |",
        "| 5 % ± 1 | – | 2 | no |",
    ]


def test_latex_escapes(frame):
    text = latex_text(frame, "50 % & more", digits=1)
    assert r"\caption{50 \% \& more}" in text
    assert r"\begin{tabular}{lrrl}" in text
    assert r"a|b\_1 & 0.3 & 1000 & yes \\" in text
    assert r"5 \% $\pm$ 1 & -- & 2 & no \\" in text


def test_write_table_files(frame, tmp_path):
    written = write_table_files(frame, tmp_path / "new" / "eps0.1", "C.", ("csv", "tex"))
    assert [path.name for path in written] == ["eps0.1.csv", "eps0.1.tex"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "eps0.1.csv",
        "eps0.1.tex",
    ]
    assert written[0].read_text() == csv_text(frame)
    with pytest.raises(BatError, match="'xlsx' is not a table format"):
        write_table_files(frame, tmp_path / "x", "C.", ("xlsx",))

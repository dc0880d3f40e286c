"""What the system does not let us open ends in words that name it, in no traceback."""

import errno
import os

import pytest

from bat.__main__ import main
from bat.tables import paper_page


@pytest.mark.parametrize("number", [errno.EACCES, errno.EISDIR, errno.EIO, errno.ESTALE])
def test_a_file_that_cannot_be_reached_is_named(tmp_path, monkeypatch, capsys, number):
    def refuse(results, out):
        raise OSError(number, os.strerror(number), str(tmp_path / "table\n.csv"))

    monkeypatch.setattr(paper_page, "write", refuse)
    assert main(["paper", "--results", str(tmp_path), "--out", str(tmp_path / "page.md")]) == 2
    said = capsys.readouterr().err
    assert f"table\\n.csv: cannot be reached ({os.strerror(number)}); allow reading" in said


def test_other_errors_of_the_system_are_not_taken_for_it(tmp_path, monkeypatch):
    def fail(results, out):
        raise OSError("no file's")

    monkeypatch.setattr(paper_page, "write", fail)
    with pytest.raises(OSError, match="no file's"):
        main(["paper", "--results", str(tmp_path), "--out", str(tmp_path / "page.md")])

"""Lists of samples as people write them."""

import os

import pytest

from bat.errors import BatError
from bat.files.indices import indices_digest, read_indices


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("3\n1\n", [1, 3]),
        ("\ufeffindex\r\n10\r\n2\r\n\r\n", [2, 10]),
        ("label,index\ncat, 4\ndog,0\n", [0, 4]),
    ],
)
def test_lists_are_read_with_or_without_a_header(text, indices, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_indices(path, 11) == indices
    assert indices_digest(read_indices(path)) == indices_digest(indices[::-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no samples; expected positions"),
        ("index\n", "lists no samples"),
        ("1\n-2\n", r"line 2: '-2' is no position"),
        ("1\n2.5\n", r"line 2: '2\.5' is no position"),
        ("name\n1\n", r"line 1: 'name' is no position"),
        ("index,label\n1,2\n\n1,3\n", "line 4: sample 1 stands in line 2 already"),
        ("index\n9\n10\n", r"line 3: there is no sample 10 among the 10 training samples"),
        ("a,b\n1,2\n", "has the columns a, b, and none is index"),
        (b"\xff\xfe1", "is no CSV in UTF-8"),
        ("9" * 5000, "line 1: '9{40}' is no position"),
        ("index,index\n1,2\n", "has two columns index"),
        ("index,verdict\n1,keep\n2,wrong\n", "has a column verdict, .* `data: {drop: FILE}`"),
        ("split,index\ntrain,1\ntest,1\n", "line 3: is of the split 'test', expected train"),
        (None, "the file does not exist"),
    ],
)
def test_what_is_no_list_is_refused_by_name(text, message, tmp_path):
    path = tmp_path / "list.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BatError, match=f"list\\.csv: {message}"):
        read_indices(path, 10)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(BatError, match="is a named pipe, expected a file"):
        read_indices(tmp_path / "list.csv")

"""JSON: read with care, refused by name."""

import os

import pytest

from bat import files
from bat.errors import ArtifactError
from bat.files import read_json, read_table, write_json


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("content", [b'{"a": ', b"\xff\xfe", b""])
def test_unreadable_json_is_named(tmp_path, content):
    path = tmp_path / "spec.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"spec\.json: not a readable JSON"):
        read_json(path)
    with pytest.raises(ArtifactError, match=r"none\.json: the file does not exist"):
        read_json(tmp_path / "none.json")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read in (files.read_json, files.sha256_of):
        with pytest.raises(ArtifactError, match="pipe: is a named pipe, expected a file"):
            read(tmp_path / "pipe")
    with pytest.raises(ArtifactError, match="pipe: is a named pipe"):
        read_table(tmp_path / "pipe", "groups")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match="nested deeper"):
        files.read_json(tmp_path / "deep.json")

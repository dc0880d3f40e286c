"""JSON: read with care, refused by name."""

import errno
import os

import pytest

from bat import files
from bat.errors import ArtifactError
from bat.files import check_label, read_json, read_table, write_json, write_label
from bat.reading import lies_there


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


def test_what_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "table.parquet"
    path.write_text("x")
    monkeypatch.setattr(os, "access", lambda *asked: False)
    with pytest.raises(ArtifactError, match=r"table\.parquet: cannot be read \(no permission\)"):
        read_table(path, "groups")


def test_what_lies_there_is_told_from_what_cannot_be_seen(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("nowhere")
    assert lies_there(tmp_path / "link")
    assert not lies_there(tmp_path / "none")

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(PermissionError):
        lies_there(tmp_path / "none")


def test_a_link_that_leads_nowhere_is_named_as_one(tmp_path):
    (tmp_path / "table.parquet").symlink_to("nowhere")
    found = r"table\.parquet: is a link that leads to no file \(nowhere\); put"
    for read in (files.read_json, files.sha256_of, lambda path: read_table(path, "groups")):
        with pytest.raises(ArtifactError, match=found):
            read(tmp_path / "table.parquet")


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("a\n1\n")
    write_label(path, fingerprint="ours", inputs={"trials": "these"})
    return path


def test_a_label_is_of_its_file_data_and_inputs(labelled):
    check_label(labelled)
    check_label(labelled, "ours", {"trials": "these", "unsaid": "x"})
    with pytest.raises(ArtifactError, match=r"rates\.csv: is not the file that rates\.json"):
        check_label(labelled, "another")
    with pytest.raises(ArtifactError, match=r"rates\.csv: it was made of other trials"):
        check_label(labelled, "ours", {"trials": "others"})
    labelled.write_text("a\n2\n")
    with pytest.raises(ArtifactError, match="is not the file"):
        check_label(labelled)
    labelled.with_suffix(".json").unlink()
    check_label(labelled, "another")


def test_a_label_that_leads_nowhere_or_is_none_of_ours_is_refused(labelled):
    label = labelled.with_suffix(".json")
    write_json(label, {"inputs": "text", "fingerprint": "ours"})
    with pytest.raises(ArtifactError, match=r"rates\.json: inputs is 'text', expected a mapping"):
        check_label(labelled, "ours", {"trials": "these"})
    label.unlink()
    label.symlink_to("nowhere")
    with pytest.raises(ArtifactError, match=r"rates\.json: is a link that leads to no file"):
        check_label(labelled)


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

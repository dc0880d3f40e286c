"""Files between stages: whole or not there, and never silently wrong."""

import contextlib
import errno
import json
import os
import resource
import stat
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bat
from bat.files import artifacts, tables
from bat.files.artifacts import (
    ArtifactError,
    atomic_path,
    read_json,
    read_metadata,
    read_table,
    write_bytes,
    write_json,
    write_table,
)

PROVENANCE = {"fingerprint": "f" * 64, "recipe": {"seed": 7, "ratio": 0.7}, "command": "a test"}


def trial_columns(n: int = 3, n_bytes: int = 60) -> dict:
    rng = np.random.default_rng(0)
    masks = ("included", "train_correct", "test_correct")
    accuracies = ("included_accuracy", "excluded_accuracy", "test_accuracy", "seconds")
    return {
        "trial": range(n),
        "seed": [7] * n,
        **{name: [rng.bytes(n_bytes) for _ in range(n)] for name in masks},
        **{name: rng.random(n) for name in accuracies},
        "device": ["cpu"] * n,
        "probabilities": [rng.bytes(40), *[None] * (n - 1)],
    }


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard.parquet"
    write_table(path, "trials", trial_columns(), **PROVENANCE)
    return path


# -- writing --------------------------------------------------------------------------------


def test_table_comes_back_with_its_provenance(tmp_path):
    path = tmp_path / "new" / "folder" / "c.parquet"
    columns = {"index": [0, 1], "label": [3, 4], "confidence": [0.1, np.nan]}
    write_table(path, "confidence", columns, **PROVENANCE, accuracies={"test": 0.5})
    table, metadata = read_table(path, "confidence", fingerprint="f" * 64)
    assert table.schema.equals(artifacts.SCHEMAS["confidence"])
    assert artifacts.column(table, "label").tolist() == [3, 4]
    assert metadata.pop("content").keys() == columns.keys()
    assert metadata == {
        "format_version": 1,
        "kind": "confidence",
        "package_version": bat.__version__,
        **PROVENANCE,
        "identity": {},
        "inputs": {"data": "f" * 64},
        "accuracies": {"test": 0.5},
    }
    assert list(pq.read_schema(path).metadata) == [b"bat"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, contents = tmp_path / "file", [bytes([i]) * 300_000 for i in range(2)]
    write_bytes(path, contents[0])
    stop, seen = threading.Event(), set()

    def write():
        for i in range(40):
            write_bytes(path, contents[i % 2])
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        seen.add(path.read_bytes())
    writer.join()
    assert seen <= set(contents)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_modes_follow_the_umask(tmp_path):
    previous = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(previous)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@contextlib.contextmanager
def files_of_at_most(n_bytes: int):
    """A limit that the system enforces at write, as a full disk does."""
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, previous[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)


def check_failing_write(path, n_bytes):
    before = path.read_bytes()
    with pytest.raises(ArtifactError, match="as it was before") as caught:
        write_table(path, "trials", trial_columns(50, n_bytes), **PROVENANCE)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    read_table(path, "trials")


def test_a_write_that_the_system_cuts_short_leaves_the_old_file(shard):
    with files_of_at_most(20_000):
        check_failing_write(shard, 1000)


def test_a_full_disk_leaves_the_old_file(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        path = mount / "shard.parquet"
        write_table(path, "trials", trial_columns(), **PROVENANCE)
        check_failing_write(path, 10_000)
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"file/below: cannot be written"):
        write_bytes(tmp_path / "file" / "below", b"")


# -- JSON -----------------------------------------------------------------------------------


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


# -- damage ---------------------------------------------------------------------------------


def test_a_flipped_bit_is_an_error_or_changes_nothing(shard):
    content = shard.read_bytes()
    table, metadata = read_table(shard, "trials")
    rng = np.random.default_rng(1)
    json_start = content.index(b'{"format_version')  # no checksum of Parquet's covers these
    offsets = np.concatenate(
        [
            rng.choice(len(content), 500, replace=False),
            rng.choice(np.arange(json_start, json_start + 200), 100, replace=False),
        ]
    )
    damaged = shard.with_name("damaged.parquet")
    refused = 0
    for offset in offsets:
        flipped = bytearray(content)
        flipped[offset] ^= 1 << rng.integers(8)
        damaged.write_bytes(flipped)
        try:
            found, facts = read_table(damaged, "trials")
        except ArtifactError as error:
            assert "damaged.parquet" in str(error)
            refused += 1
            continue
        assert found.equals(table), f"bit flip in byte {offset} changed values silently"
        assert {key: facts.get(key) for key in metadata} == metadata, f"byte {offset}"
    assert refused > 250


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_truncated_file_is_named(shard, kept):
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"shard\.parquet: damaged"):
        read_table(shard, "trials")


# -- what does not belong -------------------------------------------------------------------


def test_missing_file_and_wrong_kind(shard):
    with pytest.raises(ArtifactError, match="does not exist"):
        read_table(shard.with_name("none.parquet"), "trials")
    with pytest.raises(ArtifactError, match="kind 'trials', expected 'test'"):
        read_table(shard, "test")


def test_another_data_set(shard):
    with pytest.raises(ArtifactError, match="other images, labels, or order") as caught:
        read_table(shard, "trials", fingerprint="0" * 64)
    assert "f" * 64 in str(caught.value)
    assert "0" * 64 in str(caught.value)


def rewrite(path, table=None, **changes):
    """Write the file again with other metadata, as a newer or foreign program would."""
    table = pq.read_table(path) if table is None else table
    metadata = read_metadata(path, "trials") | changes
    pq.write_table(table.replace_schema_metadata({"bat": json.dumps(metadata)}), path)


def test_newer_format(shard):
    rewrite(shard)  # metadata without a checksum are ours too
    read_table(shard, "trials")
    rewrite(shard, format_version=artifacts.FORMAT_VERSION + 1)
    with pytest.raises(ArtifactError, match="install a newer version"):
        read_table(shard, "trials")


def test_a_table_without_our_key(shard):
    pq.write_table(pa.table({"a": [1]}), shard)
    with pytest.raises(ArtifactError, match="has no 'bat' key"):
        read_table(shard, "trials")


def test_other_columns(shard):
    rewrite(shard, pq.read_table(shard).drop_columns("seconds"))
    with pytest.raises(ArtifactError, match="has columns") as caught:
        read_table(shard, "trials")
    assert "seconds: double" in str(caught.value)


def test_only_the_columns_that_are_asked_for(shard):
    table, _ = read_table(shard, "trials", columns=["trial", "seconds"])
    assert table.column_names == ["trial", "seconds"]


def test_a_small_file_of_very_many_rows_is_not_read(tmp_path, monkeypatch):
    n, path = 200_000, tmp_path / "groups.parquet"
    columns = {"index": [0] * n, "typical": [True] * n, "atypical": [False] * n}
    write_table(path, "groups", columns, fingerprint="f" * 64, recipe={}, command="a test")
    assert read_table(path, "groups")[0].num_rows == n  # as large as memory may well hold
    monkeypatch.setattr(tables, "SMALL", 1 << 10)
    monkeypatch.setattr(tables, "MAX_GROWTH", 100)
    with pytest.raises(ArtifactError, match=r"groups\.parquet: claims 200,000 rows in"):
        read_table(path, "groups")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read in (artifacts.read_json, artifacts.sha256_of):
        with pytest.raises(ArtifactError, match="pipe: is a named pipe, expected a file"):
            read(tmp_path / "pipe")
    with pytest.raises(ArtifactError, match="pipe: is a named pipe"):
        read_table(tmp_path / "pipe", "groups")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match="nested deeper"):
        artifacts.read_json(tmp_path / "deep.json")


# -- killed writers, and folders that are not disks -----------------------------------------


def temporary_names(folder):
    return sorted(path.name for path in folder.glob(".*.tmp"))


def test_leftovers_of_killed_writers_go_and_live_writers_stay(tmp_path):
    code = (
        "import sys, time\nfrom bat.files.artifacts import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t:\n    t.write_bytes(b'half'); print(flush=True)\n"
        "    time.sleep(60)\n"
    )
    path = tmp_path / "resume.pt"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for writer in writers:
        writer.stdout.readline()
    assert len(temporary_names(tmp_path)) == 2
    writers[0].kill()
    writers[0].wait()
    (tmp_path / ".resume.pt.w8f2.tmp").touch()  # of version 0.1.0
    (tmp_path / ".resume.pt.elsewhere~w8f2.tmp").touch()  # another machine may be writing it
    (tmp_path / ".other.pt.w8f2.tmp").touch()
    artifacts.write_bytes(path, b"whole")
    left = temporary_names(tmp_path)
    assert len(left) == 3
    assert {".resume.pt.elsewhere~w8f2.tmp", ".other.pt.w8f2.tmp"} < set(left)
    writers[1].kill()
    for writer in writers:
        writer.wait()
        writer.stdout.close()
    os.utime(tmp_path / ".resume.pt.elsewhere~w8f2.tmp", (1, 1))
    artifacts.remove_leftovers(tmp_path)
    assert temporary_names(tmp_path) == []
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("refused", ["fsync", "chmod"])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EPERM])
def test_a_share_that_refuses_fsync_or_chmod_is_written_to(tmp_path, monkeypatch, refused, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, refused, refuse)
    artifacts.write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_what_failed_after_the_replacement_is_said_so(tmp_path, monkeypatch):
    sync = os.fsync

    def fails(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(ArtifactError, match=r"file: written, but .*Input/output error"):
        artifacts.write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"

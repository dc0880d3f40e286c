"""Files are written whole or not at all."""

import contextlib
import errno
import io
import os
import resource
import stat
import subprocess
import sys
import threading

import pytest
import torch
from shards import PROVENANCE, trial_columns

from bat import files
from bat.errors import ArtifactError
from bat.files import atomic_path, read_table, tensors, write_bytes, write_table


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


class SmallDisk(io.FileIO):
    """A file on a disk that takes so many bytes and no more."""

    left = 9_000

    def write(self, content):
        if len(content) > self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= len(content)
        return super().write(content)


@pytest.mark.parametrize("left", [0, 100, 9_000])
def test_tensors_that_a_full_disk_does_not_take_are_named(tmp_path, monkeypatch, left):
    monkeypatch.setattr(SmallDisk, "left", left)
    monkeypatch.setattr(tensors, "open", SmallDisk, raising=False)
    path = tmp_path / "best.pt"
    path.write_bytes(b"old")
    with pytest.raises(ArtifactError, match=r"best\.pt: writing failed \(No space .*Free some"):
        tensors.write_torch(path, {name: torch.zeros(1000) for name in "abcde"})
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["best.pt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"file/below: cannot be written"):
        write_bytes(tmp_path / "file" / "below", b"")


def temporary_names(folder):
    return sorted(path.name for path in folder.glob(".*.tmp"))


def test_leftovers_of_killed_writers_go_and_live_writers_stay(tmp_path):
    code = (
        "import sys, time\nfrom bat.files import atomic_path\n"
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
    files.write_bytes(path, b"whole")
    left = temporary_names(tmp_path)
    assert len(left) == 3
    assert {".resume.pt.elsewhere~w8f2.tmp", ".other.pt.w8f2.tmp"} < set(left)
    writers[1].kill()
    for writer in writers:
        writer.wait()
        writer.stdout.close()
    os.utime(tmp_path / ".resume.pt.elsewhere~w8f2.tmp", (1, 1))
    files.remove_leftovers(tmp_path)
    assert temporary_names(tmp_path) == []
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("refused", ["fsync", "chmod"])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EPERM])
def test_a_share_that_refuses_fsync_or_chmod_is_written_to(tmp_path, monkeypatch, refused, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, refused, refuse)
    files.write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_what_failed_after_the_replacement_is_said_so(tmp_path, monkeypatch):
    sync = os.fsync

    def fails(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(ArtifactError, match=r"file: written, but .*Input/output error"):
        files.write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"

"""Zips that are made to do harm: refused by name, soon, before a byte of them is read."""

import io
import random
import stat
import struct
import warnings
import zipfile

import numpy as np
import pytest

from bat.errors import ArtifactError, BatError
from bat.files.zips import DAMAGED, Limits, open_zip
from bat.reading import read_array
from bat.sharing import published
from bat.sharing.published import read_published

LIMITS = Limits(members=1000, size=1 << 24, member_size=1 << 23)


def members(*given, method=zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name, content, change of the entry) in memory."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content, change in given:
            member = zipfile.ZipInfo("x")
            member.filename, member.compress_type = name, method
            for key, value in change.items():
                setattr(member, key, value)
            archive.writestr(member, content)
    return buffer.getvalue()


def opened(path, content, limits=LIMITS) -> str | None:
    """Why a zip is refused; None where it is read to its end."""
    path.write_bytes(content)
    try:
        with open_zip(path, limits, BatError) as archive:
            for member in archive.infolist():
                archive.read(member)
    except BatError as error:
        assert str(path) in str(error)
        assert all(c.isprintable() for c in str(error))
        return str(error)
    return None


def mode(bits):
    return {"external_attr": bits << 16}


HARMFUL = {
    "absolute": [("/etc/passwd", b"", {})],
    "parent": [("a/../../b", b"", {})],
    "parent at the end": [("a/..", b"", {})],
    "backslash": [("a\\b", b"", {})],
    "drive": [("C:b", b"", {})],
    "share": [("//host/b", b"", {})],
    "dot": [("./b", b"", {})],
    "empty part": [("a//b", b"", {})],
    "control": [("a\x1b[31mb", b"", {})],
    "newline": [("a\nb", b"", {})],
    "direction": [("a\u202eb", b"", {})],
    "long": [("a" * 300, b"", {})],
    "deep": [("a/" * 40 + "b", b"", {})],
    "link": [("b", b"/etc/passwd", mode(stat.S_IFLNK | 0o777))],
    **{
        kind: [("b", b"", mode(bits))]
        for kind, bits in (
            ("pipe", stat.S_IFIFO),
            ("device", stat.S_IFCHR),
            ("disk", stat.S_IFBLK),
            ("socket", stat.S_IFSOCK),
        )
    },
    "twice": [("b", b"1", {}), ("b", b"2", {})],
    "capitals": [("b", b"1", {}), ("B", b"2", {})],
    "file and folder": [("b", b"1", {}), ("b/c", b"2", {})],
    "large": [("b", bytes(1 << 24), {})],
    "bomb": [("b", bytes(1 << 22), {})],
    "many": [(f"{i}", b"", {}) for i in range(1001)],
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_harmful_member_is_refused(tmp_path, kind):
    assert opened(tmp_path / "a.zip", members(*HARMFUL[kind])), kind


def test_what_is_not_harmful_is_read(tmp_path):
    good = [("a/", b"", mode(stat.S_IFDIR | 0o755)), ("a/b", b"1" * 1000, mode(0o100644))]
    assert opened(tmp_path / "a.zip", members(*good, ("Straße 学习", b"", {}))) is None
    assert opened(tmp_path / "a.zip", b"prefix" + members(*good)) is None


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(tmp_path, method):
    assert "deflate" in opened(tmp_path / "a.zip", members(("b", b"1", {}), method=method))


def test_encrypted_members_are_refused(tmp_path):
    content = bytearray(members(("b", b"1", {})))
    content[content.index(b"PK\1\2") + 8] |= 1
    assert "encrypted" in opened(tmp_path / "a.zip", content)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """As in the bombs that need no nesting: many entries, one block of data."""
    content = members(*[(name, b"1" * 100, {}) for name in "abcd"], method=zipfile.ZIP_STORED)
    content = bytearray(content)
    entries = [at for at in range(len(content)) if content[at : at + 4] == b"PK\1\2"]
    for at in entries[1:]:
        content[at + 42 : at + 46] = struct.pack("<L", 0)
    assert "overlap" in opened(tmp_path / "a.zip", content)


@pytest.mark.parametrize("stated", [1, 1 << 22, (1 << 32) - 2])
def test_sizes_that_are_not_so(tmp_path, stated):
    content = bytearray(members(("b", b"1" * 5000, {})))
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<L", stated)
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    try:
        with open_zip(path, LIMITS, BatError) as archive:
            archive.read("b")
    except (BatError, *DAMAGED):
        return
    pytest.fail("read")


def test_200_000_members_are_refused_before_they_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZipFile", None)
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", 6) + bytes(16)
    directory = b"".join(entry + f"{i:06}".encode() for i in range(200_000))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(directory), 0, 0)
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 200_000, 200_000, len(directory), 0
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(directory), 1)
    hidden = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, len(directory), 0, 0)
    for tail, limit in ((record + locator + end, 150_000), (hidden, 1000)):
        found = opened(tmp_path / "a.zip", directory + tail, Limits(limit, 1 << 24, 1 << 23))
        assert found and "members" in found


def test_damage_of_every_kind_is_an_error_of_ours(tmp_path):
    content = members(*[(name, name.encode() * 30, {}) for name in ("a/x", "a/y", "b")])
    directory, rng = content.index(b"PK\1\2"), random.Random(0)
    for number in range(600):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 5])):
            at = rng.randrange(directory if number % 3 else 0, len(damaged))
            damaged[at] = rng.choice([0, 255, rng.randrange(256)])
        if number % 10 == 0:
            del damaged[rng.randrange(len(damaged)) :]
        path = tmp_path / "a.zip"
        path.write_bytes(damaged)
        try:
            with open_zip(path, LIMITS, BatError) as archive:
                for member in archive.infolist():
                    try:
                        archive.read(member)
                    except DAMAGED:
                        continue
        except BatError:
            continue


# -- arrays ---------------------------------------------------------------------------------


def npy(header: str, values=b"", version=b"\1\0") -> bytes:
    size = struct.pack("<H" if version == b"\1\0" else "<L", len(header) + 1)
    return b"\x93NUMPY" + version + size + header.encode() + b"\n" + values


CLAIM = "{{'descr': {}, 'fortran_order': False, 'shape': {}}}"
WRONG = {
    "745 GiB": npy(CLAIM.format("'<f8'", "(100000000000,)"), bytes(80)),
    "beyond 64 bits": npy(CLAIM.format("'<f8'", f"({2**62}, {2**62})"), bytes(80)),
    "negative": npy(CLAIM.format("'<f8'", "(-10,)"), bytes(80)),
    "more than there is": npy(CLAIM.format("'<f8'", "(11,)"), bytes(80)),
    "less than there is": npy(CLAIM.format("'<f8'", "(9,)"), bytes(80)),
    "objects": npy(CLAIM.format("'|O'", "(10,)"), bytes(80)),
    "objects inside": npy(CLAIM.format("[('a', '|O')]", "(10,)"), bytes(80)),
    "code": npy("__import__('os').system('ls')", bytes(80)),
    "brackets": npy("(" * 5000 + ")" * 5000, bytes(80)),
    "a long header": npy(CLAIM.format("'<f8'", "(10,)") + " " * 20000, bytes(80)),
    "no header": b"\x93NUMPY\1\0",
    "another version": npy(CLAIM.format("'<f8'", "(10,)"), bytes(80), b"\x09\0"),
    "nothing": b"",
    "no array": b"x" * 200,
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_array_that_claims_too_much_is_refused(tmp_path, kind):
    path = tmp_path / "a.npy"
    path.write_bytes(WRONG[kind])
    with pytest.raises(ArtifactError, match=r"a\.npy: no readable array"):
        read_array(path, ArtifactError)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key in ("infl_matrix_class0", "tr_labels", "tt_labels", "tr_mem"):
            archive.writestr(f"{key}.npy", WRONG[kind])
    with pytest.raises(ArtifactError, match=r"a\.npz: 'tr_labels' cannot be read"):
        read_published([path], keep_above=0.02)


def test_arrays_are_read_in_every_order(tmp_path):
    for array in (np.arange(6).reshape(2, 3), np.asfortranarray(np.eye(3)), np.float32(2.0)):
        np.save(tmp_path / "a.npy", array)
        assert np.array_equal(read_array(tmp_path / "a.npy"), array)


def test_no_archive_of_arrays(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    assert not published.is_published(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(ArtifactError):
            read_published([path], keep_above=0.0)
        with pytest.raises(ArtifactError):
            read_array(path, ArtifactError)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (bytes(500), "filled with zeros"),
        (b"PAR1....", "a Parquet file"),
        (b"\x93NUMPY\x01\x00", "an npy file"),
        (b"<!DOCTYPE html>", "a page of HTML"),
        (b"\x1f\x8b\x08", "packed by gzip"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    ],
)
def test_what_is_known_to_be_something_else_is_called_so(tmp_path, content, what):
    assert f"is {what}" in opened(tmp_path / "a.zip", content)

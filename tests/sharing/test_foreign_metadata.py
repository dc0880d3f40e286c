"""Metadata of a valid archive, each value wrong in each way: refused by name, or of no effect."""

import copy
import json
import re
import shutil

import pyarrow.parquet as pq
import pytest
from sharing.test_sharing import archive, made, specification  # noqa: F401 (fixtures)

from bat import sharing
from bat.errors import BatError
from bat.sharing import folders as score_files
from bat.validation import check_all

WRONG = {
    "null": None,
    "text": "many",
    "hostile text": "\x1b[31m<img src=x>\u202e|",
    "long text": "x" * 20_000,
    "number": 7,
    "negative": -1,
    "huge": 10**18,
    "share": 0.25,
    "true": True,
    "list": [1, "a"],
    "empty list": [],
    "mapping": {"a": 1},
    "empty mapping": {},
}
RAW = {  # as JSON that Python would not write, or not read
    "NaN": "NaN",
    "infinity": "-Infinity",
    "beyond": "1e999",
    "digits": "9" * 5000,
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep mapping": '{"a":' * 5000 + "1" + "}" * 5000,
    "no JSON": "{",
}
TOP = {
    f"only {name}": text
    for name, text in (
        ("a list", "[]"),
        ("text", '"a"'),
        ("a number", "1"),
        ("null", "null"),
        ("an empty mapping", "{}"),
        ("nothing", ""),
    )
}
GONE = object()


def paths(value, prefix=()):
    """Every place in nested metadata, the lists' ends left out."""
    for key, inner in value.items():
        yield (*prefix, key)
        if isinstance(inner, dict) and len(prefix) < 2:
            yield from paths(inner, (*prefix, key))


def changed(value, place, new):
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    if new is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return value


def texts(metadata):
    """The JSON of the metadata, changed in each place in each way, with what was changed."""
    for place in list(paths(metadata)):
        for name, new in (*WRONG.items(), ("gone", GONE)):
            yield place, name, json.dumps(changed(metadata, place, new))
        for name, raw in RAW.items():
            text = json.dumps(changed(metadata, place, "@raw@"))
            yield place, name, text.replace('"@raw@"', raw)
    for name, raw in (RAW | TOP).items():
        yield (), name, raw
    twice = json.dumps(metadata)
    yield (), "twice", '{"kind": "test", ' + twice[1:]
    yield (), "other keys", json.dumps(metadata | {"path": 1, "columns": 2, "self": 3, "": 4})


ALWAYS = {("recipe",), ("fingerprint",), ("command",), ("package_version",)}
MUST_NOT_BE = dict.fromkeys(("memorization", "test", "disagreement"), ALWAYS)
MUST_NOT_BE["influence"] = {*ALWAYS, ("influence", "keep_above")}
"""What no table can do without, or be another kind of value in."""


@pytest.fixture
def unpacked(archive, tmp_path):  # noqa: F811
    """The archive as a folder without checksums, to be changed."""
    folder = tmp_path / "theirs"
    shutil.unpack_archive(archive, folder)
    (folder / score_files.SUMS).unlink()
    return folder


def tried(call, *arguments):
    """The refusal, or None; anything that is no error of ours is raised, and fails the test."""
    try:
        call(*arguments)
    except BatError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", ["memorization", "influence", "test", "disagreement"])
def test_metadata_of_a_table(unpacked, few_digits, tmp_path, kind, monkeypatch):
    path = unpacked / f"{kind}.parquet"
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[b"bat"])
    metadata.pop("checksum")
    accepted = set()
    for place, name, text in texts(metadata):
        pq.write_table(table.replace_schema_metadata({"bat": text}), path)
        refusal = tried(check_all, [path], few_digits)
        if refusal is None:
            accepted.add((place, name))
            continue
        assert str(path) in refusal, (place, name, refusal)
        assert len(refusal) < 2000 and "\x1b" not in refusal, (place, name)
    # nothing of what must be there is let through wrong
    for place, name in accepted:
        assert name not in (*RAW, "long text", "twice", *TOP), (place, name)
        right = {"null": ("fingerprint",), "mapping": ("recipe",)}.get(name)
        if name in ("list", "mapping", "null", "true", "gone"):
            assert place == right or place not in MUST_NOT_BE[kind], (place, name)


def test_what_is_let_through_is_shown_as_text(unpacked, tmp_path, capsys):
    from rich.console import Console

    path = unpacked / "memorization.parquet"
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[b"bat"])
    metadata.pop("checksum")
    for number, (place, name, text) in enumerate(texts(metadata)):
        if name in RAW or number % 3:
            continue
        pq.write_table(table.replace_schema_metadata({"bat": text}), path)
        tried(sharing.show, unpacked, Console(width=200))
        shown = capsys.readouterr().out
        assert "\x1b" not in shown and "\u202e" not in shown, (place, name)


def test_the_description_of_the_data(unpacked, few_digits, tmp_path):
    path = unpacked / score_files.INFO
    info = json.loads(path.read_text())
    names = info["class_names"]
    small = {key: info[key] for key in ("fingerprint", "source", "shape", "class_names", "n_train")}
    few = [(("class_names",), "few", names[:-1]), (("class_names",), "many", [*names, "x"])]
    from rich.console import Console

    console = Console(file=open("/dev/null", "w"), width=200)  # noqa: SIM115
    with console.file:
        for place, name, text in texts(small):
            path.write_text(text)
            refusal = tried(sharing.show, unpacked, console)
            if refusal is not None:
                assert str(unpacked) in refusal, (place, name, refusal)
            else:
                assert name not in RAW and place not in {("class_names",), ("shape",)} | (
                    {("fingerprint",), ("n_train",)} if name != "gone" else set()
                ), (place, name)
        for place, _, new in few:
            path.write_text(json.dumps(changed(small, place, new)))
            assert "class_names" in tried(sharing.show, unpacked, console)
    spec = {"dataset": "digits"} | specification(unpacked)
    refusal = tried(
        lambda: sharing.fetch(spec, few_digits, tmp_path / "d" / "scores", command="a test")
    )
    assert re.search("class_names in dataset.json is 11, and 10 in the tables", refusal)

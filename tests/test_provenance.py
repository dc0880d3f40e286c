"""What files say of themselves: whose they are, what they were made of, and that they are whole."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from short_runs import CPU, EVALUATION, files, specification, train

from bat.checkpoints.formats import checkpoint_digest
from bat.errors import ArtifactError, MisplacedError
from bat.files import (
    SCHEMAS,
    column_digest,
    place_of,
    read_metadata,
    read_table,
    table_digest,
    write_table,
    write_torch,
)
from bat.files.metadata import _ALWAYS
from bat.training import Inputs, Training, evaluate_checkpoint, read_inputs, running
from bat.validation import read_checked

RUN = "pgd-at-atypical-20"


def place(folder, run=RUN, seed=0):
    return folder / "small_cnn-4" / "runs" / run / f"seed{seed}"


@pytest.fixture(scope="module")
def made(few_digits, inputs, tmp_path_factory):
    """Two runs of two seeds, of which one trains on groups and one on scores; an evaluation."""
    folder = tmp_path_factory.mktemp("results") / "digits"
    for run in (RUN, "bat-1-0.2"):
        for seed in (0, 1):
            train(place(folder, run, seed), few_digits, specification(run, seed), inputs)
    for seed in (0, 1):
        evaluate(folder, few_digits, seed)
    return folder


@pytest.fixture
def copied(made, tmp_path):
    shutil.copytree(made, tmp_path / "digits")
    return tmp_path / "digits"


@pytest.fixture
def tables(inputs, tmp_path):
    """The groups and scores, to be changed."""
    for name in ("groups", "scores"):
        shutil.copytree(getattr(inputs, name), tmp_path / "tables" / name)
    folder = tmp_path / "tables"
    return Inputs(groups=folder / "groups", scores=folder / "scores")


def evaluate(folder, prepared, seed=0, run=RUN):
    return evaluate_checkpoint(
        place(folder, run, seed) / "best.pt",
        "small_cnn-4",
        prepared,
        EVALUATION,
        folder / "small_cnn-4" / "evaluations" / run / f"seed{seed}.parquet",
        normalize=True,
        device=CPU,
        command="test",
    )


def rewrite(path, *, table=None, drop=(), **changes):
    """Write a table again with changed metadata, signed as if it had been written so."""
    table = pq.read_table(path) if table is None else table
    metadata = json.loads(pq.read_schema(path).metadata[b"bat"])
    metadata.pop("checksum", None)
    metadata = {k: v for k, v in (metadata | changes).items() if k not in drop}
    pq.write_table(table.replace_schema_metadata({"bat": json.dumps(metadata)}), path)


def as_version_010(run):
    """A run as version 0.1.0 left it: plain state dicts, and a history that names no inputs."""
    for name in ("last", "best"):
        content = torch.load(run / f"{name}.pt", weights_only=True)
        torch.save(content["state_dict"], run / f"{name}.pt")
    new = ("identity", "inputs", "content", "checkpoints")
    rewrite(run / "history.parquet", drop=new, package_version="0.1.0")


def no_training(monkeypatch):
    monkeypatch.setattr(Training, "run_epoch", None)


# -- whose it is ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("r/d/a/runs/x/seed1/best.pt", {"run": "x", "seed": 1, "checkpoint": "best"}),
        ("r/d/a/runs/x/seed1/history.parquet", {"run": "x", "seed": 1}),
        ("r/d/a/evaluations/x/seed0.parquet", {"run": "x", "seed": 0}),
        ("r/d/trials/a-000003-000005.parquet", {"first": 3, "last": 5}),
        ("r/d/groups/test.parquet", {"split": "test"}),
        ("r/d/scores/memorization.parquet", None),
        ("best.pt", None),
    ],
)
def test_a_place_tells_whose_file_belongs_there(path, said):
    expected = {} if said is None else said | ({} if "split" in said else {"architecture": "a"})
    assert place_of(path) == expected


@pytest.mark.parametrize("name", ["best.pt", "last.pt", "history.parquet"])
@pytest.mark.parametrize("other", [(RUN, 1), ("bat-1-0.2", 0)])
def test_a_file_of_another_run_is_refused_by_both(name, other, copied, few_digits, inputs):
    here, there = place(copied), place(copied, *other)
    shutil.copy(there / name, here / name)
    with pytest.raises(MisplacedError, match=rf"{name}: says that it is of"):
        train(here, few_digits, specification(RUN), inputs)
    if name == "best.pt":
        with pytest.raises(MisplacedError, match=r"best\.pt: says that it is of"):
            evaluate(copied, few_digits)


def test_the_last_epoch_is_not_taken_for_the_best(copied, few_digits, inputs):
    shutil.copy(place(copied) / "last.pt", place(copied) / "best.pt")
    with pytest.raises(MisplacedError, match=r"checkpoint last.*in the place of checkpoint best"):
        train(place(copied), few_digits, specification(RUN), inputs)


@pytest.mark.parametrize("old", [False, True])
def test_an_evaluation_of_another_seed_is_refused(old, copied, few_digits):
    folder = copied / "small_cnn-4" / "evaluations" / RUN
    shutil.copy(folder / "seed1.parquet", folder / "seed0.parquet")
    if old:  # the recipe of an evaluation names no run, the file's sha256 the checkpoint
        rewrite(folder / "seed0.parquet", drop=("identity", "inputs", "content"))
        (folder / "seed1.parquet").unlink()
        evaluate(copied, few_digits, 1)
        rewrite(folder / "seed1.parquet", drop=("identity", "inputs", "content"))
        before = (folder / "seed1.parquet").read_bytes()
        evaluate(copied, few_digits, 1)  # its own, of version 0.1.0: left as it is
        assert (folder / "seed1.parquet").read_bytes() == before
        evaluate(copied, few_digits)
        inputs_now = read_checked(folder / "seed0.parquet", "evaluations", few_digits)[1]["inputs"]
        assert inputs_now["checkpoint"] == checkpoint_digest(place(copied) / "best.pt")
    else:
        with pytest.raises(MisplacedError, match="seed 1, and it lies in the place of seed 0"):
            evaluate(copied, few_digits)


# -- what it was made of --------------------------------------------------------------------


def change_groups(tables):
    path = tables.groups / "train.parquet"
    table, metadata = read_table(path, "groups")
    atypical = np.arange(table.num_rows) % 7 == 0
    columns = {"index": table.column("index"), "typical": ~atypical, "atypical": atypical}
    write_again(path, "groups", columns, metadata)


def write_again(path, kind, columns, metadata):
    given = {key: metadata[key] for key in ("fingerprint", "recipe")}
    write_table(path, kind, columns, **given, command="again", note="made again")


def test_other_groups_train_again_and_the_same_do_not(copied, few_digits, tables, monkeypatch):
    before = files(place(copied))
    path = tables.groups / "train.parquet"
    table, metadata = read_table(path, "groups")
    write_again(path, "groups", table, metadata)
    with monkeypatch.context() as patch:
        no_training(patch)
        train(place(copied), few_digits, specification(RUN), tables)
    assert files(place(copied)) == before
    change_groups(tables)
    train(place(copied), few_digits, specification(RUN), tables)
    assert files(place(copied))["last.pt"] != before["last.pt"]


def test_other_scores_train_bat_again(copied, few_digits, tables):
    run = place(copied, "bat-1-0.2")
    before = files(run)
    path = tables.scores / "memorization.parquet"
    table, metadata = read_table(path, "memorization")
    columns = table.to_pydict()
    columns["memorization"] = columns["memorization"][::-1]
    write_again(path, "memorization", columns, metadata)
    train(run, few_digits, specification("bat-1-0.2"), tables)
    assert files(run)["last.pt"] != before["last.pt"]


def test_other_data_train_again(copied, few_digits, prepare, inputs):
    other = prepare(subsample={"train": 200, "test": 100, "seed": 1})
    run = place(copied, "erm-all")
    train(run, few_digits, specification("erm-all"), inputs)
    before = files(run)
    train(run, other, specification("erm-all"), inputs)
    assert files(run)["last.pt"] != before["last.pt"]


def test_a_state_of_other_groups_is_not_gone_on_from(few_digits, tables, tmp_path, caplog):
    spec, out = specification(RUN), tmp_path / "run"

    def stopped(*arguments):
        run = running.Run(few_digits, spec, read_inputs(few_digits, spec, tables), CPU)
        run.advance(lambda: False)
        write_torch(out / "resume.pt", run.state())

    stopped()
    change_groups(tables)
    with caplog.at_level("INFO", "bat"):
        train(out, few_digits, spec, tables)
    assert "of other data, groups or scores; starting anew" in caplog.text
    whole = tmp_path / "whole"
    train(whole, few_digits, spec, tables)
    assert files(out) == files(whole)


def test_a_model_that_was_trained_again_is_evaluated_again(copied, few_digits, tables):
    path = copied / "small_cnn-4" / "evaluations" / RUN / "seed0.parquet"
    before = path.read_bytes()
    evaluate(copied, few_digits)
    assert path.read_bytes() == before
    change_groups(tables)
    train(place(copied), few_digits, specification(RUN), tables)
    evaluate(copied, few_digits)
    assert path.read_bytes() != before


# -- version 0.1.0 --------------------------------------------------------------------------


def test_a_run_of_version_010_is_taken_over_once(copied, few_digits, tables, monkeypatch, caplog):
    run = place(copied)
    as_version_010(run)
    weights = (run / "best.pt").read_bytes()
    rewrite(tables.groups / "train.parquet", drop=("content", "identity", "inputs"))
    no_training(monkeypatch)
    with caplog.at_level("INFO", "bat"):
        train(run, few_digits, specification(RUN), tables)
        assert "which noted no inputs" in caplog.text
        caplog.clear()
        train(run, few_digits, specification(RUN), tables)
        assert "complete already" in caplog.text
        assert "noted no" not in caplog.text
    assert (run / "best.pt").read_bytes() == weights
    metadata = read_metadata(run / "history.parquet", "history")
    assert metadata["inputs"]["groups"] == table_digest(
        tables.groups / "train.parquet", "groups", ["typical", "atypical"]
    )


def test_tables_made_again_with_the_same_values_keep_the_runs_of_version_010(
    copied, few_digits, tables, monkeypatch
):
    run, path = place(copied), tables.groups / "train.parquet"
    as_version_010(run)
    rewrite(path, drop=("content", "identity", "inputs"))
    table, metadata = read_table(path, "groups")
    write_again(path, "groups", table, metadata)  # by this version, in the old one's place
    no_training(monkeypatch)
    train(run, few_digits, specification(RUN), tables)


@pytest.mark.parametrize("how", ["other values", "later"])
def test_a_run_of_version_010_of_other_groups_is_trained_again(how, copied, few_digits, tables):
    run, path = place(copied), tables.groups / "train.parquet"
    before = files(run)
    as_version_010(run)
    rewrite(path, drop=("content", "identity", "inputs"))
    if how == "later":
        late = (run / "history.parquet").stat().st_mtime + 3600
        os.utime(path, (late, late))
    else:
        change_groups(tables)
    train(run, few_digits, specification(RUN), tables)
    assert "inputs" in read_metadata(run / "history.parquet", "history")
    assert (files(run)["last.pt"] == before["last.pt"]) == (how == "later")


# -- whole ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
@pytest.mark.parametrize("damage", ["empty", "bit", "edited", "missing"])
def test_a_run_with_a_damaged_checkpoint_is_not_complete(
    name,
    damage,
    copied,
    few_digits,
    inputs,
):
    path = place(copied) / name
    before = files(place(copied))
    content = bytearray(path.read_bytes())
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "bit":
        head = torch.load(path, weights_only=True)["state_dict"]["head.weight"]
        at = content.index(head.numpy().tobytes()[:16])
        content[at] ^= 1
        path.write_bytes(content)
    elif damage == "edited":
        model = torch.load(path, weights_only=True)
        model["state_dict"]["head.weight"] += 1
        torch.save(model, path)
    else:
        path.unlink()
    if name == "best.pt":
        with pytest.raises(ArtifactError, match=r"best\.pt"):
            evaluate(copied, few_digits)
    train(place(copied), few_digits, specification(RUN), inputs)
    assert files(place(copied)) == before


def test_one_flipped_bit_in_a_plain_checkpoint_is_seen(copied, few_digits):
    """Files of version 0.1.0 and anybody's have no digest, but their archive has checksums."""
    path = place(copied) / "best.pt"
    state = torch.load(path, weights_only=True)["state_dict"]
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    content[content.index(state["head.weight"].numpy().tobytes()[:16])] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="does not have its checksum"):
        evaluate(copied, few_digits)


def edited(table, how):
    if how == "reversed":
        return table.take(pa.array(range(table.num_rows))[::-1])
    if how == "dropped":
        return table.slice(1)
    column = table.column(table.num_columns - 1)
    value = pa.array([not column[0].as_py(), *column[1:].to_pylist()], column.type)
    return table.set_column(table.num_columns - 1, table.field(table.num_columns - 1), value)


@pytest.mark.parametrize("how", ["reversed", "dropped", "value"])
def test_rows_and_values_that_changed_are_refused(how, tables, few_digits):
    path = tables.groups / "train.parquet"
    table = pq.read_table(path)
    pq.write_table(edited(table, how).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(ArtifactError, match=r"not those that the table was written|rows were lost"):
        read_checked(path, "groups", few_digits)


def test_how_a_column_is_cut_changes_no_digest():
    values = {
        "ints": pa.array([1, None, 3, 4], pa.int32()),
        "floats": pa.array([1.5, float("nan"), None, 0.0]),
        "flags": pa.array([True, None, False, True]),
        "bytes": pa.array([b"ab", b"", None, b"c"]),
        "text": pa.array(["a", None, "bc", ""]),
    }
    for name, array in values.items():
        whole = column_digest(pa.chunked_array([array]))
        cut = column_digest(pa.chunked_array([array.slice(0, 1), array.slice(1)]))
        assert whole == cut, name
        moved = column_digest(pa.chunked_array([array.slice(1), array.slice(0, 1)]))
        assert whole != moved, name
    as_bytes = [pa.chunked_array([pa.array(v)]) for v in ([b"ab", b"c"], [b"a", b"bc"])]
    assert column_digest(as_bytes[0]) != column_digest(as_bytes[1])


# -- forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", _ALWAYS)
@pytest.mark.parametrize("value", [None, [], 1.5, {"a": 1}, "text", "gone"])
def test_metadata_of_another_form_are_refused(key, value, tables):
    path = tables.groups / "train.parquet"
    right = read_metadata(path, "groups")[key]
    if value is None and key == "fingerprint":
        return  # published tables that speak of no data set
    if type(value) is type(right) and key in ("recipe", "fingerprint"):
        return
    drop = (key,) if value == "gone" else ()
    rewrite(path, drop=drop, **{key: value})
    with pytest.raises(ArtifactError, match=r"train\.parquet"):
        read_table(path, "groups", fingerprint="f" * 64)


@pytest.mark.parametrize("content", [b"[1, 2]", b"3", b"[" * 100_000, b'"x"', b"null"])
def test_metadata_that_are_no_mapping_are_refused(content, tables):
    path = tables.groups / "train.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"bat": content}), path)
    with pytest.raises(ArtifactError, match=r"train\.parquet: (its metadata are|damaged)"):
        read_table(path, "groups")


def test_a_missing_nullable_column_is_null_and_an_unknown_one_is_left(copied, few_digits):
    """A history of before a statistic was added, or after; an evaluation of before an attack."""
    path = copied / "small_cnn-4" / "evaluations" / RUN / "seed0.parquet"
    table = pq.read_table(path).drop_columns(["aa"]).append_column("new", pa.nulls(40, pa.bool_()))
    rewrite(path, table=table, drop=("content",))
    read, _ = read_checked(path, "evaluations", few_digits)
    assert read.schema.equals(SCHEMAS["evaluations"])
    assert read.column("aa").null_count == 40
    rewrite(path, table=table.drop_columns(["clean"]), drop=("content",))
    with pytest.raises(ArtifactError, match="has columns"):
        read_checked(path, "evaluations", few_digits)

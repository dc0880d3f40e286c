"""Tables: their provenance, and how damaged or foreign ones are refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shards import PROVENANCE

import bat
from bat import files
from bat.errors import ArtifactError
from bat.files import read_metadata, read_table, tables, write_table


def test_table_comes_back_with_its_provenance(tmp_path):
    path = tmp_path / "new" / "folder" / "c.parquet"
    columns = {"index": [0, 1], "label": [3, 4], "confidence": [0.1, np.nan]}
    write_table(path, "confidence", columns, **PROVENANCE, accuracies={"test": 0.5})
    table, metadata = read_table(path, "confidence", fingerprint="f" * 64)
    assert table.schema.equals(files.SCHEMAS["confidence"])
    assert files.column(table, "label").tolist() == [3, 4]
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
    rewrite(shard, format_version=files.FORMAT_VERSION + 1)
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


def test_a_column_that_may_lack_is_missed_where_it_was_written(tmp_path):
    path, columns = tmp_path / "proxies.parquet", {"index": [0, 1], "label": [3, 4]}
    write_table(path, "proxies", columns | {"csl": [0.5, 1.5], "aum": [1.0, 2.0]}, **PROVENANCE)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns("csl"), path)
    with pytest.raises(ArtifactError, match="the values of csl are not those that the table was"):
        read_table(path, "proxies")
    assert read_table(path, "proxies", columns=["index", "aum"])[0].num_rows == 2


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

"""A shard of trials for the tests of this room."""

import pytest
from shards import PROVENANCE, trial_columns

from bat.files import write_table


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard.parquet"
    write_table(path, "trials", trial_columns(), **PROVENANCE)
    return path

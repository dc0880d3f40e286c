"""The size of images of one's own before they are prepared is that of the prepared folder."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from samples import encode, pets, pixels, write_pets

from bat import config, data
from bat.config import Dataset, HeldOut, Subsample
from bat.plan import sizes


def size(settings, folder):
    return sizes.size(Dataset(data=settings), folder)


def write_parquet(path, n=6):
    rows = [{"bytes": encode(pixels(i, (5, 7, 3)))} for i in range(n)]
    pq.write_table(pa.table({"image": rows, "label": ["b", "a", "c"] * (n // 3)}), path)
    return path


def parquet(tmp_path, **settings):
    train = write_parquet(tmp_path / "train.parquet", 12)
    return config.ParquetData(source="parquet", train=str(train), **settings)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"resize": 9, "channels": 1},
        {"subsample": Subsample(train_per_class=2, test=2)},
        {"held_out": HeldOut(share=0.3)},
        {"held_out": HeldOut(samples=4, seed=1)},
    ],
)
@pytest.mark.parametrize("source", ["image_folder", "parquet"])
def test_the_size_that_will_be_prepared_is_counted(source, changes, tmp_path):
    if source == "image_folder":
        folder = write_pets(tmp_path / "pets")
        (folder / "train" / "cat" / "Thumbs.db").touch()
        settings = pets(folder / "train" if "held_out" in changes else folder, **changes)
    elif "held_out" in changes:
        settings = parquet(tmp_path, **changes)
    else:
        test = write_parquet(tmp_path / "test.parquet")
        if "subsample" in changes:
            changes = {"subsample": Subsample(train_per_class=2, test=3)}
        settings = parquet(tmp_path, test=str(test), **changes)
    before = size(settings, tmp_path / "results")
    data.prepare(settings, tmp_path / "results" / "data", workers=1)
    assert before == size(settings, tmp_path / "results")
    assert not before.assumed


def test_what_cannot_be_counted_here_is_assumed(tmp_path):
    found = size(pets(tmp_path / "on another machine"), tmp_path)
    assert (found.n_train, found.assumed) == (sizes.ASSUMED_SIZE[0], True)
    folder = write_pets(tmp_path / "pets")
    (folder / "train" / "cat" / "0.png").write_bytes(b"no image")
    assert size(pets(folder), tmp_path).assumed

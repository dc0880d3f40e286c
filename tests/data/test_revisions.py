"""Revisions: a source that changed is seen when the workflow is read, and only then."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from samples import encode, pets, pixels, tiny, tiny_files, write_pets, write_zip

from bat import config, data
from bat.data import revisions
from bat.data.revisions import RECORD, data_revision
from bat.errors import DataError
from bat.files import read_json
from bat.plan.specifications import all_specifications


class Source:
    """A configured source, and the prepared folder that belongs to it."""

    def __init__(self, settings, out):
        self.settings, self.out = settings, out

    def revision(self):
        return data_revision(self.settings, self.out)

    def prepare(self):
        """What the workflow does: read the revision, prepare with it."""
        return data.prepare(
            self.settings, self.out, workers=1, revision=self.revision().get("sources")
        )


def parquet_of(folder, seeds=range(4), compression="snappy", labels=(0, 1)):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    for split, shift in (("train", 0), ("test", 20)):
        images = [encode(pixels(seed + shift)) for seed in seeds]
        column = [labels[i % 2] for i in range(len(images))]
        table = pa.table({"image": images, "label": column})
        pq.write_table(table, folder / f"{split}.parquet", compression=compression)


@pytest.fixture(params=["image_folder", "parquet", "tiny zip", "tiny folder"])
def source(request, tmp_path):
    """Each kind of source that lies in files of the user's, and one image file or archive of it."""
    place = tmp_path / "place"
    if request.param == "image_folder":
        settings, file = pets(write_pets(place)), place / "train/dog/3.png"
    elif request.param == "parquet":
        parquet_of(place)
        settings = config.ParquetData(source="parquet", train=place / "train.*", test=place)
        file = place / "train.parquet"
    else:
        place.mkdir()
        file = write_zip(place / "tiny.zip", tiny_files())
        settings = tiny(file)
        if request.param == "tiny folder":
            shutil.unpack_archive(file, place)
            settings = tiny(place / "tiny-imagenet-200")
            file = place / "tiny-imagenet-200/train/n01/images/n01_1.JPEG"
    return Source(settings, tmp_path / "results" / "data"), file


def change(file):
    """Another content of the same size and kind of file."""
    if file.suffix == ".parquet":
        parquet_of(file.parent, labels=(1, 0))
    elif file.suffix == ".zip":
        files = tiny_files()
        (name,) = (name for name in files if name.endswith("n01_1.JPEG"))
        write_zip(file, files | {name: encode(pixels(99, (8, 8, 3)), "JPEG")})
    else:
        shape = (8, 8, 3) if file.suffix == ".JPEG" else (6, 6, 3)
        file.write_bytes(encode(pixels(99, shape), "JPEG" if shape[0] == 8 else "PNG"))


def test_nothing_is_recorded_before_the_first_preparation(source):
    source, _ = source
    assert source.revision() == {}


def test_changed_content_is_seen_once(source):
    source, file = source
    before = source.prepare()
    assert source.revision() == {}
    change(file)
    changed = source.revision()
    assert set(changed) == {"sources"} and source.revision() == changed
    after = source.prepare()
    assert after["fingerprint"] != before["fingerprint"]
    assert source.revision() == changed  # the same specification: nothing runs again
    source.prepare()
    assert source.revision() == changed


def test_other_times_and_the_same_content_change_nothing(source):
    source, file = source
    source.prepare()
    copy = file.with_name("copy")
    shutil.copyfile(file, copy)
    copy.replace(file)
    os.utime(file, (1, 1))
    assert source.revision() == {}


def test_reading_writes_nothing(source):
    source, file = source
    source.prepare()
    change(file)

    def state():
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in source.out.parent.rglob("*")}

    before = state()
    source.revision()
    assert state() == before


def test_a_source_that_is_away_changes_nothing(source):
    source, _ = source
    source.prepare()
    place = getattr(source.settings, "path", None) or source.settings.train[0].parent
    if place.is_dir():
        place.rename(place.with_name("away"))
        assert source.revision() == {}
        place.mkdir()  # where it was mounted
    else:
        place.unlink()
    assert source.revision() == {}


@pytest.mark.parametrize(
    "damage",
    ["", "[]", "[" * 100_000, "{}", '{"files": [], "revision": null}', '{"files": 3}'],
    ids=["empty", "list", "deep", "no keys", "no columns", "number"],
)
def test_a_damaged_record_prepares_again(source, damage):
    source, _ = source
    before = source.prepare()
    (source.out / RECORD).write_text(damage)
    revision = source.revision()
    assert set(revision) == {"sources"}
    assert source.prepare() == before
    assert source.revision() == revision


def test_added_and_removed_images_are_seen(tmp_path):
    folder = write_pets(tmp_path / "pets")
    source = Source(pets(folder), tmp_path / "data")
    assert source.prepare()["n_train"] == 8
    (folder / "train" / "cat" / "Thumbs.db").write_bytes(b"\0")  # no image
    assert source.revision() == {}
    new = folder / "train" / "cat" / "new.png"
    new.write_bytes(encode(pixels(50)))
    added = source.revision()
    assert source.prepare()["n_train"] == 9 and source.revision() == added
    new.unlink()
    removed = source.revision()
    assert removed not in ({}, added)
    assert source.prepare()["n_train"] == 8 and source.revision() == removed


def test_a_source_that_became_wrong_is_prepared_again_and_says_so(tmp_path):
    folder = write_pets(tmp_path / "pets")
    source = Source(pets(folder), tmp_path / "data")
    source.prepare()
    (folder / "test").rename(folder / "elsewhere")
    assert source.revision() != {}
    with pytest.raises(DataError, match="holds no test"):
        source.prepare()
    (folder / "elsewhere").rename(folder / "test")
    assert source.revision() == {}


@pytest.mark.timeout(20)
def test_a_pipe_in_the_place_of_a_source_is_not_waited_for(source):
    source, file = source
    source.prepare()
    file.unlink()
    os.mkfifo(file)
    assert source.revision() != {}


def test_the_same_arrays_from_other_bytes_are_kept(tmp_path):
    parquet_of(tmp_path / "p")
    settings = config.ParquetData(source="parquet", train=tmp_path / "p", test=tmp_path / "p")
    source = Source(settings, tmp_path / "data")
    before = source.prepare()
    inode = (source.out / "train_images.npy").stat().st_ino
    parquet_of(tmp_path / "p", compression="gzip")
    assert source.revision() != {}
    after = source.prepare()
    assert after["fingerprint"] == before["fingerprint"] and after["files"] != before["files"]
    assert (source.out / "train_images.npy").stat().st_ino == inode


def test_a_moved_source_is_the_same_source(tmp_path):
    parquet_of(tmp_path / "p")
    settings = config.ParquetData(source="parquet", train=tmp_path / "p", test=tmp_path / "p")
    Source(settings, tmp_path / "data").prepare()
    (tmp_path / "p").rename(tmp_path / "q")
    moved = config.ParquetData(source="parquet", train=tmp_path / "q", test=tmp_path / "q")
    assert data_revision(moved, tmp_path / "data") == {}


def test_sources_with_checksums_of_their_own_have_no_record(tmp_path):
    data.prepare(config.DigitsData(), tmp_path / "data")
    assert not (tmp_path / "data" / RECORD).exists()
    assert data_revision(config.DigitsData(), tmp_path / "data") == {}


def test_a_replaced_source_of_scores_is_seen(tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    for source in (tmp_path / "scores.zip", tables / "memorization.parquet"):
        source.write_bytes(b"one")
    for source, file in ((tmp_path / "scores.zip",) * 2, (tables, tables / "memorization.parquet")):
        out = tmp_path / f"out of {source.name}"
        out.mkdir()
        assert revisions.scores_revision(str(source), out) == {}
        states = {n: revisions.state_of(f) for n, f in revisions.score_files(source).items()}
        revisions.write_record(out, states, None)
        assert revisions.scores_revision(str(source), out) == {}
        file.write_bytes(b"two")
        assert set(revisions.scores_revision(str(source), out)) == {"sources"}
    assert revisions.scores_revision("https://example.org/scores.zip", out) == {}


# -- in the workflow -------------------------------------------------------------------------


def test_specifications_say_what_changed(tmp_path):
    folder = write_pets(tmp_path / "pets")
    raw = {"source": "image_folder", "path": str(folder)}
    settings = config.load_config(
        {"results": str(tmp_path / "r"), "datasets": {"d": {"data": raw}}}
    )
    plain = all_specifications(settings)["d", "data"]
    assert set(plain) == {"dataset", "stage_version", "data"} and "held_out" not in plain["data"]
    source = Source(settings.datasets["d"].data, tmp_path / "r" / "d" / "data")
    source.prepare()
    assert all_specifications(settings)["d", "data"] == plain
    change(folder / "train" / "cat" / "0.png")
    spec = all_specifications(settings)["d", "data"]
    assert spec == plain | source.revision()


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_the_workflow_prepares_again_what_changed_and_nothing_else(tmp_path, repository):
    folder = write_pets(tmp_path / "my pets")
    settings = {"source": "image_folder", "path": str(folder)}
    raw = {"results": str(tmp_path / "r"), "datasets": {"d": {"data": settings}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw))
    target = tmp_path / "r" / "d" / "data" / "dataset.json"

    def snakemake(*arguments):
        command = [sys.executable, "-m", "snakemake", target, "--cores", 1, *arguments]
        command += ["--snakefile", repository / "workflow" / "Snakefile"]
        command += ["--directory", tmp_path, "--configfile", tmp_path / "c.yaml"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    snakemake()
    first = read_json(target)["fingerprint"]
    os.utime(folder / "train" / "cat" / "0.png")
    assert "Nothing to be done" in snakemake("--dry-run")
    (folder / "train" / "cat" / "new.png").write_bytes(encode(pixels(50)))
    snakemake()
    assert read_json(target)["n_train"] == 9 and read_json(target)["fingerprint"] != first
    assert "Nothing to be done" in snakemake("--dry-run")


def test_the_record_is_small_and_holds_every_file_that_was_read(tmp_path):
    folder = write_pets(tmp_path / "pets")
    data.prepare(pets(folder), tmp_path / "data", revision="r")
    record = json.loads((tmp_path / "data" / RECORD).read_text())
    assert record["revision"] == "r" and len(record["files"]["name"]) == 12
    files, revision = revisions.read_record(tmp_path / "data")
    assert revision == "r" and files["train/cat/0.png"] == revisions.state_of(
        folder / "train/cat/0.png"
    )
    np.testing.assert_equal(sorted(files), record["files"]["name"])

"""Score tables that go from one place to another: the same bytes, or a refusal that says why."""

import hashlib
import http.server
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bat
from bat import config, data, scoring, sharing
from bat.__main__ import main
from bat.addresses import address_variable
from bat.config import ConfigError, load_config
from bat.data.names import write_names
from bat.data.revisions import scores_revision
from bat.errors import ArtifactError
from bat.files import SCHEMAS, column, read_table, sha256_of, write_table
from bat.files.bits import pack
from bat.plan.runs import substitution_runs
from bat.plan.specifications import all_specifications, trial_recipe
from bat.report.folder import Folder
from bat.scores.subsets import subset
from bat.scoring import merging
from bat.sharing import folders as score_files
from bat.streams import generator
from bat.training.trial_rows import trial_row

N_TRIALS = 30
RECIPE = trial_recipe("small_cnn-4", config.Scores())
KINDS = [*score_files.REQUIRED, *score_files.OPTIONAL]
MERGE = {
    "dataset": "digits",
    "influence": {"pairs": "same_class", "keep_above": 0.02},
    "min_included_accuracy": 0.99,
    "command": "a test",
}


# -- a results folder without training ------------------------------------------------------


def row(prepared, trial: int, recipe=RECIPE) -> dict:
    """What a model might predict: nearly all of its subset, most of the rest."""
    n, n_test = prepared.info["n_train"], prepared.info["n_test"]
    included = subset(recipe["seed"], trial, n, recipe["subset_ratio"])
    rng = generator(recipe["seed"], trial, "predictions")
    hard = np.arange(n) % 7 == 0
    right = (rng.random(n) < np.where(hard, 0.5, 0.97)) | included
    test_right = rng.random(n_test) < np.where(included[:n_test], 0.95, 0.8)
    found = trial_row(recipe, trial, included, right, test_right, seconds=1.0, device="none")
    return {name: value for name, (value,) in found.items()}


def write_shard(folder, prepared, numbers, *, recipe=RECIPE, change=None) -> Path:
    rows = [row(prepared, trial, recipe) for trial in numbers]
    for one in rows:
        one |= change or {}
    columns = {name: [one[name] for one in rows] for name in rows[0]}
    name = f"{recipe['architecture']}-{numbers[0]:06d}-{numbers[-1]:06d}.parquet"
    provenance = {"fingerprint": prepared.fingerprint, "recipe": recipe, "command": "a test"}
    write_table(folder / name, "trials", columns, **provenance)
    return folder / name


@pytest.fixture(scope="module")
def made(few_digits, tmp_path_factory):
    """A results folder of digits with every table; not to be changed."""
    folder = tmp_path_factory.mktemp("made") / "digits"
    shutil.copytree(few_digits.folder, folder / "data")
    shard = write_shard(folder / "trials", few_digits, range(N_TRIALS))
    spec = {"trials": N_TRIALS, "recipe": RECIPE} | MERGE
    scoring.write_scores([shard], few_digits, spec, folder / "scores", command="a test")
    scoring.write_convergence([shard], few_digits, spec, folder / "scores" / "convergence.csv")
    labels = np.asarray(few_digits.train_labels)
    rng = np.random.default_rng(0)
    for kind, name, high in (
        ("disagreement", "disagreement", 0.69),
        ("confidence", "confidence", 1.0),
        ("proxies", "csl", 50.0),
    ):
        columns = {"index": np.arange(len(labels)), "label": labels}
        columns[name] = high * rng.random(len(labels))
        provenance = {"fingerprint": few_digits.fingerprint, "recipe": {}, "command": "a test"}
        write_table(folder / "scores" / f"{kind}.parquet", kind, columns, **provenance)
    return folder


@pytest.fixture(scope="module")
def archive(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "scores-digits.zip"
    sharing.export(made, path, licence="CC-BY-4.0")
    return path


@pytest.fixture
def copy(made, tmp_path):
    """The same results folder, to be changed."""
    shutil.copytree(made, tmp_path / "copy" / "digits")
    return tmp_path / "copy" / "digits"


def specification(source, **settings):
    text = {"source": str(source)} | settings
    raw = {"datasets": {"digits": {"data": {"source": "digits"}, "scores": text}}}
    return all_specifications(load_config(raw))["digits", "source"]


def fetch(source, prepared, out, **settings) -> str:
    spec = {"dataset": "digits"} | specification(source, **settings)
    return sharing.fetch(spec, prepared, out, command="a test")


def refused(source, prepared, out, *words, **settings):
    """Fetching is refused with these words, and leaves nothing."""
    with pytest.raises(ValueError) as caught:
        fetch(source, prepared, out, **settings)
    for word in words:
        assert word in str(caught.value)
    assert not [p for p in out.parent.rglob("*") if p.is_file() and p.parent.name != "source"]


def rewrite(path, metadata=None, **columns):
    """Change columns of a table, or its metadata, and keep the rest."""
    table = pq.read_table(path)
    found = json.loads(table.schema.metadata[b"bat"])
    for name in ("checksum", "content"):  # which would tell any of these changes
        found.pop(name, None)
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        table = table.set_column(at, field, pa.array(values, field.type))
    table = table.replace_schema_metadata({"bat": json.dumps(found | (metadata or {}))})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def values(path, name):
    return np.array(pq.read_table(path).column(name).to_numpy())


# -- publishing -----------------------------------------------------------------------------


def test_same_content_same_bytes(made, archive, copy, tmp_path):
    for path in sorted(copy.rglob("*"), reverse=True):  # other times, other order of writing
        path.touch()
    entry = sharing.export(copy, tmp_path / "again.zip", licence="CC-BY-4.0")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in entry
    assert "tables: [disagreement, confidence, proxies, convergence]" in entry


def test_an_archive_holds_the_tables_a_card_and_checksums(made, archive, tmp_path):
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == sorted(score_files.MEMBERS)
        packed.extractall(tmp_path)
    for kind, name in score_files.FILE_NAMES.items():
        assert (tmp_path / name).read_bytes() == (made / "scores" / name).read_bytes(), kind
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0
    assert done.stdout.count(b": OK") == len(score_files.MEMBERS) - 1
    card = (tmp_path / "README.md").read_text()
    for words in ("| Licence | CC-BY-4.0 |", "30 of small_cnn-4", "Accuracy, test samples"):
        assert words in card
    assert "no: memorization is understated" not in card
    assert json.loads((tmp_path / "dataset.json").read_text())["source"] == "digits"


def test_the_three_lines_of_the_card_run(archive, tmp_path, capsys, monkeypatch):
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = (tmp_path / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) == 3
    exec(code, {})
    assert "accuracy_included" in capsys.readouterr().out


def test_a_broken_table_is_not_published(copy, tmp_path):
    path = copy / "scores" / "memorization.parquet"
    rewrite(path, memorization=values(path, "memorization") + 0.1)
    with pytest.raises(ArtifactError, match="memorization"):
        sharing.export(copy, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_tables_of_other_data_are_not_published(copy, prepare, tmp_path):
    other = prepare(subsample={"train": 200, "test": 100}, seed=1)
    shutil.rmtree(copy / "data")
    shutil.copytree(other.folder, copy / "data")
    with pytest.raises(ArtifactError, match="run the workflow"):
        sharing.export(copy, tmp_path / "a.zip")


# -- using ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "folder", "scores", "results"])
def test_tables_come_over_bit_for_bit(made, archive, few_digits, tmp_path, kind):
    source = {"zip": archive, "scores": made / "scores", "results": made}.get(kind)
    if kind == "folder":
        source = tmp_path / "unpacked"
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(source)
    out = tmp_path / "digits" / "scores"
    note = fetch(source, few_digits, out, tables=score_files.OPTIONAL)
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*score_files.FILE_NAMES.values(), "convergence.json", "source.md", "sources.json"]
    )
    for name in score_files.FILE_NAMES.values():
        assert (out / name).read_bytes() == (made / "scores" / name).read_bytes()
    assert "The fingerprint is that of the data set in use" in note
    assert (out / "source.md").read_text() == note
    assert [p.name for p in out.parent.iterdir()] == ["scores"]


def test_a_source_that_was_replaced_is_seen(archive, few_digits, tmp_path):
    source, out = tmp_path / "scores.zip", tmp_path / "digits" / "scores"
    shutil.copyfile(archive, source)
    fetch(source, few_digits, out)
    assert scores_revision(str(source), out) == {}
    with zipfile.ZipFile(source, "a") as packed:
        packed.writestr("NOTES.txt", "corrected")
    revision = scores_revision(str(source), out)
    assert set(revision) == {"sources"}
    spec = {"dataset": "digits"} | specification(source) | revision
    sharing.fetch(spec, few_digits, out, command="a test")
    assert scores_revision(str(source), out) == revision


def test_only_the_listed_tables_are_taken(archive, few_digits, tmp_path, caplog):
    out = tmp_path / "digits" / "scores"
    fetch(archive, few_digits, out)
    assert len(list(out.iterdir())) == 5
    assert not (out / "disagreement.parquet").exists()


def test_a_table_that_is_not_there(copy, few_digits, tmp_path):
    (copy / "scores" / "confidence.parquet").unlink()
    words = ("holds no confidence.parquet", "disagreement.parquet")
    refused(copy, few_digits, tmp_path / "d" / "scores", *words, tables=["confidence"])
    (copy / "scores" / "test.parquet").unlink()
    refused(copy, few_digits, tmp_path / "d" / "scores", "holds no test.parquet")


def test_the_checksum_of_a_file_and_of_a_folder(made, archive, few_digits, tmp_path):
    out = tmp_path / "digits" / "scores"
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    refused(archive, few_digits, out, right, "a" * 64, sha256="a" * 64)
    fetch(archive, few_digits, out, sha256=right)
    names = "*.csv *.parquet"
    line = f"LC_ALL=C sha256sum {names} | sha256sum"
    done = subprocess.run(line, shell=True, cwd=made / "scores", capture_output=True, text=True)
    right = done.stdout.split()[0]
    folder = tmp_path / "other" / "scores"
    refused(made, few_digits, folder, right, "memorization.parquet", sha256="a" * 64)
    fetch(made, few_digits, folder, sha256=right)


def test_nothing_at_the_path(few_digits, tmp_path):
    out = tmp_path / "d" / "scores"
    refused(tmp_path / "none.zip", few_digits, out, "no such file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", few_digits, out, "no table of scores")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seed": 1}, ("train labels differ", 'settings: {"n_test": 500, "seed": 0}')),
        ({"subsample": {"train": 210, "test": 100}}, ("200 train samples, and 210", "subsample")),
        ({"resize": 10}, ("resize: null, and 10", "only images differ", "scores.match: index")),
        ({"label_noise": {"share": 0.1}}, ("20 train labels differ", "label noise: 0, and 0.1")),
    ],
    ids=["order", "other samples", "version", "labels"],
)
def test_tables_of_another_data_set(archive, few_digits, prepare, tmp_path, settings, words):
    other = prepare(**{"subsample": {"train": 200, "test": 100}} | settings)
    out = tmp_path / "d" / "scores"
    both = (few_digits.fingerprint, other.fingerprint, str(archive))
    refused(archive, other, out, *both, *words)


def test_bytes_that_were_changed(archive, few_digits, tmp_path):
    out, folder = tmp_path / "d" / "scores", tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    path = folder / "influence.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-9] + b"!" + content[-8:])
    refused(folder, few_digits, out, str(path), "does not have the checksum in SHA256SUMS")
    path.unlink()
    refused(folder, few_digits, out, str(path), "SHA256SUMS lists it")
    path.write_bytes(content)
    (folder / "SHA256SUMS").write_text("what\n")
    refused(folder, few_digits, out, "'what' is no line of checksums")


def test_a_damaged_table_without_checksums(copy, few_digits, tmp_path):
    """A changed byte is found, or lies where nothing is read from."""
    path = copy / "scores" / "memorization.parquet"
    content, before = path.read_bytes(), read_table(path, "memorization")
    found = 0
    for at in range(0, len(content), len(content) // 100):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        try:
            table, about = read_table(path, "memorization")
            list(sharing.validate(path, few_digits))
            assert table.equals(before[0])
            assert about == before[1]
        except ArtifactError as error:
            assert str(path) in str(error)
            found += 1
    assert found > 70
    path.write_bytes(content[:200] + b"????" + content[204:])
    refused(copy, few_digits, tmp_path / "d" / "scores", str(path), "damaged")


def test_a_newer_format(copy, few_digits, tmp_path):
    rewrite(copy / "scores" / "test.parquet", {"format_version": 99})
    refused(copy, few_digits, tmp_path / "d" / "scores", "format version 99", "newer version")


def test_a_refusal_leaves_the_tables_that_are_there(archive, few_digits, prepare, tmp_path):
    out = tmp_path / "d" / "scores"
    fetch(archive, few_digits, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ArtifactError):
        fetch(archive, prepare(subsample={"train": 200, "test": 100}, seed=2), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


# -- archives that are not safe -------------------------------------------------------------


def zipped(path, members, mode=0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members:
            member = zipfile.ZipInfo(name)
            member.external_attr, member.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            packed.writestr(member, content)
    return path


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("../memorization.parquet", 0o644, "leads out of the archive"),
        ("/etc/memorization.parquet", 0o644, "absolute path"),
        ("C:\\memorization.parquet", 0o644, "absolute path"),
        ("memorization.parquet", stat.S_IFLNK | 0o777, "is a link"),
    ],
)
def test_an_unsafe_member(few_digits, tmp_path, name, mode, words):
    path = zipped(tmp_path / "a.zip", [(name, b"x")], mode)
    refused(path, few_digits, tmp_path / "d" / "scores", str(path), repr(name), words)


def test_a_bomb(few_digits, tmp_path):
    path = zipped(tmp_path / "a.zip", [("memorization.parquet", bytes(1 << 26))])
    assert path.stat().st_size < 1 << 17
    refused(path, few_digits, tmp_path / "d" / "scores", str(path), "would unpack to 67108864")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["memorization.parquet", "other/memorization.parquet"])
def test_a_table_twice(few_digits, tmp_path, second):
    path = zipped(tmp_path / "a.zip", [("memorization.parquet", b"x"), (second, b"y")])
    refused(path, few_digits, tmp_path / "d" / "scores", "one set of them")


def test_a_truncated_zip_and_no_zip(archive, few_digits, tmp_path):
    content, path = archive.read_bytes(), tmp_path / "a.zip"
    half = content[: len(content) // 2]
    for part, words in ((half, "cannot be read as a zip"), (b"no zip", "a zip"), (b"", "is empty")):
        path.write_bytes(part)
        refused(path, few_digits, tmp_path / "d" / "scores", str(path), words)


def test_a_damaged_member(archive, few_digits, tmp_path):
    content, path = bytearray(archive.read_bytes()), tmp_path / "a.zip"
    content[content.index(b"PAR1") + 100] ^= 0xFF
    path.write_bytes(content)
    refused(path, few_digits, tmp_path / "d" / "scores", str(path), "damaged")


def test_a_zip_made_by_hand_of_a_folder(made, few_digits, tmp_path):
    base = tmp_path / "by hand"
    shutil.make_archive(str(base), "zip", made.parent, "digits/scores")
    out = tmp_path / "d" / "scores"
    fetch(tmp_path / "by hand.zip", few_digits, out)
    assert (out / "test.parquet").read_bytes() == (made / "scores/test.parquet").read_bytes()


# -- from a server --------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch, archive):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path not in ("/scores-digits.zip", "/private.zip?token=s3cret"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(archive.stat().st_size))
            self.end_headers()
            self.wfile.write(archive.read_bytes())

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_tables_from_an_address(server, made, archive, few_digits, tmp_path):
    out, sha256 = tmp_path / "d" / "scores", hashlib.sha256(archive.read_bytes()).hexdigest()
    source = f"{server}/scores-digits.zip"
    assert source in fetch(source, few_digits, out, sha256=sha256)
    assert (out / "test.parquet").read_bytes() == (made / "scores/test.parquet").read_bytes()
    kept = out.parent / "source" / f"{sha256[:16]}-scores-digits.zip"
    assert list((out.parent / "source").iterdir()) == [kept]
    # what was verified once is used again without the server
    shutil.rmtree(out)
    gone = "http://127.0.0.1:9/scores-digits.zip"
    fetch(gone, few_digits, out, sha256=sha256)
    refused(f"{server}/no.zip", few_digits, tmp_path / "e/scores", "404", sha256=sha256)
    words = ("b" * 64, sha256)
    refused(source, few_digits, tmp_path / "f" / "scores", *words, sha256="b" * 64)
    assert list((tmp_path / "f" / "source").iterdir()) == []


def test_the_query_of_an_address_is_used_and_kept_nowhere(
    server, archive, few_digits, tmp_path, monkeypatch
):
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    source = f"{server}/private.zip?token=s3cret"
    kept = f"{server}/private.zip?..."
    words = (kept, "is kept in no file", f"set {address_variable(sha256)}")
    refused(kept, few_digits, tmp_path / "d" / "scores", *words, sha256=sha256)
    monkeypatch.setenv(address_variable(sha256), f"{server}/another.zip?token=s3cret")
    refused(kept, few_digits, tmp_path / "d" / "scores", *words, sha256=sha256)
    monkeypatch.setenv(address_variable(sha256), source)
    assert kept in fetch(kept, few_digits, tmp_path / "d" / "scores", sha256=sha256)


@pytest.mark.parametrize("variable", [False, True], ids=["written out", "variable"])
def test_no_file_of_a_workflow_holds_the_query(
    variable, server, archive, made, repository, tmp_path
):
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    source = f"{server}/private.zip?token={'$E_TOKEN' if variable else 's3cret'}"
    raw = {
        "results": "results",
        "datasets": {
            "d": {
                "data": {"source": "digits", "subsample": {"train": 200, "test": 100}},
                "scores": {"source": source, "sha256": sha256},
            }
        },
    }
    (tmp_path / "work").mkdir()
    (tmp_path / "c.json").write_text(json.dumps(raw))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "results/d/scores/test.parquet"),
            *("--snakefile", repository / "workflow" / "Snakefile", "--cores", "1"),
            *("--configfile", tmp_path / "c.json", "--printshellcmds"),
        ],
        cwd=tmp_path / "work",
        env=os.environ | {"E_TOKEN": "s3cret"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    scores = tmp_path / "work/results/d/scores"
    assert (scores / "test.parquet").read_bytes() == (made / "scores/test.parquet").read_bytes()
    assert "private.zip?..." in (scores / "source.md").read_text()
    files = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
    assert any(path.name.startswith("configuration-") for path in files)
    assert [path for path in files if b"s3cret" in path.read_bytes()] == []
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"source": "http://a/b.zip"}, "sha256 must say which file is meant"),
        ({"source": "ftp://a/b.zip", "sha256": "a" * 64}, "no http:// or https:// address"),
        ({"sha256": "a" * 64}, "source is not given"),
        ({"match": "index"}, "source is not given"),
        ({"tables": ["confidence"]}, "source is not given"),
        ({"source": "a.zip", "sha256": "abc"}, "scores.sha256"),
        ({"source": "a.zip", "tables": ["memorisation"]}, "scores.tables"),
        ({"source": "a.zip", "match": "name"}, "scores.match"),
    ],
)
def test_a_wrong_entry_of_the_configuration(scores, words):
    raw = {"datasets": {"digits": {"data": {"source": "digits"}, "scores": scores}}}
    with pytest.raises(ConfigError, match=words):
        load_config(raw)


def test_bat_with_scores_that_the_source_does_not_bring_is_left_out():
    raw = {"data": {"source": "digits"}}
    for scores, expected in (
        ({}, {"bat-1-0.2-disagreement", "bat-1-0.2-confidence"}),
        ({"source": "a.zip"}, set()),
        ({"source": "a.zip", "tables": ["confidence"]}, {"bat-1-0.2-confidence"}),
    ):
        settings = load_config({"datasets": {"digits": raw | {"scores": scores}}})
        runs = substitution_runs(settings.datasets["digits"])
        assert set(runs) == {"bat-1-0.2"} | expected  # memorization's own is always there


# -- matching by a key ----------------------------------------------------------------------


def test_matched_by_index(made, archive, prepare, tmp_path):
    larger = prepare(subsample={"train": 200, "test": 100}, resize=10)
    out = tmp_path / "d" / "scores"
    note = fetch(archive, larger, out, match="index", tables=["confidence", "convergence"])
    assert "Matched by index, with equal labels" in note
    assert "200 training and 100 test samples" in note
    for kind in ("memorization", "influence", "test", "confidence"):
        table, metadata = read_table(out / f"{kind}.parquet", kind, fingerprint=larger.fingerprint)
        before, _ = read_table(made / "scores" / f"{kind}.parquet", kind)
        assert table.equals(before)
        assert metadata["matched"]["by"] == "index"
        assert metadata["matched"]["fingerprint"] != larger.fingerprint


def test_matched_by_source_index(made, archive, prepare, tmp_path):
    """A part of the samples, which the source has in the order of its own split."""
    fewer = prepare(subsample={"train": 120, "test": 60})
    whole = data.load(made / "data")
    position = {s: i for i, s in enumerate(whole.train_source_index.tolist())}
    rows = [position[s] for s in fewer.train_source_index.tolist()]
    test_position = {s: i for i, s in enumerate(whole.test_source_index.tolist())}
    test_rows = [test_position[s] for s in fewer.test_source_index.tolist()]

    out = tmp_path / "d" / "scores"
    fetch(archive, fewer, out, match="source_index", tables=["disagreement"])
    for _ in sharing.validate(out, fewer):
        pass
    for kind, name in (("memorization", "memorization"), ("disagreement", "disagreement")):
        there = values(made / "scores" / f"{kind}.parquet", name)
        assert np.array_equal(values(out / f"{kind}.parquet", name), there[rows])
    there = values(made / "scores" / "test.parquet", "accuracy")
    assert np.array_equal(values(out / "test.parquet", "accuracy"), there[test_rows])

    before = pd.read_parquet(made / "scores" / "influence.parquet")
    before = before[before.train_index.isin(rows) & before.test_index.isin(test_rows)]
    new, new_test = ({old: i for i, old in enumerate(r)} for r in (rows, test_rows))
    expected = before.assign(
        train_index=before.train_index.map(new), test_index=before.test_index.map(new_test)
    ).sort_values(["train_index", "test_index"], ignore_index=True)
    found = pd.read_parquet(out / "influence.parquet")
    assert 0 < len(found) < len(pd.read_parquet(made / "scores" / "influence.parquet"))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    tests = pd.read_parquet(out / "test.parquet")
    strongest = found.groupby("test_index").influence.max()
    assert np.array_equal(tests.max_influence[strongest.index], strongest.astype(float))


@pytest.mark.parametrize(
    ("match", "settings", "words"),
    [
        ("index", {"subsample": {"train": 120, "test": 100}}, "120 in use"),
        ("index", {"subsample": {"train": 200, "test": 100}, "seed": 1}, "train labels differ"),
        ("source_index", {"subsample": {"train": 220, "test": 100}}, "holds no scores of"),
        ("file_name", {"subsample": {"train": 120, "test": 100}}, "no file_name of its train"),
    ],
)
def test_a_key_that_does_not_fit(archive, prepare, tmp_path, match, settings, words):
    refused(archive, prepare(**settings), tmp_path / "d" / "scores", words, match=match)


def test_strange_files_beside_the_tables(copy, prepare, tmp_path):
    other, out = prepare(subsample={"train": 120, "test": 60}), tmp_path / "d" / "scores"
    index = copy / "data" / "train_source_index.npy"
    for content in (np.array([{}], dtype=object), np.arange(7), np.zeros(200)):
        np.save(index, content, allow_pickle=True)
        refused(copy, other, out, "", match="source_index")
    index.write_bytes(b"x")
    refused(copy, other, out, str(index), "no readable array", match="source_index")
    info = copy / "data" / "dataset.json"
    for text in ("[1]", '{"source": "digits"}', "no JSON"):
        info.write_text(text)
        refused(copy, other, out, str(info), match="index")


def test_a_folder_without_source_index(made, prepare, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(made / "scores", folder)
    other = prepare(subsample={"train": 120, "test": 60})
    out = tmp_path / "d" / "scores"
    refused(folder, other, out, "holds no source_index", match="source_index")


def test_a_table_made_elsewhere(few_digits, tmp_path):
    """Without our package: columns, and a key that says what they are."""
    labels = np.asarray(few_digits.train_labels)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    tables = {
        "memorization": {"index": np.arange(200), "label": labels, "memorization": labels / 10},
        "influence": {"train_index": [0], "test_index": [few_digits.test_labels.tolist().index(
            labels[0])], "influence": [0.5]},
        "test": {
            "index": np.arange(100),
            "label": np.asarray(few_digits.test_labels),
            "max_influence": np.full(100, np.nan),
            "max_influence_train_index": np.full(100, -1),
        },
    }  # fmt: skip
    at = tables["influence"]["test_index"][0]
    tables["test"]["max_influence"][at], tables["test"]["max_influence_train_index"][at] = 0.5, 0
    for kind, columns in tables.items():
        schema = SCHEMAS[kind]
        arrays = [
            pa.array(columns[f.name], f.type) if f.name in columns else
            pa.nulls(len(next(iter(columns.values()))), f.type) for f in schema
        ]  # fmt: skip
        about = {"format_version": 1, "kind": kind, "fingerprint": None, "recipe": {}}
        about |= {"influence": {"keep_above": 0.02}, "package_version": "none", "command": "R"}
        table = pa.table(arrays, schema=schema.with_metadata({"bat": json.dumps(about)}))
        pq.write_table(table, folder / f"{kind}.parquet")
    out = tmp_path / "d" / "scores"
    refused(folder, few_digits, out, "fingerprint None", "scores.match")
    assert "without a fingerprint" in fetch(folder, few_digits, out, match="index")
    table, _ = read_table(out / "memorization.parquet", "memorization")
    assert np.array_equal(column(table, "memorization"), labels / 10)
    assert table.column("memorization_se").null_count == 200


# -- merging --------------------------------------------------------------------------------


def merge(paths, prepared, out, **settings):
    merging.merge([*paths], prepared, out, **MERGE | settings)
    return {
        kind: read_table(out / "scores" / f"{kind}.parquet", kind) for kind in score_files.REQUIRED
    }


def test_merged_trials_are_as_if_run_together(made, few_digits, tmp_path):
    write_shard(tmp_path / "a" / "trials", few_digits, range(12))
    write_shard(tmp_path / "b", few_digits, range(12, 20))
    write_shard(tmp_path / "b", few_digits, range(20, 30))
    tables = merge([tmp_path / "b", tmp_path / "a"], few_digits, tmp_path / "out")
    for kind, (table, metadata) in tables.items():
        together, about = read_table(made / "scores" / f"{kind}.parquet", kind)
        assert table.equals(together)
        assert metadata == about
    shard = tmp_path / "out" / "trials" / "small_cnn-4-000000-000029.parquet"
    assert read_table(shard, "trials")[0].equals(
        read_table(made / "trials" / shard.name, "trials")[0]
    )


def test_adding_trials_later(made, few_digits, tmp_path):
    first = write_shard(tmp_path / "a", few_digits, range(20))
    before = merge([first], few_digits, tmp_path / "old")["memorization"][0]
    more = write_shard(tmp_path / "b", few_digits, range(20, 30))
    after, metadata = merge([tmp_path / "old", more], few_digits, tmp_path / "new")["memorization"]
    assert after.equals(read_table(made / "scores" / "memorization.parquet", "memorization")[0])
    assert metadata["recipe"]["trials"] == 30
    counts = [column(t, "n_included") + column(t, "n_excluded") for t in (before, after)]
    assert [set(c.tolist()) for c in counts] == [{20}, {30}]
    assert column(after, "memorization_se").mean() < column(before, "memorization_se").mean()


def test_the_same_trial_twice_counts_once(made, few_digits, tmp_path):
    write_shard(tmp_path / "a", few_digits, range(20), change={"seconds": 9.0, "device": "other"})
    write_shard(tmp_path / "b", few_digits, range(10, 30))
    tables = merge([tmp_path / "a", tmp_path / "b"], few_digits, tmp_path / "out")
    together = read_table(made / "scores" / "influence.parquet", "influence")[0]
    assert tables["influence"][0].equals(together)


def test_merging_by_the_command(made, few_digits, tmp_path, run_bat):
    write_shard(tmp_path / "a" / "trials", few_digits, range(15))
    write_shard(tmp_path / "b" / "trials", few_digits, range(15, 30))
    places = [tmp_path / "a", tmp_path / "b"]
    out = ["--data", made / "data", "--out", tmp_path / "out"]
    run_bat("scores", "merge", *places, *out)
    scores = {kind: f"scores/{kind}.parquet" for kind in score_files.REQUIRED}
    for kind, name in scores.items():
        table, about = read_table(tmp_path / "out" / name, kind)
        assert table.equals(read_table(made / name, kind)[0])
        assert about["dataset"] == "digits"
    run_bat("scores", "merge", *places, *out, "--keep-above", "0.1", "--pairs", "all")
    _, about = read_table(tmp_path / "out" / scores["influence"], "influence")
    assert about["influence"] == {"pairs": "all", "keep_above": 0.1}
    done = run_bat("scores", "merge", tmp_path / "b", *out, check=False)
    assert done.returncode == 2
    assert "15 are in none of the places" in done.stderr


def merge_refused(paths, prepared, out, *words, **settings):
    with pytest.raises(ArtifactError) as caught:
        merge(paths, prepared, out, **settings)
    for word in words:
        assert word in str(caught.value)
    assert not out.exists()


def test_trials_that_contradict(few_digits, tmp_path):
    one = write_shard(tmp_path / "a", few_digits, range(20))
    other = write_shard(tmp_path / "b", few_digits, range(10, 30))
    wrong = pack(np.zeros(100, bool))
    table = pq.read_table(other)
    rows = [wrong, *table.column("test_correct").to_pylist()[1:]]
    accuracies = [0.0, *table.column("test_accuracy").to_pylist()[1:]]
    rewrite(other, test_correct=rows, test_accuracy=accuracies)
    words = (str(one), str(other), "trial 10", "another content (test_correct)")
    merge_refused([one, other], few_digits, tmp_path / "out", *words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"training": {"epochs": 5}}, "training.epochs: 5, and 30 there"),
        ({"seed": 7}, "seed: 7, and 0 there"),
        ({"subset_ratio": 0.5}, "subset_ratio: 0.5, and 0.7 there"),
    ],
)
def test_trials_of_another_recipe(few_digits, tmp_path, settings, words):
    recipe = trial_recipe("small_cnn-4", config.Scores(**settings))
    one = write_shard(tmp_path / "a", few_digits, range(20))
    other = write_shard(tmp_path / "b", few_digits, range(20, 30), recipe=recipe)
    merge_refused([one, other], few_digits, tmp_path / "out", str(one), str(other), words)


def test_trials_of_another_data_set(few_digits, prepare, tmp_path):
    other = prepare(subsample={"train": 200, "test": 100}, resize=9)
    one = write_shard(tmp_path / "a", few_digits, range(20))
    two = write_shard(tmp_path / "b", other, range(20, 30))
    words = (str(two), few_digits.fingerprint, other.fingerprint)
    merge_refused([one, two], few_digits, tmp_path / "out", *words)


def test_trials_that_are_missing(few_digits, tmp_path):
    one = write_shard(tmp_path / "a", few_digits, range(10))
    other = write_shard(tmp_path / "b", few_digits, range(12, 30))
    merge_refused([one, other], few_digits, tmp_path / "out", "2 are in none", "(10, 11)")


def test_trials_of_two_architectures(few_digits, tmp_path):
    recipe = trial_recipe("small_cnn-8", config.Scores())
    write_shard(tmp_path / "a", few_digits, range(30))
    write_shard(tmp_path / "a", few_digits, range(5), recipe=recipe)
    merge_refused([tmp_path / "a"], few_digits, tmp_path / "out", "small_cnn-8", "name one")
    tables = merge([tmp_path / "a"], few_digits, tmp_path / "out", architecture="small_cnn-4")
    assert tables["test"][1]["recipe"]["architecture"] == "small_cnn-4"
    assert len(list((tmp_path / "out" / "trials").iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"included": pack(np.arange(200) < 140)}, "not trained on the subset"),
        ({"test_accuracy": 0.5}, "states test_accuracy 0.5"),
        ({"included": b"abc"}, "found 3 bytes"),
    ],
)
def test_a_shard_that_cannot_be_true(few_digits, tmp_path, change, words):
    shard = write_shard(tmp_path / "a", few_digits, range(30), change=change)
    merge_refused([shard], few_digits, tmp_path / "out", str(shard), "trial 0", words)


# -- looking --------------------------------------------------------------------------------


def test_show(archive, made, run_bat):
    for path in (archive, made, made / "scores", made / "scores" / "memorization.parquet"):
        text = run_bat("scores", "show", path, "--top", 3).stdout
        for words in ("30 of small_cnn-4", "200 training, 100 test", "Memorization above 0.15"):
            assert words in text
    table = pd.read_parquet(made / "scores" / "memorization.parquet")
    first = table.sort_values(["memorization", "index"], ascending=[False, True]).iloc[0]
    assert re.search(rf"│ +{first['index']:.0f} │", text)
    assert f"{first.memorization:.3f}" in text


def test_markup_in_metadata_is_printed_as_it_is(copy, capsys):
    rewrite(copy / "scores" / "memorization.parquet", {"dataset": "[red]x[/red]"})
    assert main(["scores", "show", str(copy)]) == 0
    assert "[red]x[/red]" in capsys.readouterr().out


def test_validate_accepts_what_we_make(archive, made, run_bat):
    done = run_bat("scores", "validate", archive, made, "--data", made / "data")
    assert done.stdout.count("ok ") == len(done.stdout.splitlines()) == 2 * len(KINDS) + 1


def test_validate_ends_at_the_first_file_that_fails(made, copy, run_bat):
    path = copy / "scores" / "influence.parquet"
    rewrite(path, influence=values(path, "influence")[::-1])
    done = run_bat("scores", "validate", made, copy, made, check=False)
    assert done.returncode == 2
    assert str(path) in done.stderr or str(path.parent / "test.parquet") in done.stderr
    assert done.stdout.count(f"ok {made}") == len(KINDS) + 1


def broken(column_name, change, kind="memorization"):
    def apply(folder):
        path = folder / f"{kind}.parquet"
        found = values(path, column_name)
        change(found)
        rewrite(path, **{column_name: found})
        return path

    return apply


def put(at, value):
    def change(found):
        found[at] = value

    return change


def metadata(kind="memorization", **change):
    def apply(folder):
        rewrite(folder / f"{kind}.parquet", change)
        return folder / f"{kind}.parquet"

    return apply


def swap_rows(folder):
    path = folder / "influence.parquet"
    table = pq.read_table(path)
    order = np.arange(table.num_rows)
    order[:2] = 1, 0
    pq.write_table(table.take(pa.array(order)), path)
    rewrite(path)
    return path


def one_null(folder):
    path = folder / "memorization.parquet"
    found = values(path, "memorization_se").tolist()
    rewrite(path, memorization_se=[None, *found[1:]])
    return path


def text(name, content):
    def apply(folder):
        (folder / name).write_text(content)
        return folder / name

    return apply


RULES = {
    "index order": (broken("index", put(3, 9)), "index counts from 0 up"),
    "label": (broken("label", put(3, -1)), "label is a class number"),
    "label in use": (broken("label", put(3, 11)), "the data set's label"),
    "range": (broken("memorization", put(0, 1.5)), "lies in [-1, 1]"),
    "nan": (broken("memorization", put(0, np.nan)), "lies in [-1, 1]"),
    "difference": (
        broken("memorization", lambda m: np.add(m, 0.01 * (m < 0.5), out=m)),
        "accuracy_included less accuracy_excluded",
    ),
    "positive error": (broken("memorization_se", put(5, 0)), "above 0"),
    "error": (broken("memorization_se", put(5, 0.5)), "difference of the two shares"),
    "null": (one_null, "null in 1 of 200"),
    "counts": (broken("n_included", put(0, 0)), "at least 1"),
    "sum": (metadata(recipe=RECIPE | {"trials": 31}), "sum to the 31 trials"),
    "subset size": (
        metadata(recipe=RECIPE | {"trials": 30, "subset_ratio": 0.6}),
        "n_included sums to",
    ),
    "accuracy": (
        metadata(accuracies={"included": 0.5}),
        "mean accuracy included of 0.5",
    ),
    "accuracy range": (metadata(accuracies={"included": 1.5}), "no number in [0, 1]"),
    "fingerprint": (metadata(fingerprint="abc"), "no sha256 in hex"),
    "recipe": (metadata(recipe=None), "recipe is None, expected a mapping"),
    "trials": (metadata(recipe={"trials": "many"}), "trials is 'many', expected a whole number"),
    "accuracies": (metadata(accuracies=[1]), "accuracies is [1], expected a mapping"),
    "accuracy text": (metadata(accuracies={"test": "1"}), "accuracy 'test' is '1'"),
    "command": (metadata(command=None), "command is None, expected text"),
    "kept": (broken("influence", put(0, 0.01), "influence"), "above keep_above, 0.02"),
    "keep_above": (metadata("influence", influence={}), "above what pairs are kept"),
    "pair order": (swap_rows, "sorted by train_index"),
    "pair range": (broken("influence", put(0, 1.5), "influence"), "lies in [-1, 1]"),
    "pair q": (broken("q", put(0, 1.5), "influence"), "q lies in [0, 1]"),
    "chance": (metadata("influence", chance=[1]), "chance is [1], expected a mapping"),
    "chance lists": (
        metadata("influence", chance={"thresholds": [0.02], "observed": [1]}),
        "equally many of thresholds, observed and expected",
    ),
    "chance rows": (
        metadata(
            "influence",
            chance={"thresholds": [0.02], "observed": [1], "expected": [1.0]}
            | {"candidates": 9, "level": 0.1, "standing": 0},
        ),
        "the metadata state 1 pairs above 0.02",
    ),
    "pair error": (broken("influence_se", put(0, 0), "influence"), "influence_se is above 0"),
    "pair train": (broken("train_index", put(-1, 200), "influence"), "below 200"),
    "pair test": (broken("test_index", put(-1, 100), "influence"), "below 100"),
    "test accuracy": (broken("accuracy", put(0, 0.111), "test"), "share of the trials"),
    "test best": (broken("max_influence", put(0, 1.5), "test"), "lies in [-1, 1]"),
    "test none": (broken("max_influence_train_index", put(0, -1), "test"), "where there is none"),
    "test maximum": (broken("max_influence", put(slice(None), 0.9), "test"), "kept pairs"),
    "test which": (
        broken("max_influence_train_index", put(slice(None), 0), "test"),
        "lowest sample that has it",
    ),
    "confidence": (broken("confidence", put(0, 1.1), "confidence"), "lies in [0, 1]"),
    "disagreement": (broken("disagreement", put(0, 0.8), "disagreement"), "lies in [0, 0.69"),
    "recipes": (metadata("test", recipe=RECIPE | {"trials": 30, "seed": 8}), "different recipes"),
    "data sets": (metadata("test", fingerprint="b" * 64), "different data sets"),
    "convergence": (text("convergence.csv", "a,b\n1,2\n"), "no column 'n_trials'"),
    "convergence empty": (text("convergence.csv", ""), "no column 'n_trials'"),
    "convergence text": (
        text("convergence.csv", "n_trials,split_half_correlation,se_p95\n1,x,2\n"),
        "not a table of numbers",
    ),
    "convergence order": (
        text("convergence.csv", "n_trials,split_half_correlation,se_p95\n9,1,2\n5,1,2\n"),
        "must rise",
    ),
}


@pytest.mark.parametrize(("damage", "rule"), RULES.values(), ids=RULES)
def test_every_rule_can_fail(copy, few_digits, damage, rule):
    path = damage(copy / "scores")
    # a wrong fingerprint would be refused first as that of another data set
    prepared = None if "fingerprint" in rule or "sha256" in rule or "data sets" in rule else (
        few_digits
    )  # fmt: skip
    with pytest.raises(ArtifactError) as caught:
        for _ in sharing.validate(copy / "scores", prepared):
            pass
    assert rule in str(caught.value)
    assert str(path.parent) in str(caught.value)


def _every(change):
    """Change the lines of ``convergence.csv``, which are valid afterwards."""

    def damage(folder):
        path = folder / "scores" / "convergence.csv"
        path.write_text("".join(change(path.read_text().splitlines(keepends=True))))
        return path

    return damage


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (_every(lambda lines: lines[:-1]), "is not the file that convergence.json beside it"),
        (_every(lambda lines: [*lines[:-1], lines[-1][:20]]), "fewer or more cells than the head"),
        (_every(lambda lines: [*lines[:-1], "7" + lines[-1]]), "is not the file that"),
    ],
)
def test_a_cut_or_edited_convergence_is_refused_by_all_that_read_it(copy, tmp_path, damage, found):
    damage(copy)
    for read in (
        lambda: list(sharing.validate(copy)),
        lambda: list(sharing.validate(copy / "scores" / "convergence.csv")),
        lambda: bat.read_scores(copy),
        lambda: sharing.export(copy, tmp_path / "scores.zip"),
    ):
        with pytest.raises(ArtifactError, match=rf"convergence\.csv: .*{found}"):
            read()


def test_a_convergence_without_a_label_keeps_its_ranges(copy):
    table = pd.read_csv(copy / "scores" / "convergence.csv")
    (copy / "scores" / "convergence.json").unlink()
    for name, value in (("split_half_correlation", 1.5), ("se_p95", -0.1), ("n_trials", 0)):
        changed = table.astype({name: type(value)})
        changed.loc[0, name] = value
        changed.to_csv(copy / "scores" / "convergence.csv", index=False)
        with pytest.raises(
            ArtifactError, match=rf"convergence\.csv: {name} is {value:g}, expected"
        ):
            bat.read_scores(copy)


def test_the_convergence_of_other_trials_is_not_read(made, copy, few_digits, tmp_path):
    assert len(Folder(made).convergence())
    shard = write_shard(copy / "trials", few_digits, range(N_TRIALS - 2))
    spec = {"trials": N_TRIALS - 2, "recipe": RECIPE} | MERGE
    scoring.write_convergence([shard], few_digits, spec, copy / "scores" / "convergence.csv")
    for read in (
        lambda: Folder(copy).convergence(),
        lambda: bat.read_scores(copy),
        lambda: list(sharing.validate(copy)),
        lambda: sharing.export(copy, tmp_path / "scores.zip"),
    ):
        with pytest.raises(ArtifactError, match=r"convergence\.csv: it was made of other trials"):
            read()


@pytest.mark.parametrize("name", ["disagreement.parquet", "convergence.csv"])
def test_an_optional_table_that_leads_nowhere_is_named(copy, name):
    (copy / "scores" / name).unlink()
    (copy / "scores" / name).symlink_to("nowhere")
    for read in (bat.read_scores, lambda folder: list(sharing.validate(folder))):
        with pytest.raises(ArtifactError, match=rf"{name}: is a link that leads to no file"):
            read(copy)


def test_file_names_of_images_are_no_scores(copy, few_digits):
    names = {split: ["a.png"] * few_digits.info[f"n_{split}"] for split in ("train", "test")}
    write_names(copy / "data", names, few_digits.fingerprint)
    said = [Path(name).name for name, _ in sharing.validate(copy, few_digits)]
    assert "memorization.parquet" in said
    assert "names.parquet" not in said


def test_groups_and_trials_are_checked_too(copy, few_digits):
    path = copy / "groups" / "train.parquet"
    columns = {"index": np.arange(3), "typical": [True] * 3, "atypical": [False, True, False]}
    provenance = {"fingerprint": few_digits.fingerprint, "recipe": {}, "command": "a test"}
    write_table(path, "groups", columns, **provenance)
    with pytest.raises(ArtifactError, match=r"train\.parquet: row 1 .*typical and atypical"):
        list(sharing.validate(copy))
    path.unlink()
    path = next((copy / "trials").iterdir())
    rewrite(path, trial=np.arange(N_TRIALS)[::-1])
    with pytest.raises(ArtifactError, match="trials are sorted"):
        list(sharing.validate(copy))


def test_files_that_are_no_tables(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ArtifactError, match="no key 'bat'"):
        list(sharing.validate(tmp_path))
    (tmp_path / "a.parquet").write_bytes(b"no Parquet")
    with pytest.raises(ArtifactError, match="damaged"):
        list(sharing.validate(tmp_path / "a.parquet"))
    with pytest.raises(ArtifactError, match="no such file"):
        list(sharing.validate(tmp_path / "b.zip"))


# -- the documented format ------------------------------------------------------------------

DOCS = Path(__file__).resolve().parents[2] / "docs" / "score-tables.md"


def test_the_documentation_names_every_column_in_order():
    lines = DOCS.read_text().splitlines()
    for kind in (*score_files.REQUIRED, "disagreement", "confidence", "groups", "trials"):
        start = next(i for i, line in enumerate(lines) if line.startswith(f"### `{kind}"))
        rows = [line.split("|") for line in lines[start:]]
        end = next((i for i, line in enumerate(lines[start + 1 :]) if line.startswith("#")), None)
        found = [
            (row[1].strip(" `"), row[2].strip())
            for row in rows[: None if end is None else end + 1]
            if len(row) > 3 and row[1].strip().startswith("`")
        ]
        assert found == [(f.name, str(f.type)) for f in SCHEMAS[kind]], kind


def code(language: str) -> list[str]:
    return [part.split("```")[0] for part in DOCS.read_text().split(f"```{language}\n")[1:]]


def test_duckdb_reads_the_tables_as_documented(made, monkeypatch):
    import duckdb

    monkeypatch.chdir(made.parent)
    shutil.copytree(made, made.parent / "results" / "digits", dirs_exist_ok=True)
    table = pd.read_parquet(made / "scores" / "memorization.parquet")
    queries = [query for block in code("sql") for query in block.split(";") if query.strip()]
    assert len(queries) >= 3
    for query in queries:
        assert duckdb.sql(query).fetchall()
    found = duckdb.sql(
        "select count(*), avg(memorization), sum(n_included) from 'digits/scores/mem*.parquet'"
    ).fetchall()[0]
    assert found[0] == len(table)
    assert found[1] == pytest.approx(table.memorization.mean(), abs=1e-12)
    assert found[2] == table.n_included.sum()
    about = duckdb.sql(
        "select decode(value) from parquet_kv_metadata('digits/scores/memorization.parquet') "
        "where decode(key) = 'bat'"
    ).fetchall()[0][0]
    assert json.loads(about)["recipe"]["trials"] == N_TRIALS


def test_pandas_reads_the_tables_as_documented(made, monkeypatch, capsys):
    shutil.copytree(made, made.parent / "results" / "digits", dirs_exist_ok=True)
    monkeypatch.chdir(made.parent)
    first = code("python")[0]
    assert "pandas" in first
    exec(first, {})
    assert f"\n{N_TRIALS} " in capsys.readouterr().out


# -- from one clone to another --------------------------------------------------------------

SETTINGS = """
datasets:
  digits:
    data:
      source: digits
      subsample: {train: 120, test: 60}
    scores:
      architecture: small_cnn-8
      trials: 30
      trials_per_job: 30
      allow_unfitted: true
      training: {epochs: 2, batch_size: 30, augmentation: {crop: 1, flip: false}}
    ensemble: {architectures: [small_cnn-8, wrn-10-1], members: 2, samples: in_sample}
    groups: {typical_below: 0.1}
"""
FIGURES = ["fig5", "fig6", "fig7", "alignment", "convergence", "groups"]


def clone(repository, folder) -> Path:
    for name in ("bat", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__", ".snakemake")
        shutil.copytree(repository / name, folder / name, ignore=ignored)
    shutil.copy(repository / "environment.yml", folder)
    return folder


def snakemake(folder, *arguments, check=True) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--cores", "1", "--configfile", "c.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if check and done.returncode:
        pytest.fail(done.stdout + done.stderr)
    return done


@pytest.mark.slow
def test_from_one_clone_to_another(repository, tmp_path):
    there, here = (clone(repository, tmp_path / name) for name in ("there", "here"))
    (there / "c.yaml").write_text(SETTINGS)
    archive = "results/digits/scores-digits.zip"
    snakemake(there, "scores", *FIGURES, archive)

    entry = f"      source: {there / archive}\n      sha256: {sha256_of(there / archive)}\n"
    sourced = SETTINGS.replace("    scores:\n", f"    scores:\n{entry}")
    tables = "      tables: [disagreement, confidence, convergence]\n"
    (here / "c.yaml").write_text(sourced.replace("    scores:\n", f"    scores:\n{tables}"))
    plan = snakemake(here, "-n", "scores", *FIGURES).stdout
    assert re.search(r"^fetch_digits +1$", plan, re.M)
    assert not re.search(r"^trials ", plan, re.M)
    assert "on random subsets" not in plan
    snakemake(here, "scores", *FIGURES)
    assert not (here / "results" / "digits" / "trials").exists()
    compared = 0
    for folder in ("scores", "groups", "figures"):
        for path in sorted((there / "results" / "digits" / folder).iterdir()):
            # a PDF holds the time of its making, a JSON file what was made here
            if path.suffix not in (".pdf", ".json"):
                other = here / "results" / "digits" / folder / path.name
                if folder == "groups":  # their metadata name the command
                    assert pq.read_table(other).equals(pq.read_table(path)), path
                else:
                    assert other.read_bytes() == path.read_bytes(), path
                compared += 1
    assert compared >= 6 + 2 + 2 * len(FIGURES)
    assert "Nothing to be done" in snakemake(here, "scores", *FIGURES).stderr

    # the figures that need other tables are left out, and refused when asked for
    (here / "c.yaml").write_text(sourced)
    plan = snakemake(here, "-n", "all").stdout
    jobs = re.findall(r"^(\w+) +\d+$", plan, re.M)
    assert "train" in jobs
    assert not {"trials", "draw_alignment", "draw_convergence", "ensembles"} & set(jobs)
    for target in ("alignment", "results/digits/scores/confidence.parquet"):
        done = snakemake(here, "-n", target, check=False)
        assert done.returncode != 0
        assert "scores.tables" in done.stdout + done.stderr

    # and a damaged archive stops the workflow by its name
    (there / archive).write_bytes((there / archive).read_bytes()[:-1])
    shutil.rmtree(here / "results")
    done = snakemake(here, "fig6", check=False)
    assert done.returncode != 0
    assert str(there / archive) in done.stdout + done.stderr
    assert not (here / "results" / "digits" / "scores" / "memorization.parquet").exists()

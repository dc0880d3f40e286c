"""Benchmarks run at toy size, keep what they measured, and report what they did not."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys

import pytest


@pytest.fixture
def benchmark(repository, monkeypatch):
    """Import a script of ``benchmarks/`` that imports others there."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module


@pytest.fixture
def call(benchmark, monkeypatch, capsys):
    """Run a script with arguments; what it prints."""

    def call(name: str, *arguments) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        benchmark(name).main()
        return capsys.readouterr().out

    return call


def test_gpu_measures_everything_at_toy_size_and_nothing_twice(call, benchmark, tmp_path):
    out = tmp_path / "gpu"
    text = call("gpu", "--toy", "--minutes", 5, "--out", out)
    kept = json.loads(out.with_suffix(".json").read_text())
    wanted = benchmark("gpu").measurements(toy=True)
    assert list(kept["measurements"]) == list(wanted)
    missing = {n: e["found"] for n, e in kept["measurements"].items() if "missing" in e["found"]}
    assert missing == {}
    assert out.with_suffix(".md").read_text() in text
    assert "Not measured" not in text
    steps = kept["measurements"]["steps, resnet18-4, ours"]["found"]
    assert steps["range"][0] <= steps["seconds_per_step"] <= steps["range"][1]

    again = call("gpu", "--toy", "--minutes", 5, "--out", out)
    assert again.count("measured before") == len(wanted)
    assert json.loads(out.with_suffix(".json").read_text()) == kept


def test_gpu_goes_on_where_an_earlier_call_left_it(benchmark, tmp_path):
    gpu, path = benchmark("gpu"), tmp_path / "gpu.json"
    wanted = gpu.measurements(toy=True)
    whole, changed, failed = list(wanted)[:3]
    kept = {
        whole: {"asked": wanted[whole], "found": {"seconds": 1.0}},
        changed: {"asked": wanted[changed] | {"rounds": 9}, "found": {"seconds": 1.0}},
        failed: {"asked": wanted[failed], "found": {"missing": "out of memory"}},
    }
    path.write_text(json.dumps({"hardware": {"gpu": "one"}, "measurements": kept}))
    assert list(gpu.read(path, {"gpu": "one"}, wanted)["measurements"]) == [whole, failed]
    with pytest.raises(SystemExit, match="another --out"):
        gpu.read(path, {"gpu": "another"}, wanted)


def test_gpu_tries_last_what_failed_before(call, benchmark, monkeypatch, tmp_path):
    """One that is never done in time would leave nothing to those behind it, call for call."""
    wanted, tried = benchmark("gpu").measurements(toy=True), []

    def run(spec, seconds):
        tried.append(spec)
        if spec == wanted["trials, 2 jobs"]:
            return {"missing": "not done"}
        return {"missing": "for now"} if len(tried) < 3 else {}

    monkeypatch.setattr(benchmark("gpu"), "run", run)
    monkeypatch.setattr(benchmark("gpu"), "report", lambda *of: "")
    call("gpu", "--toy", "--out", tmp_path / "gpu")
    assert tried == list(wanted.values())
    path = tmp_path / "gpu.json"
    kept = json.loads(path.read_text())
    del kept["measurements"]["accuracy, ours"]
    path.write_text(json.dumps(kept))
    tried.clear()
    call("gpu", "--toy", "--out", tmp_path / "gpu")
    first, second = list(wanted)[:2]
    again = ["accuracy, ours", first, second, "trials, 2 jobs"]
    assert tried == [wanted[name] for name in again]


def test_gpu_that_is_killed_leaves_both_files(call, benchmark, monkeypatch, tmp_path):
    """A lent machine may be gone before the last measurement, and its files are all there is."""
    first, second = list(benchmark("gpu").measurements(toy=True))[:2]

    def run(spec, seconds):
        if (tmp_path / "gpu.md").exists() and "0.4321" in (tmp_path / "gpu.json").read_text():
            raise KeyboardInterrupt
        return {"missing": "0.4321"}

    monkeypatch.setattr(benchmark("gpu"), "run", run)
    with pytest.raises(KeyboardInterrupt):
        call("gpu", "--toy", "--out", tmp_path / "gpu")
    text = (tmp_path / "gpu.md").read_text()
    assert f"{first} (0.4321)" in text and f"{second} (no time was left)" in text


def test_gpu_says_what_it_had_no_time_for_and_what_failed(call, benchmark, tmp_path):
    text = call("gpu", "--toy", "--minutes", 0, "--out", tmp_path / "h100.1")
    assert (tmp_path / "h100.1.md").read_text() in text
    wanted = benchmark("gpu").measurements(toy=True)
    assert text.count("(no time was left)") == len(wanted)
    spec = wanted["trials"] | {"architecture": "none"}
    assert "'none' is not an architecture" in benchmark("gpu").run(spec, 60)["missing"]
    never = wanted["trials, 2 jobs"]
    assert benchmark("gpu").run(never, 0.01) == {"missing": "not done within 0 s"}
    waits = [never | {"meeting": str(tmp_path / "meeting"), "job": job} for job in (0, 1)]
    (tmp_path / "meeting").mkdir()
    with pytest.raises(RuntimeError, match="ended with 1: "):
        benchmark("gpu").in_processes([waits[0], waits[1] | {"architecture": "none"}], 600)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "nan"], "no number of minutes"),
        (["--minutes", "-1"], "no number of minutes"),
        (["--out", "{folder}/file/gpu"], "cannot be written"),
        (["--out", "."], "names no file"),
        (["--out", "{folder}/broken"], "holds no measurements"),
        (["--out", "{folder}/other"], "holds no measurements"),
        (["--out", "{folder}/another"], "holds no measurements"),
    ],
)
def test_gpu_refuses_what_it_cannot_do_before_it_measures(
    call, benchmark, monkeypatch, capsys, tmp_path, arguments, message
):
    (tmp_path / "file").touch()
    (tmp_path / "broken.json").write_text('{"hardware"')
    (tmp_path / "other.json").write_text("[]")
    (tmp_path / "another.json").write_text('{"hardware": {}, "measurements": {"trials": 1}}')
    monkeypatch.setattr(benchmark("gpu"), "run", lambda *spec: pytest.fail("it measures"))
    with pytest.raises(SystemExit) as refused:
        call("gpu", "--toy", *(part.format(folder=tmp_path) for part in arguments))
    assert message in f"{refused.value}{capsys.readouterr().err}"


def test_ratios_of_the_report_are_those_of_the_seconds(benchmark):
    def entry(loop: str, seconds: float) -> dict:
        asked = {"kind": "steps", "architecture": "wrn-28-10", "loop": loop}
        found = {"seconds_per_step": seconds, "range": [seconds, 2 * seconds], "memory": 2**31}
        return {
            "asked": asked | {"batch_size": 100, "attack_steps": 10},
            "found": found | {"seconds_of_first_steps": 7.0},
        }

    names = {f"steps, wrn-28-10, {loop}": loop for loop in ("plain", "ours", "plain, autocast")}
    seconds = {"plain": 0.6, "ours": 0.1, "plain, autocast": 0.3}
    entries = {name: entry(loop, seconds[loop]) for name, loop in names.items()}
    found = {"hardware": {"gpu": "one"}, "measurements": entries}
    text = benchmark("gpu_report").report(found, list(names))
    assert "| ours | 10.00 (5.00 to 10.00) | 6.00 | 3.00 | 50 | 2.0 | 7 |" in text


def test_trials_of_jobs_beside_each_other_add_up(benchmark):
    jobs = [{"share": 1.0, "seconds": 18.0}, {"share": 0.5, "seconds": 20.0}]
    assert benchmark("gpu_report").trials_per_hour(jobs) == pytest.approx(3600 * 1.5 / 20)


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_compares_our_loop_with_a_plain_one(call, jobs):
    sizes = "--train 100 --test 20 --edge 8 --epochs 1 --batch-size 20 --repeats 1 --crop 1"
    network = ["--architecture", "resnet9-4", "--precision", "float32"]
    text = call("trials", *sizes.split(), *network, "--jobs", jobs)
    assert f"plain with {jobs} threads, ours in {jobs} jobs of one thread" in text
    rows = [line for line in text.splitlines() if line.startswith(("plain", "ours, float32"))]
    assert len(rows) == 2
    assert " 1.00x" in rows[0]


def test_the_page_is_measured_at_toy_size(call, tmp_path):
    if shutil.which("chromedriver") is None:
        pytest.skip("needs chromedriver: apt-get install chromium chromium-driver")
    text = call("browse", "--images", 60, "--repeats", 1, "--out", tmp_path / "page")
    assert "60 training and 12 test images" in text
    assert re.search(r"^opening: median \d+ ms", text, re.M)
    assert re.search(r"^sorting: median \d+ ms", text, re.M)

"""Commands that are asked to end, or whose output is closed; what they record of themselves."""

import contextlib
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
import yaml

from bat import config, files
from bat.__main__ import parser as parser_of_all
from bat.files import read_metadata
from bat.plan.specifications import trial_recipe

ARCHITECTURE = "small_cnn-4"


def bat(*arguments, **settings):
    """Start a command."""
    command = [sys.executable, "-m", "bat", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **settings)


@pytest.fixture
def shard(few_digits, tmp_path):
    """The arguments of a command that trains for long."""
    training = {"epochs": 5000, "batch_size": 50}
    recipe = trial_recipe(ARCHITECTURE, config.Scores(architecture=ARCHITECTURE, training=training))
    files.write_json(tmp_path / "spec.json", {"recipe": recipe, "members": 0})
    out = tmp_path / "trials" / f"{ARCHITECTURE}-000000-000001.parquet"
    places = ["--spec", tmp_path / "spec.json", "--data", few_digits.folder, "--out", out]
    return ["trials", *places, "--device", "cpu"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_command_says_in_one_line_how_to_go_on(shard, number):
    process = bat(*shard)
    started = process.stderr.readline()
    assert "to train on cpu" in started
    progress = process.stderr.readline()  # within the first trial
    assert re.search(r"0 of 2.*trial 0 in epoch \d+ of 5000", progress)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    said = [line for line in said.splitlines() if "trial 0 in epoch" not in line]
    assert len(said) == 1
    assert said[0].startswith(
        f"stopped by {'Ctrl-C' if number == 2 else signal.Signals(number).name}"
    )
    assert shlex.join(["python", "-m", "bat", *map(str, shard)]) in said[0]


# -- outputs that take no more --------------------------------------------------------------


def test_signals_that_come_together_stop_once_and_quietly():
    code = """if True:
        import os, signal
        from bat.stopping import Stopped, ended_by_signals
        both = {signal.SIGINT, signal.SIGTERM}
        try:
            with ended_by_signals():
                signal.pthread_sigmask(signal.SIG_BLOCK, both)
                for number in both:
                    os.kill(os.getpid(), number)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
                print("went on")
        except Stopped as stop:
            print(stop.code > 128)
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("True\n", "")


@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["plan"], ["check", "CONFIG"]])
def test_a_reader_that_wants_no_more_ends_a_command_quietly(arguments, repository):
    arguments = [a.replace("CONFIG", "config/config.yaml") for a in arguments]
    process = bat(*arguments, stdout=subprocess.PIPE, cwd=repository)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    ended = (0,) if arguments == ["--help"] else (1, 141)  # argparse itself looks away
    assert process.wait() in ended
    assert said == ""


def test_a_full_disk_behind_the_output_is_said_in_a_line(repository):
    with open("/dev/full", "w") as full:
        process = bat("schema", stdout=full)
        _, said = process.communicate()
    assert process.returncode == 1
    assert said == "error: the output takes no more: No space left on device\n"


def test_closed_outputs_do_no_harm(repository):
    command = shlex.join([sys.executable, "-m", "bat", "schema"])
    assert subprocess.run(["bash", "-c", f"{command} >&- 2>&-"]).returncode == 0


# -- recorded commands ----------------------------------------------------------------------


def test_a_recorded_command_runs_in_the_folder_of_its_file(few_digits, run_bat, tmp_path):
    training = {"epochs": 1, "batch_size": 50}
    recipe = trial_recipe(ARCHITECTURE, config.Scores(architecture=ARCHITECTURE, training=training))
    files.write_json(tmp_path / "spec.json", {"recipe": recipe, "members": 0})
    out = tmp_path / "trials" / f"{ARCHITECTURE}-000000-000001.parquet"
    places = ["--spec", tmp_path / "spec.json", "--data", few_digits.folder, f"--out={out}"]
    run_bat("trials", *places, "--log", tmp_path / "log")
    recorded = read_metadata(out, "trials")["command"]
    assert recorded.endswith(f"--out={out.name}")
    assert "--spec ../spec.json" in recorded and "log" not in recorded
    content = out.read_bytes()
    out.unlink()
    run_bat(*shlex.split(recorded)[3:], cwd=out.parent)
    again = files.read_table(out, "trials")[0].drop_columns("seconds")
    out.write_bytes(content)
    assert again.equals(files.read_table(out, "trials")[0].drop_columns("seconds"))
    assert read_metadata(out, "trials")["command"] == recorded


def test_options_are_read():
    """Every option of every command is looked at, by the command or what it calls."""

    def leaves(parser):
        groups = [
            a for a in parser._actions if hasattr(a, "choices") and isinstance(a.choices, dict)
        ]
        if not groups:
            yield parser
        for group in groups:
            for sub in group.choices.values():
                yield from leaves(sub)

    shared = {"log", "help", "device", "threads", "jobs_per_gpu", "compile"}
    for parser in leaves(parser_of_all()):
        run = parser.get_default("run")
        where = f"{run.__module__}.{run.__name__}"
        body = inspect.getsource(run)
        for helper in set(re.findall(r"(\w+)\(arguments[,)]", body)) - {run.__name__}:
            body += inspect.getsource(run.__globals__[helper])
        for action in parser._actions:
            name = action.dest
            if name == "compile":
                trains = run.__module__.endswith((".trials", ".train", ".proxies"))
                assert trains, f"{where} compiles nothing"
            if name not in shared:
                read = f"arguments.{name}" in body or re.search(
                    rf'\(arguments, [^)]*"{name}"', body
                )
                assert read or name == "out", f"{where} does not read {name}"


# -- the workflow's head --------------------------------------------------------------------


STOPPED_WITHIN_A_LOCK = """
import os, signal, sys, threading
UNDER_WORKFLOW = "BAT_UNDER_WORKFLOW"
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"))
lock, told = threading.Lock(), threading.Event()
def graceful(number, frame):  # as Snakemake's: its lock is none that the same thread takes twice
    with lock:
        told.set()
signal.signal(signal.SIGTERM, graceful)
stop_on_signals()
try:
    with lock:
        os.kill(os.getpid(), int(sys.argv[2]))
except KeyboardInterrupt:
    print("interrupted", told.wait(20))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_head_stopped_while_its_scheduler_holds_its_lock_ends_too(number, repository):
    rules = repository / "workflow" / "rules" / "stopping.smk"
    command = [sys.executable, "-c", STOPPED_WITHIN_A_LOCK, str(rules), str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "interrupted True\n", done.stderr


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
@pytest.mark.parametrize(
    ("number", "to_all"),
    [
        (signal.SIGINT, False),
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
        (signal.SIGINT, True),
    ],
)
def test_a_head_that_is_stopped_ends_its_jobs(number, to_all, repository, tmp_path):
    """Alone, or with its jobs as by Ctrl-C in a terminal."""
    scores = {"architecture": ARCHITECTURE, "trials": 40, "trials_per_job": 20}
    scores["training"] = {"epochs": 5000, "batch_size": 100}
    raw = {"datasets": {"d": {"data": {"source": "digits"}, "scores": scores}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw | {"compute": {"device": "cpu"}}))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", tmp_path]
    command += ["--snakefile", repository / "workflow" / "Snakefile"]
    command += ["results/d/scores/memorization.parquet", "--configfile", tmp_path / "c.yaml"]
    with open(tmp_path / "printed", "w") as printed:
        head = subprocess.Popen(
            list(map(str, command)), stdout=printed, stderr=printed, start_new_session=True
        )
    try:
        logs = tmp_path / "logs" / "d" / "trials"
        deadline = time.monotonic() + 120
        while sum("in epoch" in log.read_text() for log in logs.glob("*.log")) < 2:
            assert head.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        before = len((tmp_path / "printed").read_text())
        (os.killpg if to_all else os.kill)(head.pid, number)
        assert head.wait(60) == 1
        with pytest.raises(ProcessLookupError):
            os.killpg(head.pid, 0)  # no job is left
        assert not list(tmp_path.glob(".snakemake/locks/*"))
        (line,) = (tmp_path / "printed").read_text()[before:].split("\n\n")[-1].strip().splitlines()
        assert "what is finished is kept. To go on: snakemake --cores 2 --directory" in line
        assert all("stopped by" in log.read_text().splitlines()[-1] for log in logs.glob("*.log"))
    finally:  # a failed test leaves nothing running
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)

"""Devices: precision, and the locks by which jobs of one machine share its GPUs."""

import contextlib
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import types

import pytest
import torch

from bat import devices
from bat.devices import Runtime, claim, runtime
from bat.errors import BatError

HOLD = """
import sys, time
from pathlib import Path
from bat.devices import claim
from bat.progress import start_logging
start_logging()
with claim(["gpu-a", "gpu-b"], 1, Path(sys.argv[1])) as number:
    print(number, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """Start processes that each take one of two devices and keep it."""
    started = []

    def start() -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_jobs_take_different_devices_and_a_killed_one_gives_its_device_back(hold, tmp_path):
    first, second = hold(), hold()
    taken = {int(process.stdout.readline()): process for process in (first, second)}
    assert set(taken) == {0, 1}
    third = hold()
    assert third.stderr.readline() == "all 2 GPUs are taken by other jobs; waiting for one\n"
    os.kill(taken[1].pid, signal.SIGKILL)
    assert third.stdout.readline() == "1\n"
    assert taken[0].poll() is None
    assert sorted(os.listdir(tmp_path)) == ["gpu-a-0.lock", "gpu-b-0.lock"]


def test_devices_fill_evenly_before_they_are_shared(tmp_path):
    names = ["gpu-a", "gpu-b"]
    with (
        claim(names, 2, tmp_path) as first,
        claim(names, 2, tmp_path) as second,
        claim(names, 2, tmp_path) as third,
        claim(names, 2, tmp_path) as fourth,
    ):
        assert [first, second] == [0, 1]
        assert [third, fourth] == [0, 1]
    with claim(names, 1, tmp_path) as again:
        assert again == 0


def test_an_error_in_the_block_gives_the_device_back(tmp_path):
    with pytest.raises(RuntimeError), claim(["gpu"], 1, tmp_path):
        raise RuntimeError
    with claim(["gpu"], 1, tmp_path) as number:
        assert number == 0


# -- precision ------------------------------------------------------------------------------


CPU, GPU = Runtime(torch.device("cpu")), Runtime(torch.device("cuda", 0))


def test_auto_is_what_the_device_has_units_for(monkeypatch):
    for units, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(devices, "has_bfloat16_units", lambda device, units=units: units)
        assert CPU.precision("auto") == GPU.precision("auto") == precision
    x = torch.ones(2, 2)
    with CPU.autocast("bfloat16"):
        assert (x @ x).dtype == torch.bfloat16
    with CPU.autocast("float32"):
        assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "used", "expected"),
    [
        (True, False, True, True),
        (False, True, True, True),
        (False, False, True, False),
        (True, True, False, False),
    ],
)
def test_units_of_a_processor(monkeypatch, avx512_bf16, amx, used, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(devices, "_convolves_in_bfloat16", lambda: used)
    assert devices.has_bfloat16_units(torch.device("cpu")) == expected


@pytest.mark.parametrize(("major", "expected"), [(7, False), (8, True), (9, True)])
def test_units_of_a_gpu(monkeypatch, major, expected):
    """A V100, which torch emulates bfloat16 on, an A100 and an H100."""
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    properties = types.SimpleNamespace(major=major)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert devices.has_bfloat16_units(torch.device("cuda", 0)) == expected


def test_a_slow_choice_is_said_once_with_the_factor(monkeypatch, caplog):
    monkeypatch.setattr(devices.log, "propagate", True)
    monkeypatch.setattr(devices.log, "handlers", [])
    seconds = {"bfloat16": 0.9, "float32": 0.1}
    measured = []

    def of_step(device, precision):
        measured.append(precision)
        return seconds[precision]

    monkeypatch.setattr(devices, "seconds_of_step", of_step)
    monkeypatch.setattr(devices, "has_bfloat16_units", lambda device: False)
    devices._remark_if_slow.cache_clear()
    assert [CPU.precision("bfloat16") for _ in range(3)] == ["bfloat16"] * 3
    assert "bfloat16 takes 9.0 times as long as float32" in caplog.text
    assert (len(caplog.records), measured) == (1, ["bfloat16", "float32"])
    CPU.precision("auto"), CPU.precision("float32")
    seconds["float32"] = 0.8
    devices._remark_if_slow.cache_clear()
    CPU.precision("bfloat16")  # slower, and not worth a word
    assert len(caplog.records) == 1
    devices._remark_if_slow.cache_clear()


AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() != "AVX512", reason="needs AVX-512")
def test_a_processor_without_units():
    """This one, restricted to AVX2: auto is float32, and bfloat16 is measured and called slow."""
    code = (
        "import torch; from bat.devices import Runtime; from bat.progress import start_logging\n"
        "start_logging(); torch.set_num_threads(1); cpu = Runtime(torch.device('cpu'))\n"
        "print(cpu.precision('auto'), cpu.precision('bfloat16'), cpu.precision('bfloat16'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | AVX2, capture_output=True, text=True
    )
    assert done.stdout.split() == ["float32", "bfloat16", "bfloat16"], done.stderr
    factor = re.search(r"bfloat16 takes ([\d.]+) times as long as float32", done.stderr)
    assert float(factor[1]) > 2
    assert done.stderr.count("\n") == 1


def test_measuring_draws_nothing_and_changes_no_setting():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    assert devices.seconds_of_step(CPU.device, "float32") > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_label_tells_results_of_two_precisions_apart():
    assert (CPU.label("float32"), CPU.label("bfloat16")) == ("cpu", "cpu (bfloat16)")


def test_runtime_on_the_cpu():
    threads = torch.get_num_threads()
    try:
        with runtime("cpu", threads=2) as device:
            assert torch.get_num_threads() == 2
            assert (device.name, device.compile) == ("cpu", False)
            model = device.place(torch.nn.Conv2d(4, 4, 3))
            assert model.weight.is_contiguous(memory_format=torch.channels_last)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(BatError, match="torch finds no GPU"), runtime("cuda"):
        pass


@pytest.mark.parametrize("device", ["cuda:1", "mps", torch.device("cpu")])
def test_a_device_by_another_name_is_not_taken_for_any_gpu(device):
    with pytest.raises(BatError, match="expected one of 'auto', 'cpu', 'cuda'"), runtime(device):
        pass


def test_tests_run_on_one_thread():
    assert torch.get_num_threads() == 1


def test_the_locks_lie_in_a_folder_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    with claim(["one"]) as number:
        assert number == 0
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o775)  # as version 0.1.0 made it under some umasks
    with claim(["one"]):
        assert folder.stat().st_mode & 0o777 == 0o700
    other = folder.stat().st_uid + 1
    folder.rename(tmp_path / f"bat-devices-{other}")  # made by somebody else before
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(BatError, match="belongs to the user"), claim(["one"]):
        pass


def test_no_link_is_followed_to_a_lock(tmp_path):
    precious, locks = tmp_path / "precious", tmp_path / "locks"
    precious.write_text("precious")
    locks.mkdir()
    (locks / "one-0.lock").symlink_to(precious)
    with pytest.raises(BatError, match="no lock of a GPU"), claim(["one"], folder=locks):
        pass
    assert precious.read_text() == "precious"
    (tmp_path / "link").symlink_to(locks)
    with pytest.raises(BatError, match="no link"), claim(["one"], folder=tmp_path / "link"):
        pass


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_a_cpu_keeps_the_memory_of_a_step_for_the_next_one():
    code = """
import resource
import torch
from bat.devices import runtime

with runtime("cpu"):
    for step in range(40):
        if step == 20:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        tensors = [torch.ones(200_000) for _ in range(5)]
        del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500  # of 20 steps with 1000 pages each

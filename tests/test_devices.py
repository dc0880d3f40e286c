"""Devices: precision, and the locks by which jobs of one machine share its GPUs."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
import torch

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


def test_precision_follows_device_and_setting():
    cpu, gpu = Runtime(torch.device("cpu")), Runtime(torch.device("cuda", 0))
    assert cpu.dtype("auto") == torch.float32
    assert gpu.dtype("auto") == torch.bfloat16
    assert gpu.dtype("float32") == torch.float32
    x = torch.ones(2, 2)
    with cpu.autocast("bfloat16"):
        assert (x @ x).dtype == torch.bfloat16
    with cpu.autocast("float32"):
        assert (x @ x).dtype == torch.float32


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

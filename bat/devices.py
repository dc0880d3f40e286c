"""Which device a job runs on, how many threads it takes, and in which precision.

A recipe says ``auto``, which stands for what the device does fast, and stays ``auto`` in
specifications: results of one recipe may come from several machines, as those of CPUs and of
GPUs always did. What it stood for is kept with each result (`Runtime.label`).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from bat.errors import BatError
from bat.progress import log

DEVICES = ("auto", "cpu", "cuda")
SLOW = 1.5  # times the other precision's seconds, from which an explicit choice is remarked on


@dataclass(frozen=True)
class Runtime:
    """Device and precision of a job.

    Attributes
    ----------
    device : torch.device
    compile : bool
        Whether models are compiled; only on a GPU, where it pays.
    """

    device: torch.device
    compile: bool = False

    def precision(self, configured: str) -> str:
        """The precision of the products, for a configured one.

        ``auto`` is bfloat16 where the device has units for it, else float32: a
        function of the device alone. Another choice that is slow here is said,
        once in a process, with the factor that a short measurement finds.

        Parameters
        ----------
        configured : {"auto", "float32", "bfloat16"}

        Returns
        -------
        {"float32", "bfloat16"}
        """
        best = "bfloat16" if has_bfloat16_units(self.device) else "float32"
        if configured not in ("auto", best):
            _remark_if_slow(self.device, configured, best)
            return configured
        return best

    def autocast(self, precision: str) -> contextlib.AbstractContextManager:
        """Autocast to bfloat16 where the precision, as `precision` gives it, is that."""
        if precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def place(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model on the device, channels last."""
        return model.to(self.device, memory_format=torch.channels_last)

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @property
    def name(self) -> str:
        """What tables call the device: the GPU's name, or ``cpu``."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return "cpu"

    @property
    def usual_precision(self) -> str:
        """What ``auto`` was on this kind of device when nothing looked at its units (0.1.0)."""
        return "bfloat16" if self.device.type == "cuda" else "float32"

    def label(self, precision: str) -> str:
        """The device's name, with the precision where it is not the usual one."""
        return self.name if precision == self.usual_precision else f"{self.name} ({precision})"


def has_bfloat16_units(device: torch.device) -> bool:
    """Whether products in bfloat16 run in hardware, and not in software, on a device.

    A GPU from compute capability 8 on (Ampere), or any that ROCm drives; an x86
    processor with AVX512-BF16 or AMX that torch's convolutions make use of. A GPU
    that is not in this machine is taken for one that has them.
    """
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return True
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return flags and _convolves_in_bfloat16()


def _convolves_in_bfloat16() -> bool:
    """Whether the library of torch's convolutions may use what the processor has."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


@functools.cache
def _remark_if_slow(device: torch.device, precision: str, other: str) -> None:
    if device.type == "cuda" and not torch.cuda.is_available():
        return
    factor = seconds_of_step(device, precision) / seconds_of_step(device, other)
    if factor > SLOW:
        log.warning(
            "precision: %s takes %.1f times as long as %s on this device (measured on one "
            "convolution); 'auto' takes the faster one",
            *(precision, factor, other),
        )


def seconds_of_step(device: torch.device, precision: str) -> float:
    """Seconds of one convolution, forward and backward, the median of about 0.2 s of them.

    Parameters
    ----------
    device : torch.device
    precision : {"float32", "bfloat16"}
    """
    runtime = Runtime(device)
    x, weight = (
        torch.ones(shape, device=device).to(memory_format=torch.channels_last).requires_grad_()
        for shape in ((64, 16, 14, 14), (32, 16, 3, 3))
    )

    def step() -> None:
        with runtime.autocast(precision):
            loss = torch.nn.functional.conv2d(x, weight, padding=1).float().sum()
        torch.autograd.grad(loss, [x, weight])

        runtime.wait()

    step()  # the first call sets up what the others reuse
    seconds, begin = [], time.perf_counter()
    while len(seconds) < 3 or time.perf_counter() - begin < 0.2:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@contextlib.contextmanager
def runtime(
    device: str = "auto", *, threads: int = 1, compile: bool = True, jobs_per_gpu: int = 1
) -> Iterator[Runtime]:
    """Take a device for the length of the block.

    Several jobs on one machine take different GPUs: each holds a lock on its
    GPU, which the system drops with the process, however it ends. A job that
    finds every GPU taken waits for one.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where there is one.
    threads : int
        CPU threads of this process.
    compile : bool
        Compile models on a GPU.
    jobs_per_gpu : int
        Jobs that may hold one GPU at a time.

    Raises
    ------
    BatError
        If a GPU is asked for and none is there, or the device is something else.
    """
    if device not in DEVICES:
        raise BatError(
            f"the device is {device!r}, expected one of {', '.join(map(repr, DEVICES))} (which of "
            "several GPUs: CUDA_VISIBLE_DEVICES)"
        )
    torch.set_num_threads(max(1, threads))
    torch.backends.cudnn.benchmark = True
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        _keep_memory()
        yield Runtime(torch.device("cpu"))
        return
    if not torch.cuda.is_available():
        raise BatError(
            "compute.device is 'cuda', but torch finds no GPU "
            f"(torch {torch.__version__}); set it to 'auto' or 'cpu', or check the driver"
        )
    names = [
        str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())
    ]
    if compile:
        # one for each mode, size of a batch and set of gradients: MART alone comes to eight
        torch._dynamo.config.recompile_limit = 32
    with claim(names, jobs_per_gpu) as number:
        torch.cuda.set_device(number)
        yield Runtime(torch.device("cuda", number), compile=compile)


def _keep_memory() -> None:
    """Keep what a step frees for the next one, where the C library is glibc.

    It gives pages back to the system and takes them anew in each step, which is a tenth of the
    steps of a small network.
    """
    with contextlib.suppress(AttributeError):  # another library has no such call
        set_option = ctypes.CDLL(None).mallopt
        set_option(-3, 32 << 20)  # M_MMAP_THRESHOLD: larger blocks still go back at once
        set_option(-1, 512 << 20)  # M_TRIM_THRESHOLD


@contextlib.contextmanager
def claim(names: list[str], slots: int = 1, folder: Path | None = None) -> Iterator[int]:
    """Hold a lock on one of several devices, waiting until one is free.

    Parameters
    ----------
    names : list of str
        Of the devices, the same in every process of the machine.
    slots : int
        Holders that one device may have at a time.
    folder : path, optional
        Where the lock files lie; by default one folder for each user in the
        machine's folder for temporary files.

    Yields
    ------
    int
        The position in ``names`` of the device that is held.

    Raises
    ------
    BatError
        If the folder is a link, or somebody else's.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"bat-devices-{os.getuid()}"
    _check_own(folder)
    waiting = False
    while True:
        for slot in range(slots):
            for number, name in enumerate(names):
                handle = _open_lock(folder / f"{name}-{slot}.lock")
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    handle.close()
                    continue
                with handle:
                    yield number
                return
        if not waiting:
            log.info("all %d GPUs are taken by other jobs; waiting for one", len(names))
            waiting = True
        time.sleep(1.0)


def _check_own(folder: Path) -> None:
    """Make a folder that only its user may enter, or see that it is one."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BatError(
            f"{folder}: cannot hold the locks of GPUs ({error.strerror}); expected a folder of "
            "your own, and no link: remove it, or set TMPDIR to a folder of your own"
        ) from None
    try:
        owner = os.fstat(handle).st_uid
        if owner != os.getuid():
            raise BatError(
                f"{folder}: belongs to the user with number {owner}, so the locks of GPUs are not "
                "safe in it; set TMPDIR to a folder of your own"
            )
        os.fchmod(handle, 0o700)
    finally:
        os.close(handle)


def _open_lock(path: Path) -> IO:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BatError(
            f"{path}: no lock of a GPU ({error.strerror}); expected a file of your own: remove it"
        ) from None
    return os.fdopen(handle, "r+")

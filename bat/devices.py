"""Which device a job runs on, how many threads it takes, and in which precision."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from bat.errors import BatError
from bat.progress import log


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

    def dtype(self, precision: str) -> torch.dtype:
        """The type of the products for a configured precision."""
        if precision == "auto":
            precision = "bfloat16" if self.device.type == "cuda" else "float32"
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]

    def autocast(self, precision: str) -> contextlib.AbstractContextManager:
        """Autocast to bfloat16 where the precision asks for it, else nothing."""
        dtype = self.dtype(precision)
        if dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)

    def place(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model on the device, channels last."""
        return model.to(self.device, memory_format=torch.channels_last)

    @property
    def name(self) -> str:
        """What tables call the device: the GPU's name, or ``cpu``."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return "cpu"


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
        If a GPU is asked for and none is there.
    """
    torch.set_num_threads(max(1, threads))
    torch.backends.cudnn.benchmark = True
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
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

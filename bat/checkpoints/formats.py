"""Checkpoint files of anyone's making: what they are, whether they are whole; no code is run."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bat.errors import ArtifactError, DamagedError
from bat.escaping import plain
from bat.files import check_identity, sha256_of, values_digest
from bat.reading import Expected, check_values


class _StandIn:
    """Takes the place of a value that nothing here reads; has none of its code."""

    def __new__(cls, *arguments: Any, **named: Any) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **named: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


STAND_INS = (
    "argparse.Namespace",
    "datetime.datetime",
    "datetime.timedelta",
    *(
        f"numpy.{core}.multiarray.{f}"
        for core in ("core", "_core")
        for f in ("scalar", "_reconstruct")
    ),
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.dtypes.{kind}DType" for kind in ("Float16", "Float32", "Float64", "Bool")),
    *(f"numpy.dtypes.{sign}Int{bits}DType" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    *(f"pathlib{place}.{kind}Path" for place in ("", "._local") for kind in ("Posix", "Windows")),
    "types.SimpleNamespace",
)
"""Bookkeeping beside weights that is read as nothing at all: none of these names is imported."""


def read_checkpoint(path: Path) -> Any:
    """What a file of torch holds: tensors, plain values, and nothing else.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, no checkpoint, another's than its place
        says, or holds an object that only code could read, which is named.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not a file" if path.exists() else "missing"
        raise ArtifactError(f"{path}: is {what}; expected a checkpoint, the file of a state dict")
    kind = _kind(path)
    if kind == "safetensors":
        return _read_safetensors(path)
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # on what a file holds, which is checked
            torch.serialization.safe_globals([(_stand_in(name), name) for name in STAND_INS]),
        ):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle of another's making can fail in any way
        raise ArtifactError(f"{path}: {_why(error, path)}") from None
    if names_inputs(content):
        digest = content.pop("digest", None)
        if digest != values_digest(content):
            raise DamagedError(f"{path}: damaged (its values belie their digest); {advice(path)}")
        check_values(str(path), content, _FORM, ArtifactError)
        check_identity(path, content)
    return content


_FORM: Expected = {
    "format_version": (int,),
    "identity": (dict,),
    "architecture": (str,),
    "class_names": (list,),
    "fingerprint": (str,),
    "epoch": (int,),
    "package_version": (str,),
}


def names_inputs(content: Any) -> bool:
    """Whether the content of a file is of ours, from version 0.2.0 on: a checkpoint, or a state."""
    return isinstance(content, dict) and isinstance(content.get("inputs"), dict)


def checkpoint_digest(path: Path) -> str:
    """What stands for a checkpoint in the ``inputs`` of what is made of it.

    The digest of its content where it is ours, the sha256 of the file where it
    is of version 0.1.0 or anyone's.

    Raises
    ------
    ArtifactError
        As `read_checkpoint` raises it.
    """
    content = read_checkpoint(path)
    return values_digest(content) if names_inputs(content) else sha256_of(path)


def of_file(checkpoint: Path) -> Callable[[dict], bool]:
    """Whether metadata of version 0.1.0, which hold the file's sha256, name this checkpoint."""
    return lambda metadata: metadata.get("checkpoint_sha256") == sha256_of(checkpoint)


def _stand_in(name: str) -> type[_StandIn]:
    return type(name.rpartition(".")[2], (_StandIn,), {})


def _why(error: Exception, path: Path) -> str:
    """Why torch reads no further, by the name of what stands in the way, without its advice."""
    found = re.search(r"(?:Unsupported global: |unsupported )GLOBAL (\S+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and found is not None:
        return (
            f"not only tensors and plain values, but also an object of {printable(found[1])}, "
            "which would take running its code to read; none is run. Ask its maker for the state "
            "dict alone: torch.save(model.state_dict(), 'weights.pt')"
        )
    if isinstance(error, pickle.UnpicklingError):
        return (
            "not a checkpoint of tensors and plain values as torch.save writes it (but in another "
            f"form of pickle, or something else), or damaged; {advice(path)}, as "
            "torch.save(model.state_dict(), 'weights.pt')"
        )
    reason = _first_line(error)
    reason = (
        "" if "weights_only" in reason else f" ({reason})"
    )  # never torch's advice to turn it off
    return f"not a checkpoint of tensors and plain values, or damaged{reason}; {advice(path)}"


def _first_line(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}".splitlines()[0])


_HEADS = {
    b"version https://git-lfs": "a pointer of Git LFS in place of the file; run `git lfs pull`",
    b"\x89HDF": "HDF5, as Keras writes it; expected a state dict of torch",
    b"\x1f\x8b": "a gzip archive; unpack it and name the checkpoint in it",
    b"7z\xbc\xaf": "a 7z archive; unpack it and name the checkpoint in it",
    b"Rar!": "a rar archive; unpack it and name the checkpoint in it",
    b"<": "a web page; its address led to a page and not to the checkpoint",
}


MAX_HEADER = 100_000_000
"""Bytes of the header of a file of safetensors, by its format."""


def _kind(path: Path) -> str:
    """``zip``, ``safetensors`` or ``pickle``; refuses what is none of them by its name."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        raise ArtifactError(f"{path}: is empty; {advice(path)}")
    if head[257:262] == b"ustar":
        raise ArtifactError(f"{path}: is a tar archive; unpack it and name the checkpoint in it")
    for start, what in _HEADS.items():
        if head.lstrip().startswith(start):
            raise ArtifactError(f"{path}: is {what}")
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length <= MAX_HEADER:
        return "safetensors"
    if not head.startswith(b"PK\x03\x04"):
        return "pickle"
    check_zip(path)
    return "zip"


def check_zip(path: Path) -> None:
    """Refuse a checkpoint in which a bit is not as it was written; torch does not look.

    Raises
    ------
    ArtifactError
        If the zip is damaged, or is none of torch's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_other_zips(path, {name.rpartition("/")[2] for name in archive.namelist()})
            members = archive.infolist()
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise zipfile.BadZipFile("its members are larger than it is")
            # torch can be told to leave the checksums out: then they are all 0
            bad = archive.testzip() if any(member.CRC for member in members) else None
    except ArtifactError:
        raise
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(f"{path}: damaged ({printable(error)}); {advice(path)}") from None
    if bad is not None:
        raise ArtifactError(
            f"{path}: damaged, {printable(bad)} in it does not have its checksum; {advice(path)}"
        )


def _refuse_other_zips(path: Path, names: set[str]) -> None:
    if "constants.pkl" in names:
        raise ArtifactError(
            f"{path}: is a program of TorchScript; ask its maker for the state dict, "
            "torch.save(model.state_dict(), 'weights.pt')"
        )
    if "data.pkl" not in names:
        raise ArtifactError(
            f"{path}: is a zip archive and no checkpoint of torch (it has no data.pkl); if one is "
            "in it, unpack it and name that file"
        )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ArtifactError(
            f"{path}: is in the format of safetensors, and the package safetensors, which this "
            "one depends on, is not there; install the dependencies again"
        ) from None
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: damaged, as a file of safetensors ({printable(error)}); {advice(path)}"
        ) from None


def printable(text: Any) -> str:
    """The beginning of a text of a foreign file, with its control characters spelled out."""
    text = plain(str(text))
    return text if len(text) <= 200 else f"{text[:200]}..."


def advice(path: Path) -> str:
    """What to do about a damaged file: ours are made again, others come from their makers."""
    if is_ours(path):
        return "remove it and run the command again that made it"
    return "get it from its maker again"


def is_ours(path: Path) -> bool:
    """Whether a file lies where the runs of a results folder are."""
    return path.suffix == ".pt" and path.absolute().parts[-4:-3] == ("runs",)

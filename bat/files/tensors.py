"""Tensors and plain values in torch's format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bat.files.writing import atomic_path


def write_torch(path: str | Path, value: dict[str, Any]) -> str:
    """Write tensors and plain values atomically, in torch's format; their digest.

    The digest is part of the file, under the key ``digest``; `bat.checkpoints.formats`
    reads it and compares.
    """
    import torch

    digest = values_digest(value)
    # a file object: with a path, the name of the temporary file would be part of the content
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(value | {"digest": digest}, file)
        except RuntimeError as error:  # torch closes its archive after a write that failed
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
    return digest


def values_digest(value: Any) -> str:
    """SHA-256 over tensors and plain values, nested in mappings and sequences, in hex."""
    import torch

    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            tensor = value.detach().cpu().contiguous()
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
        elif isinstance(value, Mapping):
            digest.update(f"mapping {len(value)}\n".encode())
            for key, item in value.items():
                add(key)
                add(item)
        elif isinstance(value, list | tuple):
            digest.update(f"sequence {len(value)}\n".encode())
            for item in value:
                add(item)
        else:
            digest.update(f"{type(value).__name__} {value!r}\n".encode())

    add(value)
    return digest.hexdigest()

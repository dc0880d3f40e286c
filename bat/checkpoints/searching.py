"""What is looked for in a file of anyone's making, and the values that lie in it, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bat.checkpoints.formats import printable
from bat.errors import ArtifactError

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Segments of names that data parallelism and compilation add, wherever they stand."""

MAX_DEPTH, MAX_VALUES = 12, 1_000_000  # of nested containers, and of what lies in them


@dataclass(frozen=True)
class Search:
    """Weights that are looked for in a file, and the words of what goes wrong.

    Attributes
    ----------
    path : Path
    content : any
        Of the file, from `bat.checkpoints.formats.read_checkpoint`.
    what : str
        What messages call the model.
    key : str, optional
        Under which name the weights are, for content with several.
    has_options : bool
        Whether who asks can say a key and a normalization, which messages then advise.
    """

    path: Path
    content: Any
    what: str
    key: str | None
    has_options: bool

    @property
    def keys(self) -> str:
        """The names at the top of the file, as messages list them."""
        if not isinstance(self.content, dict):
            return f"an object of {type(self.content).__name__}"
        names = [repr(printable(name)) for name in list(self.content)[:8]]
        return ", ".join(names) + (", ..." if len(self.content) > 8 else "") or "nothing"

    @property
    def to_choose(self) -> str:
        """How to tell the weights that are meant from others in the file."""
        if self.has_options:
            return "say which are meant with --key, or key: under the external model"
        return "keep those that are meant alone in a file"

    def differs(self, wrong: list[str], more: str) -> ArtifactError:
        """The error of a file whose weights are not the model's, which names some of them."""
        return ArtifactError(
            f"{self.path}: not a state dict of {self.what}: {len(wrong)} entries differ, for "
            f"example {'; '.join(sorted(wrong)[:3])}{more}. Name the architecture and the data set "
            "that the checkpoint was trained with"
        )


@dataclass(frozen=True)
class Entry:
    """A value of the file: its name from the top, the name of what holds it, and itself."""

    name: str
    holder: str
    value: Any


def entries_of(search: Search) -> list[Entry]:
    """Tensors and lists of numbers in nested containers, without the names of wrappers."""
    found: dict[str, Entry] = {}
    for name, value in _walk(search):
        parts = [part for part in ".".join(name).split(".") if part not in WRAPPERS]
        entry = Entry(".".join(parts), ".".join(name[:-1]), value)
        twin = found.setdefault(entry.name, entry)
        if twin is not entry and not equal(twin.value, value):
            raise ArtifactError(
                f"{search.path}: has two different values for {printable(entry.name)}; keep one of "
                "them"
            )
    return list(found.values())


def _walk(search: Search) -> Iterator[tuple[tuple[str, ...], Any]]:
    waiting: list[tuple[tuple[str, ...], Any]] = [((), search.content)]
    seen = 0
    while waiting:
        name, value = waiting.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise ArtifactError(f"{search.path}: holds more than {MAX_VALUES:,} values")
        is_list = isinstance(value, list | tuple)
        if isinstance(value, Tensor) or (is_list and value and all(map(_is_number, value))):
            yield name, value
        elif len(name) < MAX_DEPTH and (is_list or isinstance(value, dict)):
            items = list(enumerate(value) if is_list else value.items())[:MAX_VALUES]
            waiting += [((*name, str(key)), inner) for key, inner in reversed(items)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_plain(value: Tensor) -> bool:
    """Whether a tensor has a value in memory for each of its entries."""
    strided = value.layout == torch.strided and value.device.type == "cpu"
    return strided and not value.is_quantized


def equal(a: Any, b: Any) -> bool:
    """Whether two values of a file are the same, in type and dtype too."""
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return type(a) is type(b) and a == b
    if not is_plain(a) or not is_plain(b):
        return False
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)

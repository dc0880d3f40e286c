"""The weights of an architecture in anyone's file: found by their names, checked value by value.

A file is searched for the names that the architecture's weights have: under whatever key,
however nested, with whatever prefix a wrapper gave them. Nothing that could change what the
model computes is passed over without a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bat.checkpoints.formats import advice, printable
from bat.errors import ArtifactError
from bat.models import Classifier
from bat.progress import log

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Segments of names that data parallelism and compilation add, wherever they stand."""

COUNTERS = {"num_batches_tracked", "n_averaged", "total_ops", "total_params"}
"""Buffers that no model reads in eval mode: BatchNorm's, averaging's, profilers'."""

NORMALIZATION = re.compile(r"(.*?)(mu|means?)")
DEVIATIONS = ("sigma", "std", "stds", "sd", "sds")
"""Names of a channel's mean, and what takes their place in the name of its deviation."""

MAX_DEPTH, MAX_VALUES = 12, 1_000_000  # of nested containers, and of what lies in them


# -- searching -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A value of the file: its name from the top, the name of what holds it, and itself."""

    name: str
    holder: str
    value: Any


def load_weights(
    model: Classifier,
    path: Path,
    content: Any,
    what: str,
    *,
    key: str | None = None,
    has_options: bool = True,
) -> tuple[list[float], list[float]] | None:
    """Load the weights of a file's content into a model, and find their normalization.

    Parameters
    ----------
    model : Classifier
    path : path
        For messages.
    content : any
        From `read_checkpoint`.
    what : str
        What messages call the model.
    key : str, optional
        The name under which the weights are, for content with several.
    has_options : bool
        Whether who asks can say a key and a normalization; what messages advise.

    Returns
    -------
    (mean, std) or None
        By channel, on the [0, 1] scale, if they lie beside the weights.

    Raises
    ------
    ArtifactError
        If names, shapes or values are not the model's, saying which.
    """
    own = {n: v for n, v in model.state_dict().items() if n.rpartition(".")[2] not in COUNTERS}
    entries = _entries(path, content)
    tensors = {e.name: e for e in entries if isinstance(e.value, Tensor)}
    prefix = _prefix(path, tensors, own, what, key, _keys(content), has_options)
    weights = {name: tensors[prefix + name] for name in own}
    used = {entry.name for entry in weights.values()}
    holders = {entry.holder for entry in weights.values()}
    statistics, of_statistics = _normalization(
        path, entries, used, holders, model.mean.numel(), has_options
    )
    rest = [
        entry
        for entry in tensors.values()
        if entry.holder in holders
        and entry.name not in used | of_statistics
        and (key is None or entry.name.startswith(prefix))
    ]
    unused, unknown = _sort_rest(rest, prefix, weights, model)
    if unknown:
        raise _differs(
            path,
            what,
            [f"{printable(name)} is not known" for name in unknown],
            f". If the weights that fit are the whole model, {_apart(has_options)}",
        )
    state = {name: _checked(path, name, weights[name].value, own[name]) for name in own}
    model.load_state_dict(state, strict=False)  # all but the counters
    kinds = {weights[n].value.dtype for n in own if weights[n].value.dtype != own[n].dtype}
    notes = [f"weights under {printable(prefix[:-1])!r}"] if prefix else []
    if unused:
        notes.append(f"without {len(unused)} entries that no forward pass uses ({unused[0]}, ...)")
    if kinds:
        names = sorted(str(kind).removeprefix("torch.") for kind in kinds)
        notes.append(f"{', '.join(names)} converted to float32")
    if notes:
        log.info("%s: %s", path, "; ".join(notes))
    return statistics


def _apart(has_options: bool) -> str:
    """How to tell the weights that are meant from others in the file."""
    if has_options:
        return "say which are meant with --key, or key: under the external model"
    return "keep those that are meant alone in a file"


def _keys(content: Any) -> str:
    if not isinstance(content, dict):
        return f"an object of {type(content).__name__}"
    names = [repr(printable(name)) for name in list(content)[:8]]
    return ", ".join(names) + (", ..." if len(content) > 8 else "") or "nothing"


def _entries(path: Path, content: Any) -> list[_Entry]:
    """Tensors and lists of numbers in nested containers, without the names of wrappers."""
    found: dict[str, _Entry] = {}
    for name, value in _walk(path, content):
        parts = [part for part in ".".join(name).split(".") if part not in WRAPPERS]
        entry = _Entry(".".join(parts), ".".join(name[:-1]), value)
        twin = found.setdefault(entry.name, entry)
        if twin is not entry and not _equal(twin.value, value):
            raise ArtifactError(
                f"{path}: has two different values for {printable(entry.name)}; keep one of them"
            )
    return list(found.values())


def _walk(path: Path, content: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    waiting: list[tuple[tuple[str, ...], Any]] = [((), content)]
    seen = 0
    while waiting:
        name, value = waiting.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise ArtifactError(f"{path}: holds more than {MAX_VALUES:,} values")
        is_list = isinstance(value, list | tuple)
        if isinstance(value, Tensor) or (is_list and value and all(map(_is_number, value))):
            yield name, value
        elif len(name) < MAX_DEPTH and (is_list or isinstance(value, dict)):
            items = list(enumerate(value) if is_list else value.items())[:MAX_VALUES]
            waiting += [((*name, str(key)), inner) for key, inner in reversed(items)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor has a value in memory for each of its entries."""
    strided = value.layout == torch.strided and value.device.type == "cpu"
    return strided and not value.is_quantized


def _equal(a: Any, b: Any) -> bool:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return type(a) is type(b) and a == b
    if not _is_plain(a) or not _is_plain(b):
        return False
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def _prefix(
    path: Path,
    tensors: dict[str, _Entry],
    own: dict[str, Tensor],
    what: str,
    key: str | None,
    keys: str,
    has_options: bool,
) -> str:
    """What stands before the model's names in the file."""
    asked = "".join(f"{part}." for part in (key or "").split(".") if part not in {"", *WRAPPERS})
    counts: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        for at in range(len(parts)):
            if ".".join(parts[at:]) in own:
                counts["".join(f"{part}." for part in parts[:at])] += 1
    if key is not None:
        counts = Counter({p: n for p, n in counts.items() if p.startswith(asked)})
        if not counts:
            raise ArtifactError(
                f"{path}: no weights of {what} under {key!r}; the keys at its top are {keys}"
            )
    if not counts:
        raise ArtifactError(
            f"{path}: not a state dict of {what}: of the {len(tensors)} tensors of torch in it "
            f"none has a name of that architecture; the keys at its top are {keys}. Name the "
            "architecture and the data set that the checkpoint was trained with"
        )

    def fits(prefix: str) -> bool:
        shapes = ((tensors.get(prefix + name), own[name].shape) for name in own)
        return all(found is not None and found.value.shape == shape for found, shape in shapes)

    fitting = sorted((p for p in counts if fits(p)), key=lambda p: (len(p), p))
    if key is not None and asked in fitting:
        return asked
    first = fitting[0] if fitting else None
    different = [
        p
        for p in fitting[1:]
        if not all(_equal(tensors[first + n].value, tensors[p + n].value) for n in own)
    ]
    if different:
        names = [printable(p[:-1]) for p in (first, *different)]
        raise ArtifactError(
            f"{path}: has weights of {what} under {', '.join(map(repr, names))}, and they differ; "
            f"{_apart(has_options)}"
        )
    if first is not None:
        return first
    best = max(counts, key=lambda p: (counts[p], -len(p)))
    raise _differs(
        path, what, _wrong(tensors, own, best), f" (the keys at its top are {keys})" if best else ""
    )


def _wrong(tensors: dict[str, _Entry], own: dict[str, Tensor], best: str) -> list[str]:
    """What keeps the tensors under a prefix from being the model's."""
    matched = {n: tensors[best + n] for n in own if best + n in tensors}
    holders = {entry.holder for entry in matched.values()}
    wrong = [f"{printable(best + name)} is missing" for name in own if name not in matched]
    wrong += [
        f"{name} has shape {tuple(entry.value.shape)}, expected {tuple(own[name].shape)}"
        for name, entry in matched.items()
        if entry.value.shape != own[name].shape
    ]
    wrong += [
        f"{printable(name)} is not known"
        for name, entry in tensors.items()
        if entry.holder in holders
        and name.startswith(best)
        and name.removeprefix(best) not in own
        and name.rpartition(".")[2] not in COUNTERS
    ]
    return wrong


def _differs(path: Path, what: str, wrong: list[str], more: str) -> ArtifactError:
    return ArtifactError(
        f"{path}: not a state dict of {what}: {len(wrong)} entries differ, for example "
        f"{'; '.join(sorted(wrong)[:3])}{more}. Name the architecture and the data set that the "
        "checkpoint was trained with"
    )


def _sort_rest(
    rest: list[_Entry], prefix: str, weights: dict[str, _Entry], model: Classifier
) -> tuple[list[str], list[str]]:
    """Names of entries beside the weights that no forward pass uses, and of unknown ones."""
    unused, unknown = [], []
    for entry in rest:
        parts = entry.name.split(".")
        endings = (".".join(parts[at:]) for at in range(len(parts)))
        twins = (weights[end] for end in endings if end in weights)
        if parts[-1] in COUNTERS or any(_equal(entry.value, twin.value) for twin in twins):
            continue
        inner = entry.name.removeprefix(prefix)
        is_unused = entry.name.startswith(prefix) and inner.split(".")[0] in model.unused
        (unused if is_unused else unknown).append(entry.name)
    return unused, unknown


def _checked(path: Path, name: str, value: Tensor, own: Tensor) -> Tensor:
    """A weight in the model's dtype; refused where its values cannot be those of a model."""
    wrong = None
    if not _is_plain(value):
        wrong = "is sparse, quantized or without values"
    elif value.is_floating_point() != own.is_floating_point() or (
        value.dtype != own.dtype and not own.is_floating_point()
    ):
        kinds = [str(tensor.dtype).removeprefix("torch.") for tensor in (value, own)]
        wrong = f"is {kinds[0]}, expected {kinds[1]}"
    elif not (finite := torch.isfinite(value.to(own.dtype))).all():
        wrong = f"has {int((~finite).sum())} of {value.numel()} values not finite"
    elif name.endswith("running_var") and (value < 0).any():
        wrong = "is a variance below 0"
    if wrong:
        raise ArtifactError(
            f"{path}: {name} {wrong}: this is no trained model, or its file was changed; "
            f"{advice(path)}"
        )
    return value.detach().to(own.dtype)


# -- normalization ---------------------------------------------------------------------------


def _normalization(
    path: Path,
    entries: list[_Entry],
    used: set[str],
    holders: set[str],
    channels: int,
    has_options: bool,
) -> tuple[tuple[list[float], list[float]] | None, set[str]]:
    """Mean and deviation of the channels beside the weights, and the names that they have."""
    beside = {e.name: e.value for e in entries if e.name not in used and _is_near(e, holders)}
    found: dict[tuple, str] = {}
    names: set[str] = set()
    for name, mean in beside.items():
        place, dot, last = name.rpartition(".")
        match = NORMALIZATION.fullmatch(last.lower())
        if match is None:
            continue
        for deviation in DEVIATIONS:
            partner = f"{place}{dot}{last[: len(match[1])]}{deviation}"
            if partner not in beside:
                continue
            values = tuple(_by_channel(v, channels) for v in (mean, beside[partner]))
            if None in values:
                continue
            _check_statistics(path, name, partner, *values, has_options)
            found.setdefault(values, name)
            names |= {name, partner}
    if len(found) > 1:
        listed = ", ".join(printable(name) for name in found.values())
        raise ArtifactError(
            f"{path}: has several normalizations that differ ({listed}); keep the one in use"
        )
    statistics = next(((list(m), list(s)) for m, s in found), None)
    return statistics, names


def _is_near(entry: _Entry, holders: set[str]) -> bool:
    """Whether a value lies with the weights, in what holds them, or under "normalization"."""
    above = any(f"{holder}.".startswith(f"{entry.holder}.") for holder in holders)
    return entry.holder == "" or above or "norm" in entry.holder.lower()


def _by_channel(value: Any, channels: int) -> tuple[float, ...] | None:
    if isinstance(value, Tensor):
        if not _is_plain(value) or value.numel() > channels:
            return None
        value = value.detach().to(torch.float64).flatten().tolist()
    if len(value) == 1:
        value = value * channels
    return tuple(map(float, value)) if len(value) == channels else None


def _check_statistics(
    path: Path, name: str, partner: str, mean: tuple, std: tuple, has_options: bool
) -> None:
    if all(0 <= m <= 1 for m in mean) and all(0 < s <= 1 for s in std):
        return
    raise ArtifactError(
        f"{path}: {printable(name)} is {printable(mean)}, {printable(partner)} is "
        f"{printable(std)}; expected a mean in [0, 1] and a standard deviation in (0, 1], of "
        "images in [0, 1]: take them out of the file"
        + (", and say --normalize or --no-normalize" if has_options else "")
    )

"""The weights of an architecture in anyone's file: found by their names, checked value by value.

A file is searched for the names that the architecture's weights have: under whatever key,
however nested, with whatever prefix a wrapper gave them. Nothing that could change what the
model computes is passed over without a word.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bat.checkpoints.formats import advice, printable
from bat.checkpoints.normalization import find_normalization
from bat.checkpoints.searching import WRAPPERS, Entry, Search, entries_of, equal, is_plain
from bat.errors import ArtifactError
from bat.models import Classifier
from bat.progress import log

COUNTERS = {"num_batches_tracked", "n_averaged", "total_ops", "total_params"}
"""Buffers that no model reads in eval mode: BatchNorm's, averaging's, profilers'."""


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
    search = Search(path, content, what, key, has_options)
    entries = entries_of(search)
    tensors = {e.name: e for e in entries if isinstance(e.value, Tensor)}
    prefix = _prefix(search, tensors, own)
    weights = {name: tensors[prefix + name] for name in own}
    used = {entry.name for entry in weights.values()}
    holders = {entry.holder for entry in weights.values()}
    statistics, of_statistics = find_normalization(
        search, entries, used, holders, model.mean.numel()
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
        raise search.differs(
            [f"{printable(name)} is not known" for name in unknown],
            f". If the weights that fit are the whole model, {search.to_choose}",
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


def _prefix(search: Search, tensors: dict[str, Entry], own: dict[str, Tensor]) -> str:
    """What stands before the model's names in the file."""
    path, what, key = search.path, search.what, search.key
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
                f"{path}: no weights of {what} under {key!r}; the keys at its top are {search.keys}"
            )
    if not counts:
        raise ArtifactError(
            f"{path}: not a state dict of {what}: of the {len(tensors)} tensors of torch in it "
            f"none has a name of that architecture; the keys at its top are {search.keys}. Name "
            "the architecture and the data set that the checkpoint was trained with"
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
        if not all(equal(tensors[first + n].value, tensors[p + n].value) for n in own)
    ]
    if different:
        names = [printable(p[:-1]) for p in (first, *different)]
        raise ArtifactError(
            f"{path}: has weights of {what} under {', '.join(map(repr, names))}, and they differ; "
            f"{search.to_choose}"
        )
    if first is not None:
        return first
    best = max(counts, key=lambda p: (counts[p], -len(p)))
    more = f" (the keys at its top are {search.keys})" if best else ""
    raise search.differs(_wrong(tensors, own, best), more)


def _wrong(tensors: dict[str, Entry], own: dict[str, Tensor], best: str) -> list[str]:
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


def _sort_rest(
    rest: list[Entry], prefix: str, weights: dict[str, Entry], model: Classifier
) -> tuple[list[str], list[str]]:
    """Names of entries beside the weights that no forward pass uses, and of unknown ones."""
    unused, unknown = [], []
    for entry in rest:
        parts = entry.name.split(".")
        endings = (".".join(parts[at:]) for at in range(len(parts)))
        twins = (weights[end] for end in endings if end in weights)
        if parts[-1] in COUNTERS or any(equal(entry.value, twin.value) for twin in twins):
            continue
        inner = entry.name.removeprefix(prefix)
        is_unused = entry.name.startswith(prefix) and inner.split(".")[0] in model.unused
        (unused if is_unused else unknown).append(entry.name)
    return unused, unknown


def _checked(path: Path, name: str, value: Tensor, own: Tensor) -> Tensor:
    """A weight in the model's dtype; refused where its values cannot be those of a model."""
    wrong = None
    if not is_plain(value):
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

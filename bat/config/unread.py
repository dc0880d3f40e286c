"""Keys that are given and that nothing reads, for what other keys say.

A section says under ``READ_WHERE`` which of its keys are read in some cases alone. What several
take over, from ``defaults``, from a data set's training or from a file below, is refused only if
none of them reads it, and is no mistake of one that chose otherwise itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bat.config.values import Section

if TYPE_CHECKING:
    from bat.config.dataset import Config

Layers = list[tuple[str, Any]]
"""Places where a section is written and what stands there, the lowest first."""


def unread_keys(config: Config, documents: Sequence[dict]) -> list[str]:
    """What is given and not read, a line for each, by its key as it was written.

    Parameters
    ----------
    config : Config
        As checked.
    documents : sequence of dict
        What it was made of, as it was read, each laid over the one before.
    """
    problems: dict[str, str] = {}
    read: set[str] = set()
    whole: Layers = [("", document) for document in documents]
    shared, own = _inside(whole, "defaults"), _inside(whole, "datasets")
    sections = [
        of_section
        for name, dataset in config.datasets.items()
        for of_section in _within(dataset, [*shared, *_inside(own, name)])
    ]
    for section, layers in sections:
        for place, problem in _judged(section, layers):
            if problem is None:
                read.add(place)
            else:
                problems.setdefault(place, problem)
    return [f"{place}: {text}" for place, text in problems.items() if place not in read]


def unread_arguments(section: Section) -> list[str]:
    """The same of one section that was made of arguments."""
    given = {key: getattr(section, key) for key in section.model_fields_set}
    return [f"{key}: {text}" for key, text in _judged(section, [("", given)]) if text is not None]


def _within(section: Section, layers: Layers, shared: Layers = ()) -> Iterator[tuple]:
    """A section and all in it; ``shared`` is the training that lies under a run's."""
    yield section, layers
    for key in type(section).model_fields:
        part, below = getattr(section, key), _inside(layers, key)
        if key == "training":
            below = [*shared, *below]
        if isinstance(part, Section):
            yield from _within(part, below)
        elif isinstance(part, dict):
            under = _inside(layers, "training") if key == "runs" else ()
            for name, member in part.items():
                if isinstance(member, Section):
                    yield from _within(member, _inside(below, name), under)


def _inside(layers: Layers, key: str) -> Layers:
    found = [(place, of[key]) for place, of in layers if isinstance(of, dict) and key in of]
    return [(f"{place}.{key}" if place else key, value) for place, value in found]


def _judged(section: Section, layers: Layers) -> Iterator[tuple[str, str | None]]:
    """Places of keys that are given, and why each is not read; None where it is."""
    for rule in section.READ_WHERE:
        decided = max((_highest(layers, key) for key in rule.by), default=-1)
        for key in rule.keys:
            at = _highest(layers, key)
            if at < 0 or not layers[at][1][key]:  # what is empty, 0 or false asks for nothing
                continue
            ((place, _),) = _inside([layers[at]], key)
            if rule.holds(section):
                yield place, None
            elif decided <= at:
                yield place, rule.words.format(key=key, of=section)


def _highest(layers: Layers, key: str) -> int:
    """The last layer in which a key is given; -1 where none has it."""
    return max(
        (i for i, (_, of) in enumerate(layers) if isinstance(of, dict) and of.get(key) is not None),
        default=-1,
    )

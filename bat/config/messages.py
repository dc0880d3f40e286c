"""What is wrong with a configuration, in words, each problem at the key that the user wrote."""

from __future__ import annotations

import difflib
import types
import typing
from typing import Annotated, Any

import pydantic

from bat.config.dataset import Config
from bat.config.values import Section
from bat.errors import BatError


class ConfigError(BatError):
    """Everything that is wrong with one configuration, one line each.

    ``rest`` is the configuration without the keys that are wrong, where it is one; ``whole``
    says that none had to be taken out.
    """

    def __init__(
        self,
        source: str,
        problems: list[str],
        rest: Config | None = None,
        whole: bool = False,
    ):
        self.problems, self.rest, self.whole = problems, rest, whole
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__(
            f"{source}: {count} in the configuration\n" + "\n".join(f"  {p}" for p in problems)
        )


def told(errors: list[dict]) -> list[dict]:
    """The errors of pydantic less the lists that are too short by entries that are wrong."""
    wrong = {error["loc"][:-1] for error in errors}
    return [e for e in errors if e["type"] != "too_short" or e["loc"] not in wrong]


def problem_of(error: dict, datasets: Any, defaults: dict) -> str:
    """One line for one error of pydantic: the key as the user wrote it, and what is expected."""
    loc, known, model = _resolve(tuple(part for part in error["loc"] if part != "[key]"))
    place = list(loc)
    if place[2:3] == ["runs"] and place[4:5] == ["training"] and not _has(datasets, place[1:]):
        place[2:5] = ["training"]  # it was laid under the run
    inherited = not _has(datasets, place[1:]) and _has(defaults, place[2:])
    if len(place) > 2 and place[0] == "datasets" and inherited:
        place = ["defaults", *place[2:]]
    path = ".".join(str(part) for part in place) or "(top level)"
    if error["type"] == "extra_forbidden":
        if not loc[:-1]:
            known = [*known, "defaults"]
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if not (hint or datasets or loc[:-1]) and isinstance(error["input"], dict):
            hint = f"; a data set stands under datasets, as datasets: {{{path}: ...}}"
        return f"{path}: unknown key{hint} (known keys: {', '.join(known)})"
    if error["type"] == "missing":
        return f"{path}: required, and not given"
    if error["type"] == "too_short":
        return "{}: expected {min_length} or more, found {actual_length}".format(
            path, **error["ctx"]
        )
    message = _EXPECTED.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    message = message.replace("Input should be ", "expected ", 1)
    if error["type"] in _NO_SECTION:
        message = f"expected a section, {_keys_text(model)}"
    if error["type"].startswith("union_tag"):
        key = error["ctx"]["discriminator"].strip("'")
        if error["type"] == "union_tag_not_found":
            return f"{path}.{key}: required, and not given"
        return f"{path}.{key}: {_none_of(error['input'].get(key), error['ctx']['expected_tags'])}"
    if isinstance(error["input"], int | float | str | bool) and error["type"] != "value_error":
        message += f" (found {error['input']!r})"
    return f"{path}: {message}"


NAME_FILES = {"data": (), "networks": (), "external": (), "scores": ("source", "sha256")}
"""Sections of a data set that name files, and those of their keys that do, where not all."""


def without_wrong(raw: dict, error: pydantic.ValidationError) -> Config | None:
    """The configuration without the keys that are wrong; None where no data set is left."""
    while True:
        paths = {tuple(_resolve(found["loc"])[0]) for found in error.errors()}
        if not any([_taken_out(raw, path) for path in paths]):
            return None
        for of in raw.get("datasets", {}).values():
            if isinstance(of, dict):
                of.setdefault("data", {"source": "digits"})  # required, and names no file
        try:
            return Config.model_validate(raw, context={"expand": True})
        except pydantic.ValidationError as next_error:
            error = next_error


def _taken_out(raw: dict, path: tuple) -> bool:
    """Take out what is wrong; whether it was there."""
    holder, last = raw, path[-1] if path else None
    for at, part in enumerate(path[:-1]):
        inner = holder.get(part)
        if not isinstance(inner, dict) or (at == len(path) - 2 and last not in inner):
            last = part  # a list with a wrong entry, or a section that lacks what it needs
            break
        holder = inner
    if last not in holder:
        return False
    of = holder.pop(last)
    if path[:1] == ("datasets",) and len(path) == 2 and isinstance(of, dict):
        # it contradicts itself; what it names is there or not all the same
        files = {
            key: {k: of[key][k] for k in keys or of[key] if k in of[key]}
            for key, keys in NAME_FILES.items()
            if isinstance(of.get(key), dict)
        }
        if files != of:
            holder[last] = files
    return True


def _none_of(found: Any, tags: str) -> str:
    """That a value is no tag of a union, of which pydantic's list is given."""
    names = [tag.strip("'") for tag in tags.split(", ")]
    near = difflib.get_close_matches(str(found), [name for name in names if name != "own"], n=1)
    listed = ", ".join(
        "or code of your own, as path/to/file.py:NAME" if name == "own" else repr(name)
        for name in names
    )
    return f"{found!r} is none of {listed}" + (f"; did you mean {near[0]!r}?" if near else "")


_NO_SECTION = ("model_type", "model_attributes_type", "dict_type")
_EXPECTED = {
    "tuple_type": "expected a list, as [1, 2]",
    "list_type": "expected a list, as [1, 2]",
    "path_type": "expected a path",
    "string_type": "expected a text; quotes make one, as '3' of 3",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
}
"""What pydantic says in Python's words, in those of YAML."""


def _keys_text(model: Any) -> str:
    """The keys of a section, or of any of several; of names, that they are free."""
    members = model if isinstance(model, tuple) else (model,)
    keys = dict.fromkeys(k for m in members if not isinstance(m, dict) for k in m.model_fields)
    if not keys:
        return "of names and what they stand for"
    text = f"of the keys {', '.join(keys)}"
    return f"{text}; {{}} takes their defaults" if _has_defaults(model) else text


def _has_defaults(model: Any) -> bool:
    """Whether an empty section will do."""
    if isinstance(model, tuple):
        return False
    try:
        model.model_validate({})
    except pydantic.ValidationError:
        return False
    return True


def _has(mapping: Any, path: list) -> bool:
    for part in path:
        if not isinstance(mapping, dict) or part not in mapping:
            return False
        mapping = mapping[part]
    return True


def _resolve(loc: tuple) -> tuple[list, list[str], Any]:
    """The user's key path (union tags taken out), the keys known beside its end, what is there."""
    path, model, known = [], Config, list(Config.model_fields)
    for part in loc:
        if isinstance(model, tuple):  # a union: this part is the tag that chose the member
            model = next(
                (m for m in model if _is_tagged(m, part)),
                None,
            )
            continue
        path.append(part)
        if isinstance(model, type) and issubclass(model, Section):
            known = list(model.model_fields)
            field = model.model_fields.get(part)
            model = _unwrap(field.rebuild_annotation()) if field else None
        elif isinstance(model, dict):
            model = model["value"]
    return path, known, model


def _is_tagged(member: type[Section], tag: Any) -> bool:
    fields = member.model_fields.values()
    return any(tag in typing.get_args(field.annotation) for field in fields)


def _unwrap(annotation: Any) -> Any:
    """The section, tuple of sections, or ``{"value": section}`` behind an annotation."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _unwrap(args[0])
    if origin is dict:
        return {"value": _unwrap(args[1])}
    if origin in (typing.Union, types.UnionType):
        members = [a for a in (_unwrap(a) for a in args) if a is not None]
        return tuple(members) if len(members) > 1 else (members[0] if members else None)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None

"""The reference of all configuration keys, made from the configuration's own models."""

from __future__ import annotations

import typing
from typing import Any

from bat.config.dataset import Config, Section

_HEAD = """# Configuration

Made by `make schema`; edit the sections in `bat/config/`, not this page.

A configuration is one YAML file: `snakemake TARGET --cores 2 --configfile FILE`, with
`--configfile` last, since it takes several files. Without one, `config/config.yaml` is read.
`datasets` holds one section per data set; what stands in the top-level section `defaults` is laid
under each of them. Epsilons and steps are on the [0, 1] pixel scale and may be fractions such as
`8/255`. In paths, `~` and `$VARIABLES` are expanded. A key that is not listed here is refused.
Editors that know YAML schemas check a file as you type if it begins with
`# yaml-language-server: $schema=schema.json` (beside `config/schema.json`).

`python -m bat check FILE` says everything that is wrong with a file.

A workflow that runs keeps its configuration in `results/specs/`, and what each stage depends on in
`results/{dataset}/specs/`, in files named by their content. An edited configuration counts from the
next start; what was made with other settings is made again then.
"""


def configuration_reference() -> str:
    """Every section with its keys, types, defaults and meanings, as Markdown."""
    seen: list[type[Section]] = []
    _collect(Config, seen)
    return _HEAD + "".join(_section(model) for model in seen)


def _collect(model: type[Section], seen: list[type[Section]]) -> None:
    if model in seen:
        return
    seen.append(model)
    for field in model.model_fields.values():
        for part in _sections(field.annotation):
            _collect(part, seen)


def _sections(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in typing.get_args(annotation) for section in _sections(part)]


def _section(model: type[Section]) -> str:
    schema = model.model_json_schema()
    lines = ["", f"## {model.__name__}", ""]
    if model.__doc__ and model.__doc__ != Section.__doc__:
        text = " ".join(model.__doc__.split())
        lines += [text, ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        described = schema["properties"][name]
        default = "required"
        if not field.is_required():
            default = _value(field.default)
        meaning = field.description or ""
        cells = (f"`{name}`", _type(field.annotation, described), default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type(annotation: Any, schema: dict) -> str:
    sections = _sections(annotation)
    if sections:
        links = " or ".join(f"[{s.__name__}](#{s.__name__.lower()})" for s in sections)
        return f"by name: {links}" if "additionalProperties" in schema else links
    options = [schema, *schema.get("anyOf", [])]
    words = []
    for option in options:
        if "enum" in option or "const" in option:
            words.append(", ".join(f"`{v}`" for v in option.get("enum", [option.get("const")])))
        elif option.get("type") == "array":
            words.append("list")
        elif isinstance(option.get("type"), list):
            words.append("number or fraction")
        elif "type" in option and option["type"] != "null":
            words.append(option["type"] + _range(option))
    return " or ".join(dict.fromkeys(words))


def _range(option: dict) -> str:
    bounds = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    parts = [f"{sign} {option[key]:g}" for key, sign in bounds.items() if key in option]
    return f" {', '.join(parts)}" if parts else ""


def _value(default: Any) -> str:
    if isinstance(default, Section):
        return "see there"
    if isinstance(default, dict):
        return ", ".join(f"`{name}`" for name in default) or "none"
    if isinstance(default, tuple):
        return f"`{list(default)}`"
    if default is None:
        return "unset"
    if isinstance(default, float):
        levels = 255 * default
        near = abs(levels - round(levels)) < 1e-9 and 0 < default < 0.1
        return f"`{round(levels)}/255`" if near else f"`{default:g}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"

"""The JSON schema of a configuration file."""

from __future__ import annotations

import copy
from typing import Any

from bat.config.dataset import Config


def json_schema() -> dict:
    """The JSON schema of a configuration file, for editors.

    ``defaults`` accepts the keys of a data set, none of them required.
    """
    schema = Config.model_json_schema()
    runs = schema["$defs"]["Dataset"]["properties"]["runs"]
    # a file may leave out a run of the paper, or give only what differs of it
    runs["additionalProperties"] = {
        "anyOf": [*runs["additionalProperties"]["oneOf"], {"type": "null"}]
    }
    partial = copy.deepcopy(schema["$defs"]["Dataset"])
    partial.pop("required", None)
    schema["$defs"]["Defaults"] = partial | {"title": "Defaults"}
    schema["properties"]["defaults"] = {
        "$ref": "#/$defs/Defaults",
        "description": "laid under every data set",
    }
    for model, key, name in (("OwnData", "source", "load"), ("OwnRun", "method", "objective")):
        own = schema["$defs"][model]  # as it is written: code in the place of a choice
        own["properties"][key] = own["properties"].pop(name) | {"pattern": ":"}
        own["required"] = [key]
    schema["$defs"]["Trainer"]["required"].remove("name")
    schema["$defs"]["Scores"]["properties"]["trainer"]["anyOf"].append({"type": "string"})
    named = copy.deepcopy(schema["$defs"]["Network"])
    named["properties"] = {"name": {"type": "string"}} | named["properties"]
    named["required"] = ["name", "network"]
    schema = _with_networks(schema)
    schema["$defs"]["NamedNetwork"] = named
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def _with_networks(schema: Any) -> Any:
    """A schema in which a network of one's own may stand where an architecture is named."""
    if isinstance(schema, list):
        return [_with_networks(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") != "architecture":
        # keys of a mapping are names, whatever they are names of
        return {k: v if k == "propertyNames" else _with_networks(v) for k, v in schema.items()}
    rest = {key: value for key, value in schema.items() if key not in ("type", "format")}
    return {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/NamedNetwork"}]} | rest

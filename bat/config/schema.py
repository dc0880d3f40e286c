"""The JSON schema of a configuration file."""

from __future__ import annotations

import copy

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
    named = copy.deepcopy(schema["$defs"]["Network"])
    named["properties"] = {"name": {"type": "string"}} | named["properties"]
    schema["$defs"]["NamedNetwork"] = named | {"required": ["name", "network"]}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema

"""YAML files, read within limits; keys that are given twice are noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bat.config.messages import ConfigError
from bat.errors import BatError
from bat.escaping import plain
from bat.reading import regular_file

MAX_YAML = 4 << 20  # bytes of a configuration file
MAX_YAML_DEPTH = 64
MAX_YAML_ALIASES = 1000
MAX_YAML_KEYS = 10_000  # of one mapping, with those that it takes in
MAX_YAML_VALUES = 1_000_000  # with all aliases written out


class _Loader(yaml.SafeLoader):
    """Notes the keys that one mapping holds twice; YAML forbids them, PyYAML takes the last."""

    def __init__(self, stream: str):
        super().__init__(stream)
        self.repeated: list[tuple[int, str, int]] = []  # line, key, line of the first
        self.depth = self.aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        mark = self.peek_event().start_mark
        self.depth += 1
        if self.depth > MAX_YAML_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"lists and mappings lie deeper than {MAX_YAML_DEPTH} levels", mark
            )
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_YAML_ALIASES:
                raise yaml.composer.ComposerError(
                    None, None, f"more than {MAX_YAML_ALIASES} aliases", mark
                )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_YAML_KEYS:  # before the next one takes them in several times
            raise yaml.constructor.ConstructorError(
                None, None, f"a mapping of more than {MAX_YAML_KEYS:,} keys", node.start_mark
            )

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in first:
                self.repeated.append((line, key.value, first[key.value]))
            first.setdefault(key.value, line)
        return node


def read_yaml(path: str | Path) -> tuple[Any, list[str]]:
    """The document in a YAML file, and a problem for each key that is given twice."""
    try:
        if regular_file(path).stat().st_size > MAX_YAML:
            raise ConfigError(str(path), [f"is larger than {MAX_YAML >> 20} MiB"])
        loader = _Loader(Path(path).read_text(encoding="utf-8"))
        loader.name = str(path)  # as errors say it
        document = loader.get_single_data()
        _check_values(document)
    except ConfigError:
        raise
    except BatError as error:
        raise ConfigError(str(path), [str(error).removeprefix(f"{plain(str(path))}: ")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from None
    except yaml.YAMLError as error:
        raise ConfigError(str(path), [f"not valid YAML: {error}"]) from None
    except Exception as error:  # PyYAML raises whatever it likes on a value as 2020-99-99
        raise ConfigError(str(path), [f"a value in it cannot be read: {error}"]) from None
    problems = [
        f"{path}, line {line}: the key {key!r} is given twice, first in line {first}; keep one"
        for line, key, first in sorted(loader.repeated)
    ]
    return document, problems


def _check_values(document: Any) -> None:
    """Refuse a document that grows without measure, or without end, when aliases are followed."""
    level, n_values = [document], 0
    for _ in range(MAX_YAML_DEPTH + 1):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list | tuple | set)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        n_values += len(level)
        if n_values > MAX_YAML_VALUES:
            raise ValueError(f"aliases make more than {MAX_YAML_VALUES:,} values of it")
        if not level:
            return
    raise ValueError(f"lists and mappings lie deeper than {MAX_YAML_DEPTH} levels")

"""A configuration read and checked, as a whole.

It names data sets; each data set is one section that holds all its settings.
The top-level section ``defaults`` is laid under every data set, so that what
they share is written once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import pydantic

from bat.config.dataset import Config
from bat.config.messages import ConfigError, problem_of, told, without_wrong
from bat.config.overlaying import overlay
from bat.config.unread import unread_keys
from bat.config.yaml_files import read_yaml


def read_config(*paths: str | Path, strict: bool = True) -> Config:
    """Read YAML files, each laid over the one before, and check the result.

    Parameters
    ----------
    paths : path
    strict : bool
        As in `load_config`.

    Raises
    ------
    ConfigError
        With every problem found, each with its key and what is expected.
    """
    merged: dict = {}
    for path in paths:
        document, _ = read_yaml(path)
        if document is not None and not isinstance(document, dict):
            raise ConfigError(str(path), ["expected a mapping of keys at the top level"])
        merged = overlay(merged, document or {})
    return load_config(merged, files=paths, strict=strict)


def load_config(raw: dict, files: Sequence[str | Path] = (), *, strict: bool = True) -> Config:
    """Check a configuration given as nested mappings.

    Parameters
    ----------
    raw : dict
        As read from YAML. ``raw["defaults"]`` is laid under every data set.
    files : sequence of path
        That ``raw`` was read from. The error message names them, and they are
        searched for keys that are given twice, of which a mapping holds the last.
    strict : bool
        Refuse keys that nothing reads (`unread_keys`): not of one file that was merged of several,
        as a job reads it, where it is no longer known which one chose otherwise.

    Raises
    ------
    ConfigError
        With every problem found.
    """
    documents = [read_yaml(path) for path in files]
    repeated = [problem for _, problems in documents for problem in problems]
    written = [document or {} for document, _ in documents] or [raw]
    source = " + ".join(map(str, files)) or "configuration"
    try:
        checked = _check(raw, source, written if strict else [])
    except ConfigError as error:
        raise ConfigError(source, repeated + error.problems, error.rest, error.whole) from None
    if repeated:
        raise ConfigError(source, repeated, checked, whole=True)
    return checked


def _check(raw: dict, source: str, written: list[dict]) -> Config:
    raw = copy.deepcopy(dict(raw))
    defaults = raw.pop("defaults", None) or {}
    datasets = raw.get("datasets")
    wrong = []
    if not isinstance(defaults, dict):
        wrong, defaults = ["defaults: expected a mapping of keys"], {}
    if isinstance(datasets, dict):
        raw["datasets"] = {
            name: overlay(defaults, own or {}) if isinstance(own or {}, dict) else own
            for name, own in datasets.items()
        }
    try:
        checked = Config.model_validate(raw, context={"expand": True})
    except pydantic.ValidationError as error:
        problems = wrong + [problem_of(e, datasets, defaults) for e in told(error.errors())]
        rest = without_wrong(copy.deepcopy(raw), error)
        raise ConfigError(source, list(dict.fromkeys(problems)), rest) from None
    if problems := wrong + unread_keys(checked, written):
        raise ConfigError(source, problems, checked, whole=not wrong)
    return checked

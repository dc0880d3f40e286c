"""The attacks of an evaluation, made of what its specification says."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from bat.attacks.base import EvaluationAttack
from bat.config.attacks import entry_of


def build_attack(name: str, settings: Mapping[str, Any]) -> EvaluationAttack:
    """Make an attack.

    Parameters
    ----------
    name : str
        Of its entry in `bat.config.attacks`, ``fgsm`` for instance.
    settings : mapping
        Of the evaluation's specification; `bat.config.attacks.attacks` makes them.
    """
    module, _, attribute = entry_of(name).code.partition(":")
    return getattr(importlib.import_module(module), attribute)(**settings)

"""The objective that a specification asks for: a built-in method, or one of somebody's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bat import extensions
from bat.errors import BatError
from bat.objectives.awp import AWP
from bat.objectives.base import Objective
from bat.objectives.registry import OBJECTIVES


def build_objective(settings: Mapping[str, Any]) -> Objective:
    """Build the objective of a run.

    Parameters
    ----------
    settings : mapping
        ``method`` and all its constants, as a run's specification has them. With the method
        ``own``, ``code`` is what `bat.extensions.record` gives, and the other constants are
        passed where its signature has them. ``awp``, where it is there, holds the settings of
        `AWP` around it.

    Raises
    ------
    BatError
        If code of one's own is not what was recorded, cannot be called so, or gives no
        `Objective`, or ``awp`` is asked of one that cannot take it.
    """
    constants = dict(settings)
    method, awp = constants.pop("method"), constants.pop("awp", None)
    objective = _own(constants) if method == "own" else OBJECTIVES[method](**constants)
    return objective if awp is None else AWP(objective, **awp)


def _own(constants: dict[str, Any]) -> Objective:
    """One of somebody's own, from its code."""
    code = constants.pop("code")
    objective = extensions.call(code["code"], extensions.load(code), code["settings"], constants)
    if not isinstance(objective, Objective):
        raise BatError(
            f"{code['code']}: gives {type(objective).__name__}, expected an objective; derive the "
            "class from bat.objectives.Objective"
        )
    if not isinstance(getattr(objective, "name", None), str):
        raise BatError(f"{code['code']}: has no name; write name = 'mail' in the class")
    return objective

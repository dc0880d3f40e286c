"""The attacks of an evaluation: one entry says all that is said of an attack outside of its code.

From an entry come its column, its part of the specification, what readers call
it, what captions say of it and what it costs. To add an attack, write its entry;
where it is more than PGD with other settings, also its code in `bat.attacks`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bat.config.runs import Adversary, Evaluation
from bat.config.values import fraction_text

Settings = Mapping[str, Any]

AUTOATTACK_STEPS = {"standard": 6500, "aa-fast": 1500}
"""Assumed steps of PGD that AutoAttack costs for each sample that it starts with; standard as the
digits took it, two thirds of which hold to the end."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One attack.

    Attributes
    ----------
    name : str
        Of its column in evaluation tables.
    title : str
        What readers call it, whatever its settings.
    code : str
        ``module:attribute`` of what makes it of its settings; see
        `bat.attacks.EvaluationAttack`.
    settings : callable
        What ``code`` is called with beside ``eps``, by the configuration's
        ``evaluation`` section and the length of the adversary's step; None
        where the configuration leaves the attack out.
    label : callable
        What readers call it with these settings.
    words : callable
        What a caption says of it after the label; may be empty.
    steps : callable
        Steps of PGD that it costs for each sample that it starts with.
    """

    name: str
    title: str
    code: str
    settings: Callable[[Evaluation, float], dict | None]
    label: Callable[[Settings], str]
    words: Callable[[Settings], str]
    steps: Callable[[Settings], int]


def _own(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _restarts(settings: Settings) -> str:
    more = settings["restarts"] > 1
    return f" and {settings['restarts']} restarts" if more else ""


FGSM = Entry(
    name="fgsm",
    title="FGSM",
    code="bat.attacks:fgsm",
    settings=lambda evaluation, step: {},
    label=lambda settings: "FGSM",
    words=lambda settings: "",
    steps=lambda settings: 1,
)

PGD = Entry(
    name="pgd",
    title="PGD",
    code="bat.attacks:PGD",
    settings=lambda evaluation, step: {
        "step": _own(evaluation.pgd_step, step),
        "steps": evaluation.pgd_steps,
        "restarts": evaluation.pgd_restarts,
    },
    label=lambda settings: f"PGD-{settings['steps']}",
    words=lambda settings: f" with steps of {fraction_text(settings['step'])}{_restarts(settings)}",
    steps=lambda settings: settings["restarts"] * settings["steps"],
)

CW = Entry(
    name="cw",
    title="CW",
    code="bat.attacks:cw",
    settings=lambda evaluation, step: {
        "step": _own(evaluation.cw_step, step),
        "steps": evaluation.cw_steps,
    },
    label=lambda settings: "CW",
    words=lambda settings: f", {settings['steps']} steps of {fraction_text(settings['step'])}",
    steps=lambda settings: settings["steps"],
)

AUTOATTACK = Entry(
    name="aa",
    title="AA",
    code="bat.attacks:AutoAttack",
    settings=lambda evaluation, step: (
        None if evaluation.autoattack == "none" else {"version": evaluation.autoattack}
    ),
    label=lambda settings: "AA-fast" if settings.get("version") == "aa-fast" else "AA",
    words=lambda settings: (
        ", APGD-CE and targeted APGD only"
        if settings["version"] == "aa-fast"
        else f", AutoAttack {settings['version']}"
    ),
    steps=lambda settings: AUTOATTACK_STEPS[settings["version"]],
)

ATTACKS = {entry.name: entry for entry in (FGSM, PGD, CW, AUTOATTACK)}
"""By the column of evaluation tables, in their order."""


FURTHER_PGD = re.compile(r"pgd-[1-9][0-9]*")
"""Columns of PGD with other numbers of steps than the column ``pgd``, as ``pgd-20``."""


def entry_of(name: str) -> Entry:
    """The entry of an attack; that of one's own has its name as title and its code as words."""
    if name in ATTACKS:
        return ATTACKS[name]
    if FURTHER_PGD.fullmatch(name):
        return replace(PGD, name=name, title=name.upper())
    return Entry(
        name=name,
        title=name,
        code="bat.attacks:OwnAttack",
        settings=lambda evaluation, step: None,
        label=lambda settings: name,
        words=lambda settings: f", {settings['code']['code']}",
        steps=lambda settings: settings["code"]["settings"].get("steps", 100),
    )


def attacks(evaluation: Evaluation, adversary: Adversary) -> dict[str, dict]:
    """The built-in attacks that a data set is evaluated with: their settings by name, resolved."""
    eps = _own(evaluation.eps, adversary.eps)
    found = {name: entry.settings(evaluation, adversary.step) for name, entry in ATTACKS.items()}
    for steps in evaluation.pgd_more:
        found[f"{PGD.name}-{steps}"] = found[PGD.name] | {"steps": steps}
    return {
        name: {"eps": eps, **settings} for name, settings in found.items() if settings is not None
    }
